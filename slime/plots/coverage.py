"""How many pixels lie within a forecast's intervals, by lead, beside what the intervals promise."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from slime.errors import SlimeError
from slime.plots.skill import lead_axis, model_style
from slime.plots.style import GREY, tidy
from slime.score_rows import numbers_of, rows_where


def coverage_by_lead(
    axes: Axes,
    scores: pd.DataFrame,
    split: str,
    *,
    nominal: float,
    lead_s: float | None = None,
) -> Axes:
    """The share of a split's pixels within their intervals by lead, a line a channel.

    All channels together are drawn boldly, with the share's own interval shaded where there is one.

    Args:
        scores: rows as in scores.csv, of one model and seed.
        nominal: the share that the intervals promise, as in the score's name, `coverage_0.9`.
        lead_s: seconds a lead, for the axis above.

    Raises:
        SlimeError: no such row.
    """
    rows = rows_where(scores, score=f"coverage_{nominal}", split=split, movie="all")
    rows = rows.sort_values(by="lead", kind="stable")
    if rows.empty:
        raise SlimeError(f"no score coverage_{nominal} in split {split!r}")
    axes.axhline(nominal, color=GREY, linewidth=1.2, label=f"promised, {nominal:.0%}", zorder=1)
    lead_axis(axes, sorted({int(lead) for lead in numbers_of(rows, "lead")}), lead_s)
    channels = sorted(dict.fromkeys(rows["channel"]), key=lambda channel: channel != "all")
    for channel in channels:
        _draw_channel(
            axes, rows_where(rows, channel=channel), model_style(channel, channels, "all")
        )
    lowest = np.fmin.reduce([*numbers_of(rows, "value"), *numbers_of(rows, "low")], initial=nominal)
    axes.set_ylim(float(lowest) - 0.05, 1.01)
    axes.set_ylabel("share of pixels within")
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    axes.legend(**beside, fontsize=9, frameon=False, handlelength=3.2)
    tidy(axes)
    return axes


def _draw_channel(axes: Axes, rows: pd.DataFrame, style: dict[str, Any]) -> None:
    channel = rows["channel"].iloc[0]
    lead, low, high = (numbers_of(rows, name) for name in ("lead", "low", "high"))
    label = "all channels" if channel == "all" else channel
    axes.plot(lead, numbers_of(rows, "value"), label=label, **style)
    if channel == "all" and np.isfinite(low).any():
        axes.fill_between(lead, low, high, color=style["color"], alpha=0.2, linewidth=0)
