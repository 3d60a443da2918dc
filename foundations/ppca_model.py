"""Probabilistic PCA: its likelihood, its maximum in closed form, and gradient descent to it.

The model is x ~ N(0, W W' + sigma^2 I) with k columns in W. At its maximum likelihood W spans the
first k principal axes, and sigma^2 is the mean of the eigenvalues left out (Tipping and Bishop
1999, doi 10.1111/1467-9868.00196); W itself is known up to a rotation of its columns only.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

K = 2


class Noisy(NamedTuple):
    """W and sigma^2 of some models."""

    w: Float[Tensor, "*batch d k"]
    sigma2: Float[Tensor, "*batch"]


class Descent(NamedTuple):
    """Where gradient descent ended, and W on its way: at step 0 and after each 50 steps."""

    model: Noisy
    way: Float[Tensor, "time *batch d k"]


def covariance(x: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """Of maximum likelihood: the sum of products over n, not over n - 1."""
    centred = x - x.mean(dim=0)
    return centred.T @ centred / len(x)


def principal_axes(cov: Float[Tensor, "*batch d d"], k: int = K) -> Float[Tensor, "*batch d k"]:
    """The k axes of greatest variance, the first first."""
    return torch.linalg.eigh(cov).eigenvectors[..., -k:].flip(-1)


def closed_form(cov: Float[Tensor, "*batch d d"], k: int = K) -> Noisy:
    """The model of greatest likelihood, without any descent."""
    values = torch.linalg.eigvalsh(cov)
    sigma2 = values[..., :-k].mean(dim=-1)
    lengths = (values[..., -k:].flip(-1) - sigma2[..., None]).sqrt()
    return Noisy(principal_axes(cov, k) * lengths[..., None, :], sigma2)


def negative_log_likelihood(
    model: Noisy, cov: Float[Tensor, "*batch d d"]
) -> Float[Tensor, "*batch"]:
    """Of one item, in nats, as a mean over those whose covariance is given."""
    w, sigma2 = model
    d, k = w.shape[-2:]
    inner = w.mT @ w + sigma2[..., None, None] * torch.eye(k, dtype=w.dtype)
    log_det = torch.logdet(inner) + (d - k) * sigma2.log()
    explained = torch.linalg.solve(inner, w.mT @ cov @ w)
    trace = (_trace(cov) - _trace(explained)) / sigma2
    return 0.5 * (d * math.log(2 * math.pi) + log_det + trace)


def descended(
    cov: Float[Tensor, "*batch d d"],
    *,
    steps: int,
    lr: float,
    fades: bool,
    seed: int = 0,
    k: int = K,
) -> Descent:
    """Adam from random starts, a whole batch of models at once.

    Args:
        fades: the rate falls to 0 along a cosine; else it stays, and so does a jitter in the end.
    """
    draw = torch.Generator().manual_seed(seed)
    w = torch.randn(*cov.shape[:-1], K, generator=draw, dtype=cov.dtype).requires_grad_()
    log_sigma2 = torch.zeros(cov.shape[:-2], dtype=cov.dtype).requires_grad_()
    adam = torch.optim.Adam([w, log_sigma2], lr=lr)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps) if fades else None
    way = [w.detach().clone()]
    for step in range(steps):
        adam.zero_grad()
        negative_log_likelihood(Noisy(w, log_sigma2.exp()), cov).sum().backward()
        adam.step()
        if rate:
            rate.step()
        if (step + 1) % 50 == 0:
            way.append(w.detach().clone())
    return Descent(Noisy(w.detach(), log_sigma2.detach().exp()), torch.stack(way))


def largest_angle(
    a: Float[Tensor, "*batch d k"], b: Float[Tensor, "*batch d k"]
) -> Float[Tensor, "*batch"]:
    """The largest principal angle between the spans of columns, in rad: 0 where they are one.

    By its sine, so that small angles keep their digits.
    """
    a, b = torch.linalg.qr(a).Q, torch.linalg.qr(b).Q
    outside = b - a @ (a.mT @ b)
    return torch.linalg.svdvals(outside)[..., 0].clamp(max=1).asin()


def axis_correlations(
    w: Float[Tensor, "*batch d k"], axes: Float[Tensor, "*batch d k"]
) -> Float[Tensor, "*batch k"]:
    """|cosine| between each column of W and the principal axis of its number.

    What the reference compared. It changes when the columns are turned within the same plane.
    """
    return (torch.nn.functional.normalize(w, dim=-2) * axes).sum(dim=-2).abs()


def turned_correlations(
    model: Noisy, cov: Float[Tensor, "*batch d d"]
) -> Float[Tensor, "turn *batch 2"]:
    """The axis correlations of W R for rotations R by 0 to 180 degrees, all of one likelihood."""
    angle = torch.linspace(0, math.pi, 181, dtype=model.w.dtype)
    cos, sin = angle.cos(), angle.sin()
    turns = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    return torch.stack([axis_correlations(model.w @ r, principal_axes(cov)) for r in turns])


def _trace(matrix: Float[Tensor, "*batch m m"]) -> Float[Tensor, "*batch"]:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
