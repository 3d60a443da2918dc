"""S(k) of one wave and of white noise, and the correlation of smoothed noise, in closed form."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from slime.observables import correlation_length, structure_factor


def mode(wavelength_px, *, y=80, x=96):
    return 5.0 + np.broadcast_to(np.cos(2 * np.pi * np.arange(x) / wavelength_px), (y, x))


def test_one_fourier_mode_has_its_wavelength_and_variance():
    frame = mode(12.0, x=96, y=96)  # 8 waves
    found = structure_factor(frame, pixel_um=2.0, periodic=True)
    peak = found.power.argmax()
    assert peak == 7  # ring 8, the first being 1
    np.testing.assert_allclose(np.delete(found.power, peak), 0, atol=1e-20)
    # the ring's mean of k lies within half a ring of 8 / (96 * 2)
    assert found.k_per_um[peak] == pytest.approx(1 / 24, rel=0.01)
    assert found.mean_length_um == pytest.approx(24.0, rel=0.01)


def test_the_power_of_a_periodic_frame_is_its_variance():
    rng = np.random.default_rng(0)
    frame = rng.standard_normal((64, 64)) * 3
    found = structure_factor(frame, pixel_um=1.0, periodic=True)
    # white noise: every wave has the variance; 12,800 waves of them, each off by 100 %
    n = 2 * np.pi * np.arange(1, 33)
    assert (found.power * n).sum() / n.sum() == pytest.approx(9.0, rel=0.05)


def test_a_window_keeps_the_wavelength_of_a_wave_that_does_not_fit():
    found = structure_factor(mode(11.3), pixel_um=2.0)
    # the wave lies between rings 7 and 8: half a ring is 7 %
    assert found.mean_length_um == pytest.approx(22.6, rel=0.07)
    finer = structure_factor(mode(11.3, y=400, x=400), pixel_um=2.0)
    assert finer.mean_length_um == pytest.approx(22.6, rel=0.01)


def test_flat_frames_have_no_length():
    assert np.isnan(structure_factor(np.full((8, 9), 4.0), pixel_um=1.0).mean_length_um)
    assert np.isnan(correlation_length(np.full((8, 9), 0.1), pixel_um=1.0))


@pytest.mark.parametrize("periodic", [True, False])
def test_smoothed_noise_is_correlated_over_twice_its_sigma(periodic):
    frames = np.random.default_rng(1).standard_normal((6, 160, 200))
    lengths = [
        correlation_length(gaussian_filter(f, 4.0, mode="wrap"), pixel_um=2.5, periodic=periodic)
        for f in frames
    ]
    # exp(-r^2 / (4 sigma^2)) = 1 / e at r = 2 sigma; 600 patches a frame, six frames: some 2 %
    assert np.mean(lengths) == pytest.approx(2 * 4 * 2.5, rel=0.05)


def test_masked_pixels_change_nothing():
    frame = gaussian_filter(np.random.default_rng(1).standard_normal((60, 70)), 2.0)
    mask = np.ones(frame.shape, bool)
    mask[20:30, 40:] = False
    wild = np.where(mask, frame, 1e6)
    holed = np.where(mask, frame, np.nan)
    assert correlation_length(wild, pixel_um=1.0, mask=mask) == pytest.approx(
        correlation_length(holed, pixel_um=1.0)
    )
    one = structure_factor(wild, pixel_um=1.0, mask=mask)
    other = structure_factor(holed, pixel_um=1.0)
    np.testing.assert_array_equal(one.power, other.power)
    assert correlation_length(holed, pixel_um=1.0) == pytest.approx(
        correlation_length(frame, pixel_um=1.0), rel=0.15
    )


def test_lengths_follow_the_pixel_size():
    frame = gaussian_filter(np.random.default_rng(1).standard_normal((40, 50)), 2.0)
    for measure in (
        lambda um: correlation_length(frame, pixel_um=um),
        lambda um: structure_factor(frame, pixel_um=um).mean_length_um,
    ):
        assert measure(3.0) == pytest.approx(3 * measure(1.0))
