"""measure_movie.py on a run: its movies as it opened them, its forecasts, and test left closed."""

import shutil

import numpy as np
import pandas as pd
import pytest
import zarr
from scripts_by_name import script
from test_train_slime import MEASURED, waves

from slime.errors import SlimeError

N = 70
OPENING = ("data.frame_interval_s=15", "data.pixel_um=50", "data.mask=mask.npy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small run on a movie of 70 frames, with a mask and units that only its config knows."""
    folder = tmp_path_factory.mktemp("trained")
    mask = np.ones((12, 14), bool)
    mask[:3] = False
    np.save(folder / "mask.npy", mask)
    write(folder / "a dish.zarr", waves(N))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        script("train_slime")(["a dish.zarr", "out=run", *OPENING, *MEASURED])
    return folder


def write(path, pixels):
    array = zarr.create_array(path, shape=pixels.shape, chunks=(1, 12, 14), dtype="uint16")
    array[:] = pixels


@pytest.fixture
def measure(folder, tmp_path, monkeypatch):
    """measure_movie.py in a copy of the run's surroundings; gives the folder of the copy."""
    here = tmp_path / "here"
    shutil.copytree(folder, here)
    monkeypatch.chdir(here)

    def call(*words):
        script("measure_movie")([*words])
        return here

    return call


def splits(here):
    told = pd.read_json(here / "run" / "run.json", typ="series")["splits"]
    return {one["name"]: (one["start"], one["stop"]) for one in told}


def test_a_run_s_movie_is_measured_as_the_run_opened_it_without_its_test_frames(measure, capsys):
    here = measure("run", "out=seen")
    stop = splits(here)["val"][1]
    assert stop < splits(here)["test"][0] < N
    write(here / "open.zarr", waves(N)[:stop])
    said = capsys.readouterr().out
    assert f"a dish: frames 0 to {stop - 1} of {N} (train and val); test is not opened here" in said
    measure("open.zarr", "out=alone", *(word.removeprefix("data.") for word in OPENING))
    files = ("seen/a dish/observables.csv", "alone/observables.csv")
    ours, alone = (pd.read_csv(here / file) for file in files)
    pd.testing.assert_frame_equal(ours.drop(columns="movie"), alone.drop(columns="movie"))
    assert ours.set_index("observable").unit["wave_speed"] == "um/s"
    assert ours.set_index("observable").n["active_share"] == 9 * 14
    assert (here / "seen/a dish/observables_0.png").stat().st_size > 10_000


@pytest.mark.slow
def test_frames_of_test_change_nothing(measure):
    here = measure("run", "out=one")
    start = splits(here)["test"][0]
    array = zarr.open_array(here / "a dish.zarr", mode="r+")
    array[start:] = np.random.default_rng(0).integers(1, 60000, array[start:].shape)
    measure("run", "out=two")
    for name in ("a dish/observables.csv", "a dish/series.csv", "forecast.csv"):
        assert (here / "one" / name).read_text() == (here / "two" / name).read_text()
    assert not (here / "ledger.jsonl").exists()


@pytest.mark.slow
def test_the_forecasts_are_measured_as_the_run_measured_them_or_as_asked(measure):
    here = measure("run", "out=seen")
    run = pd.read_csv(here / "run" / "observables.csv")
    pd.testing.assert_frame_equal(pd.read_csv(here / "seen" / "forecast.csv"), run)
    assert set(run.split) == {"val"}
    assert (here / "seen" / "forecast.png").stat().st_size > 10_000
    measure("run", "out=sharp", "smooth_px=0")
    sharp = pd.read_csv(here / "sharp" / "forecast.csv")
    assert set(sharp.model) == set(run.model)
    of = "score == 'density_variance' and model == 'truth' and lead == 1"
    assert sharp.query(of).value.item() > 2 * run.query(of).value.item()


def test_frames_keep_their_numbers_where_the_first_ones_are_not_open(in_memory):
    from slime.observables.reading import read_field

    blank = np.zeros(20, bool)
    blank[12] = True
    movie = in_memory(np.ones((20, 4, 5), "uint8"), blank=("time", blank))
    field = read_field(movie.isel(time=slice(5, 20)), 0, bin_px=1, memory_budget=1 << 30, first=5)
    assert field.first == 5
    assert field.note.startswith("frames 5 to 11 of 15")


def test_mistakes_are_told_in_a_line(measure, tmp_path):
    here = measure("run", "out=seen")
    for word in ("pixel_um=2", "data.mask=other.npy", "missing=fill"):
        with pytest.raises(SlimeError, match="are opened as it was trained; name a store"):
            measure("run", word)
    (tmp_path / "neither").mkdir()
    with pytest.raises(SlimeError, match=r"neither is neither a store .* nor a run's folder"):
        measure(str(tmp_path / "neither"))
    (here / "run" / "best.pt").unlink()
    with pytest.raises(SlimeError, match=r"there is no checkpoint .*best.pt: train first"):
        measure("run")
