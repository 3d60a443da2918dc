"""Where the models of a study meet: every lead-1 window of a split, and rollouts from some."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from slime.arena import Arena, Forecaster, open_arena, tally_models
from slime.score import Tally
from slime.studies.cells import Cell, Cells
from slime.studies.worlds import World

NEAR, FAR = "near", "far"


@dataclass(frozen=True)
class Meeting:
    """A split of a world, as windows of one lead and as rollouts.

    Attributes:
        near: windows of lead 1, all of them.
        far: windows of as many leads as asked for, every few frames.
    """

    world: World
    near: Arena
    far: Arena
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The split."""
        return self.near.name

    def key(self) -> dict[str, Any]:
        """What a tally depends on, beside its model."""
        specs = {name: vars(one.spec) for name, one in ((NEAR, self.near), (FAR, self.far))}
        return {"world": self.world.identity, "split": self.name, **specs}


def meet(world: World, split: str, *, n_in: int, leads: int, hop: int, step: int = 1) -> Meeting:
    """The windows of a split for models that read up to `n_in` frames.

    Args:
        leads: of the rollouts, fewer where the split is too short.
        hop: frames between the starts of two rollouts.

    Raises:
        SlimeError: the split holds no window.
    """
    arenas, notes = [], []
    for n_out, every in ((1, 1), (leads, hop)):
        where, said = open_arena(
            world.movies,
            world.prepared.splits,
            split,
            n_in=n_in,
            leads=n_out,
            step=step,
            memory_budget=1 << 30,
            device=torch.device("cpu"),
        )
        arenas.append(replace(where, spec=replace(where.spec, hop=every)))
        notes += [f"{world.name}: {note}" for note in said]
    near, far = arenas
    return Meeting(world, near, far, tuple(dict.fromkeys(notes)))


def tallied(
    cells: Cells, meeting: Meeting, name: str, key: Mapping[str, Any], model: Forecaster
) -> dict[str, Tally]:
    """A model's tallies on both sets of windows, from its cell."""

    def score() -> Cell:
        arrays: dict[str, np.ndarray] = {}
        for label, where in ((NEAR, meeting.near), (FAR, meeting.far)):
            tally = tally_models({name: model}, where)[name]
            parts = {"movie": tally.movie, "start": tally.start, "sums": tally.sums}
            arrays |= {f"{label}_{part}": value for part, value in parts.items()}
        return Cell({"model": name}, arrays)

    held = cells.get("tally", {**meeting.key(), "model": name, **key}, score).arrays
    found = {}
    for label in (NEAR, FAR):
        movie, start, sums = (held[f"{label}_{part}"] for part in ("movie", "start", "sums"))
        found[label] = Tally(movie, start, sums)
    return found
