"""What was measured of one channel of a movie, on one page."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from slime.observables import Measured, dispersion_curve
from slime.plots.style import BLUE, GREEN, GREY, ORANGE, VERMILION, short_name, tidy


def observables_page(measured: Measured, title: str) -> Figure:
    """Maps of period and speed, speed against period, mounds, S(k), tips and growth over time."""
    figure = Figure(figsize=(17, 7.6), layout="constrained")
    places = figure.subplot_mosaic("ABCD;EFFG")
    units = measured.field.units
    waves = measured.waves
    period = None if waves is None else waves.period
    speed = None if waves is None else waves.speed
    _map(places["A"], period, "period", units.time, units.pixel_um, units.length)
    _map(
        places["B"],
        speed,
        "wave speed",
        f"{units.length}/{units.time}",
        units.pixel_um,
        units.length,
    )
    _dispersion(places["C"], measured)
    _mounds(places["D"], measured)
    _spectra(places["E"], measured)
    _tips(places["F"], measured)
    _growth(places["G"], measured)
    figure.suptitle(short_name(title, 70), fontsize=11, x=0.01, ha="left")
    return figure


def _map(
    axes: Axes,
    values: Float[np.ndarray, "y x"] | None,
    what: str,
    unit: str,
    pixel: float,
    length: str,
) -> None:
    """A picture of one value a pixel, gray where it could not be measured."""
    axes.set_title(what, fontsize=9, loc="left")
    if values is None or not np.isfinite(values).any():
        axes.text(0.5, 0.5, "no waves", transform=axes.transAxes, ha="center", va="center")
        axes.set(xticks=[], yticks=[])
        return
    low, high = np.nanpercentile(values, [2, 98])
    picture = axes.imshow(
        values,
        cmap="viridis",
        vmin=low,
        vmax=max(high, low + 1e-9),
        extent=_extent(values.shape, pixel),
    )
    axes.set_facecolor("0.6")
    axes.set(xlabel=f"x ({length})", ylabel=f"y ({length})")
    assert axes.figure is not None
    bar = axes.figure.colorbar(picture, ax=axes, fraction=0.046, extend="both")
    bar.set_label(f"{what} ({unit}); gray: none", fontsize=8)


def _dispersion(axes: Axes, measured: Measured) -> None:
    """Speed against the time since the wave before: medians and the middle nine tenths of pairs."""
    units = measured.field.units
    axes.set_title("speed of waves that follow others", fontsize=9, loc="left")
    curve = [] if measured.waves is None else dispersion_curve(measured.waves.pairs)
    if not curve:
        axes.text(0.5, 0.5, "no waves", transform=axes.transAxes, ha="center", va="center")
        axes.set(xticks=[], yticks=[])
        return
    for one in curve:
        axes.plot([one.period_s] * 2, [one.low, one.high], color=GREY, linewidth=1)
        axes.plot([one.shortest_s, one.longest_s], [one.speed] * 2, color=BLUE, linewidth=1.2)
    axes.plot([c.period_s for c in curve], [c.speed for c in curve], "o", color=BLUE, markersize=4)
    # the outermost pairs are waves that were missed, and fronts that meet
    axes.set_xlim(0.95 * curve[0].period_s, 1.05 * curve[-1].period_s)
    axes.set_ylim(0, 2 * max(one.speed for one in curve))
    axes.set_xlabel(f"time since the wave before ({units.time})")
    axes.set_ylabel(f"speed ({units.length}/{units.time})")
    tidy(axes)


def _mounds(axes: Axes, measured: Measured) -> None:
    field, mounds = measured.field, measured.mounds
    last = field.frames[-1]
    finite = last[np.isfinite(last)]
    low, high = np.percentile(finite, [0.5, 99.8]) if finite.size else (0.0, 1.0)
    pixel, length = field.units.pixel_um, field.units.length
    axes.imshow(
        last,
        cmap="gray",
        vmin=low,
        vmax=max(high, low + 1e-9),
        extent=_extent(last.shape, pixel),
    )
    axes.set_facecolor("0.6")
    if mounds.n:
        y, x = mounds.position_um.T
        axes.scatter(x, y, s=50, facecolors="none", edgecolors=ORANGE)
    axes.set(xlabel=f"x ({length})", ylabel=f"y ({length})")
    n = field.first + len(field.frames) - 1
    counted = "1 mound" if mounds.n == 1 else f"{mounds.n} mounds"
    axes.set_title(f"{counted} in frame {n}", fontsize=9, loc="left")


def _extent(shape: tuple[int, ...], pixel: float) -> tuple[float, float, float, float]:
    """Edges of a picture whose first pixel has its middle at 0."""
    height, width = shape
    return -0.5 * pixel, (width - 0.5) * pixel, (height - 0.5) * pixel, -0.5 * pixel


def _spectra(axes: Axes, measured: Measured) -> None:
    length = measured.field.units.length
    drawn = zip(measured.spectra.items(), (GREY, BLUE, VERMILION), strict=False)
    for (frame, found), colour in drawn:
        if (found.power > 0).any():
            mean = found.mean_length_um
            label = f"frame {frame}: 1/<k> {mean:.4g} {length}"
            axes.loglog(found.k_per_um, found.power, color=colour, linewidth=1.2, label=label)
    axes.set(xlabel=f"wavenumber (cycles/{length})", ylabel="S(k) (stored units squared)")
    axes.set_title("structure factor", fontsize=9, loc="left")
    if axes.lines:
        axes.legend(fontsize=8, frameon=False)
        axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))  # all nine would write on each other
    tidy(axes)


def _tips(axes: Axes, measured: Measured) -> None:
    axes.set_title("phase singularities", fontsize=9, loc="left")
    number, net = (measured.series.get(name) for name in ("n_singularities", "net_charge"))
    if number is None or net is None:
        axes.text(0.5, 0.5, "no phase", transform=axes.transAxes, ha="center", va="center")
        axes.set(xticks=[], yticks=[])
        return
    times = _times(measured)
    axes.step(times, number, where="mid", color=BLUE, linewidth=1.2, label="number")
    axes.step(times, net, where="mid", color=VERMILION, linewidth=1, label="sum of charges")
    axes.set(xlabel=f"time ({measured.field.units.time})", ylabel="singularities")
    axes.legend(fontsize=8, frameon=False)
    tidy(axes)


def _growth(axes: Axes, measured: Measured) -> None:
    """Density variance, and the number of mounds on an axis of its own."""
    times = _times(measured)
    axes.plot(times, measured.series["density_variance"], color=GREEN, linewidth=1.2)
    axes.set(xlabel=f"time ({measured.field.units.time})")
    axes.set_ylabel("density variance / mean²", color=GREEN)
    axes.set_title("aggregation", fontsize=9, loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    other = axes.twinx()
    other.plot(times, measured.series["n_mounds"], color=ORANGE, linewidth=1)
    other.set_ylabel("mounds", color=ORANGE)
    other.set_ylim(0, max(1, np.nanmax(measured.series["n_mounds"], initial=0)) * 1.05)
    other.yaxis.set_major_locator(MaxNLocator(integer=True))
    tidy(axes)


def _times(measured: Measured) -> Float[np.ndarray, " t"]:
    field = measured.field
    return (field.first + np.arange(len(field.frames))) * field.units.frame_interval_s
