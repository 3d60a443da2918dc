"""A contest at equal CPU-seconds: nets of ours and of others, tuned alike, on the same windows.

Every contestant gets the same number of trials (widths, learning rates, heads), each of as many
CPU-seconds of training steps; the one that validation likes best trains with more seeds, and meets
the others on the test split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from slime.errors import SlimeError
from slime.fit import persistence
from slime.progress import Progress
from slime.settings import setting
from slime.stretched import holm
from slime.studies.entrants import Contestant, Entered, TunedSpec, enter, tallies_of
from slime.studies.ledger import open_once
from slime.studies.meet import Meeting, meet, tallied
from slime.studies.rows import COLUMNS, difference_rows, score_rows
from slime.studies.worlds import World


@dataclass(frozen=True)
class ContestSpec(TunedSpec):
    """The settings of the contest."""

    split: Literal["test", "val"] = setting("test", "where they meet; test enters the ledger")


def enter_all(
    spec: ContestSpec,
    worlds: Sequence[World],
    contestants: Sequence[Contestant],
    *,
    progress: Progress | None = None,
) -> dict[str, list[Entered]]:
    """Tune and train every contestant on every world; nothing of test is read.

    Raises:
        SlimeError: contestants of different numbers of trials.
    """
    counts = {one.name: len(one.trials(spec)) for one in contestants}
    if len(set(counts.values())) > 1:
        raise SlimeError(f"a contest of unequal trials: {counts}")
    jobs = [(world, one) for world in worlds for one in contestants]
    found: dict[str, list[Entered]] = {world.name: [] for world in worlds}
    for world, one in progress(jobs, len(jobs), "tuning") if progress else jobs:
        found[world.name].append(enter(spec, world, one, spec.seeds))
    return found


def play(
    spec: ContestSpec,
    worlds: Sequence[World],
    entered: Mapping[str, Sequence[Entered]],
    *,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Rows of every contestant, and of the first less each other, with Holm's p."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for world in progress(worlds, len(worlds), "playing") if progress else worlds:
        meeting = meet(world, spec.split, n_in=spec.n_in, leads=spec.leads, hop=spec.hop)
        sides = entered[world.name]
        steppers = [stepper for side in sides for stepper in side.steppers]
        notes += [*meeting.notes, *open_once(spec, world, spec.split, steppers)]
        rows += _rows_of(spec, meeting, sides)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    compared = table["score"].str.endswith("difference")
    table.loc[compared, "p_holm"] = holm(table.loc[compared, "p"].tolist())
    return table, notes


def _rows_of(spec: ContestSpec, meeting: Meeting, sides: Sequence[Entered]) -> list[dict[str, Any]]:
    world = meeting.world
    still = tallied(spec.cells, meeting, "persistence", {}, lambda _: persistence)
    variance = world.scale.std.double().numpy() ** 2
    tallies = [tallies_of(spec, meeting, side) for side in sides]
    rows: list[dict[str, Any]] = []
    for side, own in zip(sides, tallies, strict=True):
        labels = {"world": world.name, "model": side.name, "head": side.head}
        rows += score_rows(labels, own, still, variance, spec)
    for side, theirs in zip(sides[1:], tallies[1:], strict=True):
        pair = f"{sides[0].name} - {side.name}"
        labels = {"world": world.name, "model": pair, "head": ""}
        rows += difference_rows(labels, tallies[0], theirs, still, spec)
    return rows
