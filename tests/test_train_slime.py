"""The main job from its command line: stores in, a scored run out, one line a mistake."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
import zarr
from scripts_by_name import script

from baselines import BASELINES
from slime.checkpoint import load_run
from slime.errors import SlimeError
from slime.files import read_lines
from slime.movie import open_movie
from slime.nets import NetKind
from slime.run.calibrated import load_half_widths
from slime.seeds import combined
from slime.statistic import statistic
from slime.tallies import load_tallies

ROOT = Path(__file__).resolve().parents[1]
MEASURED = (
    "optim.epochs=2",
    "net.width=4",
    "net.depth=2",
    "landscape.points=3",
    "score.leads=2",
    "score.draws=20",
    "tracking.wandb=disabled",
)
QUICK = (*MEASURED, "score.observables=false")


def waves(n=60, y=12, x=14, seed=0):
    """A wave that crosses the frame under a little noise, as counts of a camera."""
    rng = np.random.default_rng(seed)
    t, _, column = np.mgrid[:n, :y, :x]
    clean = 1000 + 400 * np.sin(2 * np.pi * (column / 7 - t / 9) + seed)
    return (clean + rng.normal(0, 20, clean.shape)).astype("uint16")


@pytest.fixture
def store(tmp_path):
    xr.Dataset({"movie": (("time", "y", "x"), waves())}).to_zarr(
        tmp_path / "a wave.zarr", consolidated=False
    )
    return tmp_path / "a wave.zarr"


def train(*words):
    script("train_slime")([str(w) for w in words])


def test_a_store_goes_in_and_a_scored_page_comes_out(store, tmp_path, capsys):
    train(store, f"out={tmp_path / 'run'}", "test=true", *MEASURED)
    run = tmp_path / "run"
    names = {p.name for p in run.iterdir()}
    assert {"config.yaml", "environment.json", "metrics.jsonl", "best.pt", "last.pt"} <= names
    assert {"scores.csv", "waves.csv", "report.html", "ledger.jsonl", "run.json"} <= names
    kept = load_tallies(run, "test")
    assert (kept.model, kept.seed, set(kept.of)) == ("cnn", 0, {"cnn", *BASELINES})
    figures = {p.name for p in (run / "figures").iterdir()}
    assert figures == {
        "movie.png",
        "observables.png",
        "learning_curves.png",
        "strip.png",
        "skill_by_lead.png",
        "waves.png",
        "landscape.png",
        "rollout.gif",
        "splits.png",
    }
    failures = json.loads((run / "run.json").read_text())["failures"]
    still = [f["split"] for f in failures if (f["model"], f["kind"]) == ("persistence", "freeze")]
    assert still == ["val", "test"]
    scores = pd.read_csv(run / "scores.csv")
    assert set(scores.model) == {"cnn", "noise ceiling", *BASELINES}
    assert set(scores.split) == {"val", "test"}
    said = capsys.readouterr().out
    assert "net: cnn sees 2 px around a pixel" in said
    assert "cnn sees 2 px around a pixel" in (run / "report.html").read_text()
    page, headline = said.strip().splitlines()[-2:]
    assert page == str(run / "report.html")
    assert "than persistence at lead 1, test split" in headline
    skill = scores.query(
        "model == 'cnn' and movie == 'all' and split == 'test' and score == 'skill' and lead == 1"
    )
    assert f"skill {skill.value.item():+.3f}" in headline
    held = load_half_widths(run, load_run(run).weights_hash)
    assert held is not None
    assert held.half.shape == (2, 1)
    shares = scores.query("score == 'coverage_0.9' and split == 'test'")
    assert len(shares) == np.isfinite(held.half).sum()
    again = combined([kept.of["cnn"]], statistic("skill"), [kept.of["persistence"]])
    assert again.value[0, -1] == pytest.approx(skill.value.item(), rel=1e-9)


def test_observables_of_rollouts_are_scores_of_every_model_and_can_be_left_out(store, tmp_path):
    train(store, f"out={tmp_path / 'run'}", *MEASURED)
    seen = pd.read_csv(tmp_path / "run" / "observables.csv")
    assert set(seen.model) == {"truth", "cnn", *BASELINES}
    # a wave of 9 frames in the 9 frames of val, of which two are given
    assert seen.query("model == 'truth' and score == 'period'").value.isna().all()
    still = seen.query("model == 'persistence' and score == 'density_variance'")
    assert sorted(still.lead) == [1, 2, 3, 4, 6, 7]
    assert still.value.nunique() == 1
    train(store, f"out={tmp_path / 'off'}", "score.observables=false", *MEASURED)
    assert not (tmp_path / "off" / "observables.csv").exists()
    with pytest.raises(SlimeError, match="observables=sometimes must be auto, true or false"):
        train(store, f"out={tmp_path / 'no'}", "score.observables=sometimes", *MEASURED)


@pytest.mark.slow
def test_the_table_can_be_made_again_from_the_checkpoint_and_the_store(store, tmp_path):
    train(store, f"out={tmp_path / 'run'}", *QUICK)
    first = pd.read_csv(tmp_path / "run" / "scores.csv")
    script("evaluate")([str(tmp_path / "run"), "split=val"])
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run" / "scores.csv"), first)


@pytest.mark.slow
def test_training_leaves_the_test_split_closed_until_asked(store, tmp_path, capsys):
    train(store, f"out={tmp_path / 'run'}", *MEASURED)
    assert set(pd.read_csv(tmp_path / "run" / "scores.csv").split) == {"val"}
    assert set(pd.read_csv(tmp_path / "run" / "observables.csv").split) == {"val"}
    assert not (tmp_path / "ledger.jsonl").exists()
    for opening in (1, 2):
        script("evaluate")([str(tmp_path / "run")])
        assert len(read_lines(tmp_path / "ledger.jsonl")) == opening
    assert set(pd.read_csv(tmp_path / "run" / "scores.csv").split) == {"val", "test"}
    notes = json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
    assert any("has now been opened 2 times" in note for note in notes)
    opened = pd.read_csv(tmp_path / "run" / "scores.csv")
    assert set(pd.read_csv(tmp_path / "run" / "observables.csv").split) == {"val", "test"}
    script("evaluate")([str(tmp_path / "run"), "split=val"])
    assert set(pd.read_csv(tmp_path / "run" / "observables.csv").split) == {"val", "test"}
    kept = pd.read_csv(tmp_path / "run" / "scores.csv")
    columns = ["split", "model", "movie", "channel", "score", "lead"]
    pd.testing.assert_frame_equal(
        kept.sort_values(columns, ignore_index=True), opened.sort_values(columns, ignore_index=True)
    )


def test_test_frames_change_no_weight_and_no_baseline(store, tmp_path):
    """Nothing is fitted on the test frames: poisoning them leaves weights and val scores alone."""
    train(store, f"out={tmp_path / 'one'}", *QUICK)
    group = zarr.open_group(str(store), mode="r+")
    frames = group["movie"][:]
    frames[54:] = np.random.default_rng(0).integers(0, 60000, frames[54:].shape)
    group["movie"][:] = frames
    train(store, f"out={tmp_path / 'two'}", *QUICK)
    one, two = (
        torch.load(tmp_path / r / "best.pt", weights_only=True)["weights_hash"]
        for r in ("one", "two")
    )
    assert one == two
    first, second = (pd.read_csv(tmp_path / r / "scores.csv") for r in ("one", "two"))
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("kind", get_args(NetKind))
@pytest.mark.parametrize("n_in", [1, 3])
def test_every_net_and_window_trains(store, tmp_path, kind, n_in):
    asked = (f"net.kind={kind}", "net.depth=3", "net.modes=2", f"window.n_in={n_in}")
    train(store, f"out={tmp_path / 'run'}", *QUICK, *asked)
    assert kind in set(pd.read_csv(tmp_path / "run" / "scores.csv").model)


def lab_store(path, frames, blank=()):
    """A lab's bare (T, C, Z, Y, X) array; blank frames are never written."""
    n, y, x = frames.shape
    array = zarr.create_array(
        str(path), shape=(n, 1, 3, y, x), chunks=(1, 1, 1, y, x), dtype="uint16", fill_value=0
    )
    for t in set(range(n)) - set(blank):
        array[t, 0] = np.stack([frames[t] - 5, frames[t], frames[t] - 3])


