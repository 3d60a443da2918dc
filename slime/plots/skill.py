"""Skill by lead, a line a model and seed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from slime.ceiling import best_ceiling
from slime.errors import SlimeError
from slime.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, tidy
from slime.score_rows import numbers_of, rows_where
from slime.texts import time_unit

OTHERS = (ORANGE, GREEN, PURPLE, VERMILION, SKY)
DASHES = ("--", "-.", ":", (0, (3, 1, 1, 1)))  # their numbers share no factor, so that 140 models
MARKERS = "s^Dv<XP"  # look different
FLOOR = -0.5  # skill below it is marked as off scale, so that it does not flatten the rest


def skill_by_lead(
    axes: Axes,
    scores: pd.DataFrame,
    split: str,
    *,
    net: str | None = None,
    movie: str = "all",
    channel: str = "all",
    lead_s: float | None = None,
) -> Axes:
    """Skill against persistence by lead, a line a model and seed; the net's interval is shaded.

    Skill under a floor is written out in a band at the foot, a row a model (the worst of its
    seeds), and never dropped: a baseline far worse than persistence would flatten all the rest.

    Args:
        scores: rows as in scores.csv.
        net: the model drawn boldly; the baselines are dashed.
        lead_s: seconds a lead, for the axis above.
    """
    rows = rows_where(scores, score="skill", split=split, movie=movie, channel=channel)
    rows = rows.dropna(subset=["lead"]).sort_values(by="lead", kind="stable")
    if rows.empty:
        raise SlimeError(f"no skill of movie {movie!r}, channel {channel!r} in split {split!r}")
    axes.axhline(0, color=GREY, linewidth=1.2, label="persistence", zorder=1)
    models = [m for m in dict.fromkeys(rows["model"]) if m != "persistence"]
    models.sort(key=lambda model: model != net)
    ticks = lead_axis(axes, sorted({int(lead) for lead in numbers_of(rows, "lead")}), lead_s)
    for model in models:
        style, is_shaded = model_style(model, models, net), model == (net or model)
        _draw_model(axes, rows_where(rows, model=model), ticks, style, is_shaded=is_shaded)
    top = _draw_ceiling(axes, best_ceiling(scores, split, movie=movie, channel=channel))
    floor = _skill_floor(rows, net)
    shaded = numbers_of(rows_where(rows, model=net) if net else rows, "high")
    highest = float(np.fmax.reduce([*numbers_of(rows, "value"), *shaded], initial=0.04))
    axes.set_ylim(floor, min(1.02, max(highest, top) + 0.06))
    under = [(m, _worst_under(rows_where(rows, model=m), floor)) for m in models]
    off_scale = [(model_style(m, models, net)["color"], worst) for m, worst in under if worst]
    _list_off_scale(axes, off_scale, ticks)
    axes.set_ylabel("skill, 1 − MSE / MSE(persistence)")
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    axes.legend(**beside, fontsize=9, frameon=False, handlelength=3.2)
    tidy(axes)
    return axes


def _draw_model(
    axes: Axes,
    rows: pd.DataFrame,
    ticks: Sequence[int],
    style: Mapping[str, Any],
    *,
    is_shaded: bool,
) -> None:
    """A line a seed, the first one named in the legend; its interval shaded where asked."""
    model, seeds = rows["model"].iloc[0], list(rows.groupby("seed", dropna=False))
    n_seeds = f" ({len(seeds)} seeds)" if len(seeds) > 1 else ""
    for i, (_, group) in enumerate(seeds):
        label = f"{model}{n_seeds}" if i == 0 else f"_{model}"
        lead, value = numbers_of(group, "lead"), numbers_of(group, "value")
        low, high = numbers_of(group, "low"), numbers_of(group, "high")
        marked = np.flatnonzero(np.isin(lead, ticks)).tolist()
        axes.plot(lead, value, label=label, markevery=marked, **style)
        if is_shaded and np.isfinite(low).any():
            axes.fill_between(lead, low, high, color=style["color"], alpha=0.2, linewidth=0)


def _draw_ceiling(axes: Axes, rows: pd.DataFrame) -> float:
    """The noise ceiling as a line (means over seeds); gives its highest value, 0 without one."""
    if rows.empty:
        return 0.0
    leads = np.unique(numbers_of(rows, "lead"))
    means = [float(numbers_of(rows_where(rows, lead=lead), "value").mean()) for lead in leads]
    style: dict[str, Any] = {"color": "0.25", "linewidth": 1.4, "linestyle": (0, (6, 2))}
    axes.plot(leads, means, label=rows["model"].iloc[0], zorder=2, **style)
    return max(means)


def model_style(model: str, models: Sequence[str], net: str | None) -> dict[str, Any]:
    """How a model's line is drawn: the net boldly, the others by their places in `models`."""
    if model == net:
        return {"color": BLUE, "linewidth": 2.4, "marker": "o", "markersize": 5, "zorder": 4}
    index = [m for m in models if m != net].index(model)
    return {
        "color": OTHERS[index % len(OTHERS)],
        "linestyle": DASHES[index % len(DASHES)],
        "linewidth": 1.5,
        "marker": MARKERS[index % len(MARKERS)],
        "markersize": 4,
        "zorder": 3,
    }


