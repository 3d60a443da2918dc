"""The reaction against the printed formulas, its periods and its spiral against known values."""

import numpy as np
import pytest
import torch

from slime.errors import SlimeError
from slime.observables import activation_times, dispersion, wave_speed
from slime.simulate.martiel_goldbeter import (
    Kinetics,
    Signal,
    lower_half_reset,
    react,
    reacted,
    receptor_rates,
    resting,
    resting_signal,
    strip_pulse,
    synthesis,
)
from slime.simulate.movies import one_thread
from tests.kernels import kernel_here


@pytest.fixture(autouse=True)
def _on_one_thread():
    with one_thread():
        yield


def test_rates_are_those_of_the_printed_formulas():
    k1, k2, l1, l2, c = 0.036, 0.666, 10, 0.005, 10
    rho, g = np.array([0.2, 0.9, 0.5]), np.array([0.0, 0.3, 7.0])
    f1 = (k1 + k2 * g) / (1 + g)
    f2 = (k1 * l1 + k2 * l2 * c * g) / (1 + c * g)
    y = rho * g / (1 + g)
    phi = 3 * (0.01 * 0.01 + y**2) / (1 + 3 * 0.01 + y**2 * (1 + 3))
    kinetics = Kinetics(k1_per_min=k1, k2_per_min=k2)
    recovery, exchange, bound = receptor_rates(torch.from_numpy(g), kinetics)
    np.testing.assert_allclose(recovery, f2, rtol=1e-12)
    np.testing.assert_allclose(exchange, f1 + f2, rtol=1e-12)
    made = synthesis(torch.from_numpy(rho), bound, kinetics)
    np.testing.assert_allclose(made, 4000 * 0.6 * phi, rtol=1e-12)


def test_one_step_moves_each_field_by_its_equation():
    kinetics = Kinetics()
    rho, b, g, n = 0.6, 3.0, 0.4, 1.3
    fields = Signal(*(torch.full((1, 2, 3), v, dtype=torch.float64) for v in (rho, b, g)))
    secretion = n * 0.9 / 5
    new = react(fields, kinetics, dt_min=0.01, dx_mm=0.05, secretion=secretion)
    f1, f2 = (0.09 + 1.665 * g) / (1 + g), (0.9 + 1.665 * 0.005 * 10 * g) / (1 + 10 * g)
    square = (rho * g / (1 + g)) ** 2
    phi = 3 * (1e-4 + square) / (1.03 + 4 * square)
    expected = (
        rho + 0.01 * (-f1 * rho + f2 * (1 - rho)),
        b + 0.01 * (2400 * phi - 2.6 * b),
        g + 0.01 * (secretion * b - 9 * g),
    )
    for field, value in zip(new, expected, strict=True):
        np.testing.assert_allclose(field, np.full((1, 2, 3), value), rtol=1e-12)


@pytest.mark.parametrize("k_e_per_min", [5.4, 9.0])
def test_the_resting_state_is_a_fixed_point(k_e_per_min):
    kinetics = Kinetics(k_e_per_min=k_e_per_min)
    still = resting_signal(kinetics, (1, 2, 3), dtype=torch.float64)
    new = react(still, kinetics, dt_min=0.01, dx_mm=0.05, secretion=0.9 / 5)
    for before, after in zip(still, new, strict=True):
        torch.testing.assert_close(after, before, rtol=1e-9, atol=0)


def _well_mixed(kinetics: Kinetics, minutes: float, dt_min: float = 0.01) -> np.ndarray:
    """g of one stirred drop after a stimulus, every step."""
    signal = Signal(*(torch.full((1, 1, 1), v, dtype=torch.float64) for v in (0.9, 1.0, 0.5)))
    secretion = kinetics.k_t_per_min / kinetics.h
    trace = np.empty(round(minutes / dt_min))
    for i in range(len(trace)):
        signal = react(signal, kinetics, dt_min=dt_min, dx_mm=1.0, secretion=secretion)
        trace[i] = signal.g.item()
    return trace


