"""DMD, flow and phase against movies whose next frame has a closed form."""

import math

import numpy as np
import pytest
import torch
import xarray as xr
from einops import rearrange

from baselines import (
    BASELINES,
    DMD,
    Climatology,
    FlowAdvection,
    Persistence,
    PhaseExtrapolation,
    fit_baselines,
    phase,
)
from baselines.flow import displacement, warped
from baselines.phase import wave_weights
from slime.errors import SlimeError
from slime.split import Split, temporal_splits
from slime.stepper import rollout
from slime.windows import WindowSpec


def as_movie(frames, **coords):
    """A movie in memory of frames `t c y x`."""
    return xr.DataArray(
        np.asarray(frames, np.float32), dims=("time", "channel", "y", "x"), coords=coords, name="m"
    )


def past_of(movie, at, n):
    """Frames at - n + 1 to at, as a batch of one."""
    return torch.from_numpy(movie.values[at - n + 1 : at + 1])[None]


def turning(n, angle=0.3, decay=0.99, seed=0):
    """Two patterns that turn into each other on a still background: a linear law of rank 2."""
    rng = np.random.default_rng(seed)
    patterns, still = rng.normal(size=(2, 2, 5, 6)), rng.normal(size=(2, 5, 6))
    t = np.arange(n)
    amounts = np.stack([np.cos(angle * t), np.sin(angle * t)], 1) * (decay**t)[:, None]
    return as_movie(still + np.einsum("tk,kcyx->tcyx", amounts, patterns))


def standing(n, angle=0.5):
    """One pattern that swings: a frame alone does not say which way, two do."""
    pattern = np.random.default_rng(0).normal(size=(1, 5, 6))
    return as_movie(2 + np.cos(angle * np.arange(n))[:, None, None, None] * pattern)


def test_dmd_forecasts_a_linear_law_exactly():
    movie = turning(60)
    fitted = DMD.fit([movie], [Split("train", 0, 40)], n_in=1, ranks=[2])
    forecast = rollout(fitted.for_movie(0), past_of(movie, 44, 1), 10)
    wanted = torch.from_numpy(movie.values[45:55])[None]
    assert torch.allclose(forecast, wanted, atol=2e-4)


def test_the_eigenvalues_are_those_of_the_law():
    # in the space of the patterns the step is 1 + patterns @ changes: decay times a turn
    modes = DMD.fit([turning(60)], [Split("train", 0, 60)], n_in=1, ranks=[2]).modes[0]
    step = torch.eye(2) + modes.patterns @ modes.changes
    found = np.sort_complex(np.linalg.eigvals(step.numpy()))
    wanted = 0.99 * np.exp(0.3j * np.array([-1, 1]))
    assert found == pytest.approx(wanted, abs=1e-4)


def test_stacked_frames_tell_which_way_a_pattern_swings():
    movie = standing(60)
    split, errors = Split("train", 0, 40), {}
    for n_in in (1, 2):
        step = DMD.fit([movie], [split], n_in=n_in, ranks=[n_in]).for_movie(0)
        ahead = rollout(step, past_of(movie, 44, n_in), 8)
        errors[n_in] = (ahead - torch.from_numpy(movie.values[45:53])).abs().max().item()
    assert errors[2] < 1e-3 < 0.1 < errors[1]


def test_the_rank_is_the_one_that_forecasts_validation_best():
    movie = turning(80)
    movie += 0.05 * np.random.default_rng(1).normal(size=movie.shape).astype(np.float32)
    train, val = [Split("train", 0, 50)], [Split("val", 55, 80)]
    fitted = DMD.fit([movie], train, n_in=1, val_splits=val, ranks=[1, 2, 40])
    assert fitted.rank == min(fitted.val_mse, key=fitted.val_mse.get) == 2
    assert len(fitted.modes[0].patterns) == 2


