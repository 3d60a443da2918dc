"""A random split of overlapping windows, which slime refuses elsewhere: to show what it is worth.

Neighbouring windows share frames, so that nearly every frame of a validation that was dealt out at
random has been trained on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Int

from slime.batchable import usable_starts
from slime.errors import SlimeError
from slime.prepare import without_gap
from slime.split import Split, check_shares
from slime.stream import Batch
from slime.window_dataset import WindowDataset
from slime.windows import WindowSpec

Starts = Int[np.ndarray, " _"]


def deal_windows(
    movies: Sequence[xr.DataArray],
    splits: Sequence[Split],
    spec: WindowSpec,
    shares: Mapping[str, float],
    *,
    seed: int,
) -> dict[str, list[Starts]]:
    """First frames of the splits' windows, by movie, each window dealt to one name at random.

    Raises:
        SlimeError: shares that do not sum to 1, or a name that gets no window.
    """
    shares = check_shares(shares)
    starts = [usable_starts(movie, split, spec) for movie, split in _pairs(movies, splits)]
    movie_of = np.repeat(np.arange(len(starts)), [len(some) for some in starts])
    every, order = np.concatenate(starts), np.random.default_rng(seed).permutation(len(movie_of))
    borders = np.rint(np.cumsum([0.0, *shares.values()]) * len(order)).astype(int)
    dealt = {}
    for i, name in enumerate(shares):
        own = np.sort(order[borders[i] : borders[i + 1]])
        if not len(own):
            raise SlimeError(f"{len(order)} windows are too few for {name}={shares[name]:g}")
        dealt[name] = [every[own[movie_of[own] == m]] for m in range(len(starts))]
    return dealt


def share_seen(trained: Sequence[Starts], asked: Sequence[Starts], spec: WindowSpec) -> float:
    """The share of the windows `asked` whose first frame to predict lies in a window trained on.

    >>> share_seen([np.array([0, 4])], [np.array([1, 2])], WindowSpec(n_in=1))
    0.0
    >>> share_seen([np.array([0, 4])], [np.array([3, 8])], WindowSpec(n_in=1))
    0.5
    """
    seen = n = 0
    for held, wanted in zip(trained, asked, strict=True):
        frames = held[:, None] + np.arange(spec.n_frames) * spec.step
        seen += int(np.isin(wanted + spec.n_in * spec.step, frames).sum())
        n += len(wanted)
    return seen / n


class ChosenWindows:
    """Batches of the windows that start at chosen frames: what `fit` and `evaluate` take.

    Args:
        starts: for each movie the first frames of its windows, which must lie in its split.
        seed: of their order, a function of it and the epoch; None keeps them in time order.

    Raises:
        SlimeError: a movie with a mask, a start outside its split, or no window.
    """

    def __init__(
        self,
        movies: Sequence[xr.DataArray],
        splits: Sequence[Split],
        spec: WindowSpec,
        starts: Sequence[Starts],
        *,
        batch_size: int,
        seed: int | None = None,
    ):
        self._batch_size, self._seed, self._epoch, self.wait_s = batch_size, seed, -1, 0.0
        if any("mask" in movie.coords for movie in movies):
            raise SlimeError("windows chosen by their starts have no mask: take a movie without")
        self._sets = [WindowDataset(m, s, spec) for m, s in _pairs(movies, splits)]
        self._windows = [(m, int(start)) for m, some in enumerate(starts) for start in some]
        self._rows = [{int(start): i for i, start in enumerate(one.starts)} for one in self._sets]
        wrong = [start for m, start in self._windows if start not in self._rows[m]]
        if wrong or not self._windows:
            told = f"no window starts at frame {wrong[0]}" if wrong else "no window is chosen"
            raise SlimeError(f"{told}: choose of those that the splits hold")

    @property
    def n_windows(self) -> int:
        """Windows in an epoch."""
        return len(self._windows)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-self.n_windows // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """The next epoch; the last batch may be smaller."""
        self._epoch += 1
        order = np.arange(self.n_windows)
        if self._seed is not None:
            order = np.random.default_rng((self._seed, self._epoch)).permutation(order)
        for first in range(0, self.n_windows, self._batch_size):
            chosen = [self._windows[i] for i in order[first : first + self._batch_size]]
            pairs = [self._sets[m][self._rows[m][start]] for m, start in chosen]
            past, future = (torch.stack(part) for part in zip(*pairs, strict=True))
            movie, start = (torch.tensor(part) for part in zip(*chosen, strict=True))
            yield Batch(past, future, None, movie, start)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the end of an epoch."""
        self._epoch = state["epoch"]


def _pairs(
    movies: Sequence[xr.DataArray], splits: Sequence[Split]
) -> list[tuple[xr.DataArray, Split]]:
    if len(movies) != len(splits):
        raise SlimeError(f"{len(movies)} movies and {len(splits)} splits: one split a movie")
    return [(movie, without_gap(split)) for movie, split in zip(movies, splits, strict=True)]


def joined(splits: Mapping[str, Split], first: str, last: str) -> Split:
    """The frames from the first split's beginning to the last one's end, the gap between included.

    Raises:
        SlimeError: the second does not follow the first.
    """
    one, other = splits[first], splits[last]
    if other.start < one.stop:
        raise SlimeError(f"split {last!r} does not follow {first!r}")
    return replace(one, name=f"{first} and {last}", stop=other.stop)
