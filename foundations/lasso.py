"""The lasso to convergence, for a whole list of penalties at once, and the choice among them.

Proximal gradient descent with momentum (FISTA; Beck and Teboulle 2009, doi 10.1137/080716542): it
ends at the minimum and sets coefficients to 0 exactly, which a gradient of |w| never does.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu

N_PENALTIES = 20


class Linear(NamedTuple):
    """Coefficients and intercepts, a pair for each penalty."""

    w: Float[Tensor, "penalty d q"]
    b: Float[Tensor, "penalty q"]


class Chosen(NamedTuple):
    """Penalties, the validation loss of each, and two choices among them.

    Attributes:
        least: number of the penalty of least validation loss.
        simplest: number of the greatest one within a standard error of that loss.
    """

    penalties: Float[Tensor, " penalty"]
    losses: Float[Tensor, " penalty"]
    least: int
    simplest: int


def penalties(x: Float[Tensor, "n d"], y: Float[Tensor, "n q"]) -> Float[Tensor, " penalty"]:
    """From the one at which every coefficient is 0 down to a 300th of it, evenly in logarithm."""
    x, y = x - x.mean(dim=0), y - y.mean(dim=0)
    most = (2 * x.T @ y / len(x)).abs().max()
    return most * torch.logspace(0, -2.5, N_PENALTIES)


def descended(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "n q"],
    penalties: Float[Tensor, " penalty"],
    first: Float[Tensor, "d q"],
    *,
    steps: int = 600,
) -> Linear:
    """Least mean squared error plus penalty times the sum of |w|, for each penalty, to convergence.

    All start from `first`. Intercepts bear no penalty: they follow from the means.
    """
    n, q, n_penalties = len(x), y.shape[1], len(penalties)
    x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
    x, y = x - x_mean, (y - y_mean).repeat(1, n_penalties)
    step = n / (2 * torch.linalg.matrix_norm(x, 2) ** 2)
    shrink = step * penalties.repeat_interleave(q)
    w = ahead = first.repeat(1, n_penalties)
    pace = 1.0
    for _ in range(steps):
        moved = ahead - step * (2 / n) * (x.T @ (x @ ahead - y))
        moved = relu(moved - shrink) - relu(-moved - shrink)
        next_pace = (1 + (1 + 4 * pace**2) ** 0.5) / 2
        ahead = moved + (pace - 1) / next_pace * (moved - w)
        w, pace = moved, next_pace
    by_penalty = w.unflatten(1, (n_penalties, q)).movedim(1, 0)
    return Linear(by_penalty, y_mean - x_mean @ by_penalty)


def squared_errors(
    model: Linear, x: Float[Tensor, "m d"], y: Float[Tensor, "m q"]
) -> Float[Tensor, "penalty m"]:
    """Of each item, a mean over outputs, for each penalty."""
    return (x @ model.w + model.b[:, None] - y).square().mean(dim=2)


def choice(
    model: Linear, of: Float[Tensor, " penalty"], x: Float[Tensor, "m d"], y: Float[Tensor, "m q"]
) -> Chosen:
    """The penalty of least validation loss, and the greatest one within one standard error of it.

    `of` falls. The error is that of a mean over the validation items, at the least loss (Breiman's
    one-standard-error rule).
    """
    errors = squared_errors(model, x, y)
    losses = errors.mean(dim=1)
    least = int(losses.argmin())
    limit = losses[least] + errors[least].std() / len(x) ** 0.5
    return Chosen(of, losses, least, int((losses <= limit).int().argmax()))
