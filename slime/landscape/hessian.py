"""The curvature of the loss at a trained net: extreme eigenvalues, trace, density of the spectrum.

Everything is made of products of the Hessian with vectors, exact to rounding; the Hessian itself is
never held. It is that of the loss that `loss_plane` draws, in each parameter of the net.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor
from torch.func import functional_call

from slime.errors import SlimeError
from slime.landscape.density import Product, Vector, add_density, lanczos_measure
from slime.landscape.directions import Direction
from slime.landscape.facts import facts_of
from slime.landscape.loss import HeldWindows, hold_windows, left_as_found, summed_squares
from slime.stepper import Stepper
from slime.stream import Batch

Counted = Callable[[Iterable[int]], Iterable[int]]
TOLERANCE = 1e-6  # of an eigenvalue, relative


def hessian_spectrum(
    stepper: Stepper,
    batches: Iterable[Batch],
    *,
    n_top: int = 3,
    n_bottom: int = 3,
    n_probes: int = 16,
    n_lanczos: int = 32,
    n_density: int = 256,
    lead: int = 1,
    seed: int = 0,
    micro_batch: int | None = None,
    progress: Counted | None = None,
) -> xr.Dataset:
    """Eigenvalues at both ends, trace and spectral density of the loss's Hessian at the net.

    The loss is `loss_plane`'s: mean squared error of counted pixels in movie units squared, in eval
    mode. Parameters and buffers are left bit by bit as they were. Units are movie units squared
    over squares of weights, so that eigenvalues say nothing between nets of other scales.

    Args:
        n_top, n_bottom: largest and smallest eigenvalues wanted, by implicitly restarted Lanczos
            (ARPACK), to a relative 1e-6 of the largest in magnitude.
        n_probes: random sign vectors for trace (Hutchinson 1989, doi 10.1080/03610919008812866)
            and density; 0 leaves both out.
        n_lanczos: steps of stochastic Lanczos quadrature from each probe, each step made orthogonal
            to all before (Ghorbani et al. 2019, arXiv 1901.10159).
        n_density: eigenvalues at which the density is given, between the outermost nodes.
        progress: wraps the sequence of probes, as tqdm does.

    Returns:
        A dataset: `top` and `bottom` (rank; NaN where the iteration did not converge), `trace` and
        its standard error over probes `trace_se`, `density` over `eigenvalue` (its integral is 1; a
        Gaussian of `density_width` stands for each node), `node` and `weight` (probe, lanczos).

    Raises:
        SlimeError: more eigenvalues than parameters, counts below what is named here, or as
            loss_plane.
    """
    n_weights = sum(_n_numbers(w) for w in stepper.net.parameters())
    counts = {"n_probes": n_probes, "n_lanczos": n_lanczos, "n_density": n_density}
    _check_counts(n_weights, n_top=n_top, n_bottom=n_bottom, **counts)
    windows = hold_windows(batches, stepper, lead=lead, micro_batch=micro_batch)
    rng = np.random.default_rng(seed)
    start = rng.standard_normal(n_weights)
    spectrum = xr.Dataset(attrs={**facts_of(stepper, windows), "seed": seed})
    spectrum.attrs["long_name"] = f"Hessian of the mean squared error at lead {lead}"
    with _products(stepper, windows) as product:
        for name, n, end in (("top", n_top, "LA"), ("bottom", n_bottom, "SA")):
            if n:
                values, _ = extreme_eigenpairs(product, start, n, end)
                spectrum[name] = ("rank", values) if name == "top" else ("low_rank", values)
        if n_probes:
            probes = range(n_probes)
            runs = [
                lanczos_measure(product, rng.choice([-1.0, 1.0], n_weights), n_lanczos)
                for _ in (progress(probes) if progress else probes)
            ]
            add_density(spectrum, runs, n_weights, n_density)
    return spectrum


def hessian_directions(
    stepper: Stepper,
    batches: Iterable[Batch],
    *,
    n: int = 2,
    lead: int = 1,
    seed: int = 0,
    micro_batch: int | None = None,
) -> tuple[list[Direction], Float[np.ndarray, " rank"]]:
    """The eigenvectors of the n largest eigenvalues as directions of length 1, and those values.

    For `loss_plane(..., directions=...)`: along them the loss bends most, by half the eigenvalue
    times the square of the step.

    Raises:
        SlimeError: n below 1 or above the number of parameters, no convergence, or as
            hessian_spectrum.
    """
    n_weights = sum(_n_numbers(w) for w in stepper.net.parameters())
    _check_counts(n_weights, n=n)
    windows = hold_windows(batches, stepper, lead=lead, micro_batch=micro_batch)
    start = np.random.default_rng(seed).standard_normal(n_weights)
    with _products(stepper, windows) as product:
        values, vectors = extreme_eigenpairs(product, start, n, "LA")
    if np.isnan(values).any():
        raise SlimeError(
            f"the {n} largest eigenvalues of the Hessian did not converge: fewer of them, more "
            "windows or a float64 net would do"
        )
    return [_as_direction(stepper, vector) for vector in vectors], values


def extreme_eigenpairs(
    product: Product, start: Vector, n: int, end: str
) -> tuple[Float[np.ndarray, " rank"], Float[np.ndarray, "rank weights"]]:
    """The n eigenvalues at one end ("LA" or "SA"), outermost first, and their vectors of length 1.

    NaN where ARPACK did not converge.
    """
    size = len(start)
    if n >= size - 1:  # ARPACK wants fewer: so few parameters are solved whole
        matrix = np.stack([product(unit) for unit in np.eye(size)])
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    else:
        how: dict[str, Any] = {"which": end, "v0": start, "tol": TOLERANCE}
        try:
            values, vectors = eigsh(_Operator(product, size), k=n, **how)
        except ArpackNoConvergence as error:
            values, vectors = error.eigenvalues, error.eigenvectors
    order = np.argsort(values)[:: -1 if end == "LA" else 1][:n]
    missing = n - len(order)
    values = np.concatenate([values[order], np.full(missing, np.nan)])
    return values, np.concatenate([vectors[:, order].T, np.full((missing, size), np.nan)])


class _Operator(LinearOperator):
    """A product as SciPy wants it."""

    def __init__(self, product: Product, size: int):
        super().__init__(np.float64, (size, size))
        self._product = product

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._product(x.reshape(-1))


@contextmanager
def _products(stepper: Stepper, windows: HeldWindows) -> Iterator[Product]:
    """The Hessian times a vector, of copies of the parameters; the stepper is left as found."""
    with left_as_found(stepper), torch.enable_grad():
        names = [name for name, _ in stepper.net.named_parameters()]
        copies = [w.detach().clone().requires_grad_() for w in stepper.net.parameters()]
        named = {f"net.{name}": copy for name, copy in zip(names, copies, strict=True)}

        def step(past: Tensor) -> Tensor:
            return functional_call(stepper, named, (past,))

        # each part's graph is kept: a product is then one pass back through it
        slopes = [
            torch.autograd.grad(squares / windows.n_pixels, copies, create_graph=True)
            for squares in summed_squares(step, windows)
        ]

        def product(vector: Vector) -> Vector:
            along = _unflattened(vector, copies)
            total = np.zeros(len(vector))
            for slope in slopes:
                inner = _real_inner(slope, along)
                if inner.requires_grad:  # a loss linear in every weight has no curvature
                    bent = torch.autograd.grad(
                        inner, copies, retain_graph=True, allow_unused=True, materialize_grads=True
                    )
                    total += _flattened(bent)
            return total

        yield product


def _check_counts(n_weights: int, **counts: int) -> None:
    for name, value in counts.items():
        least = 0 if name in ("n_top", "n_bottom", "n_probes") else 1
        if value < least:
            raise SlimeError(f"{name}={value} must be at least {least}")
        if name in ("n", "n_top", "n_bottom") and value > n_weights:
            raise SlimeError(f"{name}={value}, but the net has {n_weights} parameters")


def _n_numbers(weight: Tensor) -> int:
    """Real numbers in a tensor: a complex one is a pair."""
    return weight.numel() * (2 if weight.is_complex() else 1)


def _as_real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _flattened(tensors: Iterable[Tensor]) -> Vector:
    parts = [_as_real(t.detach().resolve_conj()).reshape(-1).cpu().double() for t in tensors]
    return torch.cat(parts).numpy()


def _unflattened(vector: Vector, like: Sequence[Tensor]) -> list[Tensor]:
    """The vector's numbers as tensors of the parameters' shapes, as real ones."""
    reals = [_as_real(t.detach()) for t in like]
    parts = torch.from_numpy(np.array(vector, np.float64)).split([r.numel() for r in reals])
    return [part.reshape(r.shape).to(r) for part, r in zip(parts, reals, strict=True)]


def _real_inner(slope: Sequence[Tensor], along: Sequence[Tensor]) -> Tensor:
    """Sum of products; the gradient of a complex number is a pair of real ones."""
    pairs = zip(slope, along, strict=True)
    return torch.stack([(_as_real(s.resolve_conj()) * v).sum() for s, v in pairs]).sum()


def _as_direction(stepper: Stepper, vector: Vector) -> Direction:
    weights: Mapping[str, Any] = dict(stepper.net.named_parameters())
    steps = _unflattened(vector, list(weights.values()))
    return {
        name: torch.view_as_complex(step) if weight.is_complex() else step
        for (name, weight), step in zip(weights.items(), steps, strict=True)
    }
