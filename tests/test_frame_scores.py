"""Means over frames against hand arithmetic."""

import math

import numpy as np
import pytest
import torch

from slime.frame_scores import (
    correlation_z,
    mass_drift_frames,
    mean_of,
    nrmse_frames,
    terms_of,
    vrmse_frames,
)
from slime.score import Tally, frame_pearson, pearson, tally_windows

NO_NOISE = np.zeros(1)


def tally(forecast, truth, mask=None) -> Tally:
    """Of frames (window, 2, 2), one lead and channel."""
    p, y = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (forecast, truth))
    mask = None if mask is None else torch.tensor(mask)[:, None, None]
    n = len(p)
    return tally_windows(p, y, mask, torch.zeros(n, dtype=torch.int64), torch.arange(n))


TRUTH = [[[0.0, 2], [4, 6]], [[1.0, 1], [1, 1]], [[0.0, 0], [0, 0]]]
FORECAST = [[[1.0, 1], [6, 6]], [[3.0, 1], [1, 1]], [[0.0, 0], [0, 2]]]


def test_nrmse_by_hand_leaves_a_truth_of_zeros_out():
    found = nrmse_frames(tally(FORECAST, TRUTH))[:, 0, 0]
    # errors 1, -1, 2, 0: 6 over 0 + 4 + 16 + 36; one error of 2: 4 over 4
    np.testing.assert_allclose(found[:2], [math.sqrt(6 / 56), 1])
    assert np.isnan(found[2])


def test_frame_vrmse_by_hand_leaves_frames_flatter_than_noise_out():
    found = vrmse_frames(tally(FORECAST, TRUTH), NO_NOISE)[:, 0, 0]
    # the truth's variance, unbiased: 20 / 3; the mean squared error 6 / 4
    assert found[0] == pytest.approx(math.sqrt(1.5 / (20 / 3)))
    assert np.isnan(found[1:]).all()
    assert np.isnan(vrmse_frames(tally(FORECAST, TRUTH), np.array([7.0]))).all()
    assert np.isfinite(vrmse_frames(tally(FORECAST, TRUTH), np.array([6.0]))[0, 0, 0])


def test_a_flat_frame_on_a_bright_background_is_left_out():
    flat = 1e5 + 1e-3 * np.array([[[0.0, 1], [1, 0]]])
    assert np.isnan(vrmse_frames(tally(flat + 1, flat), NO_NOISE)).all()


def test_mass_drift_by_hand():
    found = mass_drift_frames(tally(FORECAST, TRUTH))[:, 0, 0]
    np.testing.assert_allclose(found[:2], [2 / 12, 2 / 4])  # 14 for 12, 6 for 4
    assert np.isnan(found[2])
    less = mass_drift_frames(tally(TRUTH[:2], FORECAST[:2]))[:, 0, 0]
    np.testing.assert_allclose(less, [2 / 14, 2 / 6])


def test_a_diverged_forecast_is_infinitely_wrong_and_not_left_out():
    forecast = np.array(FORECAST)
    forecast[0, 0, 0] = np.nan
    for take in (nrmse_frames, mass_drift_frames, lambda t: vrmse_frames(t, NO_NOISE)):
        assert take(tally(forecast, TRUTH))[0, 0, 0] == np.inf


def test_masked_pixels_do_not_count():
    mask = [[[True, True], [True, False]]] * 3
    found = mass_drift_frames(tally(FORECAST, TRUTH, mask))[:, 0, 0]
    np.testing.assert_allclose(found[:2], [2 / 6, 2 / 3])
    found = vrmse_frames(tally(FORECAST, TRUTH, mask), NO_NOISE)[0, 0, 0]
    assert found == pytest.approx(math.sqrt(2 / 4))  # 0, 2, 4: variance 4; squares 1 + 1 + 4 of 3


def test_means_are_over_the_frames_that_have_a_value():
    values = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, 8.0]])[:, None]  # window lead channel
    sums = terms_of(values).sum(axis=0)
    assert mean_of(sums).tolist() == [[2.0, 8.0]]
    assert mean_of(sums, pool=True).tolist() == [[4.0]]
    assert np.isnan(mean_of(np.zeros((2, 1, 1)))).all()


def test_correlation_is_averaged_by_fishers_z_as_pearson_is():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(5, 4, 5))
    held = tally(truth + rng.normal(size=truth.shape), truth)
    sums = terms_of(correlation_z(held)).sum(axis=0)
    np.testing.assert_allclose(mean_of(sums, undo=np.tanh), pearson(held))
    assert np.ptp(frame_pearson(held)) > 0.05
