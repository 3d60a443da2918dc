"""Sensors of Jones' agents: regression on a known surface, blind to the camera, refusals."""

import numpy as np
import pandas as pd
import pytest
from scripts_by_name import script

from slime.errors import SlimeError
from slime.recover.jones import (
    HIGHEST,
    LOWEST,
    Filming,
    Table,
    drawn_parameters,
    estimate,
    network_observables,
    pictures,
    simulated_table,
)
from slime.simulate import make_movies
from slime.simulate.physarum_film import PhysarumCameraSpec
from slime.simulate.physarum_spec import PhysarumSpec


@pytest.fixture
def main(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return script("recover_physics")


def measured(parameters, noise, seed=0):
    """Four observables that are quadratic in both parameters, with noise."""
    x, y = ((parameters - LOWEST) / (HIGHEST - LOWEST)).T
    clean = np.stack([x + 0.3 * y, y - 0.2 * x**2, x * y, np.ones_like(x)], axis=1)
    return clean + noise * np.random.default_rng(seed).standard_normal(clean.shape)


def small():
    spec = PhysarumSpec(height_px=30, width_px=34)
    return Filming(spec, PhysarumCameraSpec(), (20, 25), (300.0, 375.0))


def test_without_noise_the_regression_finds_what_was_put_in():
    known = drawn_parameters(128, 0)
    truths = drawn_parameters(16, 1, inside=0.1)
    found = estimate(Table(known, measured(known, 0)), measured(truths, 0))
    # of a surface whose inverse is not quadratic, over ranges of 17 px and 80 degrees
    assert np.abs(found.value - truths).max(axis=0) == pytest.approx([0, 0], abs=1.5)
    assert (found.low <= found.value).all()
    assert (found.value <= found.high).all()


def test_intervals_hold_the_truth_as_often_as_they_say():
    known = drawn_parameters(256, 0)
    truths = drawn_parameters(128, 1, inside=0.1)
    found = estimate(Table(known, measured(known, 0.05)), measured(truths, 0.05, seed=1))
    held = ((found.low <= truths) & (truths <= found.high)).mean(axis=0)
    # 50 alike networks leave 2.5 % on a side to one of them: 90 to 99 % of 128
    assert (held > 0.88).all()
    wide = (found.high - found.low).mean(axis=0) / (HIGHEST - LOWEST)
    assert (wide < 0.4).all()
    # the noise alone, through the slopes of the surface, is 5 % of the range at least
    assert (wide > 0.1).all()


def test_points_fill_the_range_and_truths_stay_off_its_edges():
    points = drawn_parameters(256, 3)
    share = (points - LOWEST) / (HIGHEST - LOWEST)
    assert np.histogram2d(*share.T, bins=4, range=[[0, 1], [0, 1]])[0].tolist() == [[16] * 4] * 4
    inner = (drawn_parameters(64, 3, inside=0.1) - LOWEST) / (HIGHEST - LOWEST)
    assert inner.min() >= 0.1
    assert inner.max() <= 0.9


def test_observables_do_not_see_the_gain_and_offset_of_a_camera():
    filming = small()
    shown = pictures(filming.spec, filming, seed=1)
    assert [frame.shape for frame in shown] == [(30, 34)] * 2
    seen = network_observables(shown)
    assert np.isfinite(seen).all()
    assert np.allclose(network_observables([3 * frame + 70 for frame in shown]), seen, atol=1e-6)
    turned = network_observables([frame[::-1] for frame in shown])
    assert not np.allclose(network_observables([frame[:, ::-1] ** 2 for frame in shown]), seen)
    assert turned[4:] == pytest.approx(seen[4:], rel=1e-6)


def test_a_table_holds_the_networks_of_its_parameters():
    filming = small()
    parameters = np.array([[5.0, 45.0], [12.0, 80.0]])
    table = simulated_table(parameters, filming, seed=7)
    alone = simulated_table(parameters[1:], filming, seed=8)
    assert np.array_equal(table.observables[1], alone.observables[0])
    assert not np.array_equal(table.observables[0], table.observables[1])


@pytest.mark.slow
def test_the_command_tells_the_sensors_of_a_stored_trail(main, tmp_path):
    make_movies(
        "physarum",
        ["p.zarr"],
        seeds=[5],
        size_px=40,
        n_frames=4,
        frame_interval_s=150.0,
        warm_up_min=10.0,
        sensor_offset_px=6.0,
    )
    assert main(["p.zarr", "what=jones", "table=64", "out=seen"]) == 0
    table = pd.read_csv("seen/jones.csv").set_index("observable")
    assert table.low["sensor_offset_px"] < 6 < table.high["sensor_offset_px"]
    assert table.unit["sensor_angle_deg"] == "deg"
    assert (tmp_path / "seen" / "jones.png").stat().st_size > 10_000


def test_other_stores_are_refused(main, bare):
    store = str(bare(np.ones((9, 12, 12), "float32")))
    with pytest.raises(SlimeError, match="is no trail of the physarum world"):
        main([store, "what=jones"])
    with pytest.raises(SlimeError, match="table=10 must be 64 or above"):
        main([store, "what=jones", "table=10"])