def _crossing_times(trace: np.ndarray, level: float, interval: float) -> np.ndarray:
    before = np.flatnonzero((trace[:-1] < level) & (trace[1:] >= level))
    return (before + (level - trace[before]) / (trace[before + 1] - trace[before])) * interval


@pytest.mark.parametrize(
    ("k1", "k2", "k_e", "period_min"),
    [
        pytest.param(0.036, 0.666, 3.5, 7.5, marks=pytest.mark.slow),
        (0.036, 0.666, 5.4, 10.7),
        pytest.param(0.036, 0.666, 7.0, 14.5, marks=pytest.mark.slow),
        (0.09, 1.665, 5.4, 4.6),
        pytest.param(0.09, 1.665, 7.0, 5.2, marks=pytest.mark.slow),
    ],
)
def test_well_mixed_cells_oscillate_with_the_known_period(k1, k2, k_e, period_min):
    kinetics = Kinetics(k1_per_min=k1, k2_per_min=k2, k_e_per_min=k_e)
    trace = _well_mixed(kinetics, minutes=max(30.0, 3.5 * period_min))
    times = _crossing_times(trace, level=1.0, interval=0.01)
    # 2 %: known to two or three digits, and the step of 0.01 min adds 1 %
    assert times[-1] - times[-2] == pytest.approx(period_min, rel=0.02)


def test_the_default_kinetics_are_excitable_not_oscillating():
    trace = _well_mixed(Kinetics(), minutes=20.0)
    assert trace[:300].max() > 2  # one pulse, 250 times the resting level
    assert trace[-1] == pytest.approx(resting(Kinetics())[2], rel=1e-3)


def test_the_base_set_comes_to_rest_where_camp_outside_decays_fast():
    kinetics = Kinetics(k1_per_min=0.036, k2_per_min=0.666, k_e_per_min=9.0)
    trace = _well_mixed(kinetics, minutes=50.0)
    assert trace[-1] == pytest.approx(resting(kinetics)[2], rel=1e-2)


def _spiral(k_e_per_min: float, dx_mm: float, dt_min: float) -> tuple[float, float]:
    """Period in minutes and speed in mm/min of the spiral from a wave cut on 3.2 mm square."""
    kinetics, n, interval = Kinetics(k_e_per_min=k_e_per_min), round(3.2 / dx_mm), 0.02
    signal = strip_pulse(resting_signal(kinetics, (1, n, n)), n_columns=n // 10)
    trace, every, thin = [], round(interval / dt_min), n // 80
    kernel = kernel_here() if dx_mm < 0.04 else None
    secretion = torch.full_like(signal.g, 0.9 / 5)
    told = {"n_steps": every, "dt_min": dt_min, "dx_mm": dx_mm, "secretion": secretion}
    for i in range(round(50 / interval)):
        if i == round(5 / interval):
            signal = lower_half_reset(signal, kinetics)
        signal = reacted(signal, kinetics, **told, kernel=kernel)
        trace.append(signal.b[0, ::thin, ::thin].numpy().copy())
    b = np.stack(trace)
    last_two = np.full((*b.shape[1:], 2), np.nan)  # at the core b stays low: no crossing
    for place in np.ndindex(b.shape[1:]):
        times = _crossing_times(b[:, *place], 30.0, interval)
        last_two[place] = times[-2:] if len(times) > 1 else np.nan
    period = np.nanmedian(last_two[..., 1] - last_two[..., 0])
    slowness = np.hypot(*np.gradient(last_two[..., 1], dx_mm * thin))
    return float(period), float(1 / np.nanmedian(slowness))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("k_e", "dx_mm", "dt_min", "period_min", "speed", "wavelength_mm"),
    [
        (9.0, 0.04, 0.004, 5.44, 0.305, 1.67),
        (9.0, 0.02, 0.002, 5.42, 0.310, 1.67),
        (11.0, 0.04, 0.004, 5.795, 0.285, 1.66),
        (11.0, 0.02, 0.002, 5.795, 0.285, 1.66),
    ],
)
def test_a_broken_wave_becomes_the_known_spiral(
    k_e, dx_mm, dt_min, period_min, speed, wavelength_mm
):
    period, pace = _spiral(k_e, dx_mm, dt_min)
    assert period == pytest.approx(period_min, rel=0.03)
    assert pace == pytest.approx(speed, rel=0.05)
    assert period * pace == pytest.approx(wavelength_mm, rel=0.05)


