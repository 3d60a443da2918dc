"""Where mounds were expected and where they came: error against K, and maps beside the truth."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
from jaxtyping import Num
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from slime.aggregation import Found, Study
from slime.plots.pictures import gray_limits, scale_bar
from slime.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    short_name,
    tidy,
)

LOOKS = {
    "learned": ("learned map", VERMILION, "-", "o"),
    "rollout": ("rollout", BLUE, "-", "s"),
    "rollout_maximum": ("rollout, its maxima", SKY, "-", "^"),
    "density_maximum": ("density maxima", GREEN, "--", "D"),
    "last_frame": ("mounds of the last frame", ORANGE, "--", "v"),
    "random_places": ("random places", GREY, ":", "x"),
    "other_movie": ("places of another movie", PURPLE, ":", "+"),
}
SHIFT_MIN = {"learned": -0.7, "rollout": 0.0, "rollout_maximum": 0.7}  # so that bars are seen
OUTLINE = [withStroke(linewidth=2.4, foreground="black")]


def error_against_given(summary: pd.DataFrame, max_um: float, level: float) -> Figure:
    """Penalised error of every model, and its paired difference to the best baseline, over time."""
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    errors, differences = figure.subplots(1, 2)
    for model, (label, colour, line, marker) in LOOKS.items():
        rows = cast(pd.DataFrame, summary[summary.model == model])
        if not len(rows):
            continue
        look = {"color": colour, "linestyle": line, "marker": marker, "markersize": 5}
        minutes = rows.minutes.to_numpy()
        errors.plot(minutes, rows.penalised_um, label=label, linewidth=1.6, **look)
        errors.fill_between(minutes, rows.low, rows.high, color=colour, alpha=0.13, linewidth=0)
        if model in SHIFT_MIN:
            middle, low, high = (
                rows[name].to_numpy(dtype=float)
                for name in ("difference_um", "difference_low", "difference_high")
            )
            bars = np.nan_to_num(np.stack([middle - low, high - middle]))
            differences.errorbar(
                minutes + SHIFT_MIN[model], middle, yerr=bars, capsize=2, linewidth=1.4, **look
            )
    errors.axhline(max_um, color="0.6", linewidth=0.8)
    errors.set(xlabel="film given (min)", ylabel="matched error of mound centres (µm)")
    errors.set_ylim(0, max_um * 1.06)
    errors.set_title(f"0: all right; {max_um:g} µm: nothing right", fontsize=9, loc="left")
    errors.legend(fontsize=8, frameon=False)
    differences.axhline(0, color="black", linewidth=0.9)
    differences.set(xlabel="film given (min)", ylabel="error − the best baseline's (µm)")
    differences.set_title("below 0: better than every baseline", fontsize=9, loc="left")
    n = int(summary.n_movies.max())
    known = summary.low.notna().any()
    spread = f"{level:.0%} intervals over movies" if known else "too few movies for intervals"
    said = f"means over {n} held-out movies; {'bands and bars: ' if known else ''}{spread}"
    figure.supxlabel(said, fontsize=8, color=GREY)
    for axes in (errors, differences):
        tidy(axes)
    return figure


def map_page(study: Study, found: Sequence[Found], dishes: Sequence[int]) -> Figure:
    """What was given, the map drawn from it, and the end, for some test dishes and Ks.

    Args:
        found: of one model with maps; for each K the last frame given, in the channel of cells and
            in the next other one, and the map.
        dishes: numbers of test dishes, a row each.
    """
    first = study.dishes[0]
    others = [c for c in range(len(first.channels)) if c != first.cells]
    seen = [first.cells, *others[:1]]
    n_block = len(seen) + 1
    figure, grid = _grid(len(dishes), n_block * len(found) + 1)
    highest = max(float(np.nanmax(heat)) for one in found for heat in _maps(one).values())
    colours = ScalarMappable(Normalize(0, highest), "magma")
    for row, i in zip(grid, dishes, strict=True):
        dish, pixel_um = study.dishes[i], study.rule.pixel_um
        true_px = study.truth[i].position_um / pixel_um
        row[0].set_ylabel(short_name(dish.name.removesuffix(".zarr"), 24), fontsize=8)
        for k, one in enumerate(found):
            *given, drawn = row[n_block * k : n_block * (k + 1)]
            for axes, channel in zip(given, seen, strict=True):
                _gray(axes, dish.frames[one.given - 1, channel])
            drawn.imshow(_maps(one)[i], cmap=colours.cmap, norm=colours.norm)
            _places(drawn, true_px, one.places_um[i] / pixel_um)
        _gray(row[-1], dish.density[-1])
        _places(row[-1], true_px, np.zeros((0, 2)))
    names = [short_name(first.channels[c], 12) for c in seen]
    for k, one in enumerate(found):
        at = f"{first.minutes(one.given):g} min"
        titles = [*(f"{name}, {at}" for name in names), f"map from {at}"]
        for axes, title in zip(grid[0][n_block * k :], titles, strict=False):
            axes.set_title(title, fontsize=8)
    grid[0][-1].set_title(f"{names[0]}, {first.minutes(study.n_frames):g} min", fontsize=8)
    scale_bar(grid[0][0], first.mask.shape[1], study.rule.pixel_um)
    bar = figure.colorbar(colours, ax=grid.ravel().tolist(), fraction=0.02, pad=0.01)
    bar.set_label("map (1: a mound's centre)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    figure.legend(handles=_marks(), loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def _grid(n_rows: int, n_columns: int) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(1.45 * n_columns + 0.7, 1.47 * n_rows + 0.55))
    figure.set_layout_engine("compressed", w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    return figure, grid


def shown_maps(study: Study, found: Sequence[Found], seed: int) -> list[Found]:
    """The learned maps of one seed at the Ks nearest to a quarter and a half of the time."""
    learned = [one for one in found if one.model == "learned" and one.seed == seed]
    wanted = [share * study.n_frames for share in (0.25, 0.5)]
    picked = [min(learned, key=lambda one: abs(one.given - frame)) for frame in wanted]
    return picked[:1] if picked[0] is picked[1] else picked


def shown_dishes(study: Study, n: int = 5) -> list[int]:
    """The first test dishes, in the order of the stores: not chosen by how they turned out."""
    return study.of("test")[:n]


def _maps(one: Found) -> Mapping[int, Num[np.ndarray, "y x"]]:
    assert one.maps is not None, f"{one.model} has no maps"
    return one.maps


def _gray(axes: Axes, frame: Num[np.ndarray, "y x"]) -> None:
    low, high = gray_limits(frame[None])
    shown = axes.imshow(frame, cmap="gray", vmin=low, vmax=high)
    shown.set_cmap(shown.get_cmap().with_extremes(bad="0.6"))


def _places(axes: Axes, true: Num[np.ndarray, "m 2"], found: Num[np.ndarray, "n 2"]) -> None:
    axes.plot(*true.T[::-1], "x", color="white", markersize=6, path_effects=OUTLINE)
    look = {"markersize": 9, "fillstyle": "none", "markeredgewidth": 1.5}
    axes.plot(*found.T[::-1], "o", color=SKY, path_effects=OUTLINE, **look)


def _marks() -> list[Line2D]:
    cross = Line2D([], [], marker="x", color="white", linestyle="", path_effects=OUTLINE)
    ring = Line2D(
        [], [], marker="o", color=SKY, fillstyle="none", linestyle="", path_effects=OUTLINE
    )
    cross.set_label("true centre")
    ring.set_label("found")
    return [cross, ring]
