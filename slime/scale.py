"""The scale of pixels and of their changes, fitted on the train split and kept in the model."""

from collections.abc import Iterator, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from dask.base import compute
from dask.delayed import delayed
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from slime.errors import SlimeError
from slime.frames import GIB, blank_frames, pass_blocks, read_frames
from slime.progress import Progress
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
    ) -> "Standardizer":
        """Fit on the given splits (train) in one pass by dask, in blocks of whole chunks.

        Masked pixels and blank frames are left out. `step` is the frames between two that a change
        is taken over; `memory_budget` the bytes of decoded frames held at once.

        Raises:
            SlimeError: a channel never varies or never changes, pixels are not finite, or a chunk
                does not fit the budget.
        """
        parts = (
            part
            for movie, split in zip(movies, splits, strict=True)
            for part in _split_moments(movie, split, step, memory_budget)
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


def _split_moments(
    movie: xr.DataArray, split: Split, step: int, memory_budget: int
) -> Iterator[_Moments]:
    """Moments of a split's blocks, a few at once; each has the frames before it for its changes."""
    blocks, n_at_once = pass_blocks(movie, split.start, split.stop, memory_budget=memory_budget)
    last: Any = None  # the `step` frames before the next block
    for i in range(0, len(blocks), n_at_once):
        tasks = []
        for a, b in blocks[i : i + n_at_once]:
            # a partial hides the movie: dask would compute a chunked one whole
            block = delayed(partial(_counted, movie, a, b), pure=False)()
            tasks.append(delayed(_moments, pure=False)(last, block, step))
            last = delayed(_last_frames, pure=False)(last, block, step)
        *parts, last = compute(*tasks, last, scheduler="threads")
        yield from parts


def _counted(movie: xr.DataArray, start: int, stop: int) -> _Counted:
    pixels, mask = read_frames(movie, start, stop)
    counts = np.ones(pixels.shape, bool) if mask is None else mask.copy()
    counts[blank_frames(movie, start, stop)] = False
    return _Counted(pixels, counts)


def _last_frames(before: _Counted | None, block: _Counted, step: int) -> _Counted:
    if before is None or len(block.pixels) >= step:
        return _Counted(*(v[-step:].copy() for v in block))
    return _Counted(*(np.concatenate(v)[-step:] for v in zip(before, block, strict=True)))


def _moments(before: _Counted | None, block: _Counted, step: int) -> _Moments:
    """Moments of a block's pixels, and of the changes that end in it."""
    n_before = 0 if before is None else len(before.pixels)
    n_sub = max(SUB_PIXELS // max(block.pixels[0].size, 1), 1)
    parts = []
    for a in range(0, len(block.pixels), n_sub):
        rows = range(a, min(a + n_sub, len(block.pixels)))
        earlier = [
            (block, t - step) if t >= step else (before, n_before + t - step)
            for t in rows
            if t + n_before >= step
        ]
        parts.append(_sub_moments(block, rows, earlier))
    return reduce(_Moments.joined, parts)


def _sub_moments(
    block: _Counted, rows: range, earlier: Sequence[tuple[_Counted | None, int]]
) -> _Moments:
    values = block.pixels[rows.start : rows.stop].astype(np.float64)
    counts = block.counts[rows.start : rows.stop]
    n = counts.sum(axis=(0, 2, 3)).astype(float)
    mean = values.sum(axis=(0, 2, 3), where=counts) / np.maximum(n, 1)
    scatter = ((values - mean[:, None, None]) ** 2).sum(axis=(0, 2, 3), where=counts)
    n_changes, changes = np.zeros_like(n), np.zeros_like(n)
    late = len(rows) - len(earlier)  # frames without one `step` before them
    for k, (source, at) in enumerate(earlier):
        assert source is not None
        both = counts[late + k] & source.counts[at]
        n_changes += both.sum(axis=(1, 2))
        changes += ((values[late + k] - source.pixels[at]) ** 2).sum(axis=(1, 2), where=both)
    return _Moments(n, mean, scatter, n_changes, changes)
