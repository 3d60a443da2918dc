"""What is fitted on the train split: the range that most pixels lie in."""

import numpy as np
import pytest
import xarray as xr

from slime.errors import SlimeError
from slime.split import Split
from slime.yardstick import Yardstick


def film(frames, **coords) -> xr.DataArray:
    coords = {"channel": [str(i) for i in range(frames.shape[1])]} | coords
    return xr.DataArray(frames, dims=("time", "channel", "y", "x"), coords=coords, name="dish")


@pytest.fixture
def waves() -> np.ndarray:
    """A smooth wave (60, 2, 48, 40) that moves, under noise of 3 and 1."""
    t, y, x = np.ogrid[:60, :48, :40]
    wave = 100 + 20 * np.sin(2 * np.pi * (x / 40 + y / 48) + t / 5)
    noise = np.random.default_rng(0).normal(size=(60, 2, 48, 40))
    return wave[:, None] + np.array([3.0, 1.0])[:, None, None] * noise


def fit(movie, split, **how) -> Yardstick:
    return Yardstick.fit([movie], [split], np.ones(movie.sizes["channel"]), **how)


def test_the_range_holds_all_but_a_thousandth_at_either_end():
    frames = np.random.default_rng(1).permutation(40 * 48 * 40).reshape(40, 1, 48, 40) / 1e3
    found = fit(film(frames), Split("train", 0, 40))
    # all 40 frames are looked at: the numbers 0 to 76799, in thousandths
    assert found.low[0] == pytest.approx(0.001 * 76.799, rel=1e-9)
    assert found.high[0] == pytest.approx(0.999 * 76.799, rel=1e-9)
    assert found.data_range[0] == found.high[0] - found.low[0]


def test_nothing_is_seen_outside_of_train(waves):
    spoiled = waves.copy()
    spoiled[40:] = 1e6
    one, other = (fit(film(f), Split("train", 5, 40)) for f in (waves, spoiled))
    for name in ("low", "high"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_blank_frames_and_masked_pixels_are_left_out(waves):
    spoiled, blank = waves.copy(), np.zeros(60, bool)
    spoiled[20:23], blank[20:23] = 0, True
    spoiled[:, :, 10:14] = 1e6
    mask = np.ones(spoiled.shape, bool)
    mask[:, :, 10:14] = False
    movie = film(spoiled, blank=("time", blank), mask=(("time", "channel", "y", "x"), mask))
    found = fit(movie, Split("train", 0, 60))
    assert (found.low > 60).all()
    assert (found.high < 160).all()


def test_what_is_told_is_kept(waves):
    found = fit(film(waves), Split("train", 3, 5), periodic=True, noise_variance=np.array([9.0, 1]))
    assert found.noise_variance.tolist() == [9, 1]
    assert found.periodic
    assert fit(film(waves), Split("train", 3, 5)).noise_variance.tolist() == [0, 0]


def test_a_channel_of_one_value_has_no_range(waves):
    waves[:, 1] = 7
    with pytest.raises(SlimeError, match=r"channels \[1\] have one value alone"):
        fit(film(waves), Split("train", 0, 60))
