"""What a run remembers of its movies, and that it is not scored on others unawares."""

import json

import numpy as np
import pytest
import torch
import zarr

from slime.config import RunConfig
from slime.data_spec import DataSpec
from slime.errors import SlimeError
from slime.nets import build_net
from slime.prepare import prepare
from slime.run.facts import check_movies, describe_run
from slime.scale import Standardizer
from slime.stepper import Stepper
from slime.windows import WindowSpec


def prepared(*stores, **changes):
    data = DataSpec(stores=[str(store) for store in stores], **changes)
    return prepare(data, WindowSpec(), seed=0)


def written(path, n=60, side=8, dtype="uint16", seed=0):
    frames = np.random.default_rng(seed).integers(1, 200, (n, side, 6), dtype)
    path.parent.mkdir(exist_ok=True, parents=True)
    zarr.create_array(str(path), data=frames)
    return path


@pytest.fixture
def run(tmp_path):
    """A run that was trained on one dish."""
    stepper = Stepper(
        Standardizer(*(torch.ones(1) for _ in range(3))), build_net("cnn", n_in=1, channels=1)
    )
    held = prepared(written(tmp_path / "dish.zarr"))
    folder = tmp_path / "run"
    folder.mkdir()
    facts = describe_run(folder, RunConfig(), held, stepper)
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


def test_the_movies_of_a_run_may_move_but_not_change(run, tmp_path):
    check_movies(run, prepared(tmp_path / "dish.zarr"))
    check_movies(run, prepared(written(tmp_path / "elsewhere" / "dish.zarr")))
    for i, (change, said) in enumerate(
        (
            ({"n": 61}, "its frames are 61 instead of 60"),
            ({"side": 9}, "its height in pixels is 9 instead of 8"),
            ({"dtype": "uint8"}, "its values are uint8 instead of uint16"),
        )
    ):
        other = written(tmp_path / str(i) / "dish.zarr", **change)
        with pytest.raises(SlimeError, match=f"is not what .*run was trained on: {said}"):
            check_movies(run, prepared(other))


def test_other_movies_or_splits_are_refused(run, tmp_path):
    other = written(tmp_path / "other.zarr", seed=1)
    with pytest.raises(SlimeError, match="its name is other instead of dish"):
        check_movies(run, prepared(other))
    with pytest.raises(SlimeError, match="was trained on 1 movies, here are 2"):
        check_movies(run, prepared(tmp_path / "dish.zarr", other))
    with pytest.raises(SlimeError, match="was trained on other splits of dish"):
        check_movies(run, prepared(tmp_path / "dish.zarr", gap=9))


def test_a_run_that_was_stopped_before_it_told_its_movies_goes_on(tmp_path):
    check_movies(tmp_path, prepared(written(tmp_path / "dish.zarr")))
