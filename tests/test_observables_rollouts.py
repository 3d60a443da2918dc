"""Forecasts that are wrong in a known way: slower, shifted, brighter, lost, of the other hand."""

import numpy as np
import pytest

from slime.observables.choices import Choices
from slime.observables.reading import Field, Units
from slime.observables.rollout_errors import error_rows
from slime.observables.rollouts import (
    MATCH_SHARE,
    best_channel,
    own_rows,
    rollout_choices,
    see,
    shown_leads,
)

N, Y, X = 60, 24, 30
SHARP = Choices(smooth_px=0)
UNITS = Units(15.0, 50.0, "s", "um")
DIAGONAL_UM = 50 * np.hypot(Y, X)


def field(frames, units=UNITS):
    return Field(np.asarray(frames, np.float32), units, "camp", 1, "")


def waves(period=12.0, wavelength=10.0, n=N):
    t, x = np.arange(n)[:, None, None], np.arange(X)
    return np.broadcast_to(10 + np.cos(2 * np.pi * (t / period - x / wavelength)), (n, Y, X))


def spiral(hand=1, shift=0, period=12.0):
    """One arm that turns about a pixel's corner; `shift` moves it along y, in pixels."""
    y, x = np.mgrid[:Y, :X]
    y, x = y - 11.5 - shift, x - 14.5
    angle = hand * np.arctan2(y, x) - np.hypot(y, x) / 4
    return 10 + np.cos(2 * np.pi * np.arange(N)[:, None, None] / period - angle)


def blobs(*places, sigma=2.0):
    y, x = np.mgrid[:Y, :X]
    light = sum(np.exp(-((y - v) ** 2 + (x - u) ** 2) / (2 * sigma**2)) for v, u in places)
    return np.broadcast_to(100 * light + 1, (14, Y, X))


def both(truth, forecast, choices=SHARP, counts=None):
    chosen = rollout_choices(field(truth), choices)
    true = see(field(truth), chosen)
    counts = np.isfinite(truth) if counts is None else counts
    return see(field(forecast), chosen, counts, true.threshold), true


def errors(truth, forecast, choices=SHARP, counts=None):
    """Rows by name and lead."""
    rows = error_rows(*both(truth, forecast, choices, counts))
    return {(row.observable, lead): row for lead, row in rows}


def test_a_perfect_forecast_has_no_error():
    found = errors(spiral(), spiral())
    for name in ("period_error", "wave_speed_error", "wavelength_error", "singularity_error"):
        assert found[name, 0].value == 0, name
    for lead in shown_leads(N):
        assert found["spectrum_error", lead].value == 0
        assert found["mound_error", lead].value == 0
        assert found["density_variance_error", lead].value == 0


def test_slower_waves_are_slower_by_what_they_are():
    found = errors(waves(period=12), waves(period=15))
    assert found["period_error", 0].value == pytest.approx(15 / 12 - 1, abs=0.01)
    # the wavelength is kept, so that the speed falls as the period grows
    assert found["wave_speed_error", 0].value == pytest.approx(12 / 15 - 1, abs=0.02)
    assert found["wavelength_error", 0].value == pytest.approx(0, abs=0.02)


def test_periods_and_speeds_carry_the_movie_s_units():
    own = {(row.observable, lead): row for lead, row in own_rows(both(waves(), waves())[0])}
    assert own["period", 0].value == pytest.approx(12 * 15, rel=0.01)
    assert own["period", 0].unit == "s"
    assert own["wave_speed", 0].value == pytest.approx(10 * 50 / (12 * 15), rel=0.01)
    assert own["wave_speed", 0].unit == "um/s"
    assert own["length", N].unit == "um"


def test_a_spectrum_ten_times_brighter_is_two_decades_off():
    found = errors(waves(), 10 * waves())
    assert found["spectrum_error", N].value == pytest.approx(2, abs=1e-3)
    assert found["spectrum_error", N].unit == "decades"


def test_twice_the_contrast_is_four_times_the_variance():
    found = errors(waves(), 10 + 2 * (waves() - 10))
    assert found["density_variance_error", 8].value == pytest.approx(3, rel=1e-3)


