"""Scores as the page shows them: pooled, averaged over seeds, in tables of text."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from slime.report.run_files import RunFiles
from slime.score_rows import COLUMNS, numbers_of, rows_where
from slime.texts import duration_text, lead_text, number_text, skill_text

PIXELS = ("mae", "rmse", "vrmse", "frame_vrmse", "nrmse", "r2", "psnr")
AGREEMENT = ("skill_ridge", "skill_climatology", "pearson", "acc", "mass_drift", "w1")
WAVES = (
    "ssim",
    "h1",
    "frmse_low",
    "frmse_mid",
    "frmse_high",
    "energy_ratio_high",
    "coherence_error_high",
    "log_spectral_distance",
)
HORIZONS = ("horizon_0.8", "horizon_0.9", "horizon_0.95")


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


def other_tables(folder: RunFiles) -> list[Mapping[str, Any]]:
    """The other scores in tables that fit a page, a row a model; none without a score."""
    leads = [lead for lead in table_leads(folder) if len(pooled(folder, "ssim", lead=lead))]
    asked = [("Pixels", PIXELS, 1), ("Agreement", AGREEMENT, 1)]
    asked += [("Structure and waves", WAVES, lead) for lead in sorted({*leads[:1], *leads[-1:]})]
    asked += [("Several leads together", _windows(folder), 0), ("Horizons", HORIZONS, 0)]
    models = [str(row["model"]) for row in score_table(folder, [1])]
    tables = []
    for title, names, lead in asked:
        scores = [name for name in names if len(pooled(folder, name, lead=lead))]
        rows = [(model, [_text(folder, s, model, lead) for s in scores]) for model in models]
        at = f", {lead_text(lead, folder.lead_s)}" if lead else ""
        if scores:
            tables.append({"title": title + at, "scores": scores, "rows": rows})
    return tables


def _windows(folder: RunFiles) -> list[str]:
    """Skill and vrmse over several leads, as scores are named."""
    if folder.pooled is None:
        return []
    names = [str(name) for name in dict.fromkeys(folder.pooled["score"]) if ":" in str(name)]
    return [n for n in names if n.rpartition("_")[0] in ("skill", "vrmse", "skill_ridge")]


def _text(folder: RunFiles, score: str, model: str, lead: int) -> str:
    if score.startswith("horizon"):
        return _horizon(folder, score, model)
    value = mean_score(folder, score, model, lead)
    if value is None:
        return "–"
    return skill_text(value) if score.startswith("skill") else number_text(value)


def _horizon(folder: RunFiles, score: str, model: str) -> str:
    """How far a model's forecasts stay correlated with the truth, and how many never part."""
    scores = (score, score.replace("horizon", "censored"))
    frames, never = (mean_value(pooled(folder, s, model=model)) for s in scores)
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
