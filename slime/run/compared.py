"""Runs side by side: grouped by all but their seed, scored together, written as tables."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slime.arguments import FREE_ON_RESUME
from slime.config import RunConfig, config_from_yaml
from slime.contest import contests, results
from slime.errors import SlimeError
from slime.files import write_text
from slime.held import REFERENCE, hold
from slime.report.compare import compare
from slime.run.folder import SEEDS_FILE, hash_of, names_apart
from slime.score_rows import rows_where
from slime.settings import setting

# what neither a trained net nor its windows depend on
FREE = ("seed", *FREE_ON_RESUME, "demo")


@dataclass(frozen=True)
class CompareSpec:
    """What is compared, and how sure of it we want to be."""

    out: str | None = setting(None, "a folder for scores.csv, results.csv and contests.csv")
    split: str = setting("test", "test or val, as the runs kept it")
    ours: str | None = setting(None, "the model that is compared with all others; the first")
    common: bool = setting(False, "keep the windows that all runs have, where some lack some")
    draws: int = setting(1000, "resamplings of seeds and blocks of time")
    level: float = setting(0.95, "coverage of the intervals")

    def __post_init__(self) -> None:
        if self.split not in ("val", "test"):
            raise SlimeError(f"split={self.split} must be val or test")
        if self.draws < 2:
            raise SlimeError(f"draws={self.draws} must be at least 2")
        if not 0 < self.level < 1:
            raise SlimeError(f"level={self.level} must be between 0 and 1")


def compare_runs(runs: Sequence[str | Path], spec: CompareSpec) -> Iterator[str]:
    """Compare runs, write the tables into `spec.out` where it is given, and tell lines of text.

    A folder of several seeds stands for its runs.

    Raises:
        SlimeError: no run, or runs that cannot be compared.
    """
    groups = same_but_seed(runs_in(runs))
    held = hold(groups, spec.split, common=spec.common)
    table = results(held, n_draws=spec.draws, level=spec.level)
    ours = spec.ours or next(iter(groups))
    wins = contests(held, ours, n_draws=spec.draws, level=spec.level)
    if spec.out is not None:
        folder = Path(spec.out)
        every = compare([run for of_group in groups.values() for run in of_group])
        for name, rows in (("scores", every), ("results", table), ("contests", wins)):
            write_text(folder / f"{name}.csv", rows.to_csv(index=False))
        yield f"{folder / 'results.csv'} and contests.csv, scores.csv of each run beside it"
    yield from told_lines(table, wins)


def runs_in(words: Sequence[str | Path]) -> list[Path]:
    """The runs that words name, a folder of several seeds standing for all of them.

    Raises:
        SlimeError: no word, or a folder without a run.
    """
    runs: list[Path] = []
    for path in map(Path, words):
        if (path / SEEDS_FILE).is_file():
            runs += sorted(file.parent for file in path.glob("seed*/config.yaml"))
        elif (path / "config.yaml").is_file():
            runs.append(path)
        else:
            raise SlimeError(f"there is no run in {path}")
    if not runs:
        raise SlimeError("name the runs to compare")
    return runs


def same_but_seed(runs: Sequence[Path]) -> dict[str, list[Path]]:
    """Runs by the settings of their training, their seed apart, in the order given.

    A group is named by its net; where groups share a net, by the folder of its first run too, with
    as many folders above it as tell them apart.
    """
    groups: dict[str, list[Path]] = {}
    kinds: dict[str, str] = {}
    for run in runs:
        config = config_from_yaml((run / "config.yaml").read_text(encoding="utf-8"))
        key = training_hash(config)
        kinds[key] = config.net.kind
        groups.setdefault(key, []).append(run)
    named = named_apart(list(kinds.values()), [of_group[0] for of_group in groups.values()])
    return dict(zip(named, groups.values(), strict=True))


def named_apart(kinds: Sequence[str], runs: Sequence[Path]) -> list[str]:
    """Names of runs by the kinds of their nets; where these recur, by their folders too.

    A run among several seeds goes by the folder of them all.
    """
    folders = [run.parent if (run.parent / SEEDS_FILE).is_file() else run for run in runs]
    return [
        kind if kinds.count(kind) == 1 else f"{kind} ({folder})"
        for kind, folder in zip(kinds, names_apart(folders), strict=True)
    ]


def training_hash(config: RunConfig) -> str:
    """A hash of all settings that a training depends on, but its seed."""
    tree = {name: value for name, value in asdict(config).items() if name not in FREE}
    return hash_of(tree | {"data": {k: v for k, v in tree["data"].items() if k != "memory_gib"}})


def told_lines(table: pd.DataFrame, wins: pd.DataFrame) -> Iterator[str]:
    """The pooled scores at lead 1, a line a model, and the contests of skill."""
    pooled = rows_where(table, movie="all", channel="all").to_dict("records")
    for model in dict.fromkeys(row["model"] for row in pooled if row["model"] != REFERENCE):
        rows = [row for row in pooled if row["model"] == model and row["lead"] in (0, 1)]
        n_seeds = rows[0]["n_seeds"]
        parts = [f"{row['score']} {_sure(row, sign=row['score'] == 'skill')}" for row in rows]
        yield f"{model}, {n_seeds} seed{'s' if n_seeds > 1 else ''}: {'; '.join(parts)}"
    for row in rows_where(wins, score="skill").to_dict("records"):
        if row["movie"] in ("all", "mean"):
            over = " over held-out movies" if row["movie"] == "mean" else ""
            p = f", p {row['p_holm']:.2g} (Holm)" if np.isfinite(row["p_holm"]) else ""
            note = f" ({row['note']})" if row["note"] else ""
            pair = f"{row['model']} less {row['rival']}{over}"
            yield f"{pair}, skill at lead 1: {_sure(row)}{p}{note}"


def _sure(row: Mapping[Hashable, Any], *, sign: bool = True) -> str:
    value, low, high = (f"{row[end]:{'+' if sign else ''}.3f}" for end in ("value", "low", "high"))
    return value + (f" [{low} to {high}]" if np.isfinite(row["low"]) else "")
