"""Runs killed at random moments and resumed end as one that was never killed.

SLIME_KILLS=50 python -m pytest tests/test_kills.py -m slow -s --timeout=3600  # so many of each
"""

import math
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from kill_job import trained

from slime.files import read_lines

ROOT = Path(__file__).resolve().parents[1]
N_KILLS = int(os.environ.get("SLIME_KILLS", "3"))
N_TRAININGS = int(os.environ.get("SLIME_KILLS", "10"))
TIMES = ("seconds", "windows_per_s", "wait_share")
# of four kills two ask first, as a time limit or Ctrl-C does
ENDINGS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT)
WORDS = (
    "optim.epochs=6", "optim.batch_size=4", "optim.ema=0.9", "optim.noise=0.1", "net.width=8",
    "net.dropout=0.1", "landscape.points=0", "score.draws=20", "score.leads=2",
    "score.observables=false", "tracking.wandb=disabled", "save_every_s=0.02",
)  # fmt: skip


def start(store, out, *more, by=()):
    """The training of a run, begun or gone on with; `by` is what python runs the script by."""
    words = [store, f"out={out}", *WORDS, *more]
    words += ["resume=true"] if (out / "config.yaml").exists() else []
    return subprocess.Popen(
        [sys.executable, *by, ROOT / "scripts" / "train_slime.py", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def small_movie(folder):
    store = folder / "movie.zarr"
    rng = np.random.default_rng(0)
    zarr.create_array(str(store), data=rng.integers(1, 999, (90, 12, 14), dtype="uint16"))
    return store


def end_of(run):
    """All that a run ends with, but its times and what names its folder."""
    last = torch.load(run / "last.pt", weights_only=True)
    pictures = {path.name: path.read_bytes() for path in (run / "figures").iterdir()}
    pictures.pop("learning_curves.png")  # seconds along its axis
    return {
        "weights": [load["weights_hash"] for load in (last, torch.load(run / "best.pt"))],
        "state": {k: v for k, v in last["resume"].items() if k != "within"},
        "metrics": [
            {k: v for k, v in row.items() if k not in TIMES}
            for row in read_lines(run / "metrics.jsonl")
        ],
        "scores": (run / "scores.csv").read_bytes(),
        "pictures": pictures,
    }


def same(one, other):
    """Equality that knows tensors."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.slow
def test_a_run_killed_at_a_random_moment_ends_bitwise_as_one_never_killed(tmp_path):
    store = small_movie(tmp_path)
    began = time.monotonic()
    first = start(store, tmp_path / "whole")
    _, told = first.communicate()
    assert first.returncode == 0, told
    length = time.monotonic() - began
    whole = end_of(tmp_path / "whole")
    draw, where = random.Random(0), []
    for k in range(N_KILLS):
        out = tmp_path / f"cut-{k}"
        while True:
            process = start(store, out)
            if len(where) > k:
                _, told = process.communicate()
                assert process.returncode == 0, told
                break
            try:
                _, told = process.communicate(timeout=draw.uniform(0.1, 1.0) * length)
            except subprocess.TimeoutExpired:
                process.send_signal(ENDINGS[k % len(ENDINGS)])
                process.communicate()
                where.append(place(out))
        end = end_of(out)
        for name in whole:
            assert same(whole[name], end[name]), (name, where[k])
    print(f"{len(where)} kills: {', '.join(where)}")


def place(run):
    """What a killed run had saved last."""
    if not (run / "last.pt").exists():
        return "before training"
    saved = torch.load(run / "last.pt", weights_only=True)
    within = saved["resume"]["within"]
    at = f"{saved['epoch']}" + (f" + {within['batches']} batches" if within else "")
    return f"epoch {at}" + (", reported" if (run / "report.html").exists() else "")


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_there(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(true, what, seconds=100):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{seconds} s went by without {what}"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ranks are found by /proc")
def test_ranks_that_torchrun_ends_or_that_are_killed_go_on_as_if_never_stopped(tmp_path):
    store, out = small_movie(tmp_path), tmp_path / "cut"
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    n_epochs = 12
    more = (f"optim.epochs={n_epochs}", "sanity=false")

    def begin(n_rows):
        """The launcher and its ranks, when so many epochs are logged."""
        launcher = start(store, out, *more, by=torchrun)
        logged = out / "metrics.jsonl"
        wait_until(lambda: len(read_lines(logged)) >= n_rows, f"epoch {n_rows}")
        ranks = children(launcher.pid)
        assert len(ranks) == 2
        return launcher, ranks

    launcher, ranks = begin(2)
    launcher.terminate()  # it hands the signal on to its ranks
    _, told = launcher.communicate(timeout=25)  # it kills those that have not ended after 30 s
    assert launcher.returncode != 0
    assert told.count("interrupted; what was finished is saved") >= 1, told
    assert not any(map(is_there, ranks))
    n_rows = len(read_lines(out / "metrics.jsonl"))
    assert n_rows < n_epochs
    assert torch.load(out / "last.pt", weights_only=True)["epoch"] == n_rows

    launcher, ranks = begin(n_rows + 1)
    for pid in (launcher.pid, *ranks):
        os.kill(pid, signal.SIGKILL)
    launcher.communicate()
    wait_until(lambda: not any(map(is_there, ranks)), "an end of the ranks")
    assert len(read_lines(out / "metrics.jsonl")) < n_epochs

    for run in (out, tmp_path / "whole"):
        launcher = start(store, run, *more, by=torchrun)
        _, told = launcher.communicate()
        assert launcher.returncode == 0, told
    end, whole = end_of(out), end_of(tmp_path / "whole")
    for name in whole:
        assert same(whole[name], end[name]), name


def cpu_s(pid):
    """Processor seconds of a process so far: on a busy machine the clock says little."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return math.inf
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def end_of_training(run):
    """All that a training ends with, but its times."""
    saved = {str(p.relative_to(run)): torch.load(p, weights_only=True) for p in run.rglob("*.pt")}
    last = saved.pop("last.pt")
    saved.pop("before.pt")  # saved whenever it was time
    hashes = {name: content["weights_hash"] for name, content in saved.items()}
    rows = [
        {k: v for k, v in row.items() if k not in TIMES}
        for row in read_lines(run / "metrics.jsonl")
    ]
    return [hashes, last["weights"], last["resume"], rows]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="moments are told by /proc")
def test_a_training_killed_at_a_random_moment_ends_bitwise_as_one_never_killed(tmp_path):
    """Processes begin with everything imported, so that kills fall into the training itself."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["slime.run.saves", "slime.fit", "test_training"])

    def start(out):
        out.mkdir(exist_ok=True)
        process = context.Process(target=trained, args=(out,))
        process.start()
        return process

    first = start(tmp_path / "whole")
    first.join()
    assert first.exitcode == 0
    whole = end_of_training(tmp_path / "whole")
    length = float((tmp_path / "whole" / "cpu_s").read_text())
    draw, where = random.Random(0), []
    for k in range(N_TRAININGS):
        out = tmp_path / f"cut-{k}"
        process = start(out)
        began = cpu_s(process.pid)
        moment = began + draw.uniform(0, length)
        while process.is_alive() and cpu_s(process.pid) < moment:
            time.sleep(0.002)
        process.kill()
        process.join()
        where.append("ended" if process.exitcode == 0 else place(out))
        process = start(out)
        process.join()
        assert process.exitcode == 0
        assert same(whole, end_of_training(out)), where[-1]
        shutil.rmtree(out)
    assert any(" + " in told for told in where), where  # within an epoch
    print(f"{N_TRAININGS} kills: {', '.join(where)}")