def test_bare_lab_arrays_with_blanks_and_a_twin_train_together(tmp_path, capsys):
    first, second = waves(seed=1, n=80), waves(seed=2, n=70)
    lab_store(tmp_path / "dish 1.zarr", first, blank=(3, 40))
    lab_store(tmp_path / "dish 2.zarr", second, blank=(10,))
    lab_store(tmp_path / "dish 1 every 3rd.zarr", first[::3])
    stores = [tmp_path / f"{n}.zarr" for n in ("dish 1", "dish 2", "dish 1 every 3rd")]
    train(*stores, f"out={tmp_path / 'run'}", "test=true", *QUICK)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [m["n_blank"] for m in facts["movies"]] == [2, 1, 0]
    ranges = {(s["movie"], s["name"]): range(s["start"], s["stop"]) for s in facts["splits"]}
    for name in ("train", "val", "test"):
        shown = {3 * j for j in ranges["dish 1 every 3rd", name]}
        for other in {"train", "val", "test"} - {name}:
            assert not shown & set(ranges["dish 1", other])
    said = capsys.readouterr().out
    assert "dish 1: 2 of 80 frames are blank or lost (3, 40)" in said
    assert "dish 1 every 3rd is a twin of dish 1" in said


@pytest.mark.slow
def test_whole_experiments_can_be_held_out(tmp_path):
    for i in range(3):
        lab_store(tmp_path / f"dish {i}.zarr", waves(seed=i, n=40))
    stores = [tmp_path / f"dish {i}.zarr" for i in range(3)]
    train(*stores, "data.split=movie", f"out={tmp_path / 'run'}", "test=true", *QUICK)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert sorted(s["name"] for s in facts["splits"]) == ["test", "train", "val"]


