"""Drawings that several exercises share; each draws into axes or into an empty figure."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor


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
