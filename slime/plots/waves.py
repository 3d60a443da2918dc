"""Power of forecasts over that of the truth, by wave number: what detail a forecast loses."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slime.errors import SlimeError
from slime.plots.skill import model_style
from slime.plots.style import GREY, tidy
from slime.score_rows import numbers_of, rows_where
from slime.texts import lead_text

LOWEST, HIGHEST = 1e-2, 1e2  # of the ratio, beyond which lines leave the picture


def power_by_wave(
    waves: pd.DataFrame,
    leads: Sequence[int],
    *,
    split: str,
    channel: str,
    net: str | None = None,
    lead_s: float | None = None,
) -> Figure:
    """E_forecast / E_truth by wave number, a panel a lead and a line a model.

    1 is the truth's detail, below it a forecast is blurred, above it too rough.

    Args:
        waves: rows as `slime.wave_rows.wave_table` gives them.
        net: the model drawn boldly.
        lead_s: seconds a lead.
    """
    rows = rows_where(waves, split=split, channel=channel)
    leads = [lead for lead in leads if lead in set(rows["lead"])]
    if not leads:
        raise SlimeError(f"no wave of channel {channel!r} in split {split!r}")
    figure = Figure(figsize=(2.9 * len(leads) + 1.6, 3.4), layout="constrained")
    places = figure.subplots(1, len(leads), sharey=True, squeeze=False)[0]
    models = list(dict.fromkeys(str(model) for model in rows["model"]))
    models.sort(key=lambda model: model != net)
    for axes, lead in zip(places, leads, strict=True):
        _draw_lead(axes, rows_where(rows, lead=lead), models, net)
        axes.set_title(lead_text(lead, lead_s), fontsize=9, loc="left")
    unit = {"1/um": "cycles/um", "1/px": "cycles/px"}[str(rows["unit"].iloc[0])]
    figure.supxlabel(f"wave number ({unit})", fontsize=10)
    places[0].set_ylabel("power, forecast / truth")
    figure.legend(
        *places[0].get_legend_handles_labels(),
        loc="outside right center",
        fontsize=8,
        frameon=False,
        handlelength=3.0,
    )
    return figure


def _draw_lead(axes: Axes, rows: pd.DataFrame, models: Sequence[str], net: str | None) -> None:
    axes.axhline(1, color=GREY, linewidth=1.2, zorder=1)
    for model in models:
        of_model = rows_where(rows, model=model).sort_values(by="k", kind="stable")
        k, forecast, truth = (numbers_of(of_model, c) for c in ("k", "forecast", "truth"))
        known = (truth > 0) & (forecast > 0)
        ratio = np.where(known, forecast / np.where(known, truth, 1), np.nan)
        look = {**model_style(model, models, net), "marker": ""}
        axes.plot(k, ratio, label=model, **look)
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, LOWEST), min(max(high, 1.5), HIGHEST))
    tidy(axes)
