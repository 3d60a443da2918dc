"""Rates by least squares: Gauss-Newton through the simulator, for a batch of movies at once.

The derivative of every foretold frame is a central difference of simulations that run side by side.
(Forward-mode differentiation gives the same, see the tests, and takes many times as long.)
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from slime.progress import Progress
from slime.recover.observer import Seen, Setup, inner, innovations

STEP = 1e-3  # of a central difference, in the logarithm of a rate
FURTHEST = 0.3  # that a parameter may go in one step, in its logarithm
SIGMAS, K_ES = (0.35, 0.5, 0.7, 1.0), (4.5, 6.0, 8.0, 11.0)  # per minute, where fits begin


class Sums(NamedTuple):
    """The normal equations of each copy: J'J, J'r and r'r over all pixels of all frames."""

    curvature: Float[Tensor, "n p p"]
    slope: Float[Tensor, "n p"]
    squares: Float[Tensor, " n"]

    def where(self, better: Tensor, other: "Sums") -> "Sums":
        """These sums where `better`, else the others."""
        return Sums(
            *(
                torch.where(better.view(-1, *[1] * (a.ndim - 1)), a, b)
                for a, b in zip(self, other, strict=True)
            )
        )


class Fit(NamedTuple):
    """Parameters of least squares, the share of the frames' variance that is foretold with them,
    and whether the last round no longer moved them.
    """

    parameters: Float[Tensor, "n p"]
    explained: Float[Tensor, " n"]
    settled: Bool[Tensor, " n"]


def normal_sums(seen: Seen, setup: Setup, parameters: Float[Tensor, "n p"]) -> Sums:
    """The normal equations at the parameters, in float64."""
    n, p = parameters.shape
    sides = torch.cat([torch.zeros(1, p), STEP * torch.eye(p), -STEP * torch.eye(p)])
    every = (parameters + sides[:, None]).flatten(0, 1)
    sums = Sums(torch.zeros(n, p, p), torch.zeros(n, p), torch.zeros(n))
    sums = Sums(*(total.double() for total in sums))
    for _, missed in innovations(seen, setup, every):
        missed = inner(missed, setup.margin_px).double().unflatten(0, (2 * p + 1, n))
        slope = (missed[1 + p :] - missed[1 : 1 + p]) / (2 * STEP)
        sums = Sums(
            sums.curvature + torch.einsum("pnyx,qnyx->npq", slope, slope),
            sums.slope + torch.einsum("pnyx,nyx->np", slope, missed[0]),
            sums.squares + missed[0].square().sum((1, 2)),
        )
    return sums


def fit_rates(
    seen: Seen,
    setup: Setup,
    start: Float[Tensor, "n p"],
    *,
    n_rounds: int = 40,
    tolerance: float = 2e-4,
    progress: Progress | None = None,
) -> Fit:
    """Least squares of what is foretold, by Levenberg and Marquardt's damped steps.

    Args:
        start: of every copy of every movie.
        tolerance: rounds end when no parameter moves further than this.
    """
    parameters, sums = start, normal_sums(seen, setup, start)
    damping = torch.full((len(start),), 1e-3, dtype=torch.float64)
    rounds = range(n_rounds)
    settled = torch.zeros(len(start), dtype=torch.bool)
    for _ in progress(rounds, n_rounds, "fitting") if progress else rounds:
        step = _damped_step(sums, damping).to(parameters.dtype)
        tried = normal_sums(seen, setup, parameters + step)
        better = tried.squares <= sums.squares
        parameters = torch.where(better[:, None], parameters + step, parameters)
        sums = tried.where(better, sums)
        damping = torch.where(better, damping / 10, damping * 10)
        settled = settled | (step.abs() <= tolerance).all(1)
        if settled.all():
            break
    return Fit(parameters, 1 - sums.squares / _variation(seen, setup), settled)


def best_start(seen: Seen, setup: Setup, response: Float[Tensor, "m r"]) -> Float[Tensor, "m p"]:
    """For each movie the best of some sigma and k_e, side by side.

    Args:
        response: log gain and offset to begin with, or nothing.
    """
    rates = torch.cartesian_prod(torch.tensor(SIGMAS), torch.tensor(K_ES)).log()
    n_movies, n_rates = len(seen.frames), len(rates)
    every = torch.cat([rates.repeat_interleave(n_movies, 0), response.repeat(n_rates, 1)], dim=1)
    squares = torch.zeros(len(every), dtype=torch.float64)
    for _, missed in innovations(seen, setup, every):
        squares += inner(missed, setup.margin_px).double().square().sum((1, 2))
    best = squares.unflatten(0, (n_rates, n_movies)).nan_to_num(nan=torch.inf).argmin(0)
    return every.unflatten(0, (n_rates, n_movies))[best, torch.arange(n_movies)]


def _damped_step(sums: Sums, damping: Float[Tensor, " n"]) -> Float[Tensor, "n p"]:
    diagonal = torch.diagonal(sums.curvature, dim1=1, dim2=2)
    floor = 1e-12 * diagonal.amax(1, keepdim=True) + 1e-300
    damped = sums.curvature + torch.diag_embed(damping[:, None] * diagonal + floor)
    step = torch.linalg.solve(damped, sums.slope)
    return step.nan_to_num(nan=0.0).clamp(-FURTHEST, FURTHEST)


def _variation(seen: Seen, setup: Setup) -> Float[Tensor, " n"]:
    """Squares of the frames compared, less their mean over time and space."""
    frames = [
        inner(seen.frame(t), setup.margin_px).double()
        for t in range(setup.warm_up, seen.frames.shape[1])
    ]
    n_values = len(frames) * frames[0][0].numel()
    total = torch.stack([frame.sum((1, 2)) for frame in frames]).sum(0)
    squares = torch.stack([frame.square().sum((1, 2)) for frame in frames]).sum(0)
    return squares - total.square() / n_values
