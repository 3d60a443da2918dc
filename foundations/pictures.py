"""Drawings that several exercises share; each draws into axes or into an empty figure."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from torch import Tensor

from foundations.toys import Points, by_class

CLASS_COLORS = ("#2166ac", "#b2182b")


def bare(axes: Axes) -> Axes:
    """Axes without a frame on the right and at the top."""
    axes.spines[["right", "top"]].set_visible(False)
    return axes


def draw_matrices(figure: Figure, matrices: Mapping[str, Tensor]) -> None:
    """Matrices side by side, each entry's number on its colour, under their names."""
    size = max(2.2, *(0.5 * m.shape[1] for m in matrices.values()))
    figure.set_size_inches(size * len(matrices), 0.5 * max(len(m) for m in matrices.values()) + 0.7)
    rows = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, (name, matrix) in zip(rows, matrices.items(), strict=True):
        draw_matrix(axes, matrix.numpy())
        axes.set_title(name, fontsize=10)


def draw_matrix(axes: Axes, values: np.ndarray) -> None:
    """A small matrix as colours with its entries written on them."""
    low, high = float(values.min()), float(values.max())
    axes.imshow(values, cmap="Blues", vmin=low, vmax=high + 0.6 * (high - low or 1))
    for (i, j), value in np.ndenumerate(values):
        text = f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"
        axes.text(j, i, text, ha="center", va="center", fontsize=8)
    axes.set(xticks=[], yticks=[])


def draw_loss(axes: Axes, curves: Mapping[str, Tensor], *, ylabel: str = "loss") -> Axes:
    """Exercise C: curves by epoch, each (epochs) or (epochs, seeds), a colour a name.

    Logarithmic where all values are above 0 and span more than a factor of 5.
    """
    for i, (name, curve) in enumerate(curves.items()):
        epochs = range(1, len(curve) + 1)
        lines = axes.plot(epochs, curve.numpy(), color=f"C{i}", linewidth=0.9, alpha=0.8)
        lines[0].set_label(name)
    low = min(float(curve.min()) for curve in curves.values())
    high = max(float(curve.max()) for curve in curves.values())
    if low > 0 and high > 5 * low:
        axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel=ylabel)
    axes.legend(frameon=False)
    return bare(axes)


def draw_classes(axes: Axes, points: Points) -> Axes:
    """Points in the plane, a colour a class."""
    for label, cloud in by_class(points).items():
        axes.plot(*cloud.T, ".", markersize=3, color=CLASS_COLORS[label], label=f"class {label}")
    axes.set_aspect("equal")
    return bare(axes)


def draw_boundary(
    axes: Axes,
    probability: Callable[[Float[Tensor, "n 2"]], Float[Tensor, " n"]],
    points: Points,
    *,
    margin: float = 0.4,
) -> QuadMesh:
    """The probability of class 1 as colours, the line of 0.5, and points over it."""
    low, high = points.x.min(dim=0).values - margin, points.x.max(dim=0).values + margin
    sides = [torch.linspace(float(a), float(b), 160) for a, b in zip(low, high, strict=True)]
    grid = torch.cartesian_prod(*sides)
    x, y = (side.numpy() for side in sides)
    with torch.no_grad():
        said = probability(grid).reshape(160, 160).T.numpy()
    mesh = axes.pcolormesh(x, y, said, cmap="RdBu_r", vmin=0, vmax=1, alpha=0.6, rasterized=True)
    if said.min() < 0.5 < said.max():
        axes.contour(x, y, said, levels=[0.5], colors="black", linewidths=1)
    draw_classes(axes, points)
    return mesh
