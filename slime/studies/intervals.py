"""Other frame intervals: a net trained with frames so far apart, used with frames that far apart.

All forecast the same frames, as many ahead as the longest interval: in one step, or in several.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from slime.errors import SlimeError
from slime.fit import evaluate, persistence
from slime.nets import NetSpec
from slime.progress import Progress
from slime.score import Tally
from slime.seeds import combined
from slime.settings import setting
from slime.statistic import statistic
from slime.stepper import Step, rollout
from slime.stream import Batch
from slime.studies.picked import Films
from slime.studies.results import WIDTHS
from slime.studies.spec import StudySpec
from slime.studies.tables import markdown, one_row, with_interval
from slime.studies.train import Trial, trained
from slime.studies.worlds import World
from slime.windows import WindowSpec

COLUMNS = ("world", "model", "trained", "used", "lead", "n_seeds", "value", "low", "high", "note")


@dataclass(frozen=True)
class IntervalsSpec(StudySpec):
    """The settings of the study of frame intervals; it looks at validation alone."""

    study: str = setting("intervals", "which study")
    intervals: list[int] = setting([1, 2, 4], "frames between frames; each divides the last")
    kind: str = setting("cnn", "the net")
    head: str = setting("residual", "its head")
    lr: float = setting(5e-3, "learning rate at its highest")
    docs: str | None = setting(None, "another folder for the csv, md and png")

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = self.intervals
        if not steps or min(steps) < 1 or any(max(steps) % step for step in steps):
            raise SlimeError(f"intervals={steps} must be numbers of frames that divide the largest")

    @property
    def longest(self) -> int:
        """Frames between those given and the one forecast."""
        return max(self.intervals)


def study_intervals(
    spec: IntervalsSpec, worlds: Sequence[World], *, progress: Progress | None = None
) -> pd.DataFrame:
    """Rows of every world, interval trained with and interval used: skill over persistence.

    Args:
        worlds: cut for windows of the longest interval.
    """
    rows: list[dict[str, Any]] = []
    window = WindowSpec(n_in=(spec.n_in - 1) * spec.longest + 1, n_out=spec.longest)
    jobs = [(world, step) for world in worlds for step in sorted(spec.intervals)]
    for world, step in progress(jobs, len(jobs), "intervals") if progress else jobs:
        films = Films(world)
        held = list(films.batches(films.windows(window, "val"), window))
        nets = [trained(spec.cells, world, _trial(spec, step, s))[0] for s in range(spec.seeds)]
        still = _tally(spec, persistence, spec.longest, held)
        for used in sorted(spec.intervals):
            tallies = [_tally(spec, net, used, held) for net in nets]
            found = combined(
                tallies, statistic("skill"), [still], n_draws=spec.draws, level=spec.level
            )
            ends = {k: float(getattr(found, k)[0, -1]) for k in ("value", "low", "high")}
            labels = {"world": world.name, "model": spec.kind, "trained": step, "used": used}
            labels |= {"lead": spec.longest, "n_seeds": len(nets), "note": found.reasons[0]}
            rows.append({**labels, **ends})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _tally(spec: IntervalsSpec, step: Step, used: int, held: Sequence[Batch]) -> Tally:
    """The forecast of the last frame alone, from frames `used` apart, in the steps it takes."""

    def last(past: torch.Tensor) -> torch.Tensor:
        given = past[:, (past.shape[1] - 1) % used :: used][:, -spec.n_in :]
        return rollout(step, given, spec.longest // used)[:, -1]

    return evaluate(last, [batch._replace(future=batch.future[:, -1:]) for batch in held])


def intervals_text(spec: IntervalsSpec, table: pd.DataFrame) -> str:
    """A row an interval trained with, a column an interval used."""
    rows = [
        [world, f"{step}"]
        + [
            with_interval(one_row(table, world=world, trained=step, used=used))
            for used in sorted(spec.intervals)
        ]
        for world in dict.fromkeys(table["world"])
        for step in sorted(spec.intervals)
    ]
    used = [f"used {n} apart, {spec.longest // n} steps" for n in sorted(spec.intervals)]
    return (
        f"{spec.kind}, {spec.head} head, {spec.budget_s:g} CPU-seconds, {spec.seeds} seeds; "
        f"validation split, skill over persistence {spec.longest} frames ahead.\n\n"
        f"{markdown(['world', 'trained with frames apart', *used], rows)}\n"
    )


def _trial(spec: IntervalsSpec, step: int, seed: int) -> Trial:
    net: Any = {"kind": spec.kind, "head": spec.head, "width": WIDTHS[spec.kind]}
    return Trial(
        NetSpec(**net),
        lr=spec.lr,
        n_in=spec.n_in,
        step=step,
        batch_size=spec.batch_size,
        budget_s=spec.budget_s,
        rounds=spec.rounds,
        seed=seed,
    )
