"""What a biologist measures on rollouts: the truth's and every model's, side by side."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from slime.observables.rollouts import Seen
from slime.plots.pictures import UNSEEN, gray_limits, scale_bar
from slime.plots.skill import DASHES, OTHERS
from slime.plots.style import BLUE, GREY, ORANGE, short_name, tidy

TRUTH = "truth"
N_COLUMNS = 6  # pictures side by side


def rollout_page(shown: Mapping[str, Seen], net: str, where: str) -> Figure:
    """Last frames with their mounds, maps of the period, S(k), tips and density variance.

    Args:
        shown: by name, the truth (`truth`) and each model; one channel of one movie.
        net: the model drawn boldly.
        where: of what is shown, for the title.
    """
    truth, n = shown[TRUTH], min(len(shown), N_COLUMNS)
    n_blocks = -(-len(shown) // n)
    height, width = truth.field.frames.shape[1:]
    side = 2.1 * min(max(height / width, 0.4), 2)
    figure = Figure(
        figsize=(max(2.1 * n, 8) + 1.2, 2 * n_blocks * side + 4.2), layout="constrained"
    )
    rows = figure.add_gridspec(2, 1, height_ratios=[2 * n_blocks * side, 3.2])
    grid = rows[0].subgridspec(2 * n_blocks, n + 1, width_ratios=[*[1.0] * n, 0.05])
    above, below = (
        [figure.add_subplot(grid[2 * (k // n) + i, k % n]) for k in range(len(shown))]
        for i in range(2)
    )
    _frames(above, shown)
    _periods(figure, below, figure.add_subplot(grid[1, n]), shown)
    lines = rows[1].subgridspec(1, 3)
    last, *others = (figure.add_subplot(lines[i]) for i in range(3))
    for axes, draw in zip((last, *others), (_spectra, _tips, _variance), strict=True):
        draw(axes, shown, net)
        tidy(axes)
    look: dict[str, Any] = {"fontsize": 8, "frameon": False, "handlelength": 2.6}
    figure.legend(*last.get_legend_handles_labels(), loc="outside lower center", ncols=6, **look)
    figure.suptitle(short_name(where, 110), fontsize=10, x=0.01, ha="left")
    return figure


def _frames(places: list[Axes], shown: Mapping[str, Seen]) -> None:
    truth = shown[TRUTH]
    grays = Normalize(*gray_limits(truth.field.frames))
    for axes, (name, seen) in zip(places, shown.items(), strict=True):
        _picture(axes, seen.field.frames[-1], "gray", grays)
        moment = seen.moments.get(seen.n_leads)
        n = "lost" if moment is None else f"{moment.mounds.n} mounds"
        axes.set_title(f"{name}: {n}", fontsize=9, loc="left")
        if moment is not None and moment.mounds.n:
            y, x = moment.mounds.position_um.T / seen.pixel_um
            axes.scatter(x, y, s=45, facecolors="none", edgecolors=ORANGE)
    for axes in places[::N_COLUMNS]:
        axes.set_ylabel(f"lead {truth.n_leads},\nmounds circled", fontsize=9)
    pixel = truth.pixel_um if truth.field.units.length == "um" else None
    scale_bar(places[0], truth.field.frames.shape[2], pixel)


def _periods(figure: Figure, places: list[Axes], beside: Axes, shown: Mapping[str, Seen]) -> None:
    """Maps of the period on one scale, the truth's if it has one."""
    maps = {name: seen.waves.period for name, seen in shown.items() if seen.waves is not None}
    held = [m[np.isfinite(m)] for m in ([maps[TRUTH]] if TRUTH in maps else maps.values())]
    values = np.concatenate(held) if held else np.array([0.0, 1.0])
    low, high = (float(v) for v in np.percentile(values, [2, 98]))
    colours, drawn = Normalize(low, max(high, low + 1e-9)), None
    for axes, (name, seen) in zip(places, shown.items(), strict=True):
        nothing = np.full(seen.field.frames.shape[1:], np.nan)
        picture = _picture(axes, maps.get(name, nothing), "viridis", colours)
        if name in maps:
            drawn = picture
            middle = seen.rows["period"].value
            axes.set_title(f"{middle:.4g} {seen.field.units.time}", fontsize=9, loc="left")
        else:
            axes.set_title("no waves" if seen.lost is None else "lost", fontsize=9, loc="left")
    for axes in places[::N_COLUMNS]:
        axes.set_ylabel("period\n(gray: none)", fontsize=9)
    if drawn is None:
        beside.set_axis_off()
    else:
        bar = figure.colorbar(drawn, cax=beside, extend="both")
        bar.set_label(f"period ({shown[TRUTH].field.units.time})", fontsize=8)
        bar.ax.tick_params(labelsize=8)


