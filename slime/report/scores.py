"""Scores as the page shows them: pooled, averaged over seeds, in tables of text."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from slime.report.run_files import RunFiles
from slime.score_rows import COLUMNS, numbers_of, rows_where
from slime.texts import duration_text, number_text, skill_text

OTHER_SCORES = ("mae", "rmse", "r2", "vrmse", "pearson", "skill_ridge")


class Cell(NamedTuple):
    """A model's skill and MSE at one lead: text, and whether it is the best of its column."""

    skill: str
    interval: str
    mse: str
    is_best: bool


def score_table(folder: RunFiles, leads: Sequence[int]) -> list[Mapping[str, Any]]:
    """A row a model, ours first, persistence always: its skill and MSE at every lead."""
    held = list(dict.fromkeys(pooled(folder, "mse")["model"]))
    if not held:
        return []
    models = [m for m in (folder.net, "persistence") if m is not None]
    models += [m for m in held if m not in models]
    best = {lead: _best_model(folder, lead) for lead in leads}
    return [
        {
            "model": model,
            "is_net": model == folder.net,
            "seeds": len(set(pooled(folder, "mse", model=model)["seed"])),
            "cells": [_cell(folder, model, lead, best[lead] == model) for lead in leads],
        }
        for model in models
    ]


def _cell(folder: RunFiles, model: str, lead: int, is_best: bool) -> Cell:
    rows = pooled(folder, "skill", model=model, lead=lead)
    mse = mean_score(folder, "mse", model, lead)
    skill = mean_score(folder, "skill", model, lead)
    if skill is None and model == "persistence" and mse is not None:
        skill = 0.0
    return Cell(
        "–" if skill is None else "0 (reference)" if model == "persistence" else skill_text(skill),
        "" if model == "persistence" or skill is None else interval_text(rows) or "no interval",
        "not scored" if mse is None else f"MSE {number_text(mse)}",
        is_best,
    )


def _best_model(folder: RunFiles, lead: int) -> str | None:
    models = dict.fromkeys(str(m) for m in pooled(folder, "mse", lead=lead)["model"])
    means = {model: mean_score(folder, "mse", model, lead) for model in models}
    scored = {model: mean for model, mean in means.items() if mean is not None}
    return min(scored, key=scored.__getitem__) if scored else None


def part_rows(folder: RunFiles) -> list[Mapping[str, str]]:
    """Our net by movie and channel at the first lead, where there is more than one."""
    if folder.scores is None or folder.split is None:
        return []
    rows = rows_where(folder.scores, model=folder.net, split=folder.split, lead=1)
    places = dict.fromkeys(zip(rows["movie"], rows["channel"], strict=True))
    found = []
    for movie, channel in places:
        part = rows_where(rows, movie=movie, channel=channel)
        skill, mse = (rows_where(part, score=score) for score in ("skill", "mse"))
        worth, error = mean_value(skill), mean_value(mse)
        if worth is not None and (movie, channel) != ("all", "all"):
            found.append(
                {
                    "movie": str(movie),
                    "channel": str(channel),
                    "skill": skill_text(worth),
                    "interval": interval_text(skill),
                    "mse": "–" if error is None else number_text(error),
                }
            )
    return found


def other_scores(folder: RunFiles) -> Mapping[str, Any]:
    """The other scores at the first lead, and the horizon, a row a model."""
    scores = [s for s in OTHER_SCORES if len(pooled(folder, s))]
    rows = []
    for model in (str(row["model"]) for row in score_table(folder, [1])):
        values = [mean_score(folder, score, model, 1) for score in scores]
        texts = ["–" if v is None else number_text(v) for v in values]
        if "skill_ridge" in scores and values[-1] is not None:
            texts[-1] = skill_text(values[-1])
        rows.append((model, [*texts, _horizon(folder, model)]))
    return {"scores": scores, "rows": rows}


def _horizon(folder: RunFiles, model: str) -> str:
    """How far a model's forecasts stay correlated with the truth, and how many never part."""
    scores = ("horizon_0.8", "censored_0.8")
    frames, never = (mean_value(pooled(folder, score, model=model)) for score in scores)
    if frames is None:
        return "–"
    after = f" ({duration_text(frames * folder.lead_s)})" if folder.lead_s else ""
    if never is None:
        return f"lead {frames:.3g}{after}"
    beyond = "beyond " if never >= 0.5 else ""
    return f"{beyond}lead {frames:.3g}{after}; {100 * never:.0f} % never"


def pooled(folder: RunFiles, score: str, **equal: Any) -> pd.DataFrame:
    """Rows of one score over all movies and channels, in the page's split."""
    if folder.pooled is None:
        return pd.DataFrame({column: [] for column in COLUMNS})
    return rows_where(folder.pooled, score=score, **equal)


def table_leads(folder: RunFiles) -> list[int]:
    """Doubling leads, and the last."""
    held = numbers_of(pooled(folder, "mse"), "lead")
    leads = sorted({int(lead) for lead in held[np.isfinite(held)]})
    return [lead for lead in leads if lead & (lead - 1) == 0 or lead == leads[-1]]


def mean_score(folder: RunFiles, score: str, model: str | None, lead: int) -> float | None:
    """The mean over seeds; None where it was not scored."""
    return mean_value(pooled(folder, score, model=model, lead=lead))


def mean_value(rows: pd.DataFrame) -> float | None:
    """The mean of the rows that hold a number; None where none does."""
    values = numbers_of(rows, "value")
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else None


def interval_text(rows: pd.DataFrame) -> str:
    """'+0.350 to +0.470': of one seed its interval, of several their range; '' if unknown."""
    if len(rows) == 0:
        return ""
    low, high = ("low", "high") if len(rows) == 1 else ("value", "value")
    ends = numbers_of(rows, low).min(), numbers_of(rows, high).max()
    return " to ".join(skill_text(float(v)) for v in ends) if np.isfinite(ends).all() else ""


def seeds_text(folder: RunFiles) -> str:
    """'3 seeds' of our net in the page's split."""
    n_seeds = len(set(pooled(folder, "mse", model=folder.net)["seed"]))
    return f"{n_seeds} seed" if n_seeds == 1 else f"{n_seeds} seeds"
