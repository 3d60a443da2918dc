"""How many frames should be given: does a second one tell of hidden motion, or average noise away?

The same net with 1, 2, 4 and 8 frames, on a world with noise and on its twin without: what more
frames are worth without noise is hidden state, the rest of what they are worth with it averaging.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from slime.ceiling import CEILING, TEMPORAL
from slime.errors import SlimeError
from slime.fit import persistence
from slime.nets import NetSpec
from slime.progress import Progress
from slime.settings import setting
from slime.stepper import weights_hash
from slime.studies.meet import meet, tallied
from slime.studies.rows import COLUMNS, difference_rows, score_rows
from slime.studies.spec import StudySpec
from slime.studies.tables import markdown, number, one_row, with_interval
from slime.studies.tops import ceiling_rows
from slime.studies.train import Trial, trained
from slime.studies.worlds import World


@dataclass(frozen=True)
class GivenSpec(StudySpec):
    """The settings of the study of window sizes; it looks at validation alone."""

    study: str = setting("given", "which study")
    worlds: list[str] = setting(
        ["spirals", "spirals_clean", "slow"], "worlds; spirals_clean is spirals without noise"
    )
    given: list[int] = setting([1, 2, 4, 8], "numbers of frames given")
    kind: str = setting("cnn", "the net")
    width: int = setting(16, "its features")
    head: str = setting("residual", "its head")
    lr: float = setting(8e-3, "learning rate at its highest")
    docs: str | None = setting(None, "another folder for given.csv, given.md and given.png")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.given or min(self.given) < 1:
            raise SlimeError(f"given={self.given} must be numbers of frames, 1 or above")


def study_given(
    spec: GivenSpec, worlds: Sequence[World], *, progress: Progress | None = None
) -> pd.DataFrame:
    """Rows of every world and number of frames, their differences to the fewest, and ceilings.

    All meet on the same windows, those that the greediest can be given.
    """
    rows: list[dict[str, Any]] = []
    jobs = [(world, n) for world in worlds for n in sorted(spec.given)]
    first: dict[str, Any] = {}
    for world, n in progress(jobs, len(jobs), "frames given") if progress else jobs:
        meeting = meet(world, "val", n_in=max(spec.given), leads=spec.leads, hop=spec.hop)
        still = tallied(spec.cells, meeting, "persistence", {}, lambda _: persistence)
        tallies = []
        for seed in range(spec.seeds):
            stepper, _ = trained(spec.cells, world, _trial(spec, n, seed))
            key = {"weights": weights_hash(stepper.state_dict())}
            tallies.append(tallied(spec.cells, meeting, spec.kind, key, lambda _, own=stepper: own))
        labels = {"world": world.name, "model": f"{spec.kind} {n}", "head": spec.head, "given": n}
        variance = world.scale.std.double().numpy() ** 2
        rows += score_rows(labels, tallies, still, variance, spec)
        if n == min(spec.given):
            first[world.name] = tallies
        else:
            rows += difference_rows(labels, tallies, first[world.name], still, spec)
        rows += [{**row, "given": n} for row in ceiling_rows(meeting, still, n)[0]]
    return pd.DataFrame(rows, columns=["given", *COLUMNS])


def given_text(spec: GivenSpec, table: pd.DataFrame) -> str:
    """Skill by frames given, beside its ceilings, and what they are worth over the fewest."""
    rows = []
    for world in dict.fromkeys(table["world"]):
        for n in sorted(spec.given):
            own = {"world": world, "given": n}
            skill = one_row(table, score="skill", **own)
            more = one_row(table, score="skill difference", **own)
            tops = [one_row(table, score=name, **own) for name in (CEILING, TEMPORAL)]
            shares = [f"{number(t['value'])}, {skill['value'] / t['value']:.0%}" for t in tops]
            worth = "" if more is None else with_interval(more)
            rows.append([world, f"{n}", with_interval(skill), worth, *shares])
    head = ["world", "frames given", "skill at lead 1", "over the fewest", "ceiling, share of it"]
    return (
        f"{spec.kind}, width {spec.width}, {spec.head} head, {spec.budget_s:g} CPU-seconds, "
        f"{spec.seeds} seeds; val split. The last ceiling is that of a mean of the frames given, "
        f"pixel by pixel.\n\n{markdown([*head, 'ceiling without neighbours'], rows)}\n"
    )


def _trial(spec: GivenSpec, n_in: int, seed: int) -> Trial:
    net: Any = {"kind": spec.kind, "head": spec.head, "width": spec.width}
    return Trial(
        NetSpec(**net),
        lr=spec.lr,
        n_in=n_in,
        batch_size=spec.batch_size,
        budget_s=spec.budget_s,
        rounds=spec.rounds,
        seed=seed,
    )
