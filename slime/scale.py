"""The scale of pixels and of their changes, fitted on the train split and kept in the model."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import dask
import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from slime.errors import SlimeError
from slime.split import Split
from slime.stream import read_frames

BLOCK_BYTES = 64 << 20  # decoded by one dask task


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
        cls, movies: Sequence[xr.DataArray], splits: Sequence[Split], *, step: int = 1
    ) -> "Standardizer":
        """Fit on the given splits (train) in one pass by dask, in blocks of many frames.

        Masked pixels and blank frames are left out. `step` is the frames between two that a change
        is taken over.

        Raises:
            SlimeError: a channel never varies or never changes, or pixels are not finite.
        """
        tasks = [
            dask.delayed(_block_moments, pure=False)(movie, a, b, step, split.stop)
            for movie, split in zip(movies, splits, strict=True)
            for a, b in _blocks(movie, split)
        ]
        parts: Sequence[_Moments] = dask.compute(*tasks, scheduler="threads")
        total = parts[0]
        for part in parts[1:]:
            total = total.joined(part)
        return cls._of(total, movies)

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


def _blocks(movie: xr.DataArray, split: Split) -> list[tuple[int, int]]:
    frame_bytes = math.prod(movie.shape[1:]) * 8
    length = max(BLOCK_BYTES // frame_bytes, 1)
    return [(a, min(a + length, split.stop)) for a in range(split.start, split.stop, length)]


def _block_moments(movie: xr.DataArray, start: int, stop: int, step: int, end: int) -> _Moments:
    """Moments of frames start to stop; changes also reach `step` frames on, up to `end`."""
    last = min(stop + step, end)
    pixels, mask = read_frames(movie, start, last)
    counts = np.ones(pixels.shape, bool) if mask is None else mask.copy()
    if "blank" in movie.coords:
        counts &= ~np.asarray(movie["blank"].values[start:last], bool)[:, None, None, None]
    values = pixels.astype(np.float64)
    own, own_counts = values[: stop - start], counts[: stop - start]
    n = own_counts.sum(axis=(0, 2, 3)).astype(float)
    mean = own.sum(axis=(0, 2, 3), where=own_counts) / np.maximum(n, 1)
    scatter = ((own - mean[:, None, None]) ** 2).sum(axis=(0, 2, 3), where=own_counts)
    both = counts[step:] & counts[:-step]
    changes = (values[step:] - values[:-step]) ** 2
    return _Moments(
        n,
        mean,
        scatter,
        both.sum(axis=(0, 2, 3)).astype(float),
        changes.sum(axis=(0, 2, 3), where=both),
    )
