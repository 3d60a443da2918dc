"""The next frame is the mean of the train frames: what a movie looks like when nothing is known."""

from collections.abc import Sequence
from functools import partial, reduce
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from dask.base import compute
from dask.delayed import delayed
from jaxtyping import Float
from torch import Tensor

from slime.errors import SlimeError
from slime.frames import GIB, blank_frames, pass_blocks, read_frames
from slime.split import Split
from slime.stepper import Step


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
    def fit(
        cls,
        movies: Sequence[xr.DataArray],
        splits: Sequence[Split | None],
        *,
        memory_budget: int = 2 * GIB,
    ) -> "Climatology":
        """Fit in one pass by dask, in blocks of whole chunks.

        Raises:
            SlimeError: no movie has train frames, or a channel has no pixel that counts.
        """
        sums = [
            _movie_sum(movie, split, memory_budget)
            for movie, split in zip(movies, splits, strict=True)
        ]
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


def _movie_sum(movie: xr.DataArray, split: Split | None, memory_budget: int) -> _Sum | None:
    """The sum over a split, as many blocks at once as the budget holds."""
    if split is None:
        return None
    blocks, n_at_once = pass_blocks(movie, split.start, split.stop, memory_budget=memory_budget)
    total: _Sum | None = None
    for i in range(0, len(blocks), n_at_once):
        # a partial hides the movie: dask would compute a chunked one whole
        tasks = [
            delayed(partial(_block_sum, movie, a, b), pure=False)()
            for a, b in blocks[i : i + n_at_once]
        ]
        for part in compute(*tasks, scheduler="threads"):
            total = part if total is None else total.joined(part)
    return total


def _block_sum(movie: xr.DataArray, start: int, stop: int) -> _Sum:
    pixels, mask = read_frames(movie, start, stop)
    counts = np.ones(pixels.shape, bool) if mask is None else mask
    counts = counts & ~blank_frames(movie, start, stop)[:, None, None, None]
    return _Sum(
        pixels.sum(axis=0, where=counts, dtype=np.float64), counts.sum(axis=0, dtype=np.float64)
    )
