"""Where models meet: the same windows of a split for all, and every model's tally over them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr

from slime.batchable import usable_starts
from slime.errors import SlimeError
from slime.fit import evaluate
from slime.prepare import without_gap
from slime.progress import Progress
from slime.score import Tally
from slime.split import Split
from slime.stepper import Step
from slime.stream import WindowStream
from slime.windows import WindowSpec

Forecaster = Callable[[int], Step]  # the number of a movie to the step that forecasts it
MOST_WINDOWS = 64  # in a batch
BATCH_BYTES = 64 << 20  # of frames given, true and forecast, in float32


def for_all_movies(step: Step) -> Forecaster:
    """A step that forecasts every movie alike, a net's for instance."""
    return lambda movie: step


@dataclass(frozen=True)
class Arena:
    """The movies, splits and windows on which models meet.

    Windows give `spec.n_in` frames, as many as the greediest model reads, and ask for `spec.n_out`
    leads; `numbers` are the movies' places in the run.
    """

    name: str
    movies: list[xr.DataArray]
    splits: list[Split]
    numbers: list[int]
    spec: WindowSpec
    memory_budget: int
    device: torch.device

    def batch_size(self, i: int) -> int:
        """Windows of the i-th movie that are forecast at once."""
        frames = self.spec.n_in + 2 * self.spec.n_out
        window = 4 * frames * math.prod(self.movies[i].shape[1:])
        return max(1, min(MOST_WINDOWS, BATCH_BYTES // window))

    def windows(self, i: int) -> WindowStream:
        """All windows of the i-th movie, in time order."""
        return WindowStream(
            [self.movies[i]],
            [self.splits[i]],
            self.spec,
            batch_size=self.batch_size(i),
            memory_budget=self.memory_budget,
            device=self.device,
        )


def open_arena(
    movies: Sequence[xr.DataArray],
    splits: Sequence[Mapping[str, Split]],
    name: str,
    *,
    n_in: int,
    leads: int,
    step: int,
    memory_budget: int,
    device: torch.device,
) -> tuple[Arena, list[str]]:
    """Where models meet on the split `name`, and what had to be said; no pixel is read.

    Twins are left out where the movie that they copy takes part: their frames would count twice,
    and their leads be other times. So are movies whose split holds no window of that many leads
    free of blank frames. Where that would leave none, the leads are as many as fit the movie that
    holds most.

    Raises:
        SlimeError: no movie has such a split, or not even one lead fits any.
    """
    held = [(i, movies[i], without_gap(cut[name])) for i, cut in enumerate(splits) if name in cut]
    if not held:
        raise SlimeError(f"there is no split {name!r}: data.shares gives none")
    held, notes = _without_twins(held, name)
    fits = [most_leads(movie, split, n_in, leads, step) for _, movie, split in held]
    if not max(fits):
        raise SlimeError(
            f"split {name!r} holds no window of {n_in} frames given and one predicted, {step} "
            f"frames apart, free of blank frames ({_lengths(held)}): a larger share of it would do"
        )
    n_out = max(fits)
    if n_out < leads:
        notes.append(f"split {name!r} is short: {n_out} leads, not {leads}")
    kept = [one for one, most in zip(held, fits, strict=True) if most == n_out]
    short = [one for one, most in zip(held, fits, strict=True) if most < n_out]
    if short:
        notes.append(
            f"split {name!r}: too short for {n_out} leads and not scored: {_lengths(short)}"
        )
    spec = WindowSpec(n_in=n_in, n_out=n_out, step=step)
    numbers, films, cuts = (list(column) for column in zip(*kept, strict=True))
    return Arena(name, films, cuts, numbers, spec, memory_budget, device), notes


def _without_twins(
    held: Sequence[tuple[int, xr.DataArray, Split]], name: str
) -> tuple[list[tuple[int, xr.DataArray, Split]], list[str]]:
    """The movies that copy no other one of them, and a note of those that do."""
    names = {movie.name for _, movie, _ in held}
    twins = [one for one in held if one[1].attrs.get("twin_of") in names]
    if not twins:
        return list(held), []
    listed = ", ".join(f"{m.name} (of {m.attrs['twin_of']})" for _, m, _ in twins)
    left = [one for one in held if one[1].attrs.get("twin_of") not in names]
    return left, [f"split {name!r}: twins are not scored beside their originals: {listed}"]


def most_leads(movie: xr.DataArray, split: Split, n_in: int, leads: int, step: int) -> int:
    """The most leads, `leads` at most, of which a window fits the split; 0 where none does."""
    for n_out in range(leads, 0, -1):
        spec = WindowSpec(n_in=n_in, n_out=n_out, step=step)
        if len(split) >= spec.span and len(usable_starts(movie, split, spec)):
            return n_out
    return 0


def _lengths(held: Sequence[tuple[int, xr.DataArray, Split]]) -> str:
    return ", ".join(f"{movie.name}, {len(split)} frames" for _, movie, split in held)


def tally_models(
    models: Mapping[str, Forecaster], where: Arena, *, progress: Progress | None = None
) -> dict[str, Tally]:
    """Every model's tally over the same windows of all movies, by the movies' numbers."""
    parts: dict[str, list[Tally]] = {name: [] for name in models}
    turns = range(len(where.movies))
    for i in progress(turns, len(turns), f"scoring {where.name}") if progress else turns:
        windows, number = where.windows(i), where.numbers[i]
        for name, model in models.items():
            tally = evaluate(model(number), windows)
            parts[name].append(replace(tally, movie=np.full(len(tally), number)))
    return {name: Tally.joined(tallies) for name, tallies in parts.items()}
