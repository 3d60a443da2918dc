"""Operations on fields over a square grid, "m y x", that keep every movie of a batch to itself.

All are sums of shifted fields: a movie is rounded alike whatever else is in the batch, which
neither a convolution nor a matrix product promises.
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad


def laplacian(field: Float[Tensor, "m y x"]) -> Float[Tensor, "m y x"]:
    """Five-point Laplacian times dx^2, no flux through the edges: its sum over a movie is 0."""
    padded = pad(field, (1, 1, 1, 1), mode="replicate")
    total = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]
    total += padded[:, 1:-1, :-2]
    total += padded[:, 1:-1, 2:]
    return total.sub_(field, alpha=4)


def torus_laplacian(field: Float[Tensor, "m y x"]) -> Float[Tensor, "m y x"]:
    """Five-point Laplacian times dx^2 where opposite edges meet: its sum over a movie is 0."""
    total = field.roll(1, 1) + field.roll(-1, 1)
    total += field.roll(1, 2)
    total += field.roll(-1, 2)
    return total.sub_(field, alpha=4)


def gradient(field: Float[Tensor, "m y x"], dx: float) -> Float[Tensor, "m 2 y x"]:
    """Central differences per unit of dx, first along x and then along y; halved at the edges."""
    padded = pad(field, (1, 1, 1, 1), mode="replicate")
    along_x = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    along_y = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    return torch.stack([along_x, along_y], dim=1).mul_(0.5 / dx)


@lru_cache(maxsize=8)
def _mirror(n: int, reach: int, device: torch.device) -> Int[Tensor, " padded"]:
    """Indices of a row of n points continued by its mirror image on both sides."""
    place = torch.arange(-reach, n + reach, device=device) % (2 * n)
    return torch.minimum(place, 2 * n - 1 - place)


def smoothed(field: Float[Tensor, "m y x"], sigma_px: float) -> Float[Tensor, "m y x"]:
    """The field under a Gaussian cut at 4 sigma; mirrored edges keep its sum."""
    reach = math.ceil(4 * sigma_px)
    weights = [math.exp(-0.5 * (k / sigma_px) ** 2) for k in range(-reach, reach + 1)]
    total = sum(weights)
    for axis in (1, 2):
        n = field.shape[axis]
        padded = field.index_select(axis, _mirror(n, reach, field.device))
        field = padded.narrow(axis, 0, n) * (weights[0] / total)
        for k, weight in enumerate(weights[1:], start=1):
            field.add_(padded.narrow(axis, k, n), alpha=weight / total)
    return field


def point_counts(
    places: Float[Tensor, "m point 2"], dx: float, shape: tuple[int, int]
) -> Float[Tensor, "m y x"]:
    """Points (x, y) in every square of side dx; the counts of a movie sum to its points."""
    height, width = shape
    column = (places[..., 0] / dx).long().clamp_(0, width - 1)
    row = (places[..., 1] / dx).long().clamp_(0, height - 1)
    movie = torch.arange(len(places), device=places.device)[:, None]
    flat = (movie * height + row) * width + column
    counts = torch.bincount(flat.flatten(), minlength=len(places) * height * width)
    return counts.reshape(len(places), height, width).float()
