"""What was recovered of a movie's physics, and how well where the truth is known."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slime.plots.style import BLUE, GREY, ORANGE, VERMILION, short_name, tidy
from slime.recover.jones import HIGHEST, LOWEST
from slime.recover.jones_movie import OfTrail
from slime.recover.rates_movie import OfSignal
from slime.recover.stencil_movie import OfStencil
from slime.recover.truth import Trial


def rates_page(found: OfSignal, title: str) -> Figure:
    """g at the middle over time, and sigma and k_e with the scatter of the simulated copies."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    _, n, height, width = found.frames.shape
    minutes = np.arange(n) * found.setup.interval_min
    left.plot(minutes, found.frames[0, :, height // 2, width // 2].numpy(), color=BLUE, lw=1)
    left.axvspan(0, found.setup.warm_up * found.setup.interval_min, color="0.92", lw=0)
    left.set(xlabel="time (min); gray: hidden fields not yet known", ylabel="g as stored")
    left.set_title("the pixel in the middle", fontsize=9, loc="left")
    tidy(left)
    _rates(right, found)
    figure.suptitle(short_name(title, 70), fontsize=11, x=0.01, ha="left")
    return figure


def _rates(axes: Axes, found: OfSignal) -> None:
    rates = found.rates
    axes.set(xlabel="sigma (1/min)", ylabel="k_e (1/min)")
    if rates.reason[0]:
        axes.text(0.5, 0.5, "not recovered", transform=axes.transAxes, ha="center", va="center")
        return
    value = rates.parameters[0, :2]
    copies = (value + rates.copies[0, :, :2] - rates.copies[0, :, :2].mean(0)).exp().numpy()
    axes.scatter(*copies.T, s=18, color=GREY, label="scatter of copies")
    axes.scatter(*rates.fitted[0, :2].exp().numpy(), color=ORANGE, label="least squares alone")
    low, high = (end[0, :2].exp().numpy() for end in rates.interval())
    x, y = value.exp().tolist()
    axes.errorbar(
        x,
        y,
        xerr=[[x - low[0]], [high[0] - x]],
        yerr=[[y - low[1]], [high[1] - y]],
        color=BLUE,
        fmt="o",
        label="recovered, 95 % interval",
    )
    axes.legend(fontsize=8, frameon=False)
    tidy(axes)


def stencil_page(found: OfStencil, title: str) -> Figure:
    """The learned stencil, that of the fitted diffusion, and both along the middle row."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    grid = figure.subplots(1, 3)
    highest = float(max(found.learned.weights.max(), found.expected.max()))
    pairs = (
        (found.learned.weights, "learned, least squares"),
        (found.expected, "of the fitted diffusion"),
    )
    reach = len(found.expected) // 2
    places = np.arange(-reach, reach + 1)
    for axes, (weights, name), colour in zip(grid, pairs, (BLUE, ORANGE), strict=False):
        picture = axes.imshow(weights, vmin=-highest, vmax=highest, cmap="RdBu_r")
        axes.set_title(name, fontsize=9, loc="left")
        axes.set(xticks=[], yticks=[])
        figure.colorbar(picture, ax=axes, fraction=0.046)
        grid[2].plot(places, weights[reach], marker="o", ms=4, color=colour, label=name)
    grid[2].set(xlabel="pixels from the middle", ylabel="weight")
    grid[2].set_title("middle row", fontsize=9, loc="left")
    grid[2].legend(fontsize=8, frameon=False)
    tidy(grid[2])
    figure.suptitle(short_name(title, 70), fontsize=11, x=0.01, ha="left")
    return figure


def jones_page(found: OfTrail, title: str) -> Figure:
    """The last picture of the trail, and where its agents lie among the simulated ones."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(found.frame, cmap="magma")
    left.set(xticks=[], yticks=[])
    left.set_title("the trail", fontsize=9, loc="left")
    right.scatter(*found.table.parameters.T, s=6, color="0.75", label="simulated")
    value, low, high, _ = (part[0] for part in found.estimate)
    x, y = np.stack([value - low, high - value], axis=1)
    right.errorbar(*value, xerr=x[:, None], yerr=y[:, None], fmt="o", color=BLUE, label="recovered")
    right.set(xlabel="sensor offset (px)", ylabel="sensor angle (deg)")
    right.set(xlim=(LOWEST[0] - 1, HIGHEST[0] + 1), ylim=(LOWEST[1] - 5, HIGHEST[1] + 5))
    right.legend(fontsize=8, frameon=False)
    tidy(right)
    figure.suptitle(short_name(title, 70), fontsize=11, x=0.01, ha="left")
    return figure


def truth_page(trials: Sequence[Trial], title: str) -> Figure:
    """Each movie's relative error with its interval, by parameter and condition."""
    parameters = list(dict.fromkeys(one.parameter for one in trials))
    wide = 1 + 0.1 * len(trials) / len(parameters)
    figure = Figure(figsize=(max(wide, 4.6) * len(parameters), 4), layout="constrained")
    grid = figure.subplots(1, len(parameters), squeeze=False)[0]
    for axes, parameter in zip(grid, parameters, strict=True):
        _errors(axes, [one for one in trials if one.parameter == parameter])
        axes.set_title(parameter, fontsize=10, loc="left")
    grid[0].set_ylabel("error (%), 95 % interval")
    grid[-1].legend(fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def _errors(axes: Axes, trials: Sequence[Trial]) -> None:
    """Movies side by side, one band for each condition."""
    start, ticks = 0, []
    for condition in dict.fromkeys(one.condition for one in trials):
        here = [one for one in trials if one.condition == condition]
        places = start + np.arange(len(here))
        truth = np.array([one.truth for one in here])
        value, low, high, plain = (
            100 * (np.array([getattr(one, name) for one in here]) / truth - 1)
            for name in ("value", "low", "high", "uncorrected")
        )
        first = start == 0
        axes.errorbar(
            places,
            value,
            yerr=[value - low, high - value],
            fmt="o",
            ms=4,
            color=BLUE,
            lw=1,
            label="recovered" if first else None,
        )
        axes.scatter(
            places, plain, marker="x", s=20, color=VERMILION, label="uncorrected" if first else None
        )
        ticks.append((places.mean(), condition))
        start += len(here) + 2
    axes.axhline(0, color="0.3", lw=0.8)
    axes.set_xticks(
        [place for place, _ in ticks], [label.replace(", ", "\n") for _, label in ticks], fontsize=8
    )
    tidy(axes)
