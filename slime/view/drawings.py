"""Pictures and curves as bokeh draws them."""

from typing import Any

import numpy as np
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    HoverTool,
    LinearColorMapper,
    MetricLength,
    Range1d,
    ScaleBar,
    Span,
)
from bokeh.palettes import gray
from bokeh.plotting import figure
from jaxtyping import Float32
from matplotlib import colormaps
from matplotlib.colors import to_hex

from slime.plots.style import BLUE, GREY, VERMILION
from slime.view.looks import shown_binned

COLOURS = {"truth": BLUE, "frame": BLUE, "forecast": VERMILION, "persistence": GREY}
SIGNED = [to_hex(colour) for colour in colormaps["RdBu_r"](np.linspace(0, 1, 256))]
UNSEEN = "#b9a44c"  # pixels without a number


def is_error(title: str) -> bool:
    """Whether a picture is of both signs."""
    return title.startswith("error")


class Picture:
    """One picture with its colours, a bar of its length, and the value under the pointer.

    Args:
        first: whether it has the axis, the tools and the scale bar that serve all beside it.
        coloured: whether it has the bar of its colours.
    """

    def __init__(
        self,
        title: str,
        shape: tuple[int, ...],
        pixel_um: float | None,
        side: int,
        *,
        first: bool,
        coloured: bool,
    ):
        self.shape = shape
        self.height, self.width = (n * (pixel_um or 1.0) for n in shape)
        scale = side / max(self.height, self.width)
        unit = "µm" if pixel_um else "px"
        self.plot: Any = figure(
            title=title,
            frame_width=max(int(self.width * scale), 60),
            frame_height=max(int(self.height * scale), 60),
            x_range=Range1d(start=0, end=self.width),
            y_range=Range1d(start=self.height, end=0),
            x_axis_label=unit,
            tools="pan,wheel_zoom,box_zoom,reset,save",
            active_scroll="wheel_zoom",
            toolbar_location="above" if first else None,
        )
        self.plot.toolbar.logo = None
        self.plot.grid.visible = False
        palette = SIGNED if is_error(title) else gray(256)
        self.mapper = LinearColorMapper(palette=palette, nan_color=UNSEEN)
        self.source = ColumnDataSource({"image": []})
        self.plot.image(
            image="image",
            source=self.source,
            x=0,
            y=0,
            dw=self.width,
            dh=self.height,
            color_mapper=self.mapper,
        )
        self.plot.add_tools(HoverTool(tooltips=[("value", "@image"), (f"x, y {unit}", "$x, $y")]))
        self.plot.yaxis.visible = first
        if first and pixel_um:
            self.plot.add_layout(
                ScaleBar(
                    range=self.plot.x_range,
                    unit="µm",
                    dimensional=MetricLength(base_unit="m"),
                    location="bottom_right",
                    background_fill_alpha=0.7,
                )
            )
        if coloured:
            bar = ColorBar(color_mapper=self.mapper, width=10, title="movie units")
            self.plot.add_layout(bar, "right")

    def share(self, other: "Picture") -> None:
        """Move and zoom with another picture."""
        self.plot.x_range, self.plot.y_range = other.plot.x_range, other.plot.y_range

    def show(self, picture: Float32[np.ndarray, "y x"]) -> str:
        """Send the pixels; says so where squares of them were averaged first."""
        seen, width = shown_binned(picture)
        self.source.data = {"image": [np.ascontiguousarray(seen)]}
        return "" if width == 1 else f"shown as means of {width} x {width} pixels"


class Curves:
    """Some curves over one axis, each in the colour of its name, and a mark on the axis."""

    def __init__(self, title: str, labels: tuple[str, str], *, log: bool = False):
        kind = "log" if log else "linear"
        self.plot: Any = figure(
            title=title,
            frame_width=300,
            frame_height=200,
            x_axis_label=labels[0],
            y_axis_label=labels[1],
            x_axis_type=kind,
            y_axis_type=kind,
            tools="",
            toolbar_location=None,
        )
        self.corner = "bottom_left" if log else "top_left"
        self.sources: dict[str, ColumnDataSource] = {}
        self.mark = Span(location=1, dimension="height", line_color=GREY, visible=False)
        self.plot.add_layout(self.mark)

    def show(self, curves: dict[str, tuple[Any, Any]], *, at: int | None = None) -> None:
        """Draw the curves; those of names that were there before are moved.

        Args:
            at: where the mark stands, if anywhere.
        """
        self.mark.update(location=at or 1, visible=at is not None)
        for name, (x, y) in curves.items():
            if name not in self.sources:
                self.sources[name] = ColumnDataSource({"x": [], "y": []})
                colour = COLOURS.get(name, BLUE)
                self.plot.line("x", "y", source=self.sources[name], color=colour, legend_label=name)
                self.plot.scatter("x", "y", source=self.sources[name], color=colour, size=4)
                self.plot.legend.update(location=self.corner, background_fill_alpha=0.5)
            self.sources[name].data = {"x": np.asarray(x, float), "y": np.asarray(y, float)}
