"""The scale of pixels and of their changes, fitted on the train split and kept in the model."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from functools import partial, reduce
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from slime.batchable import check_splits
from slime.errors import SlimeError
from slime.frames import GIB, blank_frames, pass_blocks, read_frames
from slime.progress import Progress
from slime.schedule import compute_blocks, scheduler
from slime.split import Split

SUB_PIXELS = 1 << 18  # pixels taken to float64 at once


class _Moments(NamedTuple):
    """Counts, means and sums of squared distances, channel by channel; and squared changes."""

    n: Float[np.ndarray, " c"]
    mean: Float[np.ndarray, " c"]
    scatter: Float[np.ndarray, " c"]
    n_changes: Float[np.ndarray, " c"]
    changes: Float[np.ndarray, " c"]

    def joined(self, other: "_Moments") -> "_Moments":
        """Moments of both sets (Chan, Golub & LeVeque 1983, doi 10.1080/00031305.1983.10483115)."""
        n = np.maximum(self.n + other.n, 1)
        apart = other.mean - self.mean
        return _Moments(
            self.n + other.n,
            self.mean + apart * other.n / n,
            self.scatter + other.scatter + apart**2 * self.n * other.n / n,
            self.n_changes + other.n_changes,
            self.changes + other.changes,
        )


class Standardizer(nn.Module):
    """Maps movie units to zero mean and unit variance, channel by channel, and back.

    `delta_std` is the root mean square of a pixel's change over one window step: the size of what
    a residual head predicts.
    """

    mean: Float[Tensor, " c"]
    std: Float[Tensor, " c"]
    delta_std: Float[Tensor, " c"]

    def __init__(
        self,
        mean: Float[Tensor, " c"],
        std: Float[Tensor, " c"],
        delta_std: Float[Tensor, " c"],
    ):
        super().__init__()
        for name, value in (("mean", mean), ("std", std), ("delta_std", delta_std)):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32))

    @classmethod
    def fit(
        cls,
        movies: Sequence[xr.DataArray],
        splits: Sequence[Split],
        *,
        step: int = 1,
        memory_budget: int = 2 * GIB,
        progress: Progress | None = None,
        executor: Executor | None = None,
    ) -> "Standardizer":
        """Fit on the given splits (train) in one pass, in blocks of whole chunks.

        Masked pixels and blank frames are left out. `step` is the frames between two that a change
        is taken over; `memory_budget` the bytes of decoded frames held at once; `executor` what
        computes blocks (see slime.schedule), threads by default.

        Raises:
            SlimeError: splits that do not fit the movies, a channel that never varies or never
                changes, pixels that are not finite, or a chunk that does not fit the budget.
        """
        check_splits(movies, splits)
        with scheduler() if executor is None else nullcontext(executor) as pool:
            parts = (
                part
                for movie, split in zip(movies, splits, strict=True)
                for part in _split_moments(movie, split, step, memory_budget, pool)
            )
            if progress is not None:
                parts = progress(parts, None, "fitting the scale")
            return cls._of(reduce(_Moments.joined, parts), movies)

    @classmethod
    def _of(cls, total: _Moments, movies: Sequence[xr.DataArray]) -> "Standardizer":
        std = np.sqrt(total.scatter / np.maximum(total.n, 1))
        delta_std = np.sqrt(total.changes / np.maximum(total.n_changes, 1))
        names = (
            [str(c) for c in movies[0]["channel"].values]
            if "channel" in movies[0].coords
            else [str(i) for i in range(len(std))]
        )
        for name, n, spread, change in zip(names, total.n, std, delta_std, strict=True):
            if not n:
                raise SlimeError(f"channel {name!r} has no pixel that counts in the train split")
            if not spread > 0:
                raise SlimeError(
                    f"channel {name!r} is constant in the train split: nothing to learn"
                )
            if not change > 0:
                raise SlimeError(
                    f"channel {name!r} never changes in the train split: its frames are copies"
                )
        return cls(*(torch.from_numpy(v) for v in (total.mean, std, delta_std)))

    def forward(self, frames: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Frames in movie units to standard units."""
        return (frames - self.mean[:, None, None]) / self.std[:, None, None]

    def undo(self, frames: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Frames in standard units back to movie units."""
        return frames * self.std[:, None, None] + self.mean[:, None, None]


class _Counted(NamedTuple):
    """Frames and where their pixels count."""

    pixels: Shaped[np.ndarray, "t c y x"]
    counts: Bool[np.ndarray, "t c y x"]


class _Part(NamedTuple):
    """Moments of a block, and its first and last frames, for the changes across its borders."""

    moments: _Moments
    head: _Counted
    tail: _Counted


def _split_moments(
    movie: xr.DataArray, split: Split, step: int, memory_budget: int, executor: Executor
) -> Iterator[_Moments]:
    """Moments of a split's blocks, with the changes from one block to the next."""
    blocks, n_at_once = pass_blocks(movie, split.start, split.stop, memory_budget=memory_budget)
    # a partial hides the movie: dask would compute a chunked one whole
    tasks = (partial(_part, movie, a, b, step) for a, b in blocks)
    last: _Counted | None = None  # the `step` frames before the block
    for part in compute_blocks(tasks, executor, n_at_once=n_at_once):
        yield part.moments if last is None else part.moments.joined(_border(last, part.head, step))
        last = _last_frames(last, part.tail, step)


def _part(movie: xr.DataArray, start: int, stop: int, step: int) -> _Part:
    block = _counted(movie, start, stop)
    head = _Counted(*(v[:step].copy() for v in block))
    return _Part(_moments(block, step), head, _last_frames(None, block, step))


def _counted(movie: xr.DataArray, start: int, stop: int) -> _Counted:
    pixels, mask = read_frames(movie, start, stop)
    counts = np.ones(pixels.shape, bool) if mask is None else mask.copy()
    counts[blank_frames(movie, start, stop)] = False
    return _Counted(pixels, counts)


def _last_frames(before: _Counted | None, block: _Counted, step: int) -> _Counted:
    if before is None or len(block.pixels) >= step:
        return _Counted(*(v[-step:].copy() for v in block))
    return _Counted(*(np.concatenate(v)[-step:] for v in zip(before, block, strict=True)))


def _moments(block: _Counted, step: int) -> _Moments:
    """Moments of a block's pixels, and of the changes within it."""
    n_sub = max(SUB_PIXELS // max(block.pixels[0].size, 1), 1)
    parts = []
    for a in range(0, len(block.pixels), n_sub):
        rows = range(a, min(a + n_sub, len(block.pixels)))
        pairs = [(t, t - step) for t in rows if t >= step]
        parts.append(_pixel_moments(block, rows).joined(_changes(block, block, pairs)))
    return reduce(_Moments.joined, parts)


def _border(before: _Counted, head: _Counted, step: int) -> _Moments:
    """Moments of the changes that end in a block's first frames and began before it."""
    n_before = len(before.pixels)
    ends = [t for t in range(len(head.pixels)) if n_before + t >= step > t]
    return _changes(before, head, [(t, n_before + t - step) for t in ends])


def _pixel_moments(block: _Counted, rows: range) -> _Moments:
    values = block.pixels[rows.start : rows.stop].astype(np.float64)
    counts = block.counts[rows.start : rows.stop]
    n = counts.sum(axis=(0, 2, 3)).astype(float)
    mean = values.sum(axis=(0, 2, 3), where=counts) / np.maximum(n, 1)
    scatter = ((values - mean[:, None, None]) ** 2).sum(axis=(0, 2, 3), where=counts)
    return _Moments(n, mean, scatter, np.zeros_like(n), np.zeros_like(n))


def _changes(before: _Counted, after: _Counted, pairs: Sequence[tuple[int, int]]) -> _Moments:
    """Moments of the changes that end in frame t of `after` and began in frame k of `before`."""
    zero = np.zeros(after.pixels.shape[1])
    n_changes, changes = zero.copy(), zero.copy()
    for t, k in pairs:
        both = after.counts[t] & before.counts[k]
        n_changes += both.sum(axis=(1, 2))
        change = after.pixels[t].astype(np.float64) - before.pixels[k]
        changes += (change**2).sum(axis=(1, 2), where=both)
    return _Moments(zero, zero, zero, n_changes, changes)
