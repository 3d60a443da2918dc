"""Trainings and seeds beside one another, and windows laid on the frames of their splits."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from slime.errors import SlimeError
from slime.plots.splits import SPLIT_COLOURS
from slime.plots.studies import COLOURS
from slime.plots.style import BLUE, GREY, PURPLE, VERMILION, short_name, tidy
from slime.score_rows import numbers_of, rows_where
from slime.split import Split
from slime.windows import WindowSpec, window_starts

DASHES = ("-", "--", "-.", ":")
MARKERS = "os^Dv<"


def curves_by_epoch(
    axes: Axes, trainings: Mapping[str, pd.DataFrame], column: str, *, label: str
) -> Axes:
    """One number of each epoch, a line a training; the best epoch of each is filled.

    Args:
        trainings: by name, a row an epoch (slime.fit.Record.row).
        label: of the y axis.

    Raises:
        SlimeError: no training, or one without the column.
    """
    if not trainings:
        raise SlimeError("no training is given: curves need at least one")
    for i, (name, records) in enumerate(trainings.items()):
        if column not in records:
            known = ", ".join(map(str, records.columns))
            raise SlimeError(f"training {name!r} has no column {column!r} (it has {known})")
        epoch, value = numbers_of(records, "epoch"), numbers_of(records, column)
        look = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)]}
        marker = {"marker": MARKERS[i % len(MARKERS)], "markersize": 5}
        axes.plot(epoch, value, **look, **marker, markerfacecolor="white", label=short_name(name))
        best = numbers_of(records, "val_loss").argmin()
        axes.plot(epoch[best], value[best], color=look["color"], zorder=4, **marker)
    if column == "val_skill":
        axes.axhline(0, color=GREY, linewidth=1)
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8, frameon=False)
    tidy(axes)
    return axes


def windows_on_frames(
    axes: Axes, cuts: Mapping[str, Split], spec: WindowSpec, *, n_shown: int = 3
) -> Axes:
    """The first windows of each split, a row a window: frames given blue, predicted red.

    Each split is shaded in its colour over its frames; what is in none is left white.
    """
    row = 0
    for name, split in cuts.items():
        starts = window_starts(split, spec)[:n_shown]
        shade = SPLIT_COLOURS.get(name, PURPLE)
        axes.axvspan(split.start - 0.5, split.stop - 0.5, color=shade, alpha=0.12, linewidth=0)
        middle = (split.start + split.stop - 1) / 2
        axes.text(middle, -1.1, name, ha="center", va="center", fontsize=9)
        for start in starts.tolist():
            frames = [start + k * spec.step for k in range(spec.n_frames)]
            for k, frame in enumerate(frames):
                colour = BLUE if k < spec.n_in else VERMILION
                axes.barh(row, 0.9, left=frame - 0.45, height=0.8, color=colour)
            row += 1
    axes.set(ylim=(row - 0.4, -1.7), yticks=[], xlabel="frame")
    handles = [Patch(color=BLUE, label="given"), Patch(color=VERMILION, label="predicted")]
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    axes.legend(handles=handles, fontsize=8, frameon=False, **beside)
    axes.spines[["left", "right", "top"]].set_visible(False)
    return axes


def seeds_and_intervals(
    axes: Axes, seeds: pd.DataFrame, together: pd.DataFrame, *, label: str
) -> Axes:
    """A row a model: each seed an open dot, their mean a filled one on its interval over seeds.

    Args:
        seeds: rows with model and value, one a seed.
        together: rows with model, value, low and high; where low is empty there is no interval.
        label: of the x axis.

    Raises:
        SlimeError: a model of `seeds` that is not in `together`, or none at all.
    """
    models = list(dict.fromkeys(str(model) for model in together["model"]))
    unknown = sorted({str(model) for model in seeds["model"]} - set(models))
    if unknown or not models:
        raise SlimeError(f"no mean over seeds of {', '.join(unknown) or 'any model'}")
    for row, model in enumerate(models):
        colour = COLOURS[row % len(COLOURS)]
        mean = rows_where(together, model=model)
        value, low, high = (float(numbers_of(mean, name)[0]) for name in ("value", "low", "high"))
        if np.isfinite(low):
            axes.plot([low, high], [row, row], color=colour, linewidth=2.2)
        axes.plot(value, row, "o", color=colour, markersize=7, zorder=3)
        own = numbers_of(rows_where(seeds, model=model), "value")
        axes.plot(own, np.full(len(own), row - 0.25), "o", mfc="none", color=colour, markersize=5)
    axes.set_yticks(range(len(models)), [short_name(model) for model in models])
    axes.set(ylim=(len(models) - 0.5, -0.6), xlabel=label)
    tidy(axes)
    return axes
