"""Dynamic mode decomposition: a movie's changes as a linear map of a few of its own patterns.

Exact DMD of pairs of frames that need not follow one another (Tu et al. 2014, arXiv 1312.0041);
with several frames stacked, Hankel-DMD (Arbabi & Mezic 2017, arXiv 1611.06664).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from baselines.persistence import Persistence
from slime.batchable import usable_starts
from slime.errors import SlimeError
from slime.frames import GIB
from slime.split import Split
from slime.stepper import Step
from slime.stream import WindowStream
from slime.windows import WindowSpec

N_PAIRS = 256  # pairs of frames, evenly spaced in time, that a movie's modes are fitted from
RANKS = (1, 2, 4, 8, 16, 32, 64, 128)
RANK = 8  # where there is no validation split to choose one of several by
SLAB = 1 << 16  # pixels multiplied at once in float64


class Modes(NamedTuple):
    """A frame's change is `drift` + `changes` @ (`patterns` @ (frames given - `mean`))."""

    mean: Float[Tensor, " given"]
    drift: Float[Tensor, " frame"]
    patterns: Float[Tensor, "rank given"]
    changes: Float[Tensor, "frame rank"]

    def cut(self, rank: int) -> "Modes":
        """The first patterns alone, those of the largest variance."""
        return Modes(self.mean, self.drift, self.patterns[:rank], self.changes[:, :rank])

    def change(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """What the frames given say of the change to come."""
        given = past.flatten(1) - self.mean.to(past)
        ahead = given @ self.patterns.to(past).T @ self.changes.to(past).T
        return (ahead + self.drift.to(past)).reshape(past[:, 0].shape)


class DMD:
    """For each movie a linear map from its newest `n_in` frames, seen as patterns, to the change.

    What the patterns do not hold stays as it is, but for the mean change of each pixel. A movie
    without train frames has no patterns of its own: there, and under masks, it is persistence.

    Attributes:
        rank: patterns kept, the same for all movies.
        val_mse: for each rank tried its one-step validation error; empty where there was none.
    """

    def __init__(
        self, modes: Sequence[Modes | None], *, n_in: int, rank: int, val_mse: dict[int, float]
    ):
        self.modes = [m and m.cut(rank) for m in modes]
        self.n_in, self.rank, self.val_mse = n_in, rank, val_mse

    @classmethod
    def fit(
        cls,
        movies: Sequence[xr.DataArray],
        splits: Sequence[Split | None],
        *,
        n_in: int,
        step: int = 1,
        val_splits: Sequence[Split | None] | None = None,
        ranks: Sequence[int] = RANKS,
        memory_budget: int = 2 * GIB,
    ) -> "DMD":
        """Fit by singular values of at most 256 windows a movie, fewer where memory asks for it.

        Args:
            val_splits: for each movie the frames by which the rank is chosen, None without.

        Raises:
            SlimeError: no movie has train frames, or no rank is to be tried.
        """
        if not ranks or min(ranks) < 1:
            raise SlimeError(f"dmd: ranks {tuple(ranks)} must be at least 1, and some")
        if not any(splits):
            raise SlimeError("dmd: modes are fitted on train frames, but no movie has any")
        spec, budgets = WindowSpec(n_in, 1, step), (memory_budget, memory_budget // len(movies))
        pairs = zip(movies, splits, strict=True)
        modes = [_modes(m, s, spec, *budgets) for m, s in pairs]
        val = zip(modes, movies, val_splits or [None] * len(modes), strict=True)
        held = [(own, m, s) for own, m, s in val if own and s and _fits(m, s, spec)]
        val_mse = _errors(held, spec, ranks, *budgets) if held else {}
        guess = RANK if len(ranks) > 1 else ranks[0]
        rank = min(val_mse, key=lambda r: val_mse[r]) if val_mse else guess
        return cls(modes, n_in=n_in, rank=rank, val_mse=val_mse)

    def for_movie(self, movie: int) -> Step:
        """The step of movie number `movie` of those that it was fitted on."""
        own = self.modes[movie]
        if own is None:
            return Persistence()

        def step(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
            return past[:, -1] + own.change(past[:, -self.n_in :])

        return step


def _fits(movie: xr.DataArray, split: Split, spec: WindowSpec) -> bool:
    return len(split) >= spec.span and len(usable_starts(movie, split, spec)) > 0


def _windows(
    movie: xr.DataArray, split: Split, spec: WindowSpec, memory_budget: int, held: int
) -> tuple[Float[Tensor, "n t c y x"], Float[Tensor, "n c y x"]]:
    """Windows evenly spaced over a split and the changes after them, 0 under a mask.

    Args:
        held: bytes that they and what is computed of them may take.
    """
    nbytes = 16 * spec.span * int(np.prod(movie.shape[1:]))  # a window, its copies and its modes
    most = max(min(N_PAIRS, held // nbytes), 2)
    hop = max(-(-(len(split) - spec.span + 1) // most), 1)
    own = WindowSpec(spec.n_in, 1, spec.step, hop)
    past, change = [], []
    for batch in WindowStream([movie], [split], own, batch_size=16, memory_budget=memory_budget):
        ahead = batch.future[:, 0] - batch.past[:, -1]
        past.append(batch.past.clone())
        change.append(ahead if batch.mask is None else ahead * batch.mask[:, 0])
    return torch.cat(past), torch.cat(change)


def _modes(
    movie: xr.DataArray, split: Split | None, spec: WindowSpec, *budgets: int
) -> Modes | None:
    """All patterns of a movie's train windows; None where it has no window."""
    if split is None or not _fits(movie, split, spec):
        return None
    past, change = _windows(movie, split, spec, *budgets)
    given = rearrange(past, "n t c y x -> n (t c y x)")
    mean = given.mean(0)
    # n windows have n patterns at most: those of their inner products, which are few numbers
    centred = given - mean
    products = sum(
        (part @ part.T for part in map(Tensor.double, centred.split(SLAB, dim=1))),
        start=torch.zeros(len(given), len(given), dtype=torch.float64),
    )
    values, vectors = torch.linalg.eigh(products)
    kept = values > 1e-10 * (given.double().square().sum() / len(given))  # above rounding
    order = torch.arange(len(values)).flip(0)[kept.flip(0)]
    weights = (vectors[:, order] / values[order].sqrt()).to(given.dtype)
    patterns = weights.T @ centred
    ahead = rearrange(change, "n c y x -> n (c y x)")
    return Modes(mean, ahead.mean(0), patterns, ahead.T @ weights)


def _errors(
    held: Sequence[tuple[Modes, xr.DataArray, Split]],
    spec: WindowSpec,
    ranks: Sequence[int],
    *budgets: int,
) -> dict[int, float]:
    """For each rank the mean squared error of the change over all movies' validation windows."""
    total, n = dict.fromkeys(ranks, 0.0), 0
    for modes, movie, split in held:
        past, change = _windows(movie, split, spec, *budgets)
        n += change.numel()
        for rank in ranks:
            told = modes.cut(rank).change(past)
            total[rank] += float((told - change).double().square().sum())
    return {rank: value / n for rank, value in total.items()}
