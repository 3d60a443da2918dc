"""Periods, activation times, speeds, phases and tips against waves that are written down."""

import numpy as np
import pytest
import torch

from slime.errors import SlimeError
from slime.observables import (
    Dispersion,
    activation_times,
    crossing_periods,
    delay_phase,
    dispersion,
    dispersion_curve,
    hilbert_phase,
    period_map,
    singularities,
    wave_speed,
    winding,
)

EVERY_S, PIXEL_UM = 15.0, 50.0


def plane_wave(period_s=330.0, speed=5.0, *, n=200, y=7, x=31, angle=0.3):
    """A sine that runs along `angle` at `speed` um/s; the fields of a plane wave are exact."""
    t = np.arange(n)[:, None, None] * EVERY_S
    rows, columns = np.mgrid[:y, :x] * PIXEL_UM
    along = np.cos(angle) * columns + np.sin(angle) * rows
    return np.sin(2 * np.pi * (t - along / speed) / period_s)


def spiral(period=20.0, *, n=120, side=24, turn=1):
    """cos of a phase that winds once around the middle of the frame, between four pixels."""
    t = np.arange(n)[:, None, None]
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    return turn * np.arctan2(rows, columns) + 2 * np.pi * t / period


@pytest.mark.parametrize("period_s", [95.0, 330.0, 701.0])
def test_the_period_of_a_plane_wave_is_its_period(period_s):
    found = period_map(plane_wave(period_s), frame_interval_s=EVERY_S)
    # 0.5 %: the parabola is not exactly the window's peak, and the line takes a little away
    np.testing.assert_allclose(found, period_s, rtol=5e-3)


def test_a_period_is_that_of_the_wave_not_of_its_harmonics_or_drift():
    pulses = np.exp(4 * plane_wave(330.0)) + np.linspace(0, 90, 200)[:, None, None]
    found = period_map(pulses, frame_interval_s=EVERY_S)
    np.testing.assert_allclose(found, 330.0, rtol=5e-3)


@pytest.mark.parametrize("red", [0.0, 0.9, 1.0])
def test_noise_has_no_period(red):
    noise = np.random.default_rng(0).standard_normal((160, 30, 40))
    for t in range(1, len(noise)):
        noise[t] += red * noise[t - 1]
    assert np.isfinite(period_map(noise, frame_interval_s=1.0)).mean() < 0.015


def test_pixels_that_are_masked_or_flat_or_missing_have_no_period():
    frames = plane_wave()
    frames[:, 2, 3] = 7.0
    frames[9, 4, 5] = np.nan
    mask = np.ones(frames.shape, bool)
    mask[50, 1, 1] = False
    found = period_map(frames, frame_interval_s=EVERY_S, mask=mask)
    missing = {tuple(place) for place in np.argwhere(np.isnan(found)).tolist()}
    assert missing == {(2, 3), (4, 5), (1, 1)}


def test_a_band_and_frames_that_cannot_be_are_named():
    frames = plane_wave(n=30)
    with pytest.raises(SlimeError, match="12 frames, but there are 5"):
        period_map(frames[:5], frame_interval_s=EVERY_S)
    with pytest.raises(SlimeError, match=r"periods from 10 to 150 s: .* 2 frames \(30 s\)"):
        period_map(frames, frame_interval_s=EVERY_S, shortest_s=10.0)
    with pytest.raises(SlimeError, match="frame_interval_s is 0"):
        period_map(frames, frame_interval_s=0.0)
    with pytest.raises(SlimeError, match=r"a mask of shape \(3, 4\) does not fit"):
        period_map(frames, frame_interval_s=EVERY_S, mask=np.ones((3, 4), bool))


def test_a_wave_is_timed_when_it_passes_the_middle():
    times = activation_times(plane_wave(n=100, angle=0.0), frame_interval_s=EVERY_S)
    # sin(2 pi (t - x / c) / T) rises through 0 at t = x / c + m T
    for column in (0, 5, 30):
        found = times[:, 3, column]
        found = found[np.isfinite(found)]
        first = column * PIXEL_UM / 5.0
        expected = first + 330.0 * np.round((found[0] - first) / 330.0) + 330.0 * np.arange(4)
        # the straight line between frames and the range's percentiles: 1 s of 330
        np.testing.assert_allclose(found[:4], expected, atol=1.0)
    np.testing.assert_allclose(crossing_periods(times), 330.0, rtol=2e-3)


def test_falls_are_timed_half_a_period_later_in_a_sine():
    frames = plane_wave(n=100)
    rises = activation_times(frames, frame_interval_s=EVERY_S)
    falls = activation_times(frames, frame_interval_s=EVERY_S, falling=True)
    gap = (falls[0] - rises[0]) % 330.0
    np.testing.assert_allclose(gap, 165.0, atol=2.0)


