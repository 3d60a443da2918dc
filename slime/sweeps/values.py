"""The value of a metric that a run has reached, by wandb's name of it."""

from pathlib import Path

import numpy as np

from slime.errors import SlimeError
from slime.files import read_lines
from slime.report.run_files import read_run
from slime.score_rows import numbers_of, rows_where
from slime.tracking import wandb_key


def metric_of(run: Path, name: str) -> float | None:
    """A metric of a run's best epoch, or of its scores; None where it has none.

    Args:
        name: as wandb has it: `val/skill@1` is a score of the best weights at lead 1, `val/skill`
            what validation came to in the epoch that they are of.
    """
    if not run.is_dir():
        return None
    found = _score(run, name) if "@" in name else _of_epoch(run, name)
    return found if found is not None and np.isfinite(found) else None


def _of_epoch(run: Path, name: str) -> float | None:
    best = [row for row in read_lines(run / "metrics.jsonl") if row.get("best")]
    values = {wandb_key(key): value for key, value in best[-1].items()} if best else {}
    value = values.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def _score(run: Path, name: str) -> float | None:
    try:
        folder = read_run(run)
    except SlimeError:
        return None
    split, _, rest = name.partition("/")
    score, _, lead = rest.partition("@")
    if folder.scores is None or not lead.isdigit():
        return None
    place = {"movie": "all", "channel": "all", "model": folder.net}
    rows = rows_where(folder.scores, split=split, score=score, lead=int(lead), **place)
    return float(numbers_of(rows, "value")[0]) if len(rows) else None
