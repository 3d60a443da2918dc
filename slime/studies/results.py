"""The table of results: every net and every baseline on every world, on the test split.

Each net trains for as many CPU-seconds as the others; its head and learning rate are those that
validation likes best, of as many trials. When all are trained, the test split is opened.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd

from slime.errors import SlimeError, nearest
from slime.nets import NetKind
from slime.progress import Progress
from slime.run.report import Rival
from slime.score import Tally
from slime.settings import setting
from slime.studies.entrants import Contestant, Entered, TunedSpec, enter, tallies_of
from slime.studies.ledger import open_once
from slime.studies.meet import Meeting, meet, tallied
from slime.studies.rows import COLUMNS, score_rows
from slime.studies.tops import ceiling_rows
from slime.studies.worlds import World

WIDTHS: dict[str, int] = {
    "frame_mlp": 64,
    "patch_mlp": 32,
    "cnn": 16,
    "unet": 12,
    "unet_convnext": 12,
    "dilated_resnet": 16,
    "convgru": 16,
    "fno": 16,
}  # so that 15 CPU-seconds buy some hundred steps of 8 frames of 64 x 64


# what fits every baseline on a world's train frames, for so many frames given
FitRivals = Callable[[World, int], Mapping[str, Rival]]


@dataclass(frozen=True)
class ResultsSpec(TunedSpec):
    """The settings of the results table."""

    nets: list[str] = setting(list(get_args(NetKind)), "nets, by their kinds")
    headline: str = setting("cnn", "the net with more seeds")
    headline_seeds: int = setting(5, "its trainings")
    split: Literal["test", "val"] = setting("test", "what is scored; test enters the ledger")
    docs: str | None = setting(None, "another folder for results.csv, results.md and results.png")
    page: str | None = setting(None, "a page whose part between <!-- results --> becomes the table")

    def __post_init__(self) -> None:
        super().__post_init__()
        for kind in [*self.nets, self.headline]:
            if kind not in WIDTHS:
                known = ", ".join(WIDTHS)
                raise SlimeError(f"{kind!r} is no net ({known}){nearest(kind, WIDTHS)}")


def train_all(
    spec: ResultsSpec, worlds: Sequence[World], *, progress: Progress | None = None
) -> dict[str, list[Entered]]:
    """Every net on every world, from cells where they are there."""
    jobs = [(world, kind) for world in worlds for kind in spec.nets]
    found: dict[str, list[Entered]] = {world.name: [] for world in worlds}
    for world, kind in progress(jobs, len(jobs), "training") if progress else jobs:
        n_seeds = spec.headline_seeds if kind == spec.headline else spec.seeds
        one = Contestant(kind, (WIDTHS[kind],))
        found[world.name].append(enter(spec, world, one, n_seeds))
    return found


def score_all(
    spec: ResultsSpec,
    worlds: Sequence[World],
    chosen: Mapping[str, Sequence[Entered]],
    fit_rivals: FitRivals,
    *,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Rows of every model on the split asked for, and what had to be said."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for world in progress(worlds, len(worlds), "scoring") if progress else worlds:
        rivals = fit_rivals(world, spec.n_in)
        n_in = max(spec.n_in, *(rival.n_in for rival in rivals.values()))
        meeting = meet(world, spec.split, n_in=n_in, leads=spec.leads, hop=spec.hop)
        steppers = [one for net in chosen[world.name] for one in net.steppers]
        notes += [*meeting.notes, *open_once(spec, world, spec.split, steppers)]
        found, still = _rows_of(spec, meeting, chosen[world.name], rivals)
        tops, said = ceiling_rows(meeting, still, spec.n_in)
        rows += found + tops
        notes += said
    return pd.DataFrame(rows, columns=list(COLUMNS)), notes


def _rows_of(
    spec: ResultsSpec,
    meeting: Meeting,
    chosen: Sequence[Entered],
    rivals: Mapping[str, Rival],
) -> tuple[list[dict[str, Any]], dict[str, Tally]]:
    """Rows of every model, and persistence's tallies."""
    world = meeting.world
    key = {"n_in": spec.n_in}
    by_rival = {
        name: tallied(spec.cells, meeting, name, key, rival.for_movie)
        for name, rival in rivals.items()
    }
    still = by_rival["persistence"]
    variance = world.scale.std.double().numpy() ** 2
    rows = []
    for one in chosen:
        tallies = tallies_of(spec, meeting, one)
        labels = {"world": world.name, "model": one.name, "head": one.head}
        rows += score_rows(labels, tallies, still, variance, spec)
    for name, tally in by_rival.items():
        labels = {"world": world.name, "model": name, "head": ""}
        rows += score_rows(labels, [tally], still, variance, spec)
    return rows, still
