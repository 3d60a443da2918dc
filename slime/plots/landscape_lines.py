"""Losses along lines, spectra of the Hessian, and planes side by side or in relief."""

from collections.abc import Mapping
from itertools import cycle
from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from slime.plots.landscape import LETTERS_UP, landscape_contour
from slime.plots.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, short_name, tidy
from slime.texts import number_text

COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
CHORD = "straight line between two nets' losses"
BESIDE: Any = {"textcoords": "offset points"}
LETTERS_3D = 30


def line_figure(lines: Mapping[str, xr.DataArray]) -> Figure:
    """Losses along alpha, a line a run, on one logarithmic axis.

    Between two nets both are marked, and the straight line that a barrier is measured from.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for colour, (name, line) in zip(cycle(COLOURS), lines.items(), strict=False):
        label = short_name(name)
        if "barrier" in line.attrs:
            label += f": barrier {number_text(line.attrs['barrier'])}"
            _draw_chord(axes, line, colour)
        axes.plot(line["alpha"], line, color=colour, label=label)
        ends = [0, 1] if "distance" in line.attrs else [0]
        axes.plot(ends, line.sel(alpha=ends), "*", color=colour, markersize=11)
        for at, net in zip(ends, line.attrs.get("net_name", ()), strict=False):
            axes.annotate(net, (at, float(line.sel(alpha=at))), (7, 5), fontsize=8, **BESIDE)
    first = next(iter(lines.values()))
    if all(float(line.min()) > 0 for line in lines.values()):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(LogFormatter())
        axes.yaxis.set_minor_formatter(LogFormatter())
    axes.set_xlabel(first["alpha"].attrs["long_name"])
    axes.set_ylabel(fill(f"{first.attrs['long_name']} ({first.attrs['units']})", LETTERS_UP))
    tidy(axes)
    axes.legend(fontsize=8)
    return figure


def _draw_chord(axes: Axes, line: xr.DataArray, colour: str) -> None:
    """The straight line between the losses of two nets."""
    share = np.linspace(0, 1, 101)
    low, high = (float(line.sel(alpha=at)) for at in (0, 1))
    told = None if any(one.get_label() == CHORD for one in axes.lines) else CHORD
    axes.plot(share, low + share * (high - low), "--", color=colour, linewidth=1, label=told)


def spectrum_figure(spectra: Mapping[str, xr.Dataset]) -> Figure:
    """The density of each run's eigenvalues, and the outermost as marks under it."""
    figure = Figure(figsize=(6.4, 2.9 * len(spectra)), layout="constrained")
    for i, (name, spectrum) in enumerate(spectra.items()):
        axes = figure.add_subplot(len(spectra), 1, i + 1)
        if "density" in spectrum:
            density = spectrum["density"].values
            label = f"each spread over ± {number_text(spectrum.attrs['density_width'], 2)}"
            at = spectrum["eigenvalue"]
            axes.semilogy(at, np.maximum(density, 1e-9 * density.max()), label=label)
            axes.set_ylim(bottom=density.max() * 1e-6)
            axes.set_ylabel("share of eigenvalues per unit")
        for side, colour in (("top", VERMILION), ("bottom", GREEN)):
            if side in spectrum:
                at = np.full(spectrum[side].shape, 0.02)
                axes.plot(
                    spectrum[side],
                    at,
                    "|",
                    color=colour,
                    markersize=14,
                    label=f"{side}: {', '.join(map(number_text, spectrum[side].values.tolist()))}",
                    transform=axes.get_xaxis_transform(),
                )
        trace = ""
        if "trace" in spectrum:
            mean, error = (float(spectrum[n]) for n in ("trace", "trace_se"))
            trace = f", trace {number_text(mean)} ± {number_text(error, 2)} (standard error)"
        axes.set_title(f"{short_name(name)}{trace}", loc="left", fontsize=9)
        axes.set_xlabel("eigenvalue (movie units squared per squared weight)")
        tidy(axes)
        axes.legend(fontsize=8)
    return figure


