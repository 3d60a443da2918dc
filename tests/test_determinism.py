"""The same seed and settings give the same numbers, and a run's folder says how to get them."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from slime.files import read_lines

ROOT = Path(__file__).resolve().parents[1]
TIMES = {"seconds", "windows_per_s", "wait_share"}
QUICK = [
    *("optim.epochs=2", "net.width=4", "net.depth=2", "net.dropout=0.1", "landscape.points=0"),
    *("score.leads=2", "score.draws=20", "score.observables=false", "tracking.wandb=disabled"),
]


def rows_without_times(run):
    rows = read_lines(run / "metrics.jsonl")
    assert set(rows[0]) >= TIMES
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


@pytest.mark.slow
def test_the_command_that_a_run_names_gives_the_same_numbers_again(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.integers(1, 999, (60, 12, 14), dtype="uint16")
    zarr.create_array(str(tmp_path / "my dish.zarr"), data=frames)

    def train(*words):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr

    script = str(ROOT / "scripts" / "train_slime.py")
    train(script, "my dish.zarr", "out=first", *QUICK)
    told = json.loads((tmp_path / "first" / "environment.json").read_text())
    program, *words = shlex.split(told["command"])
    assert program == "python"
    assert told["git dirty"] in (True, False, None)
    assert (told["git commit"] is None) == (told["git dirty"] is None)
    train(*["out=again" if word == "out=first" else word for word in words])
    train(*["out=other" if word == "out=first" else word for word in words], "seed=1")
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    assert rows_without_times(first) == rows_without_times(again)
    assert rows_without_times(first) != rows_without_times(other)
    for name in ("scores.csv", "waves.csv"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
