"""Figures of studies: scores with their intervals, a dot a model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from slime.ceiling import CEILING, TEMPORAL
from slime.errors import SlimeError
from slime.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, tidy
from slime.score_rows import numbers_of, rows_where

FLOOR = -0.3  # skill below it is written out at the edge
CEILINGS = {
    CEILING: ("--", "noise ceiling"),
    TEMPORAL: (":", "of a mean of the frames given"),
}
COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY)


def score_dots(
    table: pd.DataFrame,
    score: str,
    *,
    ours: Sequence[str],
    ceilings: Mapping[str, float] | None = None,
) -> Figure:
    """A score of every model, a panel a world: nets blue, the others grey, best at the top.

    Args:
        table: rows with world, model, score, value, low, high.
        ours: the models drawn in blue.
        ceilings: for some worlds the highest value that noise allows, a line.

    Raises:
        SlimeError: no row holds the score.
    """
    rows = rows_where(table, score=score)
    if rows.empty:
        raise SlimeError(f"no row of the table holds the score {score!r}")
    worlds = list(dict.fromkeys(rows["world"]))
    models = len(set(rows["model"]))
    figure = Figure(figsize=(3.4 * len(worlds) + 0.6, 0.26 * models + 1.2), layout="constrained")
    panels = figure.subplots(1, len(worlds), squeeze=False)[0]
    for axes, world in zip(panels, worlds, strict=True):
        _dots(axes, rows_where(rows, world=world), ours)
        top = (ceilings or {}).get(world)
        if top is not None:
            axes.axvline(top, color=VERMILION, linestyle="--", linewidth=1.2)
        axes.set_title(world, fontsize=10)
        axes.set_xlabel(f"{score} at lead 1", fontsize=9)
    return figure


def _dots(axes: Axes, rows: pd.DataFrame, ours: Sequence[str]) -> None:
    ordered = rows.sort_values(by="value", kind="stable")
    names = list(ordered["model"])
    value, low, high = (numbers_of(ordered, column) for column in ("value", "low", "high"))
    for y, (name, v, a, b) in enumerate(zip(names, value, low, high, strict=True)):
        colour = BLUE if name in ours else GREY
        if not v >= FLOOR:
            axes.text(
                FLOOR, y, f"◀ {v:.2g}".replace("-", "−"), color=colour, fontsize=7, va="center"
            )
            continue
        if np.isfinite(a):
            axes.plot([max(a, FLOOR), b], [y, y], color=colour, linewidth=1.6)
        axes.plot(v, y, "o", color=colour, markersize=4)
    axes.axvline(0, color="0.6", linewidth=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlim(FLOOR - 0.05, 1.02)
    axes.set_ylim(-0.6, len(names) - 0.4)
    tidy(axes)


def lines_with_intervals(
    axes: Axes,
    table: pd.DataFrame,
    x: str,
    *,
    by: str,
    labels: tuple[str, str],
) -> Axes:
    """A line a value of `by` over the numbers of column `x`, intervals as bars.

    Args:
        labels: of the x and the y axis.
    """
    for i, name in enumerate(dict.fromkeys(table[by])):
        rows = rows_where(table, **{by: name}).sort_values(by=x, kind="stable")
        at, value = numbers_of(rows, x), numbers_of(rows, "value")
        low, high = numbers_of(rows, "low"), numbers_of(rows, "high")
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(at, value, "o-", color=colour, markersize=4, label=str(name))
        axes.vlines(at, low, high, color=colour, linewidth=1.4)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.legend(fontsize=8, frameon=False)
    tidy(axes)
    return axes


def cost_lines(table: pd.DataFrame) -> Figure:
    """Skill at lead 1 of every net over CPU-seconds and over operations, a row a world."""
    rows = rows_where(table, score="skill")
    worlds = list(dict.fromkeys(rows["world"]))
    figure = Figure(figsize=(8.5, 2.9 * len(worlds) + 0.4), layout="constrained")
    panels = figure.subplots(len(worlds), 2, squeeze=False)
    costs = {"cpu_s": "CPU-seconds of training", "gflop_trained": "GFLOP of training"}
    for line, world in zip(panels, worlds, strict=True):
        own = rows_where(rows, world=world)
        bottom = max(FLOOR, float(numbers_of(own, "value").min()) - 0.05)
        for axes, (cost, label) in zip(line, costs.items(), strict=True):
            lines_with_intervals(axes, own, cost, by="model", labels=(label, "skill, lead 1"))
            axes.set_ylim(bottom, 1)
            axes.set_xscale("log")
            axes.set_title(world, fontsize=10)
    return figure


def rank_dots(places: pd.DataFrame, lead: int) -> Figure:
    """Places by rollouts over places at lead 1, a panel a world; on the line they agree."""
    worlds = list(dict.fromkeys(places["world"]))
    figure = Figure(figsize=(3.4 * len(worlds), 3.4), layout="constrained")
    for axes, world in zip(figure.subplots(1, len(worlds), squeeze=False)[0], worlds, strict=True):
        own = rows_where(places, world=world)
        own = rows_where(own, budget_s=numbers_of(own, "budget_s").max())
        last = len(own)
        axes.plot([1, last], [1, last], color="0.7", linewidth=1)
        axes.plot(numbers_of(own, "near"), numbers_of(own, "far"), "o", color=BLUE, markersize=4)
        for name, x, y in zip(
            own["model"], numbers_of(own, "near"), numbers_of(own, "far"), strict=True
        ):
            axes.annotate(str(name), (float(x), float(y)), fontsize=7)
        axes.set_xlim(0.5, last + 2)
        axes.set_xlabel("place at lead 1")
        axes.set_ylabel(f"place at lead {lead}")
        axes.set_title(world, fontsize=10)
        tidy(axes)
    return figure


def told_and_true(table: pd.DataFrame) -> Figure:
    """The skill that each way of holding back reports (open) and that of the future (filled)."""
    worlds = list(dict.fromkeys(table["world"]))
    figure = Figure(figsize=(4.2 * len(worlds), 3.4), layout="constrained")
    for axes, world in zip(figure.subplots(1, len(worlds), squeeze=False)[0], worlds, strict=True):
        own = rows_where(table, world=world)
        names = list(dict.fromkeys(zip(own["model"], own["way"], strict=True)))
        for y, (model, way) in enumerate(reversed(names)):
            both = rows_where(own, model=model, way=way)
            told = numbers_of(rows_where(both, score="reported"), "value")[0]
            true = numbers_of(rows_where(both, score="future"), "value")[0]
            colour = BLUE if way == "later" else VERMILION
            axes.plot([told, true], [y, y], color=colour, linewidth=1.6)
            axes.plot(told, y, "o", color=colour, markerfacecolor="white", markersize=5)
            axes.plot(true, y, "o", color=colour, markersize=5)
        axes.axvline(0, color="0.6", linewidth=0.8)
        labels = [f"{model}, {way}" for model, way in reversed(names)]
        axes.set_yticks(range(len(names)), labels, fontsize=8)
        axes.set_xlabel("skill: open, as reported; filled, of later frames", fontsize=9)
        axes.set_title(world, fontsize=10)
        tidy(axes)
    return figure


def interval_lines(table: pd.DataFrame) -> Figure:
    """Skill over the interval used, a line an interval trained with, a panel a world."""
    worlds = list(dict.fromkeys(table["world"]))
    figure = Figure(figsize=(3.8 * len(worlds), 3.2), layout="constrained")
    for axes, world in zip(figure.subplots(1, len(worlds), squeeze=False)[0], worlds, strict=True):
        own = rows_where(table, world=world)
        named = own.assign(net=[f"trained {n} apart" for n in own["trained"]])
        labels = ("frames apart when used", f"skill, {table['lead'].max()} frames ahead")
        lines_with_intervals(axes, named, "used", by="net", labels=labels)
        axes.axhline(0, color="0.6", linewidth=0.8)
        axes.set_ylim(bottom=max(-1.0, axes.get_ylim()[0]))
        axes.set_xscale("log", base=2)
        axes.set_title(world, fontsize=10)
    return figure


def given_lines(table: pd.DataFrame) -> Figure:
    """Skill at lead 1 over the number of frames given, and its ceilings, a panel a world."""
    worlds = list(dict.fromkeys(table["world"]))
    figure = Figure(figsize=(3.8 * len(worlds), 3.2), layout="constrained")
    for axes, world in zip(figure.subplots(1, len(worlds), squeeze=False)[0], worlds, strict=True):
        own = rows_where(table, world=world)
        skills = rows_where(own, score="skill").assign(line="net")
        labels = ("frames given", "skill, lead 1")
        lines_with_intervals(axes, skills, "given", by="line", labels=labels)
        for score, (dashes, label) in CEILINGS.items():
            top = rows_where(own, score=score).sort_values(by="given")
            at, value = numbers_of(top, "given"), numbers_of(top, "value")
            axes.plot(at, value, dashes, color=VERMILION, linewidth=1.2, label=label)
        axes.legend(fontsize=8, frameon=False)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(set(own["given"])))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.set_title(world, fontsize=10)
    return figure