def plane_figure(planes: Mapping[str, xr.DataArray]) -> Figure:
    """Planes side by side; several are drawn as losses over each net's own, on one scale."""
    several = len(planes) > 1
    figure = Figure(figsize=(5.4 * len(planes), 4.4), layout="constrained")
    shown = {name: _relative(plane) if several else plane for name, plane in planes.items()}
    scale = None
    if several:
        losses = np.concatenate([plane.values.ravel() for plane in shown.values()])
        scale = float(np.nanmin(losses)), float(np.nanmax(losses))
    for i, (name, plane) in enumerate(shown.items()):
        axes = figure.add_subplot(1, len(planes), i + 1)
        landscape_contour(axes, plane, scale=scale)
        mark_nets(axes, plane)
        axes.locator_params(nbins=5)
        if several:
            axes.set_title(short_name(name), fontsize=9, loc="left")
    return figure


def mark_nets(axes: Axes, plane: xr.DataArray) -> None:
    """Other nets and snapshots that lie in the plane or near it, each with its own loss."""
    for what, look in (("net", "o"), ("snapshot", "o-")):
        if f"{what}_loss" not in plane.attrs:
            continue
        x, y, losses = (plane.attrs[f"{what}_{part}"] for part in ("alpha", "beta", "loss"))
        axes.plot(x, y, look, color="white", markeredgecolor="black", markersize=5, linewidth=1)
        for i in {0, len(losses) - 1} if what == "snapshot" else range(len(losses)):
            text = f"{_name(plane, what, i)}{number_text(losses[i])}"
            # towards the middle, where there is room
            down, left = y[i] > 0, x[i] > 0
            axes.annotate(
                text,
                (x[i], y[i]),
                (-5 if left else 5, -6 if down else 6),
                ha="right" if left else "left",
                va="top" if down else "bottom",
                fontsize=7,
                bbox={"facecolor": "white", "alpha": 0.8, "pad": 1},
                **BESIDE,
            )
    if "explained" in plane.attrs:
        first, second = plane.attrs["explained"]
        said = f"axes hold {first:.0%} and {second:.0%} of the way; numbers are own losses"
        axes.set_title(said, fontsize=9, loc="left")


def _name(plane: xr.DataArray, what: str, i: int) -> str:
    """How a net or a snapshot of a plane is called before its loss."""
    if what == "snapshot":
        return f"epoch {plane.attrs['snapshot_epoch'][i]}: "
    names = plane.attrs.get("net_name", ())
    return f"{short_name(names[i])}: " if len(names) else ""


def landscape_figures(
    kind: str, grids: Mapping[str, xr.DataArray | xr.Dataset]
) -> dict[str, Figure]:
    """The figures of grids of one kind, by their names."""
    spectra = {name: grid for name, grid in grids.items() if isinstance(grid, xr.Dataset)}
    if spectra:
        return {kind: spectrum_figure(spectra)}
    arrays = {name: grid for name, grid in grids.items() if isinstance(grid, xr.DataArray)}
    if next(iter(arrays.values())).ndim == 1:
        return {kind: line_figure(arrays)}
    figures = {kind: plane_figure(arrays)}
    if len(arrays) == 1:
        figures[f"{kind}_relief"] = relief_figure(*arrays.values())
    return figures


def relief_figure(plane: xr.DataArray) -> Figure:
    """A plane in relief, the logarithm of its loss upwards."""
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes: Axes = figure.add_subplot(projection="3d")
    alpha, beta = np.meshgrid(plane["alpha"], plane["beta"], indexing="ij")
    positive = bool((plane > 0).all())
    height = np.log10(plane.values) if positive else plane.values
    axes.plot_surface(alpha, beta, height, cmap="viridis", linewidth=0, antialiased=False)  # pyright: ignore[reportAttributeAccessIssue]
    for name, set_label in (("alpha", axes.set_xlabel), ("beta", axes.set_ylabel)):
        text = fill(plane[name].attrs.get("long_name", name), LETTERS_3D)
        set_label(text, fontsize=9, labelpad=10)
    units = f" ({plane.attrs['units']})" if plane.attrs.get("units") else ""
    what = f"{'log10 of the ' if positive else ''}{plane.attrs.get('long_name', 'loss')}{units}"
    axes.set_title(what, fontsize=9)
    axes.locator_params(nbins=5)
    axes.tick_params(labelsize=8)
    axes.set_box_aspect(None, zoom=0.85)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return figure


def _relative(plane: xr.DataArray) -> xr.DataArray:
    """The loss over the net's own: all that can be compared between nets."""
    own = float(plane.sel(alpha=0, beta=0))
    what = plane.attrs.get("long_name", "loss")
    told = {**plane.attrs, "long_name": f"{what}, over the net's own", "units": ""}
    return (plane / own).assign_attrs(told)
