"""Ensembles: every combination once, the same pixels as alone, finished ones left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from slime.ensembles import is_ensemble, make_ensemble, parse_ensemble, values_of
from slime.errors import SlimeError
from slime.simulate import make_movies

ROOT = Path(__file__).parents[1]
SHORT = ["size_px=6", "n_frames=3", "frames_per_chunk=2", "warm_up_min=0.1"]


def _words(tmp_path, *more: str) -> list[str]:
    return ["sgro", f"out={tmp_path / 'many'}", *SHORT, *more]


def test_lists_make_an_ensemble_and_single_values_do_not():
    assert is_ensemble(["sgro", "seeds=3"])
    assert is_ensemble(["sgro", "noise=0.1,0.2"])
    assert not is_ensemble(["sgro", "out=a,b:c", "device=cuda:0", "noise=0.1"])


def test_every_combination_is_named_and_checked(tmp_path):
    members = parse_ensemble(_words(tmp_path, "seeds=5:7", "noise=0.1,0.20", "j=1,2"))
    assert [member.path.stem for member in members] == [
        f"sgro noise={noise} j={j} seed={seed}"
        for noise in (0.1, 0.2) for j in (1, 2) for seed in (5, 6)
    ]  # fmt: skip
    last = members[-1]
    assert last.seed == 6
    assert last.settings["noise"] == 0.2
    assert last.settings["n_frames"] == 3
    assert not (tmp_path / "many").exists()


@pytest.mark.parametrize("where", [pytest.param("processes", marks=pytest.mark.slow), "dask"])
def test_each_movie_is_the_one_made_alone(tmp_path, where):
    from distributed import LocalCluster

    members = parse_ensemble(_words(tmp_path, "seeds=1:3", "noise=0.1,0.3"))
    if where == "processes":
        paths = make_ensemble(members)
    else:
        with LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as local:
            paths = make_ensemble(members, address=local.scheduler_address)
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == sorted(
        member.path.name for member in members
    )
    alone = tmp_path / "alone.zarr"
    how = {"size_px": 6, "n_frames": 3, "frames_per_chunk": 2, "warm_up_min": 0.1}
    make_movies("sgro", [alone], seeds=[2], noise=0.3, **how)
    stores = [zarr.open_group(path, mode="r") for path in (paths[3], alone)]
    assert np.array_equal(stores[0]["movie"][:], stores[1]["movie"][:])
    assert stores[0].attrs["parameters"]["spec"]["noise"] == 0.3
    assert stores[0].attrs["seed"] == 2


@pytest.mark.slow
def test_complete_movies_stay_and_a_movie_of_other_settings_is_refused_first(tmp_path):
    paths = [tmp_path / "many" / f"sgro seed={seed}.zarr" for seed in (0, 1)]
    make_movies("sgro", paths, seeds=[0, 1], **parse_ensemble(_words(tmp_path))[0].settings)
    before = [path.stat().st_mtime_ns for path in paths]
    again = make_ensemble(parse_ensemble(_words(tmp_path, "seeds=0:3")))
    assert [path.stat().st_mtime_ns for path in again[:2]] == before
    assert again[2].exists()
    with pytest.raises(SlimeError, match=r"sgro seed=0: .* made with noise = 0.15, not 0.3"):
        parse_ensemble(_words(tmp_path, "seeds=0:2", "noise=0.3"))


def _stores(folder: Path) -> int:
    return len(list(folder.glob("*.zarr.partial.state.pt")))


@pytest.mark.slow
def test_an_interrupt_ends_all_processes_and_the_same_words_go_on(tmp_path):
    words = ["sgro", f"out={tmp_path / 'many'}", "seeds=0:2", *SHORT[:1], *SHORT[2:], "n_frames=30"]
    run = (
        "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    search = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", run, str(ROOT / "scripts/make_movie.py"), *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": search},
    )  # fmt: skip
    while _stores(tmp_path / "many") < 1 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err == "make_movie.py: interrupted; what was finished is saved\n"
    assert _stores(tmp_path / "many") >= 1
    members = parse_ensemble(words)
    make_ensemble(members)  # refused, were another process still writing
    make_movies("sgro", [tmp_path / "whole.zarr"], seeds=[1], **members[1].settings)
    whole, resumed = (
        zarr.open_group(path, mode="r")["movie"][:]
        for path in (tmp_path / "whole.zarr", members[1].path)
    )
    assert np.array_equal(whole, resumed)


def test_ranges_leave_their_end_out():
    assert list(values_of("seeds", "2:5")) == [2, 3, 4]
    assert values_of("j", "1.0,2.5") == [1, 2.5]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seeds=8:0"], "seeds=8:0 names nothing"),
        (["seeds=a:b"], "seeds=a:b is no list: write 9,11 or 0:8"),
        (["seeds=0:1:2:3"], "seeds=0:1:2:3 is no list"),
        (["seeds=1.5,2"], "seed is 1.5; it must be a whole number"),
        (["noise=0.1,0.10"], "noise=0.1,0.10 names a value twice"),
        (["noise=0.1,"], "noise=0.1, is no list"),
        (["noise=nan,inf"], "noise=nan,inf is no list"),
        (["seeds=0:2", "n_movies=2"], "n_movies=2 cannot stand in an ensemble: write seeds=0:8"),
        (["seeds=0:2", "noise=0.1,-1"], "sgro noise=-1 seed=0: noise is -1.0; it must be a number"),
        (["seeds=0:2", "nois=0.1,1"], r"there is no key 'nois'; did you mean noise\?"),
        (["seeds=0:1000000", "j=1,2"], "that is 2000000 movies; an ensemble has at most 100000"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(tmp_path, words, message):
    with pytest.raises(SlimeError, match=message) as caught:
        parse_ensemble(_words(tmp_path, *words))
    assert "\n" not in str(caught.value)


def test_an_ensemble_goes_into_a_folder(tmp_path):
    with pytest.raises(SlimeError, match=r"out=a.zarr: an ensemble goes into a folder"):
        parse_ensemble(["sgro", "out=a.zarr", "seeds=0:2"])
    with pytest.raises(SlimeError, match="say where the movie goes"):
        parse_ensemble(["sgro", "seeds=0:2"])
