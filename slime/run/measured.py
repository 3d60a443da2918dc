"""What a biologist measures on the movies of a run, and on its forecasts of them."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import NamedTuple

import torch
import xarray as xr

from slime.arena import Forecaster
from slime.chunks import METADATA
from slime.config import RunConfig, config_from_yaml
from slime.errors import SlimeError
from slime.observables.command import MeasureSpec, OfMovie, measure_channels
from slime.opening import OpeningSpec
from slime.prepare import Prepared
from slime.progress import Progress
from slime.rollout_scores import Observed, observe_rollouts
from slime.run.scoring import meeting

OPEN = ("train", "val")  # the splits that may be looked at; test is opened by evaluate.py alone


def is_run(word: str) -> bool:
    """Whether a path is a run's folder rather than a store.

    Raises:
        SlimeError: it is a folder that is neither.
    """
    path = Path(word)
    if not path.is_dir() or any((path / name).exists() for name in METADATA):
        return False
    if (path / "config.yaml").is_file():
        return True
    raise SlimeError(
        f"{word} is neither a store (it holds none of {', '.join(METADATA)}) nor a run's folder "
        "(it holds no config.yaml)"
    )


def run_config(run: Path, spec: MeasureSpec, given: Sequence[str]) -> RunConfig:
    """The config that a run was trained with; memory alone may be given anew.

    Raises:
        SlimeError: a setting of opening, which is the run's own.
    """
    text = (run / "config.yaml").read_text(encoding="utf-8")
    config = config_from_yaml(text)
    fixed = {f.name for f in fields(OpeningSpec)} - {"out", "memory_gib"} | {"missing"}
    keys = [word.removeprefix("data.").partition("=")[0] for word in given]
    wrong = [key for key in keys if key in fixed]
    if wrong:
        raise SlimeError(
            f"{wrong[0]}: the movies of {run} are opened as it was trained; name a store to open "
            "it otherwise"
        )
    memory = spec.memory_gib if "memory_gib" in keys else config.data.memory_gib
    return replace(config, data=replace(config.data, memory_gib=memory))


class Part(NamedTuple):
    """The frames of a movie that are open: those of train and val, and what lies between."""

    movie: xr.DataArray
    first: int
    text: str


def open_parts(prepared: Prepared) -> list[Part]:
    """Of each movie the frames of its train and val splits; movies that have neither are left out.

    Raises:
        SlimeError: frames of test lie between those of train and val.
    """
    parts = []
    for movie, cut in zip(prepared.movies, prepared.splits, strict=True):
        held = [cut[name] for name in OPEN if name in cut]
        if not held:
            continue
        start, stop = min(s.start for s in held), max(s.stop for s in held)
        if "test" in cut and cut["test"].start < stop and cut["test"].stop > start:
            raise SlimeError(f"{movie.name}: test lies between train and val, and stays closed")
        names = " and ".join(name for name in OPEN if name in cut)
        said = f"frames {start} to {stop - 1} of {movie.sizes['time']} ({names})"
        parts.append(Part(movie.isel(time=slice(start, stop)), start, said))
    return parts


def measure_parts(
    parts: Sequence[Part],
    spec: MeasureSpec,
    memory_budget: int,
    *,
    progress: Progress | None = None,
) -> list[OfMovie]:
    """Everything of every channel of the open frames of each movie."""
    return [
        measure_channels(part.movie, spec, memory_budget, first=part.first, progress=progress)
        for part in parts
    ]


def measure_forecasts(
    config: RunConfig,
    prepared: Prepared,
    models: Mapping[str, Forecaster],
    spec: MeasureSpec,
    *,
    n_in: int,
    device: torch.device,
    progress: Progress | None = None,
) -> Observed:
    """Free rollouts over the validation split, measured as the words say."""
    where, said = meeting("val", config, prepared, n_in=n_in, device=device)
    found = observe_rollouts(
        models,
        where,
        seed=config.seed,
        leads=config.score.rollout,
        choices=spec.choices,
        progress=progress,
    )
    return replace(found, notes=[*said, *found.notes])
