"""Frames as pictures: a movie's own, and a forecast beside what happened."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Num
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from slime.errors import SlimeError
from slime.example import Example
from slime.plots.style import GREY, short_name
from slime.texts import duration_text, lead_text

PERCENTILES = (0.5, 99.8)
UNSEEN = "0.6"  # pixels without a number
_OVER: dict[str, Any] = {
    "ha": "center",
    "va": "center",
    "color": "white",
    "fontsize": 9,
    "path_effects": [withStroke(linewidth=2, foreground="black")],
}


def movie_frames(movie: xr.DataArray, n: int = 6) -> Figure:
    """Evenly spaced frames, a row a channel, each channel on one scale of gray.

    Only these frames are read. Black and white are percentiles of the frames shown, those that
    hold one value only (blank ones) left out; the colour bar says which.
    """
    n_frames, _, n_y, n_x = movie.shape
    picked = np.unique(np.linspace(0, n_frames - 1, n).round().astype(int))
    frames = movie.isel(time=picked).to_numpy()
    names = [str(c) for c in movie["channel"].values] if "channel" in movie.coords else []
    names = names or [str(i) for i in range(movie.sizes["channel"])]
    figure, grid = _picture_grid(len(names), len(picked), n_y / n_x)
    for row, name in enumerate(names):
        grays = Normalize(*gray_limits(frames[:, row]))
        for axes, frame, index in zip(grid[row], frames[:, row], picked, strict=True):
            _show(axes, frame, "gray", grays)
            if row == 0:
                axes.set_title(_frame_title(movie, int(index)), fontsize=9)
            if frame.min() == frame.max():
                axes.text(0.5, 0.5, f"all {frame.min():g}", **_OVER, transform=axes.transAxes)
        grid[row][0].set_ylabel(f"channel\n{short_name(name, 18)}", fontsize=9)
        _colour_bar(figure, grid[row], "stored value")
    scale_bar(grid[0][0], n_x, movie.attrs.get("pixel_um"))
    said = f"black and white: percentiles {_percentiles_text()} of the frames shown, by channel"
    figure.supxlabel(said, fontsize=8, color=GREY)
    return figure


def forecast_strip(example: Example, leads: Sequence[int], channel: int = 0) -> Figure:
    """Last frame given, truth, forecast and both errors at some leads, one channel.

    Truth and forecast share one scale, taken from the truth; both errors share another, symmetric
    about 0, so that rows can be compared by eye. Pixels without a number are gray.
    """
    wrong = [lead for lead in leads if not 1 <= lead <= example.n_leads]
    if wrong or not leads:
        raise SlimeError(f"leads {list(leads)}: choose from 1 to {example.n_leads}")
    rows = np.asarray(leads) - 1
    truth, forecast = (v[rows, channel].astype(float) for v in (example.truth, example.forecast))
    last = example.last_frame[channel].astype(float)
    n_y, n_x = last.shape
    names = (
        "last given,\npersistence",
        "truth",
        "forecast",
        "error\nforecast − truth",
        "error\nof persistence",
    )
    pictures = [np.stack([last] * len(leads)), truth, forecast, forecast - truth, last - truth]
    gray, errors = Normalize(*gray_limits(truth)), error_norm(np.stack(pictures[3:]))
    figure, grid = _picture_grid(len(names), len(leads), n_y / n_x)
    for row, (name, stack) in enumerate(zip(names, pictures, strict=True)):
        for axes, picture in zip(grid[row], stack, strict=True):
            is_error = row >= 3
            _show(axes, picture, "RdBu_r" if is_error else "gray", errors if is_error else gray)
        grid[row][0].set_ylabel(name, fontsize=9)
        if row == 2:
            label = f"movie units, percentiles {_percentiles_text()}\nof the truth shown"
            _colour_bar(figure, grid[:3], label)
    _colour_bar(figure, grid[3:], "movie units, error\n(99.8 % of pixels inside)")
    for axes, lead in zip(grid[0], leads, strict=True):
        axes.set_title(lead_text(lead, example.lead_s), fontsize=9)
    scale_bar(grid[0][0], n_x, example.pixel_um)
    said = [example.where] if example.where else []
    said += [f"channel {example.channels[channel]}"]
    figure.suptitle((", " if len(leads) > 3 else "\n").join(said), fontsize=10)
    return figure


def gray_limits(frames: Num[np.ndarray, "t y x"]) -> tuple[float, float]:
    """Percentiles over frames that hold more than one value."""
    numbers = [f[np.isfinite(f)] for f in np.asarray(frames, dtype=float)]
    varied = [f for f in numbers if f.size and f.min() < f.max()]
    if not varied:
        held = np.concatenate(numbers)
        low = float(held.min(initial=0.0))
        return low, low + 1.0
    low, high = np.percentile(np.concatenate(varied), PERCENTILES)
    return (float(low), float(high)) if low < high else (float(low), float(low) + 1.0)


def error_norm(errors: Float[np.ndarray, "..."]) -> Normalize:
    """A scale symmetric about 0 that holds 99.8 % of the errors."""
    finite = np.abs(errors[np.isfinite(errors)])
    limit = float(np.percentile(finite, 99.8)) if finite.size else 0.0
    limit = limit or float(finite.max(initial=0.0)) or 1.0
    return Normalize(-limit, limit)


def _percentiles_text() -> str:
    return "{:g} to {:g}".format(*PERCENTILES)


def _picture_grid(n_rows: int, n_columns: int, y_over_x: float) -> tuple[Figure, np.ndarray]:
    """Axes without ticks, sized so that pictures fill them."""
    width = min(1.8, 9.0 / n_columns)
    height = width * min(max(y_over_x, 0.3), 2.5)
    size = max(width * n_columns + 1.7, 4.5), (height + 0.06) * n_rows + 0.7
    figure = Figure(figsize=size)
    tight = {"w_pad": 0.02, "h_pad": 0.02, "wspace": 0.0, "hspace": 0.0}
    figure.set_layout_engine("compressed", **tight)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    return figure, grid


def _show(axes: Axes, picture: Num[np.ndarray, "y x"], colours: str, norm: Normalize) -> None:
    shown = axes.imshow(picture, cmap=colours, norm=norm, interpolation="nearest")
    shown.set_cmap(shown.get_cmap().with_extremes(bad=UNSEEN))


def _colour_bar(figure: Figure, beside: np.ndarray, label: str) -> None:
    """The bar of the one scale that the pictures beside it share."""
    shown = beside.ravel()[0].images[0]
    bar = figure.colorbar(shown, ax=beside.ravel().tolist(), extend="both", fraction=0.05, pad=0.01)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _frame_title(movie: xr.DataArray, index: int) -> str:
    interval_s = movie.attrs.get("frame_interval_s")
    if "time" in movie.coords:
        return f"frame {index}\n{duration_text(float(movie['time'].values[index]))}"
    return (
        f"frame {index}\n{duration_text(float(index * interval_s))}"
        if interval_s
        else f"frame {index}"
    )


def scale_bar(axes: Axes, n_x: int, pixel_um: float | None) -> None:
    """A bar of a round length near a quarter of the picture's width, in um or else in pixels."""
    length = round_length(n_x * (pixel_um or 1.0) / 3)
    unit = "µm" if pixel_um else "px"
    text = f"{length:g} {unit}" if unit == "px" or length < 1000 else f"{length / 1000:g} mm"
    share, left, foot = length / (pixel_um or 1.0) / n_x, 0.06, 0.07
    outline = [withStroke(linewidth=5, foreground="black")]
    axes.plot(
        [left, left + share],
        [foot, foot],
        color="white",
        linewidth=3,
        solid_capstyle="butt",
        transform=axes.transAxes,
        path_effects=outline,
    )
    style: dict[str, Any] = _OVER | {"ha": "left", "va": "bottom"}
    axes.text(left, foot + 0.05, text, transform=axes.transAxes, **style)


def round_length(length: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `length`."""
    power = 10.0 ** math.floor(math.log10(length))
    return max(step * power for step in (1, 2, 5) if step * power <= length)
