"""A contest at equal CPU-seconds: nets of ours and of others, tuned alike, on the same windows.

Every contestant gets the same number of trials (widths, learning rates, heads), each of as many
CPU-seconds of training steps; the one that validation likes best trains with more seeds, and meets
the others on the test split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

import pandas as pd

from slime.errors import SlimeError
from slime.fit import persistence
from slime.nets import NetSpec
from slime.progress import Progress
from slime.settings import setting
from slime.stepper import Stepper, weights_hash
from slime.stretched import holm
from slime.studies.ledger import open_once
from slime.studies.meet import Meeting, meet, tallied
from slime.studies.rows import COLUMNS, Tallies, difference_rows, score_rows
from slime.studies.spec import StudySpec
from slime.studies.train import Builder, Trial, trained
from slime.studies.worlds import World


@dataclass(frozen=True)
class ContestSpec(StudySpec):
    """The settings of the contest."""

    lrs: list[float] = setting([2e-3, 8e-3], "learning rates that are tried")
    heads: list[str] = setting(["residual", "direct"], "heads that are tried")
    split: Literal["test", "val"] = setting("test", "where they meet; test enters the ledger")


@dataclass(frozen=True)
class Contestant:
    """A net by name: ours by its kind, or what `build` makes; and the widths that are tried."""

    name: str
    widths: tuple[int, ...]
    build: Builder | None = None

    def trials(self, spec: ContestSpec) -> list[Trial]:
        """What is tried, all of the first seed."""
        own: dict[str, Any] = {} if self.build else {"kind": self.name}
        return [
            Trial(
                NetSpec(head=head, width=width, **own),  # pyright: ignore[reportArgumentType]
                lr=lr,
                n_in=spec.n_in,
                batch_size=spec.batch_size,
                budget_s=spec.budget_s,
                rounds=spec.rounds,
                peer=self.name if self.build else "",
            )
            for width, lr, head in product(self.widths, spec.lrs, spec.heads)
        ]


@dataclass(frozen=True)
class Entered:
    """A contestant on a world: the trial chosen, a stepper of each seed, all trials' facts."""

    contestant: Contestant
    trial: Trial
    steppers: list[Stepper]
    tried: list[dict[str, Any]]


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
        found[world.name].append(_entered(spec, world, one))
    return found


def _entered(spec: ContestSpec, world: World, one: Contestant) -> Entered:
    tried, best, least = [], one.trials(spec)[0], float("inf")
    for trial in one.trials(spec):
        _, facts = trained(spec.cells, world, trial, one.build)
        sizes = {"width": trial.net.width, "head": trial.net.head, "lr": trial.lr}
        tried.append({"world": world.name, "model": one.name, **sizes, **facts})
        loss = facts.get("val_loss", float("inf"))
        if loss < least:
            best, least = trial, loss
    runs = [
        trained(spec.cells, world, replace(best, seed=seed), one.build)[0]
        for seed in range(spec.seeds)
    ]
    return Entered(one, best, runs, tried)


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
    tallies = [_tallies(spec, meeting, side) for side in sides]
    rows: list[dict[str, Any]] = []
    for side, own in zip(sides, tallies, strict=True):
        labels = {"world": world.name, "model": side.contestant.name, "head": side.trial.net.head}
        rows += score_rows(labels, own, still, variance, spec)
    for side, theirs in zip(sides[1:], tallies[1:], strict=True):
        pair = f"{sides[0].contestant.name} - {side.contestant.name}"
        labels = {"world": world.name, "model": pair, "head": ""}
        rows += difference_rows(labels, tallies[0], theirs, still, spec)
    return rows


def _tallies(spec: ContestSpec, meeting: Meeting, side: Entered) -> Tallies:
    def one(stepper: Stepper) -> Any:
        key = {"weights": weights_hash(stepper.state_dict())}
        return tallied(spec.cells, meeting, side.contestant.name, key, lambda _: stepper)

    return [one(stepper) for stepper in side.steppers]