def damaged(tmp_path, kind):
    """A store with one fault, and the words to train on it."""
    path = tmp_path / "m.zarr"
    frames = waves(n=40)
    if kind == "no such path":
        return [tmp_path / "nothing.zarr"]
    if kind == "no array":
        zarr.open_group(str(path), mode="w")
    elif kind == "axes":
        zarr.create_array(str(path), data=frames[0])
    elif kind == "four axes":
        zarr.create_array(str(path), data=frames[:, None])
    elif kind == "too few":
        zarr.create_array(str(path), data=frames[:5])
    elif kind == "all blank":
        zarr.create_array(str(path), shape=frames.shape, chunks=(1, 12, 14), dtype="uint16")
    elif kind == "NaN":
        with_nan = frames.astype("float32")
        with_nan[7, 2, 3] = np.nan
        zarr.create_array(str(path), data=with_nan)
    elif kind == "text":
        zarr.create_array(str(path), data=np.full((9, 4, 5), "a"), zarr_format=2)
    elif kind == "chunk":
        zarr.create_array(str(path), data=frames, chunks=(10, 12, 14))
        (path / "c" / "1" / "0" / "0").write_bytes(b"no zstd frame")
    elif kind == "gap":
        zarr.create_array(str(path), data=frames)
        return [path, "data.gap=100"]
    elif kind == "small gap":
        zarr.create_array(str(path), data=frames)
        return [path, "data.gap=1", "window.n_in=3"]
    elif kind == "constant":
        zarr.create_array(str(path), data=np.full((40, 4, 5), 7, "uint16"))
    elif kind == "not zarr":
        path.write_text("hello")
    return [path]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("no such path", r"there is no store at '.*nothing\.zarr'"),
        ("no array", "m has no array of numbers with 3 or more axes"),
        ("axes", r"m has 2 axes \(12, 14\) without names.*at least time, y and x"),
        ("four axes", r"m has 4 axes .*data\.axes=time,channel,y,x"),
        ("too few", "5 frames"),
        ("all blank", "all 40 frames are blank"),
        ("NaN", r"1 pixels are NaN or infinite in 1 frames \(7\)"),
        ("text", "must be real numbers|no array of numbers"),
        ("chunk", r"chunk 'c/1/0/0', frames 10 to 19 cannot be read"),
        ("gap", "2 gaps of 100 leave 0"),
        ("small gap", r"data\.gap=1 is shorter than a window's span - 1 = 3"),
        ("constant", "is constant in the train split|never changes|repeat"),
        ("not zarr", "holds no zarr array or group"),
    ],
)
@pytest.mark.filterwarnings("default")
def test_bad_input_of_each_kind_is_told_in_one_line(tmp_path, kind, told):
    words = damaged(tmp_path, kind)
    with pytest.raises(SlimeError, match=told) as error:
        train(*words, f"out={tmp_path / 'run'}", *QUICK)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.axes=5"], r"data\.axes=5 must be words"),
        (["data.channels=1.5"], r"data\.channels=1\.5 must be names or numbers"),
        (["data.z=median"], r"data\.z='median': a wave has no z axis"),
        (["data.memory_gib=inf"], r"data\.memory_gib=inf must be above 0 and finite"),
        (["data.pixel_um=inf"], r"data\.pixel_um=inf must be above 0 and finite"),
        (["data.experiment={a: 1}"], r"data\.experiment=\{'a': 1\} must be a name"),
        (["data.crop=[8,8]", "net.kind=frame_mlp"], r"net\.kind=frame_mlp sees whole frames"),
        (["window.n_in=40"], "frames"),
        (["score.leads=0"], r"score\.leads=0"),
    ],
)
def test_a_value_that_cannot_be_is_told_before_training(store, tmp_path, words, told):
    with pytest.raises(SlimeError, match=told):
        train(store, f"out={tmp_path / 'run'}", *QUICK, *words)
    assert not (tmp_path / "run").exists()


def test_a_store_given_twice_is_refused(store, tmp_path):
    with pytest.raises(SlimeError, match="is given twice"):
        train(store, f"{store}/", f"out={tmp_path / 'run'}", *QUICK)


def run_script(*words, **settings):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "train_slime.py", *map(str, words)],
        capture_output=True,
        text=True,
        **settings,
    )


