"""Contours of a loss plane."""

from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Num
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator

from slime.errors import SlimeError
from slime.plots.style import ORANGE
from slime.texts import number_text

LETTERS_UP, LETTERS_ACROSS = 56, 66  # that a colour bar and a title have room for


def landscape_contour(
    axes: Axes, plane: xr.DataArray, *, scale: tuple[float, float] | None = None
) -> Axes:
    """Contours of a loss plane with axes ("alpha", "beta"), levels evenly spaced in the logarithm.

    The centre (the trained net) is marked, and the lowest cell where that is another one (of a
    horizon, the highest). Cells without a finite loss are hatched and counted. `scale` is the
    lowest and highest loss of the colours, where several planes share them.
    """
    if set(plane.dims) != {"alpha", "beta"}:
        raise SlimeError(f"a loss plane has axes alpha and beta, not {plane.dims}")
    loss = plane.transpose("beta", "alpha").to_numpy().astype(float)
    alpha, beta = plane["alpha"].to_numpy(), plane["beta"].to_numpy()
    finite = np.isfinite(loss)
    corner, wide, high = (alpha.min(), beta.min()), np.ptp(alpha), np.ptp(beta)
    hatched = Rectangle(corner, wide, high, facecolor="0.88", edgecolor="0.6", hatch="///")
    hatched.set(linewidth=0, zorder=0)
    axes.add_patch(hatched)
    if finite.any():
        bar = _draw_contours(axes, alpha, beta, np.ma.masked_where(~finite, loss), scale)
        units = f" ({plane.attrs['units']})" if plane.attrs.get("units") else ""
        what = f"{plane.attrs.get('long_name', plane.name or 'loss')}{units}"
        bar.set_label(fill(what, LETTERS_UP))
        _mark_best(axes, alpha, beta, loss, upwards=plane.attrs.get("units") == "frames")
    else:
        axes.text(alpha.mean(), beta.mean(), "no finite loss", ha="center", va="bottom")
    axes.plot(0, 0, "*", color=ORANGE, markeredgecolor="black", markersize=14, label="trained net")
    for set_label, name in ((axes.set_xlabel, "alpha"), (axes.set_ylabel, "beta")):
        set_label(plane[name].attrs.get("long_name", f"step along the {name} direction"))
    axes.set(xlim=(alpha.min(), alpha.max()), ylim=(beta.min(), beta.max()))
    axes.set_title(_plane_title(plane, int((~finite).sum())), fontsize=9, loc="left")
    below: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12)}  # where it hides no cell
    axes.legend(fontsize=8, frameon=False, ncols=2, handletextpad=0.3, columnspacing=1, **below)
    return axes


def _draw_contours(
    axes: Axes,
    alpha: Num[np.ndarray, " alpha"],
    beta: Num[np.ndarray, " beta"],
    loss: np.ma.MaskedArray,
    scale: tuple[float, float] | None,
) -> Colorbar:
    norm, levels = _contour_levels(loss.compressed() if scale is None else np.array(scale))
    filled = axes.contourf(alpha, beta, loss, levels=levels, norm=norm, cmap="viridis")
    axes.contour(alpha, beta, loss, levels=levels, colors="white", linewidths=0.4, alpha=0.6)
    bar = axes.figure.colorbar(filled, ax=axes, ticks=levels[::3])
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: number_text(loss)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    return bar


def _contour_levels(loss: Float[np.ndarray, " cells"]) -> tuple[Normalize, np.ndarray]:
    low, high = float(loss.min()), float(loss.max())
    if low <= 0:  # a logarithm has no place for it
        return Normalize(low, high), np.linspace(low, high if high > low else low + 1, 16)
    high = high if high > low * 1.0001 else low * 1.01
    levels = np.geomspace(low * (1 - 1e-9), high * (1 + 1e-9), 16)
    return LogNorm(levels[0], levels[-1]), levels


def _mark_best(
    axes: Axes,
    alpha: Num[np.ndarray, " alpha"],
    beta: Num[np.ndarray, " beta"],
    loss: Float[np.ndarray, "beta alpha"],
    *,
    upwards: bool,
) -> None:
    sign, word = (-1, "highest") if upwards else (1, "lowest")
    row, column = np.unravel_index(
        np.nanargmin(np.where(np.isfinite(loss), sign * loss, np.nan)), loss.shape
    )
    x, y = float(alpha[column]), float(beta[row])
    if (x, y) != (0.0, 0.0):
        label = f"{word} cell: {number_text(float(loss[row, column]))} at ({x:.2g}, {y:.2g})"
        look: Any = {"color": "white", "markeredgecolor": "black", "clip_on": False}
        axes.plot(x, y, "P", markersize=9, label=label, **look)


def _plane_title(plane: xr.DataArray, n_lost: int) -> str:
    names = ("seed", "n_windows", "cosine") if "seed" in plane.attrs else ("n_windows",)
    facts = {n: plane.attrs.get(n) for n in names}  # other directions are at right angles
    words = {
        "seed": "directions of seed {:g}",
        "n_windows": "{:g} windows",
        "cosine": "cosine of the directions {:.2g}",
    }
    told = plane.attrs.get("directions", "given")
    said = [] if "seed" in plane.attrs or told == "given" else [str(told)]
    said += [
        words[n].format(value)
        for n, value in facts.items()
        if isinstance(value, (int, float, np.number))
    ]
    lost = [f"{n_lost} of {plane.size} cells not finite (hatched)"] if n_lost else []
    return fill(", ".join(said + lost), LETTERS_ACROSS)
