"""What the page says in sentences: the headline, its numbers, the test split, the notes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from slime.report.run_files import RunFiles
from slime.report.scores import (
    interval_text,
    mean_score,
    mean_value,
    pooled,
    seeds_text,
    table_leads,
)
from slime.score_rows import numbers_of
from slime.texts import lead_text, number_text, skill_text


def headline(folder: RunFiles) -> str:
    """How much better than persistence at lead 1, with interval, unit, split and seeds."""
    rows = pooled(folder, "skill", model=folder.net, lead=1)
    skill = mean_value(rows)
    if skill is None:
        return "No forecast has been scored yet."
    side = "lower" if skill >= 0 else "higher"
    where = f"on the {_split_words(folder.split)}"
    spread = interval_text(rows)
    sure = f"{folder.level}interval {spread}, 1 seed" if spread else "no interval, 1 seed"
    if len(rows) > 1:
        sure = f"{spread} over {len(rows)} seeds"
    verdict = "" if skill > 0 else " Repeating the last frame is at least as good."
    return (
        f"At {lead_text(1, folder.lead_s)} the {folder.net}'s squared error is "
        f"{abs(skill) * 100:.0f} % {side} than that of persistence {where} "
        f"(skill {skill_text(skill)}, {sure}).{verdict}"
    )


def sentences(folder: RunFiles) -> list[str]:
    """The numbers behind the headline, each with unit, lead, split, baseline and seed count."""
    said = []
    for lead in table_leads(folder)[:1] + table_leads(folder)[1:][-1:]:
        of_lead = {
            score: mean_score(folder, score, folder.net, lead)
            for score in ("mse", "skill", "skill_ridge")
        }
        if of_lead["mse"] is None or of_lead["skill"] is None:
            continue
        ridge = of_lead["skill_ridge"]
        against = f", {skill_text(ridge)} over the ridge stencil" if ridge is not None else ""
        said.append(
            f"MSE {number_text(of_lead['mse'])} ({folder.unit}, squared) at "
            f"{lead_text(lead, folder.lead_s)}, skill {skill_text(of_lead['skill'])} over "
            f"persistence{against}, {_split_words(folder.split)}, {seeds_text(folder)}."
        )
    return said


def openings(folder: RunFiles) -> Mapping[str, Any]:
    """Whether and how often the test split was opened: text, its openings, and if it is loud."""
    mine = {line.get("split_hash") for line in folder.ledger if _is_of(line, folder)}
    lines = [line for line in folder.ledger if not mine or line.get("split_hash") in mine]
    # seeds of one command open it together, several lines of one opening
    n_times = max((int(line.get("opening") or i) for i, line in enumerate(lines, 1)), default=0)
    scored = folder.scores is not None and "test" in set(folder.scores["split"])
    if n_times == 0 and scored:
        text, loud = "Test was scored, but the ledger is missing: openings unknown", True
    elif n_times == 0:
        text, loud = "Test not opened", False
    elif n_times == 1:
        text, loud = f"Test opened once ({lines[0].get('time', 'time unknown')})", False
    else:
        text = f"Test opened {n_times} times: its scores may be fitted to it"
        loud = True
    if n_times and not scored:
        by_us = any(_is_of(line, folder) for line in lines)
        text += "; its scores are missing here" if by_us else "; test not opened by this run"
    columns = list(dict.fromkeys(key for line in lines for key in line))
    return {"text": text, "loud": loud, "lines": lines, "columns": columns}


def _is_of(line: Mapping[str, Any], folder: RunFiles) -> bool:
    return Path(str(line.get("run", ""))).name in (folder.path.resolve().name, folder.name)


def best_epoch(folder: RunFiles) -> str:
    """Which epoch the weights are from, and its validation skill."""
    if not folder.epochs:
        return "No epoch is recorded."
    last = folder.epochs[-1].get("epoch", "?")
    best = [e for e in folder.epochs if e.get("best")][-1:]
    if not best:
        return f"{len(folder.epochs)} epochs recorded, the last {last}; none marked as the best."
    skill = best[0].get("val_skill")
    said = f", validation skill {skill_text(skill)} over persistence" if skill is not None else ""
    return f"Best epoch {best[0].get('epoch', '?')} of {len(folder.epochs)}{said}."


def notes(folder: RunFiles) -> list[str]:
    """What the run said of itself, and what the page has to add."""
    said = [str(n) for n in folder.about.get("notes", [])]
    if table_leads(folder) and folder.lead_s is None:
        said.append("Leads are in frames: the frame interval is unknown or differs between movies.")
    low = numbers_of(pooled(folder, "skill", model=folder.net), "low")
    if len(low) and np.isnan(low).all():
        said.append("Skill has no interval: none was asked for, or the split holds too few blocks.")
    return said


def _split_words(split: str | None) -> str:
    return {"val": "validation split"}.get(str(split), f"{split} split")