def test_a_mistake_ends_with_code_2_and_one_line_without_traceback():
    done = run_script("optim.lrr=1")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "train_slime.py: there is no setting optim.lrr; did you mean optim.lr? (--help lists all)"
    ]
    assert done.stdout == ""


@pytest.mark.slow
def test_the_statistics_are_computed_by_a_dask_scheduler_where_one_is_named(store, tmp_path):
    from distributed import LocalCluster

    with pytest.raises(SlimeError, match=r"--scheduler nowhere: give tcp://HOST:PORT"):
        train(store, f"out={tmp_path / 'run'}", "--scheduler", "nowhere")
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as cluster:
        address = cluster.scheduler_address
        train(store, f"out={tmp_path / 'far'}", *QUICK, "--scheduler", address)
    train(store, f"out={tmp_path / 'here'}", *QUICK)
    far, here = ((tmp_path / n / "metrics.jsonl").read_text() for n in ("far", "here"))
    losses = [[json.loads(ln)["train_loss"] for ln in text.splitlines()] for text in (far, here)]
    assert losses[0] == losses[1]


def test_a_run_is_not_overwritten(store, tmp_path):
    train(store, f"out={tmp_path / 'run'}", *QUICK)
    with pytest.raises(SlimeError, match="already holds a run"):
        train(store, f"out={tmp_path / 'run'}", *QUICK)


@pytest.mark.slow
def test_resume_of_a_stopped_run_ends_as_one_never_stopped(store, tmp_path):
    """Killed as soon as an epoch was saved, then resumed."""
    long = [w for w in QUICK if not w.startswith("optim.epochs")] + ["optim.epochs=4"]
    train(store, f"out={tmp_path / 'whole'}", *long)
    process = subprocess.Popen(
        [
            sys.executable,
            ROOT / "scripts" / "train_slime.py",
            store,
            f"out={tmp_path / 'cut'}",
            *long,
        ],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while not (tmp_path / "cut" / "last.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    train(store, f"out={tmp_path / 'cut'}", "resume=true", *long)
    rows = [read_lines(tmp_path / r / "metrics.jsonl") for r in ("whole", "cut")]
    numbers = [
        [
            {k: v for k, v in row.items() if k in ("epoch", "step", "train_loss", "val_loss", "lr")}
            for row in run
        ]
        for run in rows
    ]
    assert numbers[0] == numbers[1]
    hashes = [
        torch.load(tmp_path / r / "last.pt", weights_only=True)["weights_hash"]
        for r in ("whole", "cut")
    ]
    assert hashes[0] == hashes[1]


def test_a_trained_run_forecasts_a_new_movie(store, tmp_path, capsys):
    train(store, f"out={tmp_path / 'run'}", *QUICK)
    xr.Dataset({"movie": (("time", "y", "x"), waves(n=20, y=9, x=10, seed=5))}).to_zarr(
        tmp_path / "new.zarr", consolidated=False
    )
    out = tmp_path / "ahead.zarr"
    script("forecast")([str(tmp_path / "run"), str(tmp_path / "new.zarr"), f"out={out}", "leads=3"])
    ahead = open_movie(out)
    assert ahead.shape == (3, 1, 9, 10)
    assert np.isfinite(ahead.values).all()
    assert "3 frames after frame 19" in capsys.readouterr().out
    shutil.copytree(tmp_path / "run", tmp_path / "twin")  # members alike: a spread of 0
    mean, runs = tmp_path / "mean.zarr", [str(tmp_path / name) for name in ("run", "twin")]
    script("forecast")([*runs, str(tmp_path / "new.zarr"), f"out={mean}", "leads=3"])
    group = zarr.open_group(str(mean), mode="r")
    np.testing.assert_allclose(np.asarray(group["0"]), ahead.values, rtol=1e-6)
    assert not np.asarray(group["spread"]).any()
    assert "mean of 2 runs, their spread beside it" in capsys.readouterr().out


@pytest.mark.skipif(not os.environ.get("SLIME_REAL_DATA"), reason="SLIME_REAL_DATA is not set")
def test_the_real_movie_goes_through_the_same_job(tmp_path):
    real = Path(os.environ["SLIME_REAL_DATA"]) / "dictyostelium_phase_contrast.zarr"
    train(
        real,
        "data.variable=frames",
        "data.mask=~overlay_mask",
        "data.shares={train: 0.6, val: 0.2, test: 0.2}",
        f"out={tmp_path / 'run'}",
        "test=true",
        "score.leads=4",
        *[w for w in QUICK if not w.startswith("score.leads")],
    )
    scores = pd.read_csv(tmp_path / "run" / "scores.csv")
    assert set(scores[scores.score == "skill"].lead) == {1, 2, 3, 4}
