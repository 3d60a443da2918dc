"""What a net's design buys: skill for processor seconds and operations, at lead 1 and rolled out.

Every net trains for the same CPU-seconds, under several budgets; on the validation split they meet
at lead 1 and as rollouts, whose order need not be the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from slime.fit import persistence
from slime.progress import Progress
from slime.score_rows import numbers_of, rows_where
from slime.settings import setting
from slime.stepper import Stepper, weights_hash
from slime.studies.meet import meet, tallied
from slime.studies.results import ResultsSpec, train_all
from slime.studies.rows import COLUMNS, LEADS, score_rows
from slime.studies.tables import horizon_text, markdown, number, one_row, with_interval
from slime.studies.worlds import World

FORWARD_AND_BACK = 3  # a training step costs about three times its forward pass
MORE = ("budget_s", "steps", "cpu_s", "weights", "mflop", "gflop_trained")


@dataclass(frozen=True)
class ArchitectureSpec(ResultsSpec):
    """The settings of the study of nets; it looks at validation alone."""

    study: str = setting("architecture", "which study")
    budgets: list[float] = setting([2.0, 6.0], "CPU-seconds of training steps, one after the other")


def study_architecture(
    spec: ArchitectureSpec, worlds: Sequence[World], *, progress: Progress | None = None
) -> pd.DataFrame:
    """Rows of every world, budget and net on validation, with what its training cost."""
    rows: list[dict[str, Any]] = []
    for budget in spec.budgets:
        own = replace(spec, budget_s=budget, split="val")
        chosen = train_all(own, worlds, progress=progress)
        for world in worlds:
            meeting = meet(world, "val", n_in=spec.n_in, leads=spec.leads, hop=spec.hop)
            still = tallied(spec.cells, meeting, "persistence", {}, lambda _: persistence)
            variance = world.scale.std.double().numpy() ** 2
            for one in chosen[world.name]:
                tallies = [
                    tallied(
                        spec.cells,
                        meeting,
                        one.name,
                        {"weights": weights_hash(stepper.state_dict())},
                        lambda _, own=stepper: own,
                    )
                    for stepper in one.steppers
                ]
                flop = forward_flop(one.steppers[0], world)
                mean = {k: float(np.mean([f[k] for f in one.facts])) for k in ("steps", "cpu_s")}
                cost = {"budget_s": budget, **mean, "weights": one.facts[0]["weights"]}
                trained = FORWARD_AND_BACK * flop * spec.batch_size * mean["steps"]
                cost |= {"mflop": flop / 1e6, "gflop_trained": trained / 1e9}
                labels = {"world": world.name, "model": one.name, "head": one.head, **cost}
                rows += score_rows(labels, tallies, still, variance, spec)
    return pd.DataFrame(rows, columns=[*COLUMNS, *MORE])


def forward_flop(stepper: Stepper, world: World) -> int:
    """Multiplications and additions of matrix products and convolutions that one frame costs.

    Fourier transforms and what is done pixel by pixel are not counted.
    """
    past = torch.zeros(1, stepper.n_in, len(world.channels), *world.size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        stepper(past)
    return counter.get_total_flops()


def far_lead(spec: ArchitectureSpec, table: pd.DataFrame) -> int:
    """The lead of LEADS, 16 at most, at which rollouts are ranked."""
    there = set(rows_where(table, score="skill_rollout")["lead"])
    return max(lead for lead in LEADS if lead in there and lead <= min(16, spec.leads))


def ranks(table: pd.DataFrame, lead: int) -> pd.DataFrame:
    """World, budget_s, model, near and far: places by skill at lead 1 and by that of rollouts."""
    parts = []
    for world, budget, own in _settings(table):
        near = rows_where(own, score="skill").set_index("model")["value"]
        far = rows_where(own, score="skill_rollout", lead=lead).set_index("model")["value"]
        places = pd.DataFrame(
            {"near": near.rank(ascending=False), "far": far.rank(ascending=False)}
        )
        parts.append(places.reset_index().assign(world=world, budget_s=budget))
    return pd.concat(parts)


def _settings(table: pd.DataFrame) -> Iterator[tuple[str, float, pd.DataFrame]]:
    for world in dict.fromkeys(table["world"]):
        here = rows_where(table, world=world)
        for budget in dict.fromkeys(here["budget_s"]):
            yield str(world), float(budget), rows_where(here, budget_s=budget)


def architecture_text(spec: ArchitectureSpec, table: pd.DataFrame) -> str:
    """Costs and scores of every net, and how its place at lead 1 tells that of its rollouts."""
    lead, parts = far_lead(spec, table), []
    places = ranks(table, lead)
    for world, budget, own in _settings(table):
        here = rows_where(places, world=world, budget_s=budget).set_index("model")
        lines = []
        for model in here.sort_values("near").index:
            row = one_row(own, score="skill", model=model)
            costs = [f"{row['steps']:.0f}", f"{row['mflop']:.1f}", f"{row['gflop_trained']:.0f}"]
            ahead = one_row(own, score="skill_rollout", model=model, lead=lead)
            scores = [with_interval(row), number(ahead["value"]), horizon_text(own, model=model)]
            order = f"{here['near'][model]:.0f} / {here['far'][model]:.0f}"
            lines.append([model, *costs, *scores, order])
        near, far = (numbers_of(here, column) for column in ("near", "far"))
        rho = float(np.corrcoef(near, far)[0, 1])  # of places: Spearman's
        head = ["net", "steps", "MFLOP a frame", "GFLOP trained", "skill at lead 1"]
        head += [f"skill at lead {lead}", "T_0.8", f"place at 1 / {lead}"]
        said = f"Places at lead 1 and {lead}: Spearman's rho {number(rho, 2)}."
        parts.append(f"## {world}, {budget:g} CPU-seconds\n\n{markdown(head, lines)}\n\n{said}\n")
    top = (
        f"Validation split, {spec.seeds} seeds, {spec.n_in} frames given. FLOP: matrix products "
        "and convolutions, no Fourier transforms; a training step is three forward passes.\n"
    )
    return "\n".join([top, *parts])
