"""Models far ahead: how many leads, which windows, and tallies that are those of `evaluate`."""

import numpy as np
import pytest
import torch
from test_results import film, halfway, meet, stay, zero

from slime.arena import tally_models
from slime.split import Split
from slime.wide import tally_wide, widened
from slime.yardstick import Yardstick

YARDSTICK = Yardstick(np.array([4.0, 9.0]), np.zeros(2), np.array([5.0, 9.0]), np.zeros(2))


def test_windows_are_left_out_evenly_where_leads_reach_far():
    near, _ = meet(leads=8, movies=[film("one", n=200)], splits=[{"test": Split("test", 0, 200)}])
    far, said = widened(near, 32)
    # 200 - 33 windows, 32 at most: every 6th
    assert (far.spec.n_out, far.spec.hop, far.spec.n_in) == (32, 6, 2)
    assert far.windows(0).n_windows == 28
    assert said == [
        "split 'test': leads 9 to 32, horizons, ssim, spectra and other costly scores are of "
        "windows 6 frames apart"
    ]
    few, _ = widened(meet(leads=8, splits=[{"test": Split("test", 0, 40)}, {}])[0], 20)
    assert few.spec.hop == 2  # 16 windows share a frame predicted at most


def test_leads_end_where_less_than_eight_windows_would_be_left():
    near, _ = meet(leads=8, splits=[{"test": Split("test", 0, 30)}, {}])
    far, said = widened(near, 32)
    assert far.spec.n_out == 21  # 30 - 2 - 21 + 1 = 8
    assert said[0] == "split 'test' is short: 21 leads, not 32"
    near, _ = meet(leads=8, splits=[{"test": Split("test", 0, 12)}, {}])
    far, said = widened(near, 32)
    assert far.spec.n_out == near.spec.n_out == 8
    assert said == ["split 'test' is short: 8 leads, not 32"]
    near, _ = meet(leads=8, splits=[{"test": Split("test", 0, 25)}, {}])
    assert widened(near, 12)[1] == [
        "split 'test': leads 9 to 12, horizons, ssim, spectra and other costly scores are of "
        "windows of 12 leads"
    ]


def test_a_movie_too_short_for_the_leads_is_named():
    near, _ = meet(leads=8, splits=[{"test": Split("test", 0, 40)}, {"test": Split("test", 0, 20)}])
    far, said = widened(near, 20)
    assert far.numbers == [0]
    assert "split 'test': too short for 20 leads, scored less far: two" in said


def test_blank_frames_do_not_empty_a_movie_whose_windows_are_spread():
    blank = np.ones(60, bool)
    blank[1:12] = blank[20:31] = False  # windows of 10 frames from 1, 2, 20 and 21 alone
    movie = film("one", n=60).assign_coords(blank=("time", blank))
    near, _ = meet(leads=8, movies=[movie], splits=[{"test": Split("test", 0, 60)}])
    far, _ = widened(near, 8)
    assert far.windows(0).n_windows > 0


@pytest.mark.parametrize("models", [{"persistence": stay, "zero": zero, "climatology": halfway}])
def test_tallies_are_those_that_evaluate_gives_on_the_same_windows(models):
    near, _ = meet(leads=3)
    far, _ = widened(near, 12)
    found = tally_wide(models, far, YARDSTICK)
    wanted = tally_models(models, far)
    assert found.leads == (1, 2, 4, 8)
    for name, tally in wanted.items():
        np.testing.assert_array_equal(found.plain[name].start, tally.start)
        np.testing.assert_array_equal(found.plain[name].movie, tally.movie)
        np.testing.assert_allclose(found.plain[name].sums, tally.sums, rtol=1e-12)
        np.testing.assert_allclose(
            found.detailed[name]["square"], tally["square"][:, [0, 1, 3, 7]], rtol=1e-12
        )
        assert np.isnan(found.detailed[name]["ssim"]).all()  # of 4 x 5 pixels


def test_anomalies_are_about_the_climatology_of_the_movie():
    mean = {0: 3.0, 1: -2.0}
    models = {
        "climatology": lambda i: lambda past: torch.full_like(past[:, -1], mean[i]),
        "persistence": stay,
        "moved": lambda i: lambda past: 2 * past[:, -1] - mean[i],  # twice the anomaly
    }
    far, _ = widened(meet(leads=2)[0], 2)
    acc = {name: t["acc"] for name, t in tally_wide(models, far, YARDSTICK).detailed.items()}
    assert np.isnan(acc["climatology"]).all()
    np.testing.assert_allclose(acc["moved"][:, 0], acc["persistence"][:, 0], atol=1e-5)


def test_a_net_is_put_into_eval_mode_and_back():
    class Net(torch.nn.Module):
        def forward(self, past):
            seen.append(self.training)
            return past[:, -1]

    seen, net = [], Net().train()
    tally_wide({"net": lambda _: net}, widened(meet(leads=2)[0], 2)[0], YARDSTICK)
    assert seen
    assert not any(seen)
    assert net.training
