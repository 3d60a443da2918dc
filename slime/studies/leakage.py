"""What leakage is worth: how much better a net seems when windows overlap, or a twin is trained on.

Three ways to hold windows back of the same stretch of film, that of the train split: at random
(`random`, which no command of slime offers), its last part (`later`, as slime splits), and that
last part with a copy of the film in the train set that keeps every second frame (`twin`). Each net
is scored on what was held back, and then on the validation split, which comes later and which
nobody had seen: the difference is what was reported too much. Of the test split nothing is read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from slime.errors import SlimeError
from slime.fit import evaluate, persistence
from slime.nets import NetSpec
from slime.progress import Progress
from slime.run.folder import hash_of
from slime.score import Tally
from slime.seeds import combined
from slime.settings import setting
from slime.statistic import statistic
from slime.stepper import Step
from slime.studies.cells import Cell
from slime.studies.picked import Films, Picked
from slime.studies.results import WIDTHS
from slime.studies.spec import StudySpec
from slime.studies.tables import markdown, number, one_row, with_interval
from slime.studies.train import StepBatches, Trial, new_stepper, step_seconds, train_on
from slime.studies.worlds import World
from slime.windows import WindowSpec

WAYS = ("random", "twin", "later")
REPORTED, FUTURE = "reported", "future"
ANALOGUE = "analogue"  # what followed the most similar window of the train set: pure memory
STEP = 2  # frames between frames, so that a twin of every second frame has the same interval
COLUMNS = ("world", "model", "way", "n_train", "n_held", "score", "value", "low", "high", "note")


@dataclass(frozen=True)
class LeakageSpec(StudySpec):
    """The settings of the study of leakage."""

    study: str = setting("leakage", "which study")
    nets: list[str] = setting(["cnn", "frame_mlp"], "nets, by their kinds")
    head: str = setting("residual", "their head")
    lr: float = setting(5e-3, "learning rate at its highest")
    held: float = setting(0.2, "share of the stretch that is held back")
    docs: str | None = setting(None, "another folder for the csv, md and png")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.held < 1:
            raise SlimeError(f"held={self.held} must lie between 0 and 1")

    @property
    def windows(self) -> WindowSpec:
        """The windows of every way."""
        return WindowSpec(n_in=self.n_in, n_out=1, step=STEP)


def at_random(films: Films, spec: LeakageSpec) -> tuple[Picked, Picked]:
    """Overlapping windows, each on a side by lot: the mistake."""
    every = films.windows(spec.windows, "train")
    held = np.random.default_rng(0).permutation(len(every)) < round(spec.held * len(every))
    return every[~held], every[held]


def later(films: Films, spec: LeakageSpec) -> tuple[Picked, Picked]:
    """The last part held back, and before it as many frames left out as a window spans."""
    cut = 1 - spec.held
    shortest = min(len(splits["train"]) for splits in films.world.prepared.splits)
    gap = spec.windows.span / shortest
    parts = ((0.0, cut - gap), (cut, 1.0))
    train, held = (films.windows(spec.windows, "train", part) for part in parts)
    return train, held


def with_twin(films: Films, spec: LeakageSpec) -> tuple[Picked, Picked]:
    """As `later`, but a copy of every second frame of all the film is trained on."""
    train, held = later(films, spec)
    every = films.windows(spec.windows, "train")
    twin = every[every[:, 1] % STEP == 0]
    return np.unique(np.concatenate([train, twin]), axis=0), held


# windows to train on, windows held back
_WAYS: Mapping[str, Callable[[Films, LeakageSpec], tuple[Picked, Picked]]] = {
    "random": at_random,
    "twin": with_twin,
    "later": later,
}


def analogue(films: Films, train: Picked, spec: LeakageSpec) -> Step:
    """Adds to the last frame what was added to that of the most similar window trained on."""
    std = films.world.scale.std.float().reshape(1, 1, -1, 1, 1)
    batches = list(films.batches(train, spec.windows))
    known = torch.cat([(batch.past / std).flatten(1) for batch in batches])
    added = torch.cat([batch.future[:, 0] - batch.past[:, -1] for batch in batches])

    def step(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        nearest = torch.cdist((past / std).flatten(1), known).argmin(dim=1)
        return past[:, -1] + added[nearest]

    return step


def study_leakage(
    spec: LeakageSpec, worlds: Sequence[World], *, progress: Progress | None = None
) -> pd.DataFrame:
    """Rows of every world, way and model: the skill reported, and that of the future."""
    rows: list[dict[str, Any]] = []
    drawn: dict[str, Any] = {"n_draws": spec.draws, "level": spec.level}
    jobs = [(world, way) for world in worlds for way in WAYS]
    for world, way in progress(jobs, len(jobs), "leakage") if progress else jobs:
        films = Films(world)
        train, held = _WAYS[way](films, spec)
        sides = {REPORTED: held, FUTURE: films.windows(spec.windows, "val")}
        still = {name: _tally(films, spec, windows, persistence) for name, windows in sides.items()}
        for model in (*spec.nets, ANALOGUE):
            labels = {"world": world.name, "model": model, "way": way}
            labels |= {"n_train": len(train), "n_held": len(held)}
            steps = _steps(spec, films, model, train, held)
            for score, windows in sides.items():
                tallies = [_tally(films, spec, windows, step) for step in steps]
                found = combined(tallies, statistic("skill"), [still[score]], **drawn)
                ends = {k: float(getattr(found, k)[0, -1]) for k in ("value", "low", "high")}
                rows.append({**labels, "score": score, **ends, "note": found.reasons[0]})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _tally(films: Films, spec: LeakageSpec, windows: Picked, step: Step) -> Tally:
    return evaluate(step, films.batches(windows, spec.windows))


def _steps(spec: LeakageSpec, films: Films, model: str, train: Picked, held: Picked) -> list[Step]:
    if model == ANALOGUE:
        return [analogue(films, train, spec)]
    return [_trained(spec, films, model, train, held, seed) for seed in range(spec.seeds)]


def _trained(
    spec: LeakageSpec, films: Films, kind: str, train: Picked, held: Picked, seed: int
) -> Step:
    net: Any = {"kind": kind, "head": spec.head, "width": WIDTHS[kind]}
    trial = Trial(
        NetSpec(**net),
        lr=spec.lr,
        n_in=spec.n_in,
        step=STEP,
        batch_size=spec.batch_size,
        budget_s=spec.budget_s,
        rounds=1,
        seed=seed,
    )
    stepper = new_stepper(films.world, trial)
    n_steps = max(1, int(spec.budget_s / step_seconds(spec.cells, films.world, trial)))
    key = {"world": films.world.identity, "net": net, "lr": spec.lr, "seed": seed, "steps": n_steps}
    key |= {"n_in": spec.n_in, "batch_size": spec.batch_size, "train": hash_of(train.tolist())}

    def make() -> Cell:
        shuffled = films.batches(train, spec.windows, batch_size=spec.batch_size, seed=seed)
        looked_at = films.batches(held, spec.windows)
        return train_on(stepper, StepBatches(shuffled, n_steps), looked_at, trial, 1)

    weights = spec.cells.get("leakage", key, make).arrays
    stepper.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return stepper.eval()


def leakage_text(spec: LeakageSpec, table: pd.DataFrame) -> str:
    """What each way reports, what the future says, and the difference."""
    rows = []
    for world in dict.fromkeys(table["world"]):
        for model in dict.fromkeys(table["model"]):
            for way in WAYS:
                own = {"world": world, "model": model, "way": way}
                told, true = (one_row(table, score=s, **own) for s in (REPORTED, FUTURE))
                worth = number(told["value"] - true["value"])
                ends = [with_interval(told), with_interval(true), worth]
                rows.append([world, model, way, f"{told['n_train']}", *ends])
    head = ["world", "model", "held back", "windows", "skill reported", "skill later", "too much"]
    return (
        f"Skill over persistence at lead 1 ({STEP} frames), {spec.n_in} frames given, "
        f"{spec.budget_s:g} CPU-seconds a net, {spec.seeds} seeds. Held back: windows at random; "
        "the last part of the film, a twin of every second frame trained on; the last part alone, "
        "as slime splits. Later: the validation split, which none had seen. The analogue forecasts "
        f"what followed the most similar window it knows.\n\n{markdown(head, rows)}\n"
    )
