"""The noisy lattice against closed forms: rest, noise, diffusion, and what cannot be forecast."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr
from scipy.integrate import quad
from scipy.linalg import expm

from slime.errors import SlimeError
from slime.observables import hilbert_phase, winding
from slime.simulate import make_movies
from slime.simulate.movies import one_thread
from slime.simulate.sgro import (
    SgroState,
    advanced,
    batched,
    forked,
    initial_state,
    noise_error,
    one_movie,
    resting_cell,
    step,
)
from slime.simulate.sgro_film import ReporterSpec, reporter_share, sgro_counts
from slime.simulate.sgro_spec import SgroSpec
from tests.kernels import kernel_here

SMALL = SgroSpec(height_px=5, width_px=7)
QUIET = replace(SMALL, noise=0.0)
UNIT_S = 0.09 * 60


@pytest.fixture(autouse=True)
def _on_one_thread():
    with one_thread():
        yield


def _uniform(spec: SgroSpec, a: float, r: float, s: float, n_movies: int = 1) -> SgroState:
    shape = (n_movies, *spec.shape)
    fields = (torch.full(shape, value, dtype=torch.float64) for value in (a, r, s))
    return SgroState(0.0, *fields, tuple(torch.Generator().manual_seed(m) for m in range(n_movies)))


def _same(one: SgroState, other: SgroState, m: int = 0) -> bool:
    names = ("activator", "inhibitor", "signal")
    return all(torch.equal(getattr(one, n)[m], getattr(other, n)[0]) for n in names)


@pytest.mark.parametrize("a", [-1.3, 0.4])
def test_one_step_moves_each_field_by_its_equation(a):
    r, s, dt = 0.6, 0.02, 0.004
    new = step(_uniform(QUIET, a, r, s), QUIET, dt)
    rho = 10**-3.5
    fires = 1e6 * rho if a > 0 else 0
    expected = {
        "activator": a + dt * (a - a**3 / 3 - r + 0.058 * math.log(1 + s / 1e-5)),
        "inhibitor": r + dt * 0.1 * (a - 0.5 * r + 1.2),
        "signal": s + dt * (rho * 800 + fires - (0.5 + 1000 * rho) * s),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(new, name), np.full((1, 5, 7), value), rtol=1e-12)
    assert new.minutes == pytest.approx(dt * 0.09)


def test_rest_is_where_the_nullclines_meet():
    # a = 0: A - A^3/3 = 2 (A + 1.2), so A^3/3 + A + 2.4 = 0; Cardano for A^3 + 3 A + 7.2 = 0
    root = math.sqrt(3.6**2 + 1)
    a, r = resting_cell(replace(SMALL, gain=0.0), signal=5.0)
    assert a == pytest.approx(np.cbrt(root - 3.6) - np.cbrt(root + 3.6))
    assert r == pytest.approx(2 * (a + 1.2))
    assert r == pytest.approx(a - a**3 / 3)


def test_a_resting_lattice_without_noise_stays():
    start = initial_state(QUIET, [0], dtype=torch.float64)
    later = advanced(start, QUIET, 0.2)
    assert start.signal[0, 0, 0].item() == pytest.approx(0.8 * 10**-0.5 / (0.5 + 10**-0.5))
    for name in ("activator", "inhibitor", "signal"):
        torch.testing.assert_close(getattr(later, name), getattr(start, name), rtol=1e-9, atol=0)


def test_the_noise_of_a_step_has_variance_sigma_squared_dt():
    spec = SgroSpec(height_px=150, width_px=200)
    for dt in (0.001, 0.004):
        new = step(_uniform(spec, -1.0, 0.0, 0.1), spec, dt)
        # 30,000 cells: standard error of a variance sqrt(2 / 30,000) = 0.8 %
        assert new.activator.var().item() == pytest.approx(0.15**2 * dt, rel=0.035)
        assert new.inhibitor.std() == 0


def test_the_mean_of_the_signal_obeys_its_own_equation_whatever_the_diffusion():
    state = _uniform(QUIET, -1.0, 0.0, 0.0)
    bumpy = torch.rand(1, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    loss = 0.5 + 10**-0.5
    for diffusion in (0.0, 5.0):
        spec = replace(QUIET, diffusion_px2=diffusion)
        new = step(replace(state, signal=bumpy), spec, 0.005)
        mean = bumpy.mean() + 0.005 * (0.8 * 10**-0.5 - loss * bumpy.mean())
        torch.testing.assert_close(new.signal.mean(), mean, rtol=1e-12, atol=0)


def test_the_edges_meet():
    generator = torch.Generator().manual_seed(1)
    fields = torch.rand(3, 1, 5, 7, dtype=torch.float64, generator=generator)
    start = SgroState(0.0, *fields, (generator,))
    rolled = SgroState(0.0, *fields.roll((2, -3), (2, 3)), (generator,))
    new = advanced(start, QUIET, 0.01).signal
    assert torch.equal(advanced(rolled, QUIET, 0.01).signal, new.roll((2, -3), (1, 2)))


def test_a_movie_is_bitwise_the_same_alone_and_in_a_batch():
    together = advanced(initial_state(SMALL, [5, 6]), SMALL, 1.0)
    alone = advanced(initial_state(SMALL, [6]), SMALL, 1.0)
    assert _same(together, alone, 1)
    assert not _same(together, alone, 0)


def test_a_saved_state_goes_on_bitwise_alike():
    start = advanced(initial_state(SMALL, [5, 6]), SMALL, 0.5)
    saved = one_movie(start, 1)
    assert _same(advanced(start, SMALL, 0.5), advanced(batched([saved]), SMALL, 0.5), 1)
    with pytest.raises(ValueError, match="but a batch has one time"):
        batched([saved, saved | {"minutes": 1.0}])


def test_two_futures_of_one_state_differ_and_each_comes_again():
    start = advanced(initial_state(SMALL, [5]), SMALL, 0.5)
    one, again, other = (advanced(forked(start, seed), SMALL, 0.1) for seed in (3, 3, 4))
    assert _same(one, again)
    assert not _same(one, other)
    assert _same(forked(start, 3), start)


def test_what_cannot_be_forecast_is_the_variance_of_a_linear_cell():
    # a = 0 uncouples the cells, and noise this small sees only the slope at the fixed point
    spec = SgroSpec(height_px=100, width_px=150, gain=0.0, noise=1e-4)
    a, r = resting_cell(spec, 0.0)
    slopes = np.array([[1 - a**2, -1.0], [0.1, -0.05]])

    def squared_response(t: float) -> float:
        return expm(slopes * t)[0, 0] ** 2

    start = _uniform(spec, a, r, 0.3)
    error = noise_error(start, spec, n_leads=2, frame_interval_s=UNIT_S)
    for lead in (1, 2):
        expected = 1e-4**2 * quad(squared_response, 0, lead)[0]
        # 15,000 cells: 1.2 %; the step of 0.005 adds 0.5 %
        assert error[lead - 1].mean().item() == pytest.approx(expected, rel=0.05)


def test_without_noise_nothing_is_beyond_forecasting():
    start = initial_state(QUIET, [0])
    assert not noise_error(start, QUIET, n_leads=2, frame_interval_s=5.0).any()
    with pytest.raises(ValueError, match=r"the seeds are \(2, 2\)"):
        noise_error(start, QUIET, n_leads=1, frame_interval_s=5.0, seeds=(2, 2))


def test_what_is_observed_is_what_is_forecast():
    start = initial_state(SMALL, [0])
    plain = noise_error(start, SMALL, n_leads=1, frame_interval_s=5.0)
    tripled = noise_error(
        start, SMALL, n_leads=1, frame_interval_s=5.0, observe=lambda s: 3 * s.activator
    )
    torch.testing.assert_close(tripled, 9 * plain)


def test_the_reporter_is_dark_where_a_cell_fires():
    share = reporter_share(torch.tensor([-math.log(3), 0.0, math.log(3)]))
    assert share.tolist() == pytest.approx([0.75, 0.5, 0.25])
    camera = ReporterSpec(falloff=0.0, bleach_per_hour=0.5, reporter_electrons=1000.0)
    counts = sgro_counts(_uniform(SMALL, math.log(3), 0.0, 0.0), 0, camera, seconds=3600.0)
    np.testing.assert_allclose(counts, np.full((1, 5, 7), 100 + 200 + 1000 * 0.25 * 0.5))


def test_a_movie_of_the_lattice_goes_on_after_an_interrupt_without_a_seam(tmp_path, monkeypatch):
    short = {"height_px": 5, "width_px": 7, "n_frames": 5, "frames_per_chunk": 2, "warm_up_min": 1}
    make_movies("sgro", [tmp_path / "whole.zarr"], seeds=[3], **short)
    n_shots = 0

    def interrupted(*where):
        nonlocal n_shots
        n_shots += 1
        if n_shots == 4:
            raise KeyboardInterrupt
        return sgro_counts(*where)

    with monkeypatch.context() as patch:
        patch.setattr("slime.simulate.sgro_film.sgro_counts", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_movies("sgro", [tmp_path / "a.zarr"], seeds=[3], **short)
    assert not (tmp_path / "a.zarr").exists()
    make_movies("sgro", [tmp_path / "a.zarr"], seeds=[3], **short)
    whole, resumed = (zarr.open_group(tmp_path / f"{n}.zarr", mode="r") for n in ("whole", "a"))
    assert np.array_equal(whole["movie"][:], resumed["movie"][:])
    assert whole["movie"].shape == (5, 1, 5, 7)
    assert whole.attrs["parameters"]["spec"]["noise"] == 0.15
    assert whole.attrs["pixel_um"] == 33


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": -0.1}, "noise is -0.1; it must be a number at least 0"),
        ({"diffusion_px2": 60.0}, "dt is 0.005, but the step is stable only up to 0.0042"),
        ({"dt": 0.2}, "dt is 0.2; it must be a number above 0 and at most 0.1"),
        ({"alpha_pde": 0.0, "j": 0.0}, "j and alpha_pde are both 0"),
        ({"epsilon": float("nan")}, "epsilon is nan"),
    ],
)
def test_a_setting_out_of_range_is_named_with_what_would_be_right(change, message):
    with pytest.raises(SlimeError, match=message):
        SgroSpec(**change)


def _four_vortices(spec: SgroSpec) -> SgroState:
    """Cells whose place in the cycle winds around four points of the torus, twice each way."""
    y, x = (2 * np.pi * np.arange(n) / n for n in spec.shape)
    turn = torch.from_numpy(np.arctan2(np.sin(y)[:, None], np.sin(x)[None]))[None].float()
    start = initial_state(spec, [1])
    return replace(start, activator=2 * turn.cos(), inhibitor=0.8 * (1 + turn.sin()))


@pytest.mark.slow
def test_the_charges_of_spirals_on_the_torus_sum_to_zero_in_every_frame():
    spec, every_min, kernel = SgroSpec(height_px=96, width_px=112), 0.25, kernel_here()
    state, frames = advanced(_four_vortices(spec), spec, 1.0, kernel), []
    for _ in range(round(16 / every_min)):
        state = advanced(state, spec, every_min, kernel)
        frames.append(torch.cat([state.activator, state.signal]).numpy().copy())
    for name, field in zip(("activator", "signal"), np.stack(frames, axis=1), strict=True):
        phase = hilbert_phase(field, frame_interval_s=60 * every_min, period_s=5.0 * 60)
        timed = np.isfinite(phase).all(axis=(1, 2))
        charge = winding(phase[timed], periodic=True)
        assert len(charge) == 64 - 2 * 10
        assert charge.sum(axis=(1, 2)).tolist() == [0] * len(charge)
        # the four tips stay; the noise of each cell, which the signal smooths, adds pairs
        tips = np.abs(charge).sum(axis=(1, 2))
        assert (tips >= 4).all()
        assert np.median(tips) == 4 if name == "signal" else np.median(tips) > 4
        assert winding(phase[timed]).sum(axis=(1, 2)).any()  # an open frame cuts some pairs


@pytest.mark.slow
@pytest.mark.parametrize("diffusion_px2", [1.0, 5.0])
def test_the_lattice_oscillates_with_the_known_period(diffusion_px2):
    spec, every_min = SgroSpec(diffusion_px2=diffusion_px2), 0.09
    state = advanced(initial_state(spec, [0]), spec, 10.0)
    frames = []
    for _ in range(round(35 / every_min)):
        state = advanced(state, spec, every_min)
        frames.append(state.activator[0, ::4, ::4])
    trace = torch.stack(frames).flatten(1).double().numpy()
    trace = (trace - trace.mean(axis=0)) * np.hanning(len(trace))[:, None]
    power = (np.abs(np.fft.rfft(trace, 8 * len(trace), axis=0)) ** 2).mean(axis=1)
    frequency = np.fft.rfftfreq(8 * len(trace), every_min)
    assert 4.6 * 0.95 < 1 / frequency[power.argmax()] < 5.4 * 1.05