def test_noise_on_a_wave_makes_no_second_activation():
    frames = plane_wave(n=100) + 0.1 * np.random.default_rng(0).standard_normal((100, 7, 31))
    np.testing.assert_allclose(
        crossing_periods(activation_times(frames, frame_interval_s=EVERY_S)), 330.0, rtol=0.03
    )


@pytest.mark.parametrize("angle", [0.0, 0.3, 2.0])
def test_the_speed_of_a_plane_wave_is_its_speed(angle):
    times = activation_times(plane_wave(speed=5.2, angle=angle, y=20), frame_interval_s=EVERY_S)
    speed = wave_speed(times, pixel_um=PIXEL_UM)
    inside = speed[1:-1, 2:-2, 2:-2]
    assert np.isfinite(inside).mean() > 0.95
    # a time is off by at most 0.6 s of the 9.6 s from pixel to pixel, a plane over 25 of them less
    assert np.nanmedian(inside) == pytest.approx(5.2, rel=5e-3)
    np.testing.assert_allclose(inside[np.isfinite(inside)], 5.2, rtol=0.05)
    assert np.isnan(speed[:, 0, 0]).all()  # 9 of 25 neighbours


def test_exact_times_give_the_exact_speed_however_waves_are_numbered():
    rows, columns = np.mgrid[:9, :12]
    first = 3.0 * rows + 4.0 * columns  # |grad| 5 s a pixel
    times = np.stack([first, first + 100, first + 200])
    times[:, 4:, 6:] = np.stack([first + 100, first + 200, np.full_like(first, np.nan)])[:, 4:, 6:]
    times[:, 2, 3], times[:, 3, 2] = np.nan, np.nan  # squares that lean to one side
    speed = wave_speed(times, pixel_um=10.0)
    known = np.isfinite(speed[1, 2:-2, 2:-2])
    assert known.sum() == 5 * 8 - 2
    np.testing.assert_allclose(speed[1, 2:-2, 2:-2][known], 2.0)
    pairs = dispersion(times, speed)
    np.testing.assert_allclose(pairs.period_s, 100.0)
    assert len(pairs.period_s) == np.isfinite(speed[1:]).sum()


def test_bins_of_the_dispersion_hold_alike_many_pairs():
    # periods 1 to 40, speed 2 T: quarters of ten, whose medians lie between two numbers
    period = np.random.default_rng(0).permutation(np.arange(1.0, 41.0))
    curve = dispersion_curve(Dispersion(period, 2 * period), n_bins=4, min_pairs=10)
    assert [one.n for one in curve] == [10] * 4
    assert [one.period_s for one in curve] == [5.5, 15.5, 25.5, 35.5]
    assert [one.speed for one in curve] == [11.0, 31.0, 51.0, 71.0]
    assert (curve[0].shortest_s, curve[-1].longest_s) == (1, 40)
    # the 5th and 95th percentile of 2, 4, ..., 20: 0.45 and 8.55 places of 2 on from the first
    assert (curve[0].low, curve[0].high) == pytest.approx((2.9, 19.1))
    assert dispersion_curve(Dispersion(period, period), n_bins=4, min_pairs=11) == []


def test_periods_all_alike_fall_into_one_bin_and_none_into_none():
    pairs = Dispersion(np.full(30, 300.0), np.arange(30.0))
    assert [(one.period_s, one.speed, one.n) for one in dispersion_curve(pairs)] == [
        (300, 14.5, 30)
    ]
    assert dispersion_curve(Dispersion(np.zeros(0), np.zeros(0))) == []


def test_a_pixel_that_all_waves_reach_at_once_has_no_speed():
    assert np.isnan(wave_speed(np.ones((2, 6, 7)), pixel_um=1.0)).all()
    with pytest.raises(SlimeError, match="radius_px is 0"):
        wave_speed(np.ones((2, 6, 7)), pixel_um=1.0, radius_px=0)


def test_phases_are_those_of_the_sine_away_from_the_ends():
    turns = spiral()
    wrapped = np.angle(np.exp(1j * turns))
    hilbert = hilbert_phase(np.cos(turns), frame_interval_s=1.0, period_s=20.0)
    assert np.isnan(hilbert[:10]).all()
    assert np.isnan(hilbert[-10:]).all()
    off = np.angle(np.exp(1j * (hilbert - wrapped)))[20:-20]
    # what the filter makes of the ends fades inwards: a twentieth of a turn, then a hundredth
    assert np.abs(off).max() < 0.2
    assert np.abs(off[25:-25]).max() < 0.06
    delayed = delay_phase(np.cos(turns), delay_frames=5)
    assert np.isnan(delayed[:5]).all()
    np.testing.assert_allclose(np.angle(np.exp(1j * (delayed - wrapped)))[5:], 0, atol=1e-9)


