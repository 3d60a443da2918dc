"""The next frame is the mean of the train frames: what a movie looks like when nothing is known."""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from dask.base import compute
from dask.delayed import delayed
from jaxtyping import Float
from torch import Tensor

from slime.errors import SlimeError
from slime.movie import stored_frames
from slime.plan import time_blocks
from slime.split import Split
from slime.stepper import Step
from slime.stream import read_frames

BLOCK_BYTES = 64 << 20  # decoded by one dask task, where a chunk is not longer


class _Sum(NamedTuple):
    """For each pixel the sum and the number of the frames in which it counts."""

    total: Float[np.ndarray, "c y x"]
    n: Float[np.ndarray, "c y x"]

    def joined(self, other: "_Sum") -> "_Sum":
        return _Sum(self.total + other.total, self.n + other.n)

    def by_channel(self) -> "_Sum":
        return _Sum(*(v.sum(axis=(1, 2), keepdims=True) for v in self))


class Climatology:
    """Per-pixel means over each movie's own train frames.

    Masked pixels and blank frames are left out; a pixel that never counts takes its channel's
    mean. A movie without train frames has its channels' means over all train movies, in every
    pixel.
    """

    n_in = 1

    def __init__(self, means: Sequence[Float[Tensor, "_ _ _"]]):
        self.means = list(means)

    @classmethod
    def fit(cls, movies: Sequence[xr.DataArray], splits: Sequence[Split | None]) -> "Climatology":
        """Fit in one pass by dask, in blocks of whole chunks.

        Raises:
            SlimeError: no movie has train frames, or a channel has no pixel that counts.
        """
        sums: Sequence[_Sum | None] = compute(
            [_movie_sum(m, s) for m, s in zip(movies, splits, strict=True)], scheduler="threads"
        )[0]
        known = [s.by_channel() for s in sums if s is not None]
        if not known:
            raise SlimeError("climatology is a mean of train frames, but no movie has any")
        every = reduce(_Sum.joined, known)
        if not every.n.all():
            lacking = np.flatnonzero(every.n.ravel() == 0).tolist()
            raise SlimeError(f"channels {lacking} have no pixel that counts in the train split")
        return cls([torch.from_numpy(_mean(s, every).astype(np.float32)) for s in sums])

    def for_movie(self, movie: int) -> Step:
        """The step that gives the mean of movie number `movie`, whatever came before."""
        mean = self.means[movie]

        def step(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
            return mean.to(past).expand_as(past[:, 0])

        return step


def _mean(own: _Sum | None, every: _Sum) -> Float[np.ndarray, "c _ _"]:
    overall = every.total / every.n
    if own is None:
        return overall
    channel = own.by_channel()
    fallback = np.where(channel.n > 0, channel.total / np.maximum(channel.n, 1), overall)
    return np.where(own.n > 0, own.total / np.maximum(own.n, 1), fallback)


def _movie_sum(movie: xr.DataArray, split: Split | None) -> Any:
    """A dask task for the sum over a split; blocks are added one after the other, to hold few."""
    if split is None:
        return None
    frames = stored_frames(movie)
    chunk = frames.chunk_frames if frames else 1
    chunk_nbytes = chunk * math.prod(movie.shape[1:]) * movie.dtype.itemsize
    length = chunk * max(BLOCK_BYTES // chunk_nbytes, 1)
    parts = [
        delayed(_block_sum, pure=False)(movie, a, b)
        for a, b in time_blocks(split.start, split.stop, length, span=1)
    ]
    return reduce(delayed(_Sum.joined, pure=False), parts)


def _block_sum(movie: xr.DataArray, start: int, stop: int) -> _Sum:
    pixels, mask = read_frames(movie, start, stop)
    counts = np.ones(pixels.shape, bool) if mask is None else mask
    if "blank" in movie.coords:
        blank = np.asarray(movie["blank"].values[start:stop], bool)
        counts = counts & ~blank[:, None, None, None]
    return _Sum(
        pixels.sum(axis=0, where=counts, dtype=np.float64), counts.sum(axis=0, dtype=np.float64)
    )