def _skill_floor(rows: pd.DataFrame, net: str | None) -> float:
    """Low enough for the net and its interval, else FLOOR, else just under the lowest value."""
    lowest = float(np.fmin.reduce(numbers_of(rows, "value"), initial=0.0))
    if lowest >= FLOOR:
        return min(lowest, float(np.fmin.reduce(numbers_of(rows, "low"), initial=0.0))) - 0.05
    ours = rows_where(rows, model=net)
    of_net = np.fmin.reduce(
        [*numbers_of(ours, "value"), *numbers_of(ours, "low")], initial=FLOOR + 0.1
    )
    return max(float(of_net) - 0.1, -2.0)


def _worst_under(rows: pd.DataFrame, floor: float) -> dict[int, float]:
    """The lowest skill over seeds at each lead where it is under the floor."""
    worst: dict[int, float] = {}
    for lead, value in zip(numbers_of(rows, "lead"), numbers_of(rows, "value"), strict=True):
        if value < floor:
            worst[int(lead)] = min(float(value), worst.get(int(lead), math.inf))
    return worst


def lead_axis(axes: Axes, leads: Sequence[int], lead_s: float | None) -> list[int]:
    """Ticks at doubling leads, and above them the same in time; gives the ticks."""
    powers = [lead for lead in leads if lead & (lead - 1) == 0]
    ticks = powers if len(powers) > 1 or len(leads) == 1 else list(leads)[:12]
    if max(leads) >= 16:
        axes.set_xscale("log", base=2)
        axes.set_xlim(min(leads) / 1.25, max(leads) * 1.25)
    else:
        axes.set_xlim(min(leads) - 0.5, max(leads) + 0.5)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda lead, _: f"{lead:g}"))
    axes.set_xlabel("lead (frames ahead)")
    if lead_s:
        suits = max(2 * min(leads), max(leads) / 20) * lead_s  # 15, 30, 60 s before 0.25 min
        _time_above(axes, ticks, lead_s, suits)
    return list(ticks)


def _time_above(axes: Axes, ticks: Sequence[int], lead_s: float, suits: float) -> None:
    """The same ticks in time, in the unit that suits `suits` seconds."""
    unit, n_seconds = time_unit(suits)
    above = axes.secondary_xaxis("top")
    above.xaxis.set_major_locator(FixedLocator(ticks))
    above.xaxis.set_minor_locator(NullLocator())
    in_time = FuncFormatter(lambda lead, _: f"{lead * lead_s / n_seconds:.3g}")
    above.xaxis.set_major_formatter(in_time)
    above.set_xlabel(f"time ahead ({unit})")


def _list_off_scale(
    axes: Axes, worst: Sequence[tuple[str, Mapping[int, float]]], ticks: Sequence[int]
) -> None:
    """A band under the axis, a row a colour: the values at the ticks, else the worst of all."""
    if not worst:
        return
    floor, top = axes.get_ylim()
    row = 0.055 * (top - floor)
    bottom = floor - row * (len(worst) + 0.3)
    axes.set_yticks([tick for tick in axes.get_yticks() if floor <= tick <= top])
    axes.axhspan(bottom, floor, facecolor="0.96", zorder=4.5)
    axes.axhline(floor, color="0.6", linewidth=0.8, zorder=4.6)
    axes.set_ylim(bottom, top)
    style: dict[str, Any] = {"fontsize": 8, "ha": "center", "va": "center", "zorder": 6}
    for i, (colour, values) in enumerate(worst):
        shown = [lead for lead in values if lead in ticks] or [min(values, key=values.__getitem__)]
        for lead in shown:
            text = f"▼{values[lead]:.3g}".replace("-", "−")
            axes.text(lead, floor - row * (i + 0.65), text, color=colour, **style)