def test_a_shifted_mound_is_off_by_its_shift_and_a_lost_one_by_the_most():
    truth = blobs((8, 8), (16, 22))
    found = errors(truth, blobs((8, 10), (16, 22)))
    assert found["mound_error", 14].value == pytest.approx(2 * 50 / 2, rel=0.02)
    assert "2 pairs, 0 missed, 0 extra" in found["mound_error", 14].note
    found = errors(truth, 0 * truth)
    assert found["mound_error", 14].value == pytest.approx(MATCH_SHARE * DIAGONAL_UM)
    assert "0 pairs, 2 missed" in found["mound_error", 14].note
    one = errors(truth, blobs((8, 8)))
    # half a penalty over three places: 2 * (max / 2) / 3
    assert one["mound_error", 14].value == pytest.approx(MATCH_SHARE * DIAGONAL_UM / 3, rel=0.01)


def test_a_shifted_tip_is_off_by_its_shift_and_one_of_the_other_hand_is_none():
    found = errors(spiral(), spiral(shift=1))
    assert found["singularity_error", 0].value == pytest.approx(50, rel=0.05)
    found = errors(spiral(1), spiral(-1))
    assert found["singularity_error", 0].value == pytest.approx(MATCH_SHARE * DIAGONAL_UM, rel=0.05)


def test_a_forecast_that_stands_still_misses_every_tip_and_has_no_period():
    still = np.broadcast_to(spiral()[0], (N, Y, X))
    found = errors(spiral(), still)
    assert np.isnan(found["period_error", 0].value)
    assert "forecast: no waves: 10%" in found["period_error", 0].note
    assert found["singularity_error", 0].value == pytest.approx(MATCH_SHARE * DIAGONAL_UM)
    assert "every tip is missed" in found["singularity_error", 0].note


def test_plane_waves_have_no_tips_to_miss():
    row = errors(waves(), waves())["singularity_error", 0]
    assert np.isnan(row.value)
    assert row.note == "no singularities in either"


def test_a_short_rollout_says_why_it_has_no_period():
    found = errors(waves(n=8), waves(n=8))
    assert found["period_error", 0].note == "truth: 8 frames, 12 are needed"
    own = {row.observable: row for _, row in own_rows(both(waves(n=8), waves(n=8))[0])}
    assert own["wave_speed"].note == "8 frames, 12 are needed"
    assert own["wave_speed"].unit == "um/s"


def test_less_than_two_periods_are_no_period():
    # 1.8 periods of the waves: the band ends at half of the rollout
    found = errors(waves(period=N / 1.8), waves(period=N / 1.8))
    assert np.isnan(found["period_error", 0].value)


def test_a_forecast_that_is_not_finite_is_lost_from_there_on_and_says_so():
    broken = waves().copy()
    broken[8:, 3, 4] = np.inf
    found = errors(waves(), broken)
    assert found["spectrum_error", 8].value == 0
    for name in ("spectrum_error", "mound_error", "density_variance_error"):
        assert np.isnan(found[name, 12].value)
        assert "not finite from lead 9 on" in found[name, 12].note
    assert "not finite from lead 9 on" in found["period_error", 0].note
    own = {(row.observable, lead): row for lead, row in own_rows(both(waves(), broken)[0])}
    assert np.isnan(own["n_mounds", 12].value)
    assert own["n_mounds", 8].value == own["n_mounds", 8].value


def test_what_is_masked_counts_in_neither():
    counts = np.ones((N, Y, X), bool)
    counts[:, :, :6] = False
    truth, wild = np.where(counts, waves(), np.nan), waves().copy()
    wild[:, :, :6] = np.random.default_rng(0).normal(0, 1e6, (N, Y, 6))
    wild[5, 0, 0] = np.nan
    found = errors(truth, wild, counts=counts)
    assert found["spectrum_error", N].value == pytest.approx(0, abs=1e-6)
    assert found["density_variance_error", N].value == pytest.approx(0, abs=1e-6)
    assert found["period_error", 0].value == 0


def test_a_flat_truth_is_measured_as_far_as_that_goes():
    flat = np.full((N, Y, X), 7.0)
    found = errors(flat, waves())
    assert found["mound_error", 1].note == "the truth is flat: no threshold"
    assert found["spectrum_error", 1].note == "a frame is flat"
    assert found["density_variance_error", 1].note == "the truth is flat"
    assert np.isnan(found["period_error", 0].value)


def test_the_channel_with_most_waves_is_shown():
    _, still = both(0 * waves() + 3, waves())
    _, moving = both(waves(), waves())
    assert best_channel([still, moving]) == 1
    assert best_channel([still, still]) == 0
