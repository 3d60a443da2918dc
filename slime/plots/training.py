"""How a training went: loss, validation scores and learning rate by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from slime.errors import SlimeError
from slime.plots.style import BLUE, GREY, ORANGE, VERMILION, tidy
from slime.texts import number_text, skill_text


def learning_curves(records: Sequence[Mapping[str, Any]]) -> Figure:
    """Train loss, validation skill and MSE, and learning rate by epoch; the best epoch marked.

    Epochs without a number leave a gap; those that diverged (NaN, inf) are counted in the title.
    """
    if not records:
        raise SlimeError("no epoch is recorded: learning curves need at least one")
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    panels = figure.subplot_mosaic(
        [["train_loss", "val_skill"], ["lr", "val_mse"]],
        height_ratios=[1.7, 1],
        sharex=True,
    )
    best = next((r for r in reversed(records) if r.get("best")), None)
    titles = {
        "train_loss": "train loss (MSE in units of the frame-to-frame change)",
        "val_skill": f"validation skill{_best_text(best)}, dashed: persistence",
        "lr": "learning rate",
        "val_mse": "validation MSE (movie units squared)",
    }
    for name, title in titles.items():
        axes = panels[name]
        n_lost = _draw_column(axes, records, name)
        lost = f": {n_lost} of {len(records)} epochs not finite" if n_lost else ""
        axes.set_title(title + lost, fontsize=9, loc="left")
        if best:
            axes.axvline(best["epoch"], color="0.75", linewidth=1, zorder=0)
        tidy(axes)
    if best and best.get("val_skill") is not None:
        marker = {"markersize": 13, "color": ORANGE, "markeredgecolor": "black"}
        panels["val_skill"].plot(best["epoch"], best["val_skill"], "*", zorder=5, **marker)
    panels["val_skill"].axhline(0, color=GREY, linewidth=1, linestyle="--")
    for name in ("lr", "val_mse"):
        panels[name].set_xlabel("epoch")
        whole = MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
        panels[name].xaxis.set_major_locator(whole)
    panels["lr"].set_ylim(bottom=0)
    return figure


def _draw_column(axes: Axes, records: Sequence[Mapping[str, Any]], name: str) -> int:
    """Draw one number by epoch; gives how many are recorded but not finite."""
    values = _column(records, name)
    finite = np.where(np.isfinite(values), values, np.nan)
    colour = BLUE if name.startswith("val") else GREY if name == "lr" else VERMILION
    marker = "o" if len(records) < 40 else ""
    style: dict[str, Any] = {"marker": marker, "markersize": 3, "color": colour}
    axes.plot(_column(records, "epoch"), finite, linewidth=1.4, **style)
    if name in ("train_loss", "val_mse"):
        _log_axis(axes, finite[np.isfinite(finite)])
    if name != "val_skill":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value, 4)))
    return int(np.sum(~np.isfinite(values) & [r.get(name) is not None for r in records]))


def _column(records: Sequence[Mapping[str, Any]], name: str) -> Float[np.ndarray, " epochs"]:
    values = [r.get(name) for r in records]
    return np.array([np.nan if v is None else float(v) for v in values])


def _log_axis(axes: Axes, values: Float[np.ndarray, " epochs"]) -> None:
    """A logarithmic axis, where all values are above 0, whose ticks are few and written in full."""
    if not (values.size and values.min() > 0):
        return
    axes.set_yscale("log")
    if values.max() < 300 * values.min():
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    if values.max() < 2.5 * values.min():
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_minor_locator(NullLocator())


def _best_text(best: Mapping[str, Any] | None) -> str:
    if best is None or best.get("val_skill") is None:
        return ""
    return f": ★ {skill_text(float(best['val_skill']))} at epoch {best['epoch']}"
