"""Trained runs opened for their landscapes, and the windows that their loss is taken over."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import xarray as xr

from slime.checkpoint import SavedRun, load_run
from slime.config import config_from_yaml
from slime.devices import pick_device
from slime.prepare import Prepared, prepare, without_gap
from slime.progress import Progress
from slime.run.facts import check_movies
from slime.run.folder import hash_of, names_apart
from slime.run.landscape_words import LandscapeWords
from slime.split import Split
from slime.stream import Batch, WindowStream
from slime.windows import WindowSpec


@dataclass(frozen=True)
class Opened:
    """A run with the windows that its loss is taken over; no two of one call have one name."""

    path: Path
    name: str
    saved: SavedRun
    batches: list[Batch]


def open_runs(
    paths: Sequence[Path], asked: LandscapeWords, *, progress: Progress | None = None
) -> list[Opened]:
    """The runs' best nets, and the same windows for all that were trained on the same movies."""
    device, known = pick_device(asked.device), dict[str, Prepared]()
    opened = []
    for path, name in zip(paths, names_apart(paths), strict=True):
        saved = load_run(path, device=device)
        config = config_from_yaml((path / "config.yaml").read_text(encoding="utf-8"))
        key = hash_of(str(config.data), str(config.window), config.seed)
        if key not in known:
            known[key] = prepare(config.data, config.window, seed=config.seed, progress=progress)
        check_movies(path, known[key])
        movies, splits = known[key].of(asked.split)
        spec = WindowSpec(saved.shape.n_in, asked.lead, saved.shape.step)
        budget = config.data.memory_budget
        batches = take_windows(movies, splits, spec, asked, budget, device)
        opened.append(Opened(path, name, saved, batches))
    return opened


def take_windows(
    movies: Sequence[xr.DataArray],
    splits: Sequence[Split],
    spec: WindowSpec,
    asked: LandscapeWords,
    memory_budget: int,
    device: torch.device,
) -> list[Batch]:
    """So many windows, drawn by the seed; all of them in time order where 0 are asked for.

    They lie wholly inside the splits, and may be longer than those trained on.
    """
    stream = WindowStream(
        movies,
        [without_gap(split) for split in splits],
        spec,
        batch_size=min(asked.windows or 64, 64),
        seed=asked.seed if asked.windows else None,
        memory_budget=memory_budget,
        device=device,
    )
    taken, n = [], 0
    for batch in stream:
        left = asked.windows - n if asked.windows else len(batch.start)
        past, future, mask, movie, start = batch
        mask = None if mask is None else mask[:left]
        taken.append(Batch(past[:left], future[:left], mask, movie[:left], start[:left]))
        n += len(taken[-1].start)
        if asked.windows and n >= asked.windows:
            break
    return taken
