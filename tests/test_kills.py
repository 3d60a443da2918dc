"""Runs killed at random moments and resumed end as one that was never killed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from slime.files import read_lines

ROOT = Path(__file__).resolve().parents[1]
N_RUNS = 4


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_bitwise_as_one_never_killed(tmp_path):
    store = tmp_path / "movie.zarr"
    rng = np.random.default_rng(0)
    zarr.create_array(str(store), data=rng.integers(1, 999, (60, 12, 14), dtype="uint16"))
    words = [
        "optim.epochs=8", "net.width=8", "net.dropout=0.1", "landscape.points=0", "score.draws=20",
        "score.leads=2", "tracking.wandb=disabled",
    ]  # fmt: skip

    def start(out, *more):
        command = [sys.executable, ROOT / "scripts" / "train_slime.py", store, f"out={out}"]
        return subprocess.Popen(
            [*command, *words, *more],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    whole = tmp_path / "whole"
    began = time.monotonic()
    first = start(whole)
    _, told = first.communicate()
    assert first.returncode == 0, told
    length = time.monotonic() - began
    draw = random.Random(0)
    n_kills = 0
    for k in range(N_RUNS):
        out = tmp_path / f"cut-{k}"
        while True:
            process = start(out, *(["resume=true"] if (out / "config.yaml").exists() else []))
            try:
                # early enough to fall into training too, which is the first half of a run
                _, told = process.communicate(timeout=draw.uniform(0.2, 1.0) * length)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                n_kills += 1
                continue
            assert process.returncode == 0, told
            break
        ends = [torch.load(r / "last.pt", weights_only=True) for r in (whole, out)]
        assert ends[0]["weights_hash"] == ends[1]["weights_hash"]
        keys = ("epoch", "train_loss", "val_loss", "val_skill", "lr", "best")
        rows = [[{k: r[k] for k in keys} for r in read_lines(f / "metrics.jsonl")]
                for f in (whole, out)]  # fmt: skip
        assert rows[0] == rows[1]
        assert (whole / "scores.csv").read_bytes() == (out / "scores.csv").read_bytes()
    assert n_kills >= N_RUNS
