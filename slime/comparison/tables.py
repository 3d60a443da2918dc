"""The tables of a comparison: models with every seed, settings that differ, where runs ran."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from slime.comparison.costs import Costs
from slime.comparison.gather import Gathered
from slime.held import REFERENCE, Held
from slime.report.facts import git_text
from slime.report.run_files import RunFiles
from slime.report.scores import mean_value
from slime.score_rows import rows_where
from slime.seeds import plain_score
from slime.statistic import statistic

SHOWN = ("skill", "vrmse", "horizon_0.8")
COMMON = ("python", "torch", "numpy", "platform", "device", "threads")


def model_rows(
    held: Held, table: pd.DataFrame, costs: Mapping[str, Costs], nets: Sequence[str]
) -> list[dict[str, Any]]:
    """A row a model, our nets first, the best first: scores at lead 1, every seed's, and costs."""
    models = [name for name in held.models if name != REFERENCE]
    rows = [_model_row(name, held, table, costs.get(name), name in nets) for name in models]
    return sorted(rows, key=lambda row: (not row["is_net"], -(row["skill"]["value"] or -np.inf)))


def _model_row(
    name: str, held: Held, table: pd.DataFrame, costs: Costs | None, is_net: bool
) -> dict[str, Any]:
    row: dict[str, Any] = {"model": name, "is_net": is_net, "n_seeds": len(held.models[name])}
    for score in SHOWN:
        how = statistic(score, held.about.variance)
        lead = 1 if how.has_leads else 0
        place = {"movie": "all", "channel": "all", "score": score, "lead": lead}
        pooled = rows_where(table, model=name, **place)
        seeds = [float(plain_score(how, t, held.still)[0, -1]) for t in held.models[name]]
        row[score] = {
            "value": mean_value(pooled),
            "low": _finite(pooled["low"].iloc[0]),
            "high": _finite(pooled["high"].iloc[0]),
            "seeds": seeds if is_net else [],
            "spread": float(np.std(seeds, ddof=1)) if len(seeds) > 1 else None,
        }
    return row | {"costs": costs._asdict() if costs else None}


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def run_rows(gathered: Gathered) -> list[dict[str, Any]]:
    """A row a run: whose it is, its seed, when, from which commit, and the command."""
    rows = []
    for name, runs in gathered.groups.items():
        for run in runs:
            ran = run.environment
            rows.append(
                {
                    "model": name,
                    "run": str(run.path),
                    "seed": run.config.get("seed"),
                    "epochs": len(run.epochs),
                    "started": ran.get("started", "?"),
                    "git": git_text(ran),
                    "command": ran.get("command", "unknown"),
                }
            )
    return rows


def environment_rows(runs: Sequence[RunFiles]) -> dict[str, str]:
    """Where the runs ran: one text a fact, several values where runs differ."""
    facts = {}
    for key in COMMON:
        values = dict.fromkeys(str(run.environment.get(key, "?")) for run in runs)
        facts[key] = "; ".join(values)
    facts["git"] = "; ".join(dict.fromkeys(git_text(run.environment) for run in runs))
    return facts
