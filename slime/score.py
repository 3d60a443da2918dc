"""Sums over pixels, kept apart by window, lead and channel; scores are functions of them, last.

A mean of batch means depends on the batch size, and a root taken too early cannot be pooled: so an
evaluation adds up sums and counts, and everything else (pooling, intervals, horizons) comes after.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from einops import reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor

from slime.errors import SlimeError

SUMS = ("n", "error", "absolute", "square", "truth", "truth2", "forecast", "forecast2", "product")
Sums = Float[np.ndarray, "sum lead channel"]


@dataclass(frozen=True)
class Tally:
    """Sums over the pixels that count, one for each window, lead and channel.

    Attributes:
        movie, start: which window.
        sums: for each of SUMS: count, p - y, |p - y|, (p - y)^2, y, y^2, p, p^2, p y, where p is
            the forecast and y the truth, in movie units.
    """

    movie: Int[np.ndarray, " windows"]
    start: Int[np.ndarray, " windows"]
    sums: Float[np.ndarray, "windows sum lead channel"]

    def __add__(self, other: Self | int) -> "Tally":
        """Both tallies' windows; a window that is in both (other pixels of it) is added up."""
        if isinstance(other, int):
            return self
        keys = np.stack([np.append(self.movie, other.movie), np.append(self.start, other.start)])
        sums = np.concatenate([self.sums, other.sums])
        unique, place = np.unique(keys, axis=1, return_inverse=True)
        added = np.zeros((unique.shape[1], *sums.shape[1:]))
        np.add.at(added, place.reshape(-1), sums)
        return Tally(unique[0], unique[1], added)

    __radd__ = __add__

    def __len__(self) -> int:
        return len(self.movie)

    def __getitem__(self, name: str) -> Float[np.ndarray, "windows lead channel"]:
        return self.sums[:, SUMS.index(name)]

    @property
    def n_leads(self) -> int:
        """Frames ahead that were scored, the first being lead 1."""
        return self.sums.shape[2]

    def of_movie(self, movie: int) -> "Tally":
        """The windows of one movie, in time order."""
        rows = np.flatnonzero(self.movie == movie)
        rows = rows[np.argsort(self.start[rows], kind="stable")]
        return Tally(self.movie[rows], self.start[rows], self.sums[rows])

    def total(self, weights: Float[np.ndarray, " windows"] | None = None) -> Sums:
        """Sums over windows, each counted as often as `weights` says (once by default)."""
        if weights is None:
            return self.sums.sum(axis=0)
        return np.tensordot(weights, self.sums, axes=1)


def tally_windows(
    forecast: Float[Tensor, "b lead c y x"],
    truth: Float[Tensor, "b lead c y x"],
    mask: Bool[Tensor, "b lead c y x"] | None,
    movie: Int[Tensor, " b"],
    start: Int[Tensor, " b"],
) -> Tally:
    """The tally of one batch of forecasts; sums in float64 where the device has it."""
    if forecast.shape != truth.shape:
        raise SlimeError(f"forecast {tuple(forecast.shape)} and truth {tuple(truth.shape)} differ")
    device = "cpu" if forecast.device.type == "mps" else forecast.device
    p, y = forecast.detach().to(device, torch.float64), truth.to(device, torch.float64)
    counts = torch.ones_like(y) if mask is None else mask.to(device, torch.float64)
    p, y = (torch.where(counts > 0, v, 0.0) for v in (p, y))
    terms = [counts, p - y, (p - y).abs(), (p - y) ** 2, y, y**2, p, p**2, p * y]
    sums = torch.stack([reduce(v, "b lead c y x -> b lead c", "sum") for v in terms], dim=1)
    return Tally(movie.cpu().numpy(), start.cpu().numpy(), sums.cpu().numpy())


def _get(sums: Sums, name: str) -> Float[np.ndarray, "lead channel"]:
    return sums[..., SUMS.index(name), :, :]


def _pooled(sums: Sums, pool: bool) -> Sums:
    return sums.sum(axis=-1, keepdims=True) if pool else sums