@pytest.mark.parametrize("turn", [1, -1])
def test_a_spiral_has_one_tip_at_its_middle_with_its_charge(turn):
    phase = hilbert_phase(np.cos(spiral(turn=turn)), frame_interval_s=1.0, period_s=20.0)
    found = singularities(winding(phase))
    assert len(found) == 120 - 2 * 10
    np.testing.assert_array_equal(found[:, 1:], [[11.5, 11.5, turn]] * len(found))


def test_charges_of_vortices_on_a_torus_sum_to_zero():
    rng = np.random.default_rng(3)
    spectrum = rng.standard_normal((5, 20, 31)) + 1j * rng.standard_normal((5, 20, 31))
    k = np.hypot(np.fft.fftfreq(20)[:, None], np.fft.fftfreq(31))
    phase = np.angle(np.fft.ifft2(spectrum * np.exp(-((k / 0.1) ** 2))))
    charge = winding(phase, periodic=True)
    assert charge.shape == (5, 20, 31)
    assert (np.abs(charge).sum(axis=(1, 2)) >= 4).all()
    assert charge.sum(axis=(1, 2)).tolist() == [0] * 5
    assert winding(phase).sum(axis=(1, 2)).any()  # an open frame cuts some pairs


def test_no_singularity_is_seen_outside_the_active_area():
    phase = np.angle(np.exp(1j * spiral(n=3)))
    phase[:, 11, 11] = np.nan
    assert not winding(phase).any()


def test_a_phase_that_cannot_be_is_refused():
    frames = np.cos(spiral(n=30))
    with pytest.raises(SlimeError, match="a period of 3 frames in 30 frames"):
        hilbert_phase(frames, frame_interval_s=1.0, period_s=3.0)
    with pytest.raises(SlimeError, match="a period of 16 frames in 30 frames"):
        hilbert_phase(frames, frame_interval_s=1.0, period_s=16.0)
    with pytest.raises(SlimeError, match="delay_frames is 30; it must be 1 to 29"):
        delay_phase(frames, delay_frames=30)


@pytest.mark.slow
def test_the_simulated_spiral_has_its_known_period_speed_and_one_tip():
    from slime.simulate.martiel_goldbeter import (
        Kinetics,
        lower_half_reset,
        react,
        resting_signal,
        strip_pulse,
    )

    kinetics, dx_mm, dt_min, every = Kinetics(), 0.04, 0.004, 50
    signal = strip_pulse(resting_signal(kinetics, (1, 100, 100)), n_columns=8)
    frames = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for i in range(round(60 / dt_min)):
        if i == round(5 / dt_min):
            signal = lower_half_reset(signal, kinetics)
        signal = react(signal, kinetics, dt_min=dt_min, dx_mm=dx_mm, secretion=0.9 / 5)
        if i % every == 0 and i * dt_min > 25:
            frames.append(signal.b[0].numpy().copy())
    torch.set_num_threads(threads)
    field, every_s = np.stack(frames), dt_min * every * 60
    period = period_map(field, frame_interval_s=every_s)
    assert np.nanmedian(period) / 60 == pytest.approx(5.42, rel=0.05)
    times = activation_times(field, frame_interval_s=every_s, mask=np.isfinite(period))
    assert np.nanmedian(crossing_periods(times)) / 60 == pytest.approx(5.42, rel=0.05)
    speed = wave_speed(times, pixel_um=1000 * dx_mm)
    assert np.nanmedian(speed) * 0.06 == pytest.approx(0.31, rel=0.1)
    phase = hilbert_phase(field, frame_interval_s=every_s, period_s=float(np.nanmedian(period)))
    charge = winding(phase)
    timed = np.isfinite(phase).any(axis=(1, 2))
    assert np.abs(charge[timed]).sum(axis=(1, 2)).tolist() == [1] * int(timed.sum())
    assert len(set(charge[timed].sum(axis=(1, 2)).tolist())) == 1


def test_rows_at_a_time_give_what_all_at_once_give(monkeypatch):
    frames = plane_wave(y=9, n=100)

    def measured():
        times = activation_times(frames, frame_interval_s=EVERY_S)
        phase = hilbert_phase(frames, frame_interval_s=EVERY_S, period_s=330.0)
        period = period_map(frames, frame_interval_s=EVERY_S)
        return times, wave_speed(times, pixel_um=PIXEL_UM), phase, period

    whole = measured()
    monkeypatch.setattr("slime.observables.fields.SLAB_BYTES", 1)
    for one, other in zip(measured(), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
