"""The spectrum of a matrix as a density, from products with random vectors alone."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

Vector = Float[np.ndarray, " weights"]
Product = Callable[[Vector], Vector]
Nodes = Float[np.ndarray, " nodes"]
Measure = tuple[Nodes, Nodes, float]


def lanczos_measure(product: Product, probe: Vector, n_steps: int) -> Measure:
    """Nodes and weights of a probe's spectral measure by Lanczos, and probe . H . probe."""
    basis = [probe / np.linalg.norm(probe)]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(min(n_steps, len(probe))):
        ahead = product(basis[-1])
        diagonal.append(float(basis[-1] @ ahead))
        for _again in range(2):  # twice is enough
            for one in basis:
                ahead = ahead - (one @ ahead) * one
        length = float(np.linalg.norm(ahead))
        if length <= 1e-10 * max(map(abs, diagonal)) or len(diagonal) == n_steps:
            break
        beside.append(length)
        basis.append(ahead / length)
    m = len(diagonal)
    tridiagonal = np.diag(diagonal) + np.diag(beside[: m - 1], 1) + np.diag(beside[: m - 1], -1)
    nodes, vectors = np.linalg.eigh(tridiagonal)
    return nodes, vectors[0] ** 2, diagonal[0] * len(probe)


def add_density(
    spectrum: xr.Dataset,
    runs: Sequence[Measure],
    n_weights: int,
    n_density: int,
) -> None:
    """Trace with its standard error, nodes and weights, and the density that they stand for."""
    longest = max(len(nodes) for nodes, _, _ in runs)
    node, weight = np.full((2, len(runs), longest), np.nan)
    for i, (nodes, weights, _) in enumerate(runs):
        node[i, : len(nodes)], weight[i, : len(nodes)] = nodes, weights
    traces = np.array([trace for _, _, trace in runs])
    low, high = np.nanmin(node), np.nanmax(node)
    width = max(0.01 * (high - low), 1e-12 * max(abs(high), abs(low)), np.finfo(float).tiny)
    at = np.linspace(low - 4 * width, high + 4 * width, n_density)
    known = np.isfinite(node)
    bells = np.exp(-(((at[:, None] - node[known]) / width) ** 2) / 2) / (
        width * math.sqrt(2 * math.pi)
    )
    spectrum["node"], spectrum["weight"] = (
        (("probe", "lanczos"), column) for column in (node, weight)
    )
    spectrum["density"] = ("eigenvalue", bells @ weight[known] / len(runs))
    spectrum["eigenvalue"] = at
    spectrum["trace"] = float(traces.mean())
    n = len(traces)
    spectrum["trace_se"] = float(traces.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    spectrum.attrs |= {"density_width": float(width), "n_numbers": n_weights, "n_probes": n}
