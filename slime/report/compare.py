"""Runs side by side, as one table."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pandas as pd

from slime.report.run_files import read_run
from slime.score_rows import COLUMNS


def compare(runs: Sequence[Path]) -> pd.DataFrame:
    """Scores of several runs as one tidy table: a row per run, seed, movie, lead, channel, score.

    Runs without scores (unfinished, failed) have no rows and stand in `.attrs["unfinished"]`,
    each with the reason. Runs are named by their folder; by their path where two names are equal.

    Raises:
        SlimeError: a folder that does not exist.
    """
    paths = [Path(run) for run in runs]
    names = [p.resolve().name for p in paths]
    labels = [str(p) if names.count(n) > 1 else n for p, n in zip(paths, names, strict=True)]
    tables, unfinished = [], []
    for path, label in zip(paths, labels, strict=True):
        folder = read_run(path)
        if folder.scores is None or folder.scores.empty:
            why = [m for m in folder.missing if m.startswith("scores.csv")]
            unfinished.append(f"{label}: {why[0] if why else 'scores.csv is empty'}")
        else:
            tables.append(folder.scores.assign(run=label))
    columns = ["run", *COLUMNS]
    nothing = pd.DataFrame({column: [] for column in columns})
    stacked = pd.concat(tables, ignore_index=True) if tables else nothing
    table = cast(pd.DataFrame, stacked[columns])
    table.attrs["unfinished"] = unfinished
    return table
