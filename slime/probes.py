"""A few windows from all over the movies: enough to ask a question of a net in seconds."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import xarray as xr

from slime.batchable import usable_starts
from slime.errors import SlimeError
from slime.split import Split
from slime.stream import Batch, WindowStream
from slime.windows import WindowSpec


def probe_windows(
    movies: Sequence[xr.DataArray],
    splits: Sequence[Split],
    spec: WindowSpec,
    *,
    n_places: int,
    n_each: int,
    side: int | None,
    memory_budget: int,
    device: torch.device,
) -> Batch:
    """One batch of windows, in time order: runs of `n_each` at each of `n_places`, evenly spaced.

    Only these frames are read. The batch's `movie` is the number of the place. Places of movies
    too short for a window are left out; runs of a short one may share frames.

    Args:
        side: height and width in pixels, at most, cut from the middle; None takes frames whole, and
            so do movies with a mask, of which the middle may hold little.

    Raises:
        SlimeError: no window fits any split.
    """
    spec = replace(spec, hop=1)
    runs = _runs(movies, splits, spec, n_places, n_each)
    if not runs:
        raise SlimeError("no window fits the splits")
    height, width = (min(m.sizes[axis] for m, _ in runs) for axis in ("y", "x"))
    masked = any("mask" in m.coords for m, _ in runs)
    if side is not None and not masked:
        height, width = min(height, side), min(width, side)
    stream = WindowStream(
        [movie for movie, _ in runs],
        [run for _, run in runs],
        spec,
        batch_size=n_places * n_each,
        memory_budget=memory_budget,
        crop=(height, width),
        device=device,
    )
    return next(iter(stream))


def _runs(
    movies: Sequence[xr.DataArray],
    splits: Sequence[Split],
    spec: WindowSpec,
    n_places: int,
    n_each: int,
) -> list[tuple[xr.DataArray, Split]]:
    """Frames of each place, dealt evenly to the movies that hold a window."""
    held = []
    for movie, split in zip(movies, splits, strict=True):
        starts = usable_starts(movie, split, spec) if len(split) >= spec.span else []
        if len(starts):
            held.append((movie, split.name, starts))
    runs = []
    for i, (movie, name, starts) in enumerate(held):
        n = len(range(i, n_places, len(held)))
        last = max(len(starts) - n_each, 0)
        for first in np.unique(np.linspace(0, last, n).round().astype(int)):
            begin, end = starts[first], starts[min(first + n_each, len(starts)) - 1]
            # blank frames lie between usable starts that are not neighbours
            end = min(int(end), int(begin) + n_each - 1)
            runs.append((movie, Split(name, int(begin), end + spec.span, str(movie.name))))
    return runs