def test_what_no_pattern_holds_stays_as_it_is():
    movie = turning(60)
    step = DMD.fit([movie], [Split("train", 0, 40)], n_in=1, ranks=[2]).for_movie(0)
    past = past_of(movie, 44, 1)
    patterns = DMD.fit([movie], [Split("train", 0, 40)], n_in=1, ranks=[2]).modes[0].patterns
    strange = torch.rand(past[:, 0].numel())
    strange -= patterns.T @ (patterns @ strange)  # patterns are of length 1 and at right angles
    strange = strange.reshape(past[:, 0].shape)
    told = step(past + strange[:, None]) - step(past)
    assert torch.allclose(told, strange, atol=1e-3)


def test_a_movie_without_train_frames_is_left_to_persistence():
    movie = turning(60)
    fitted = DMD.fit([movie, movie], [Split("train", 0, 40), None], n_in=1)
    assert isinstance(fitted.for_movie(1), Persistence)
    with pytest.raises(SlimeError, match="no movie has any"):
        DMD.fit([movie], [None], n_in=1)


def test_masked_pixels_do_not_change():
    mask = np.ones((5, 6), bool)
    mask[:, 0] = False
    movie = turning(60).assign_coords(mask=(("y", "x"), mask))
    step = DMD.fit([movie], [Split("train", 0, 40)], n_in=1).for_movie(0)
    past = past_of(movie, 44, 1)
    assert torch.allclose(step(past)[..., 0], past[:, -1, ..., 0], atol=1e-6)


def test_a_movie_that_never_changes_is_forecast_so():
    movie = as_movie(np.full((20, 1, 4, 5), 7.0))
    step = DMD.fit([movie], [Split("train", 0, 20)], n_in=2).for_movie(0)
    assert step(past_of(movie, 10, 2)).flatten().tolist() == pytest.approx([7.0] * 20)


def test_few_windows_are_enough_where_memory_is_scarce():
    movie, split = turning(60), Split("train", 0, 40)
    # a window takes 16 bytes for each of 2 frames of 60 pixels: memory for 5 of the 39
    fitted = DMD.fit([movie] * 20, [split] * 20, n_in=1, ranks=[2], memory_budget=20 * 5 * 1920)
    full = DMD.fit([movie], [split], n_in=1, ranks=[2])
    past, wanted = past_of(movie, 44, 1), torch.from_numpy(movie.values[45])
    assert torch.allclose(fitted.for_movie(7)(past)[0], wanted, atol=2e-4)
    # of 5 windows the mean is another than that of all
    assert not torch.allclose(fitted.modes[7].mean, full.modes[0].mean, atol=1e-4)


def blob(y, x, size=40):
    rows, columns = np.mgrid[:size, :size]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 4.0**2))


@pytest.mark.parametrize("speed", [(0.0, 0.0), (0.7, -0.4), (1.5, 1.0)])
def test_what_moves_evenly_moves_on(speed):
    frames = np.stack([blob(18 + speed[0] * t, 20 + speed[1] * t) for t in range(6)])
    movie = as_movie(5 + 100 * frames[:, None])  # neither light nor offset matter
    flow = FlowAdvection()
    ahead = flow(past_of(movie, 1, 2))
    wrong = (ahead[0, 0] - torch.from_numpy(movie.values[2, 0])).abs().max().item()
    moved = np.abs(movie.values[2] - movie.values[1]).max()
    assert wrong <= 0.12 * moved + 1e-4


def test_the_displacement_is_told_in_pixels_y_first():
    before, after = (torch.tensor(blob(18 + d, 20 - 2 * d))[None].float() for d in (0, 0.5))
    found = displacement(before, after)[0, :, 16:21, 17:22].mean(dim=(1, 2))
    assert found.tolist() == pytest.approx([0.5, -1.0], abs=0.1)


def test_warping_by_whole_pixels_is_a_shift():
    frames = torch.rand(1, 6, 7)
    moved = torch.zeros(1, 2, 6, 7)
    moved[:, 0], moved[:, 1] = 1, -2
    assert torch.allclose(warped(frames, moved)[0, 1:, :-2], frames[0, :-1, 2:], atol=1e-5)