def _wave_train(period_min: float) -> tuple[float, float]:
    """Period in minutes and speed in mm/min of plane waves started so often, 2 to 8 mm on."""
    kinetics, dx_mm, every_min = Kinetics(), 0.04, 0.1
    signal = resting_signal(kinetics, (1, 5, 200))
    secretion, frames = torch.full((1, 5, 200), 0.9 / 5), []
    told = {"n_steps": 25, "dt_min": every_min / 25, "dx_mm": dx_mm, "secretion": secretion}
    for i in range(round(70 / every_min)):
        if i % round(period_min / every_min) == 0:
            signal = strip_pulse(signal, n_columns=5)
        signal = reacted(signal, kinetics, **told, kernel=kernel_here())
        frames.append(signal.b[0].numpy().copy())
    frames = frames[round(30 / every_min) :]  # the first waves run into a dish at rest
    times = activation_times(np.stack(frames), frame_interval_s=60 * every_min)
    speed = wave_speed(times, pixel_um=1000 * dx_mm)
    pairs = dispersion(times[:, :, 50:], speed[:, :, 50:])
    return float(np.median(pairs.period_s)) / 60, float(np.median(pairs.speed_um_per_s)) * 0.06


@pytest.mark.slow
def test_waves_run_slower_the_sooner_they_follow_one_another():
    # Siegert & Weijer 1991: c(T) rises and levels off
    found = [_wave_train(period) for period in (5.5, 6.0, 7.0, 8.0, 10.0)]
    periods, speeds = np.array(found).T
    np.testing.assert_allclose(periods, [5.5, 6.0, 7.0, 8.0, 10.0], rtol=0.02)
    assert (np.diff(speeds) > 0).all()
    assert speeds[-1] > 1.15 * speeds[0]
    # the curve goes on to the spiral above, 5.42 min and 0.310 mm/min, whose fronts are curved and
    # so run slower by D / radius, 0.024 mm/min at 1 mm
    slope = (speeds[1] - speeds[0]) / (periods[1] - periods[0])
    assert 0 < speeds[0] + slope * (5.42 - periods[0]) - 0.310 < 0.024


@pytest.mark.parametrize(
    ("name", "value"), [("k_e_per_min", -1.0), ("q", float("nan")), ("alpha", float("inf"))]
)
def test_a_constant_out_of_range_is_named_with_its_value(name, value):
    with pytest.raises(SlimeError, match=f"{name} is {value}; it must be a number above 0"):
        Kinetics(**{name: value})


def test_a_strip_pulse_and_a_reset_touch_only_their_part():
    kinetics = Kinetics()
    rest = resting_signal(kinetics, (1, 4, 5))
    pulsed = strip_pulse(rest, n_columns=2)
    assert (pulsed.g[0] == 8).sum(dim=1).tolist() == [2, 2, 2, 2]
    cut = lower_half_reset(pulsed, kinetics)
    assert (cut.g[0] == 8).sum(dim=1).tolist() == [0, 0, 2, 2]
    assert (cut.rho[0] == 0.25).sum(dim=1).tolist() == [5, 5, 0, 0]
    assert torch.equal(pulsed.g[0, 0, :2], torch.tensor([8.0, 8.0]))
