"""The table of results as people read it: a page with all scores, and a short form of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from slime.ceiling import CEILING
from slime.score_rows import rows_where
from slime.studies.entrants import Entered
from slime.studies.results import ResultsSpec
from slime.studies.tables import horizon_text, markdown, number, one_row, with_interval
from slime.studies.worlds import World

HEADER = ["model", "head, rate", "seeds", "steps", "CPU-s", "skill at lead 1", "of ceiling"]
HEADER += ["VRMSE", "T_0.8"]


def results_text(
    spec: ResultsSpec,
    worlds: Sequence[World],
    table: pd.DataFrame,
    chosen: Mapping[str, Sequence[Entered]],
) -> str:
    """Every world with its models: steps, skill, pooled VRMSE, horizon, share of the ceiling."""
    parts = [_said(spec)]
    for world in worlds:
        rows = rows_where(table, world=world.name)
        nets = {one.name: one for one in chosen[world.name]}
        top = one_row(rows, score=CEILING)
        said = f" Noise ceiling: skill {number(top['value'])}." if top is not None else ""
        lines = [
            [
                model,
                *_effort(nets.get(model)),
                with_interval(one_row(rows, model=model, score="skill")),
                _share(rows, model, top),
                with_interval(one_row(rows, model=model, score="vrmse"), sign=False),
                horizon_text(rows, model=model),
            ]
            for model in _by_skill(rows)
        ]
        about = (f"{world.says}." if world.says else "") + said
        parts.append(f"## {world.name}\n\n{about.strip()}\n\n{markdown(HEADER, lines)}")
    return "\n\n".join(parts) + "\n"


def short_text(spec: ResultsSpec, worlds: Sequence[World], table: pd.DataFrame) -> str:
    """A row a model: skill at lead 1 with its interval on each world, and T_0.8."""
    order = _by_skill(rows_where(table, world=worlds[0].name))
    models = [*[m for m in order if m in spec.nets], *[m for m in order if m not in spec.nets]]
    rows = []
    for model in models:
        cells = []
        for world in worlds:
            own = {"world": world.name, "model": model}
            skill = one_row(table, score="skill", **own)
            text = with_interval(skill) if skill is not None else "–"
            cells.append(f"{text}; {horizon_text(table, **own)}")
        rows.append([model, *cells])
    tops = [one_row(table, world=world.name, score=CEILING) for world in worlds]
    if any(top is not None for top in tops):
        told = [number(top["value"]) if top is not None else "–" for top in tops]
        rows.append(["*noise ceiling*", *told])
    return f"{_said(spec)}\n\n{markdown(['model', *(w.name for w in worlds)], rows)}"


def _said(spec: ResultsSpec) -> str:
    return (
        f"{spec.split} split; skill over persistence at lead 1, and T_0.8, the median lead at "
        f"which a rollout's correlation falls under 0.8 (in brackets the share that held for all "
        f"leads). Nets: {spec.budget_s:g} CPU-seconds of training steps each, head and learning "
        f"rate chosen on validation ({len(spec.heads) * len(spec.lrs)} trials), {spec.seeds} seeds "
        f"({spec.headline_seeds} of {spec.headline}), {spec.n_in} frames given. Intervals of "
        f"{spec.level:.0%} over seeds and blocks of time; none where there are too few blocks."
    )


def _by_skill(rows: pd.DataFrame) -> list[str]:
    skills = rows_where(rows, score="skill").sort_values(by="value", ascending=False, kind="stable")
    return list(skills["model"])


def _effort(one: Entered | None) -> list[str]:
    """Head and rate chosen, seeds, steps and CPU-seconds of a net; a baseline has none."""
    if one is None:
        return ["", "", "", ""]
    used = [facts["cpu_s"] for facts in one.facts]
    mean = sum(used) / len(used)
    picked = f"{one.head}, {one.trial.lr:g}"
    return [picked, f"{len(one.steppers)}", f"{one.facts[0]['steps']}", f"{mean:.1f}"]


def _share(rows: pd.DataFrame, model: str, top: Any) -> str:
    skill = one_row(rows, model=model, score="skill")
    if top is None or skill is None or top["value"] <= 0:
        return "–"
    return f"{skill['value'] / top['value']:.0%}".replace("-", "−")