def _picture(axes: Axes, values: Float[np.ndarray, "y x"], colours: str, norm: Normalize) -> Any:
    drawn = axes.imshow(values, cmap=colours, norm=norm, interpolation="nearest")
    drawn.set_cmap(drawn.get_cmap().with_extremes(bad=UNSEEN))
    axes.set(xticks=[], yticks=[])
    return drawn


def _style(name: str, shown: Mapping[str, Seen], net: str) -> dict[str, Any]:
    if name == TRUTH:
        return {"color": "black", "linewidth": 2.2, "zorder": 5}
    if name == net:
        return {"color": BLUE, "linewidth": 2.0, "zorder": 4}
    i = [model for model in shown if model not in (TRUTH, net)].index(name)
    if name == "persistence":
        return {"color": GREY, "linewidth": 1.3, "linestyle": DASHES[i % len(DASHES)]}
    return {
        "color": OTHERS[i % len(OTHERS)],
        "linewidth": 1.3,
        "linestyle": DASHES[i % len(DASHES)],
    }


def _spectra(axes: Axes, shown: Mapping[str, Seen], net: str) -> None:
    truth = shown[TRUTH]
    highest, lowest = 0.0, np.inf
    for name, seen in shown.items():
        moment = seen.moments.get(seen.n_leads)
        power = np.zeros(0) if moment is None else moment.spectrum.power
        if moment is None or not (power > 0).any():
            axes.plot([], [], label=f"{name} (none)", **_style(name, shown, net))
            continue
        axes.loglog(moment.spectrum.k_per_um, power, label=name, **_style(name, shown, net))
        if name in (TRUTH, net):
            highest, lowest = max(highest, power.max()), min(lowest, power[power > 0].min())
    if highest > 0:
        axes.set_ylim(lowest / 30, highest * 30)  # a forecast far off would flatten the rest
    length = truth.field.units.length
    axes.set(xlabel=f"wavenumber (cycles/{length})", ylabel="S(k) (stored units squared)")
    axes.set_title(f"structure factor at lead {truth.n_leads}", fontsize=9, loc="left")


def _tips(axes: Axes, shown: Mapping[str, Seen], net: str) -> None:
    axes.set_title("phase singularities", fontsize=9, loc="left")
    drawn = False
    for name, seen in shown.items():
        number = None if seen.waves is None else seen.waves.series.get("n_singularities")
        if number is not None:
            leads = np.arange(1, len(number) + 1)
            axes.step(leads, number, where="mid", **_style(name, shown, net))
            drawn = True
    if not drawn:
        axes.text(0.5, 0.5, "no phase", transform=axes.transAxes, ha="center", va="center")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="lead (frames ahead)", ylabel="number", xlim=(0.5, shown[TRUTH].n_leads + 0.5))


def _variance(axes: Axes, shown: Mapping[str, Seen], net: str) -> None:
    highest = 0.0
    for name, seen in shown.items():
        leads = sorted(seen.moments)
        values = [seen.moments[lead].variance for lead in leads]
        axes.plot(leads, values, marker="o", markersize=3, **_style(name, shown, net))
        if name in (TRUTH, net):
            highest = max([highest, *(v for v in values if np.isfinite(v))])
    if highest > 0:
        axes.set_ylim(0, 2 * highest)
    axes.set(xlabel="lead (frames ahead)", ylabel="variance / mean²")
    axes.set_title("density variance (scale: truth and net)", fontsize=9, loc="left")
