"""Losses along lines, spectra of the Hessian, and planes side by side or in relief."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slime.plots.landscape import landscape_contour
from slime.plots.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, short_name, tidy

COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)


def line_figure(lines: Mapping[str, xr.DataArray]) -> Figure:
    """Losses along alpha, a line a run, on one logarithmic axis; a barrier is told in the title."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for i, (name, line) in enumerate(lines.items()):
        axes.plot(line["alpha"], line, color=COLOURS[i % len(COLOURS)], label=short_name(name))
        for at in (0, 1) if "barrier" in line.attrs else (0,):
            axes.plot(at, line.sel(alpha=at), "*", color=COLOURS[i % len(COLOURS)], markersize=11)
    first = next(iter(lines.values()))
    if all(float(line.min()) > 0 for line in lines.values()):
        axes.set_yscale("log")
    axes.set_xlabel(first["alpha"].attrs["long_name"])
    axes.set_ylabel(f"{first.attrs['long_name']} ({first.attrs['units']})")
    if "barrier" in first.attrs:
        axes.set_title(f"barrier {first.attrs['barrier']:.3g}", loc="left", fontsize=10)
    tidy(axes)
    axes.legend(fontsize=8)
    return figure


def spectrum_figure(spectra: Mapping[str, xr.Dataset]) -> Figure:
    """The density of each run's eigenvalues, and the outermost as marks under it."""
    figure = Figure(figsize=(6.4, 2.9 * len(spectra)), layout="constrained")
    for i, (name, spectrum) in enumerate(spectra.items()):
        axes = figure.add_subplot(len(spectra), 1, i + 1)
        if "density" in spectrum:
            density = spectrum["density"].values
            axes.semilogy(spectrum["eigenvalue"], np.maximum(density, 1e-9 * density.max()))
            axes.set_ylim(bottom=density.max() * 1e-6)
            axes.set_ylabel("density")
        for side, colour in (("top", VERMILION), ("bottom", GREEN)):
            if side in spectrum:
                at = np.full(spectrum[side].shape, 0.02)
                axes.plot(
                    spectrum[side],
                    at,
                    "|",
                    color=colour,
                    markersize=14,
                    label=f"{side}: {', '.join(f'{v:.3g}' for v in spectrum[side].values)}",
                    transform=axes.get_xaxis_transform(),
                )
        trace = ""
        if "trace" in spectrum:
            mean, error = float(spectrum["trace"]), float(spectrum["trace_se"])
            trace = f", trace {mean:.3g} ± {error:.2g} (standard error)"
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
            text = f"{losses[i]:.3g}"
            look_of_text = {"fontsize": 7, "bbox": {"facecolor": "white", "alpha": 0.8, "pad": 1}}
            axes.annotate(text, (x[i], y[i]), (4, -9), textcoords="offset points", **look_of_text)
    if "explained" in plane.attrs:
        first, second = plane.attrs["explained"]
        said = f"axes hold {first:.0%} and {second:.0%} of the way; numbers are own losses"
        axes.set_title(said, fontsize=9, loc="left")


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
    axes.set(xlabel="alpha", ylabel="beta")
    axes.set_zlabel("log10 of the loss" if positive else "loss")  # pyright: ignore[reportAttributeAccessIssue]
    return figure


def _relative(plane: xr.DataArray) -> xr.DataArray:
    """The loss over the net's own: all that can be compared between nets."""
    own = float(plane.sel(alpha=0, beta=0))
    told = {**plane.attrs, "long_name": "loss over the net's own", "units": ""}
    return (plane / own).assign_attrs(told)
