"""Models beside each other: a score by lead, and their forecasts of one window."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from slime.example import Example
from slime.plots.landscape_lines import COLOURS
from slime.plots.pictures import error_norm, gray_limits
from slime.plots.style import GREY, short_name, tidy
from slime.score_rows import numbers_of, rows_where
from slime.texts import lead_text

DASHES = ("--", ":", "-.")


def score_by_lead(axes: Axes, table: pd.DataFrame, score: str, nets: Sequence[str]) -> Axes:
    """A score by lead: nets as lines with their intervals, baselines thin and dashed.

    Baselines far below all nets are cut off at the axis, as their numbers stand in the table.
    """
    rows = rows_where(table, score=score, movie="all", channel="all")
    models = list(dict.fromkeys(rows["model"]))
    for i, model in enumerate([*nets, *(m for m in models if m not in nets)]):
        one = rows_where(rows, model=model).sort_values(by="lead")
        lead, value, low, high = (numbers_of(one, c) for c in ("lead", "value", "low", "high"))
        if model not in nets:
            style: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "linewidth": 1}
            style |= {"linestyle": DASHES[i // len(COLOURS) % len(DASHES)], "alpha": 0.8}
            axes.plot(lead, value, label=short_name(model), **style)
            continue
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(lead, value, "o-", color=colour, markersize=4, label=short_name(model))
        if np.isfinite(low).any():
            axes.fill_between(lead, low, high, color=colour, alpha=0.15, linewidth=0)
    shown = np.concatenate([numbers_of(rows_where(rows, model=net), "value") for net in nets])
    least, most = float(np.nanmin(shown, initial=0.0)), float(np.nanmax(shown, initial=0.0))
    room = 0.25 * (most - least) + 0.05
    if score.startswith("skill"):
        axes.axhline(0, color=GREY, linewidth=1.2)
        axes.set_ylim(least - room, min(most + room, 1.02))
    else:
        axes.set_ylim(0, most + room)
    axes.set(xlabel="lead (frames ahead)", ylabel=score)
    tidy(axes)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return axes


def strips_figure(
    examples: Mapping[str, Example], leads: Sequence[int], channel: int = 0
) -> Figure:
    """Truth, every model's forecast of it and its error, at some leads of one window.

    Row i of each example is `leads[i]`. Truth and forecasts share one scale of gray, taken from
    the truth; all errors share one, symmetric about 0.
    """
    first = next(iter(examples.values()))
    truth = first.truth[:, channel].astype(float)
    forecasts = {name: one.forecast[:, channel].astype(float) for name, one in examples.items()}
    gray = Normalize(*gray_limits(truth))
    errors = error_norm(np.stack([forecast - truth for forecast in forecasts.values()]))
    rows = [("truth", truth, "gray", gray)]
    for name, forecast in forecasts.items():
        rows.append((short_name(name, 24), forecast, "gray", gray))
        rows.append(("its error", forecast - truth, "RdBu_r", errors))
    n_y, n_x = truth.shape[1:]
    width = 1.3
    size = (
        width * len(leads) + 1.6,
        (width * min(max(n_y / n_x, 0.3), 2.5) + 0.08) * len(rows) + 0.7,
    )
    figure = Figure(figsize=size, layout="compressed")
    grid = figure.subplots(len(rows), len(leads), squeeze=False)
    for line, (name, stack, colours, norm) in zip(grid, rows, strict=True):
        for axes, picture in zip(line, stack, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.imshow(picture, cmap=colours, norm=norm, interpolation="nearest")
        label = line[0].set_ylabel(name.replace(" ", "\n", 1), fontsize=8, rotation=0)
        label.set(ha="right", va="center")
    for axes, lead in zip(grid[0], leads, strict=True):
        axes.set_title(lead_text(lead, first.lead_s), fontsize=8)
    figure.colorbar(grid[0, 0].images[0], ax=grid[:1].ravel().tolist(), label="movie units")
    beside = grid[1:].ravel().tolist()
    figure.colorbar(grid[2, 0].images[0], ax=beside, label="error, movie units", extend="both")
    figure.suptitle(f"{first.where}, channel {first.channels[channel]}", fontsize=9)
    return figure
