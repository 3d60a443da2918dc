"""What all studies share: worlds, budgets, seeds and the folder of what is done."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from slime.arguments import parsed, read_yaml
from slime.config import unlocked
from slime.data_spec import DataSpec
from slime.errors import SlimeError
from slime.progress import Progress
from slime.settings import in_one_line, names_and_settings, setting
from slime.studies.cells import Cells
from slime.studies.worlds import REAL, World, film_world, open_world

Spec = TypeVar("Spec", bound="StudySpec")


@dataclass(frozen=True)
class StudySpec:
    """The settings that every study has."""

    out: str = setting("runs/study", "the study's folder: cells, tables, figures; it goes on there")
    worlds: list[str] = setting(
        ["spirals", "aggregation", "trail"],
        "worlds, of spirals, aggregation, slow, trail; and real (see real.stores)",
    )
    real: DataSpec = field(default_factory=DataSpec)
    folder: str = setting("data/worlds", "where simulated worlds are kept")
    frames: int = setting(400, "frames of a simulated movie")
    film_seeds: list[int] | None = setting(
        None, "seeds of simulated movies in place of a world's own; a movie each"
    )
    size_px: int = setting(64, "pixels of its sides")
    n_in: int = setting(4, "frames given")
    batch_size: int = setting(8, "windows a step")
    budget_s: float = setting(15.0, "CPU-seconds of training steps, for each net")
    rounds: int = setting(2, "looks at validation in a training, the best of which is kept")
    seeds: int = setting(3, "trainings of a net")
    leads: int = setting(32, "frames ahead of rollouts")
    hop: int = setting(4, "frames between the starts of two rollouts")
    draws: int = setting(1000, "bootstrap draws")
    level: float = setting(0.95, "of intervals")

    def __post_init__(self) -> None:
        for name in ("n_in", "batch_size", "rounds", "seeds", "leads", "hop", "draws"):
            if getattr(self, name) < 1:
                raise SlimeError(f"{name}={getattr(self, name)} must be at least 1")
        if not self.budget_s > 0:
            raise SlimeError(f"budget_s={self.budget_s} must be above 0")
        if not self.worlds:
            raise SlimeError("worlds=[] names no world")
        if REAL in self.worlds and not self.real.stores:
            raise SlimeError("worlds holds real: real.stores=[PATH] says where that movie lies")

    @property
    def cells(self) -> Cells:
        """What is done so far."""
        return Cells(Path(self.out).expanduser() / "cells")


def open_worlds(
    spec: StudySpec, *, n_in: int | None = None, step: int = 1, progress: Progress | None = None
) -> list[World]:
    """The worlds of a study, filmed where they are not there, cut for `n_in` frames given."""
    n_in = spec.n_in if n_in is None else n_in
    names = progress(spec.worlds, len(spec.worlds), "worlds") if progress else spec.worlds
    return [
        open_world(REAL, spec.real, step=step, n_in=n_in)
        if name == REAL
        else film_world(
            name,
            Path(spec.folder).expanduser(),
            n_frames=spec.frames,
            size_px=spec.size_px,
            step=step,
            n_in=n_in,
            seeds=spec.film_seeds,
        )
        for name in names
    ]


def read_words(kind: type[Spec], words: Sequence[str]) -> Spec:
    """The spec of a command's words: at most one config file, and key=value.

    Raises:
        SlimeError: a word that is neither, an unknown key (names the nearest) or a bad value.
    """
    names, settings = names_and_settings(words)
    if len(names) > 1 or not all(name.endswith((".yaml", ".yml")) for name in names):
        raise SlimeError(f"{' '.join(names)}: one CONFIG.yaml at most, and key=value; see --help")
    tree: Any = unlocked(OmegaConf.structured(kind))
    try:
        for change in [*map(read_yaml, names), *map(parsed, settings)]:
            tree = OmegaConf.merge(tree, change)
        read: Any = OmegaConf.to_object(tree)
    except OmegaConfBaseException as error:
        raise SlimeError(in_one_line(error, kind)) from error
    return read