def test_each_window_and_channel_moves_by_its_own_motion():
    one = as_movie(np.stack([[blob(18, 20 + t), blob(20 - t, 18)] for t in range(3)]))
    other = as_movie(np.stack([[blob(18, 20 - t), blob(20, 18)] for t in range(3)]))
    flow = FlowAdvection()
    both = flow(torch.cat([past_of(one, 1, 2), past_of(other, 1, 2)]))
    for i, movie in enumerate((one, other)):
        assert torch.allclose(both[i], flow(past_of(movie, 1, 2))[0], atol=1e-6)


def test_flow_and_phase_need_two_frames():
    with pytest.raises(SlimeError, match="flow needs the 2 newest frames, but 1"):
        FlowAdvection()(torch.rand(1, 1, 1, 8, 8))
    with pytest.raises(SlimeError, match="n_in=1 must be at least 2"):
        PhaseExtrapolation.fit([turning(60)], [Split("train", 0, 40)], n_in=1)


def waves(n, period=9.0, seed=0):
    """Pixels that swing with one period, of their own mean, amplitude and phase."""
    rng = np.random.default_rng(seed)
    mean, amplitude = rng.uniform(1, 9, (2, 6, 7)), rng.uniform(0.5, 3, (2, 6, 7))
    phase = rng.uniform(0, 2 * np.pi, (2, 6, 7))
    t = np.arange(n)[:, None, None, None]
    return as_movie(mean + amplitude * np.cos(2 * np.pi * t / period + phase))


@pytest.mark.parametrize("n_in", [2, 3, 8])
def test_a_wave_goes_on_in_phase(n_in):
    movie = waves(99)
    # 90 frames are ten whole periods: the pixels' means are exact
    fitted = PhaseExtrapolation.fit([movie], [Split("train", 0, 90)], n_in=n_in)
    assert fitted.periods[0] == pytest.approx([9, 9], rel=1e-3)
    ahead = rollout(fitted.for_movie(0), past_of(movie, 89, n_in), 9)
    wanted = torch.from_numpy(movie.values[90:99])[None]
    assert torch.allclose(ahead, wanted, atol=0.05)


def test_the_weights_carry_a_cosine_on():
    for period, n_in in [(9.0, 2), (30.0, 5), (7.3, 8)]:
        lag, newest, older = wave_weights(period, n_in)
        assert lag == min(n_in - 1, round(period / 4))
        wave = [math.cos(2 * math.pi * t / period + 0.4) for t in (1, 0, -lag)]
        assert newest * wave[1] + older * wave[2] == pytest.approx(wave[0])


def test_noise_has_no_period_and_stays_as_it_is():
    movie = as_movie(np.random.default_rng(0).normal(size=(90, 1, 6, 7)))
    fitted = PhaseExtrapolation.fit([movie], [Split("train", 0, 60)], n_in=2)
    past = past_of(movie, 70, 2)
    assert np.isinf(fitted.periods[0]).all()
    assert torch.allclose(fitted.for_movie(0)(past), past[:, -1], atol=1e-5)
    still = as_movie(np.full((30, 1, 4, 5), 3.0))
    fitted = PhaseExtrapolation.fit([still], [Split("train", 0, 30)], n_in=2)
    assert np.isinf(fitted.periods[0]).all()
    assert torch.equal(fitted.for_movie(0)(past_of(still, 9, 2)), torch.full((1, 1, 4, 5), 3.0))


def test_the_period_of_a_large_frame_is_that_of_every_third_pixel(monkeypatch):
    monkeypatch.setattr(phase, "N_PIXELS", 6)  # of 42: rows 0 and 3, columns 0, 3 and 6
    movie = waves(90)
    still = np.ones((6, 7), bool)
    still[::3, ::3] = False
    movie.values[..., still] = 4.0  # what lies between has no period
    fitted = PhaseExtrapolation.fit([movie], [Split("train", 0, 90)], n_in=2)
    assert fitted.periods[0] == pytest.approx([9, 9], rel=1e-3)


