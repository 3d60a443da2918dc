"""scripts/plot_landscape.py on trained runs: grids, pictures, and what is refused."""

import sys

import numpy as np
import pytest
import xarray as xr
from scripts_by_name import script

from slime.errors import SlimeError
from slime.run.landscape_words import LandscapeWords, parse_words
from slime.run.opened import names_apart, take_windows
from slime.run.snapshots import SNAPSHOTS, load_snapshots, n_snapshots, snapshot_due

SMALL = [
    "demo.n_movies=1", "demo.size_px=16", "demo.n_frames=60", "optim.epochs=4", "net.width=4",
    "net.depth=3", "landscape.points=0", "landscape.snapshots=4", "score.draws=20",
    "score.observables=false", "score.leads=2", "sanity=false", "tracking.wandb=disabled",
]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three trainings of different seeds on one small dish."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(3):
        words = [f"demo.folder={folder / 'data'}", f"out={folder / f'seed{seed}'}", f"seed={seed}"]
        script("train_slime")([*SMALL, *words])
    return [str(folder / f"seed{seed}") for seed in range(3)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n"),
    [("plane", 2), ("line", 1), ("between", 2), ("runs", 3), ("trajectory", 1), ("hessian", 1)],
)
def test_each_kind_is_computed_saved_and_drawn(runs, tmp_path, kind, n):
    words = [f"kind={kind}", "points=5", "windows=6", "probes=2", f"out={tmp_path}"]
    assert script("plot_landscape")([*runs[:n], *words]) == 0
    stores = list(tmp_path.glob("*.zarr"))
    assert len(stores) == (2 if kind == "plane" else 1)
    assert (tmp_path / f"{kind}.png").stat().st_size > 5000
    assert not list(tmp_path.glob(".*"))
    held = xr.open_zarr(stores[0], consolidated=False).load()
    values = held["top"] if kind == "hessian" else held["loss"]
    assert np.isfinite(values).all()


@pytest.mark.slow
def test_the_centre_of_all_windows_is_the_loss_that_the_training_logged(runs, tmp_path):
    import json
    from pathlib import Path

    words = ["kind=line", "points=3", "windows=0", f"out={tmp_path}"]
    script("plot_landscape")([runs[0], *words])
    line = xr.open_zarr(next(tmp_path.glob("*.zarr")), consolidated=False)["loss"].load()
    rows = [json.loads(row) for row in Path(runs[0], "metrics.jsonl").read_text().splitlines()]
    best = min(row["val_mse"] for row in rows if row["best"])
    assert float(line.sel(alpha=0)) == pytest.approx(best, rel=1e-6)


@pytest.mark.slow
def test_snapshots_are_the_training_s_own_weights(runs):
    from pathlib import Path

    from slime.checkpoint import load_run

    run = Path(runs[0])
    held = load_snapshots(run)
    assert list(held) == [1, 2, 3, 4]
    last = load_run(run / "last.pt").stepper.state_dict()
    assert all((held[4][name] == last[name]).all() for name in last)
    assert all(load_run(path).resume is None for path in (run / SNAPSHOTS).iterdir())


def test_words_that_cannot_be_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.yaml").write_text("")
    run = str(tmp_path / "a")
    for words, said in (
        ([run, "kind=between"], "kind=between wants 2"),
        (["kind=plane"], "wants one run or more"),
        ([str(tmp_path / "b")], "holds no run"),
        ([run, "knd=line"], "did you mean kind"),
        ([run, "kind=lines"], "did you mean line"),
        ([run, "points=1"], "points=1 must be at least 3"),
        ([run, "points=4"], "points=4 must be odd"),
        ([run, "radius=0"], "radius=0.0 must be above 0"),
        ([run, "radius=inf"], "radius=inf must be above 0 and finite"),
        ([run, "kind=line", "axes=hessian"], "axes=hessian are those of a plane"),
        ([run, f"{run}/../a", "kind=between"], "name each run once"),
    ):
        with pytest.raises(SlimeError, match=said):
            parse_words(words)


def test_files_of_other_axes_or_losses_have_other_names():
    told = [
        LandscapeWords(**how).label
        for how in ({}, {"axes": "hessian"}, {"lead": 4}, {"loss": "horizon_0.8", "lead": 9})
    ]
    assert told == ["plane", "plane-hessian", "plane-mse-lead4", "plane-horizon_0.8-lead9"]


def test_runs_of_one_name_in_other_folders_are_told_apart(tmp_path):
    paths = [tmp_path / "x" / "a" / "seed0", tmp_path / "y" / "a" / "seed0", tmp_path / "z"]
    assert names_apart(paths[2:]) == ["z"]
    names = names_apart(paths)
    assert names[:2] == ["x-a-seed0", "y-a-seed0"]
    assert len(set(names)) == 3


def test_windows_may_reach_further_than_those_trained_on():
    import torch
    from test_training import movie

    from slime.split import Split
    from slime.windows import WindowSpec

    split = Split("val", 0, 12, "a", gap=1)  # cut for windows of two frames
    taken = take_windows(
        [movie(False)],
        [split],
        WindowSpec(1, 6),
        LandscapeWords(windows=0),
        1 << 20,
        torch.device("cpu"),
    )
    assert [start for batch in taken for start in batch.start.tolist()] == [*range(6)]


def test_snapshots_are_even_and_bounded(monkeypatch):
    from landscape_nets import make_stepper

    assert [e for e in range(1, 8) if snapshot_due(e, 7, 3)] == [3, 5, 7]
    assert not any(snapshot_due(e, 7, 0) for e in range(1, 8))
    assert all(snapshot_due(e, 3, 12) for e in range(1, 4))
    stepper = make_stepper()
    nbytes = 4 * sum(w.numel() for w in stepper.parameters())
    module = sys.modules["slime.run.snapshots"]
    for room, kept in ((12, 12), (11, 11), (2, 0)):
        monkeypatch.setattr(module, "SNAPSHOT_BYTES", room * nbytes)
        n, notes = n_snapshots(12, stepper)
        assert n == kept
        assert bool(notes) == (kept < 12)