def test_blank_frames_alone_have_no_period_of_their_own():
    movie = waves(90)
    dark = movie.assign_coords(blank=("time", np.ones(90, bool)))
    splits = [Split("train", 0, 90)] * 2
    means = Climatology.fit([movie, movie], splits)
    fitted = PhaseExtrapolation.fit([movie, dark], splits, n_in=2, climatology=means)
    assert fitted.periods[0] == pytest.approx([9, 9], rel=1e-3)
    assert np.isinf(fitted.periods[1]).all()
    past = past_of(movie, 70, 2)
    assert torch.allclose(fitted.for_movie(1)(past), past[:, -1], atol=1e-5)


def test_a_movie_without_train_frames_has_the_usual_period():
    movies = [waves(90, 9.0), waves(90, 12.0), waves(90, 12.0)]
    splits = [Split("train", 0, 90), Split("train", 0, 90), None]
    fitted = PhaseExtrapolation.fit(movies, splits, n_in=2)
    assert fitted.periods[2] == pytest.approx([10.5, 10.5], rel=1e-2)


def test_blank_frames_and_masked_pixels_show_no_period():
    movie = waves(120)
    broken = movie.copy(deep=True)
    broken[40:43] = 0
    broken[:, :, 0] = np.random.default_rng(0).normal(size=broken[:, :, 0].shape)
    mask = np.ones((6, 7), bool)
    mask[0] = False
    blank = np.zeros(120, bool)
    blank[40:43] = True
    broken = broken.assign_coords(mask=(("y", "x"), mask), blank=("time", blank))
    fitted = PhaseExtrapolation.fit([broken], [Split("train", 0, 120)], n_in=2)
    assert fitted.periods[0] == pytest.approx([9, 9], rel=1e-3)


def test_every_baseline_is_fitted_and_reads_what_it_says():
    movie = waves(120)
    fitted = fit_baselines(
        [movie], [Split("train", 0, 80)], WindowSpec(3), val_splits=[Split("val", 85, 120)]
    )
    assert tuple(fitted) == BASELINES
    assert [b.n_in for b in fitted.values()] == [1, 2, 1, 3, 3, 1, 3, 2, 3, 3, 3, 3]
    for baseline in fitted.values():
        past = past_of(movie, 99, baseline.n_in)
        assert baseline.for_movie(0)(past).shape == (1, 2, 6, 7)


def test_a_gap_cut_for_the_nets_windows_does_not_stop_a_baseline_that_reads_more():
    movie = waves(60)
    cuts = temporal_splits(60, {"train": 0.6, "val": 0.4}, gap=1)  # span 2, less 1
    fitted = fit_baselines([movie], [cuts["train"]], WindowSpec(1), val_splits=[cuts["val"]])
    assert fitted["hankel_dmd"].n_in == 2


def test_a_pixels_own_past_tells_a_wave():
    # x(t + 1) = 2 cos(w) x(t) - x(t - 1) around the mean: a linear law of two frames of one pixel
    rng = np.random.default_rng(0)
    t = np.arange(120)[:, None, None, None]
    movie = as_movie(4 + np.cos(0.7 * t + rng.uniform(0, 6, (1, 6, 7))))
    fitted = fit_baselines([movie], [Split("train", 0, 100)], WindowSpec(1))["pixel_ar"]
    ahead = fitted.for_movie(0)(past_of(movie, 110, 2))
    assert torch.allclose(ahead, torch.from_numpy(movie.values[111:112]), atol=1e-2)
    kernel = rearrange(fitted.net[1].weight.detach(), "1 t 1 1 -> t")
    std = fitted.scale.std / fitted.scale.delta_std
    # as a change, in units of the change: -x(t - 1) and (2 cos(w) - 1) x(t)
    wanted = torch.tensor([-1, 2 * math.cos(0.7) - 1]) * std
    assert torch.allclose(kernel, wanted, rtol=1e-2)
