"""Baselines against exact movies, NumPy, scikit-learn and least squares."""

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.linear_model import Ridge as SklearnRidge

from baselines import Climatology, Drift, Persistence, Ridge, fit_baselines
from baselines.ridge import CROP, PENALTY, NormalEquations, normal_equations
from slime.errors import SlimeError
from slime.scale import Standardizer
from slime.split import Split, temporal_splits
from slime.stepper import rollout
from slime.windows import WindowSpec

Y, X = 4, 5
PLAIN = Standardizer(torch.zeros(1), torch.ones(1), torch.ones(1))


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def as_movie(frames: np.ndarray, **coords) -> xr.DataArray:
    """A movie in memory of frames `t c y x`."""
    names = [f"c{i}" for i in range(frames.shape[1])]
    return xr.DataArray(
        frames,
        dims=("time", "channel", "y", "x"),
        coords={"channel": names, **coords},
        name="movie",
        attrs={"frame_interval_s": 1.0, "pixel_um": None, "experiment": "movie"},
    )


def noise(n: int, c: int = 1, y: int = Y, x: int = X, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, c, y, x)).astype(np.float32)


def stirred(n: int, *, y: int = Y, x: int = X, seed: int = 0) -> np.ndarray:
    """A movie that a 3 x 3 stencil explains: diffusion, advection to the right and decay.

    Every tenth frame starts anew from noise, so that fields stay rough.
    """
    frames = noise(n, 1, y, x, seed).astype(np.float64)
    for t in range(1, n):
        if t % 10:
            frames[t] = stir(frames[t - 1])
    return frames


def stir(frame: np.ndarray) -> np.ndarray:
    u = np.pad(frame, [(0, 0)] * (frame.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
    up, down, left, right = u[..., :-2, 1:-1], u[..., 2:, 1:-1], u[..., 1:-1, :-2], u[..., 1:-1, 2:]
    diffused = frame + 0.1 * (up + down + left + right - 4 * frame)
    return 0.95 * diffused + 0.2 * (left - frame) + 0.01


def stirred_movie(n: int, **size) -> xr.DataArray:
    """The last frame of each ten is given as blank: no window reaches from one run to the next."""
    return as_movie(stirred(n, **size), blank=("time", np.arange(n) % 10 == 9))


def past_of(movie: xr.DataArray, start: int, n_in: int) -> torch.Tensor:
    return torch.tensor(movie.values[None, start : start + n_in]).float()


# --- persistence and drift ---


def test_persistence_repeats_the_newest_frame():
    movie = as_movie(np.arange(6.0)[:, None, None, None] * np.ones((1, 2, Y, X)))
    forecast = rollout(Persistence().for_movie(0), past_of(movie, 1, 3), 4)
    np.testing.assert_array_equal(forecast, np.full((1, 4, 2, Y, X), 3.0))


def test_persistence_without_a_frame_is_refused():
    with pytest.raises(SlimeError, match="persistence repeats the newest frame"):
        Persistence()(torch.zeros(1, 0, 1, Y, X))


def test_drift_is_exact_where_every_pixel_goes_on_along_its_line():
    slope = np.arange(Y * X).reshape(Y, X)
    movie = as_movie(np.arange(9.0)[:, None, None, None] * slope + 7)
    forecast = rollout(Drift().for_movie(0), past_of(movie, 0, 4), 5)
    np.testing.assert_array_equal(forecast[0], movie.values[4:])


def test_drift_of_one_frame_is_refused():
    with pytest.raises(SlimeError, match="drift needs the 2 newest frames, but 1 were given"):
        Drift()(torch.zeros(1, 1, 1, Y, X))


# --- climatology ---


def test_climatology_is_the_mean_of_each_movies_train_frames_alone():
    movies = [as_movie(noise(40, 2, seed=i) + i) for i in range(3)]
    splits = [Split("train", 3 + i, 20 + 3 * i) for i in range(3)]
    expected = [
        m.values[s.start : s.stop].mean(axis=0) for m, s in zip(movies, splits, strict=True)
    ]
    for movie, split in zip(movies, splits, strict=True):
        movie.values[: split.start] = 1e9
        movie.values[split.stop :] = np.nan  # not even read
    fitted = Climatology.fit(movies, splits)
    for i in range(3):
        step = fitted.for_movie(i)(torch.zeros(3, 1, 2, Y, X))
        assert step.shape == (3, 2, Y, X)
        np.testing.assert_allclose(step, np.broadcast_to(expected[i], step.shape), atol=1e-6)


def test_climatology_in_many_blocks_is_the_same(monkeypatch):
    movie = as_movie((noise(50) * 1000).astype(np.uint16))
    monkeypatch.setattr("slime.frames.PASS_BYTES", 1)  # a block a chunk
    fitted = Climatology.fit([movie], [Split("train", 5, 49)])
    np.testing.assert_allclose(fitted.means[0], movie.values[5:49].mean(axis=0), rtol=1e-6)


def test_climatology_leaves_out_blank_frames_and_masked_pixels():
    frames = noise(10)
    mask = np.ones((10, Y, X), bool)
    mask[4, 0, 0] = False  # once
    mask[:, 1, 2] = False  # always
    blank = np.arange(10) == 6
    expected = frames[~blank].astype(np.float64).mean(axis=0)
    expected[0, 0, 0] = np.delete(frames[:, 0, 0, 0], [4, 6]).mean()
    counted = np.delete(frames, 6, axis=0)[np.delete(mask, 6, axis=0)[:, None]]
    expected[0, 1, 2] = counted.mean(dtype=np.float64)  # the channel's mean
    frames[4, 0, 0, 0] = frames[6] = frames[:, 0, 1, 2] = 1e9
    movie = as_movie(frames, mask=(("time", "y", "x"), mask), blank=("time", blank))
    fitted = Climatology.fit([movie], [Split("train", 0, 10)])
    np.testing.assert_allclose(fitted.means[0], expected, rtol=1e-5, atol=1e-6)


def test_a_movie_without_train_frames_has_the_channel_means_of_all_train_movies():
    movies = [as_movie(noise(n, 2, seed=n)) for n in (10, 12, 30)]
    fitted = Climatology.fit(movies, [Split("train", 0, 10), None, Split("train", 0, 30)])
    both = np.concatenate([movies[0].values, movies[2].values])
    expected = both.mean(axis=(0, 2, 3), dtype=np.float64)
    step = fitted.for_movie(1)(torch.zeros(3, 2, 2, 6, 7))  # of its own size
    np.testing.assert_allclose(step.mean(dim=(0, 2, 3)), expected, rtol=1e-5)
    assert step.shape == (3, 2, 6, 7)
    assert step.std(dim=(2, 3)).max() == 0


def test_climatology_without_train_frames_is_refused():
    with pytest.raises(SlimeError, match="no movie has any"):
        Climatology.fit([as_movie(noise(5))], [None])


def test_climatology_of_a_channel_that_is_all_masked_is_refused():
    movie = as_movie(noise(5, 2), mask=("channel", [True, False]))
    with pytest.raises(SlimeError, match=r"channels \[1\] have no pixel that counts"):
        Climatology.fit([movie], [Split("train", 0, 5)])


# --- ridge ---


@pytest.mark.parametrize(("k", "n_in"), [(3, 1), (5, 2)])
def test_ridge_finds_the_stencil_of_a_linear_movie(k, n_in):
    movie = stirred_movie(80)
    scale = Standardizer.fit([movie], [Split("train", 0, 80)])
    ridge = Ridge.fit(
        [movie], [Split("train", 0, 80)], WindowSpec(n_in), scale,
        val=([movie], [Split("val", 0, 80)]), k=k,
    )  # fmt: skip
    fresh = torch.tensor(noise(3 * n_in, seed=9)).reshape(3, n_in, 1, Y, X)
    for i in range(1, n_in):
        fresh[:, i] = torch.tensor(stir(fresh[:, i - 1].numpy()))
    expected = fresh[:, -1].double().numpy()
    forecast = rollout(ridge, fresh, 6)
    for lead in range(6):
        expected = stir(expected)
        # Frames are float32 and the least penalty 1e-8: both are seen at 1e-5.
        np.testing.assert_allclose(forecast[:, lead], expected, atol=1e-4)
    assert ridge.penalty == min(ridge.val_mse)  # nothing to shrink


def test_ridge_kernel_holds_the_weights_at_their_places():
    movie = stirred_movie(200)
    ridge = Ridge.fit([movie], [Split("train", 0, 200)], WindowSpec(1), PLAIN, k=3)
    kernel = np.array([[0, 0.095, 0], [0.295, 0.95 * 0.6 - 0.2 - 1, 0.095], [0, 0.095, 0]])
    np.testing.assert_allclose(ridge.net[1].weight[0, 0], kernel, atol=1e-3)  # penalty 1e-5
    assert ridge.net[1].bias.item() == pytest.approx(0.01, abs=1e-3)


@pytest.mark.parametrize("step", [1, 2])
def test_ridge_is_scikit_learns_on_the_same_neighbourhoods(step):
    """Two channels, two frames, k = 3; rows built by plain loops."""
    frames = noise(30, 2).astype(np.float64).cumsum(axis=0) * [[[3]], [[0.5]]]
    movie, split = as_movie(frames), Split("train", 2, 27)
    scale = Standardizer.fit([movie], [split], step=step)
    ridge = Ridge.fit([movie], [split], WindowSpec(2, 3, step), scale, k=3, penalties=[1e-5])
    mean, std, delta = (
        np.asarray(v)[:, None, None] for v in (scale.mean, scale.std, scale.delta_std)
    )
    rows, targets = [], []
    for s in range(2, 27 - 2 * step):
        z = (frames[[s, s + step]].astype(np.float32) - mean) / std
        z = np.pad(z, [(0, 0), (0, 0), (1, 1), (1, 1)], mode="edge")
        change = (frames[s + 2 * step] - frames[s + step]) / delta
        for y in range(Y):
            for x in range(X):
                rows.append(z[:, :, y : y + 3, x : x + 3].ravel())
                targets.append(change[:, y, x])
    sklearn = SklearnRidge(alpha=1e-5 * len(rows)).fit(np.array(rows), np.array(targets))
    ours = ridge.net[1].weight.reshape(2, -1)
    np.testing.assert_allclose(ours, sklearn.coef_, atol=1e-5)  # frames are float32
    np.testing.assert_allclose(ridge.net[1].bias, sklearn.intercept_, atol=1e-5)


def test_ridge_is_the_same_in_other_units_of_the_movie():
    frames = noise(40, 2).cumsum(axis=0)
    gain, offset = np.float32([[[100]], [[0.01]]]), np.float32([[[5000]], [[3]]])
    forecasts = []
    for values in (frames, frames * gain + offset):
        movie, split = as_movie(values), Split("train", 0, 40)
        scale = Standardizer.fit([movie], [split])
        ridge = Ridge.fit([movie], [split], WindowSpec(2), scale, k=3)
        forecasts.append(ridge(past_of(movie, 10, 2)).numpy())
    np.testing.assert_allclose(forecasts[1], forecasts[0] * gain + offset, rtol=1e-4, atol=1e-3)


def test_ridge_chooses_the_penalty_by_the_validation_error():
    # Noise has nothing to learn but the way back to the mean, so few pixels need shrinking.
    movies = [as_movie(noise(30).cumsum(axis=0)), as_movie(noise(60, seed=1).cumsum(axis=0))]
    train, val = [Split("train", 0, 12)], [Split("val", 20, 60)]
    scale = Standardizer.fit(movies[:1], train)
    penalties = [1e-4, 1e-2, 1.0, 100.0]
    chosen = Ridge.fit(
        movies[:1], train, WindowSpec(1), scale, val=(movies[1:], val), k=3, penalties=penalties
    )
    errors = {}
    for penalty in penalties:
        one = Ridge.fit(
            movies[:1], train, WindowSpec(1), scale, val=(movies[1:], val), k=3, penalties=[penalty]
        )
        frames = torch.tensor(movies[1].values[20:60])
        squares = (one(frames[:-1, None]) - frames[1:]) ** 2
        errors[penalty] = squares.mean().item() / scale.delta_std.item() ** 2
    assert chosen.penalty == min(errors, key=errors.get) > 1e-4
    for penalty in penalties:  # the error from sums is the error pixel by pixel
        assert chosen.val_mse[penalty] == pytest.approx(errors[penalty], rel=1e-4)


def test_a_large_penalty_leaves_the_mean_change():
    movie = as_movie(noise(30) + np.arange(30, dtype=np.float32)[:, None, None, None])
    split = Split("train", 0, 30)
    val = ([movie], [split])
    ridge = Ridge.fit([movie], [split], WindowSpec(1), PLAIN, val=val, k=1, penalties=[1e12])
    change = (ridge(past_of(movie, 4, 1)) - past_of(movie, 4, 1)[:, -1]).numpy()
    expected = np.diff(movie.values, axis=0).mean(dtype=np.float64)  # the intercept is free
    np.testing.assert_allclose(change, np.full_like(change, expected), rtol=1e-5)


def test_ridge_without_validation_takes_the_default_penalty():
    movie = as_movie(noise(30))
    ridge = Ridge.fit([movie], [Split("train", 0, 30)], WindowSpec(1), PLAIN, k=3)
    assert ridge.penalty == PENALTY
    assert ridge.val_mse == {}


def equations(movies, splits, **choices) -> NormalEquations:
    choices = {"spec": WindowSpec(2), "scale": PLAIN, "k": 3} | choices
    return normal_equations(movies, splits, **choices)


def assert_equal(a: NormalEquations, b: NormalEquations):
    for ours, theirs in zip(a, b, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_masked_targets_are_left_out_of_the_fit():
    frames = noise(20)
    mask = np.ones((20, 1, Y, X), bool)
    mask[15, 0, 1, 2] = False
    masked = as_movie(frames, mask=(("time", "channel", "y", "x"), mask))
    without = equations([masked], [Split("train", 0, 16)])  # frame 15 is seen as a target only
    whole = equations([as_movie(frames)], [Split("train", 0, 16)])
    features = np.pad(frames[13:15, 0], [(0, 0), (1, 1), (1, 1)], mode="edge")
    row = np.append(features[:, 1:4, 2:5].ravel(), 1.0).astype(np.float64)
    change = float(frames[15, 0, 1, 2]) - float(frames[14, 0, 1, 2])
    pixel = NormalEquations(
        np.ones(1), np.outer(row, row)[None], change * row[None], np.array([change**2])
    )
    assert_equal(without.joined(pixel), whole)
    frames[15, 0, 1, 2] = 1e9
    assert_equal(equations([masked], [Split("train", 0, 16)]), without)


def test_channels_may_have_masks_of_their_own():
    frames = noise(20, 2)
    mask = np.ones((2, Y, X), bool)
    mask[1, :, 0] = False
    found = equations(
        [as_movie(frames, mask=(("channel", "y", "x"), mask))], [Split("train", 0, 16)],
        scale=Standardizer(torch.zeros(2), torch.ones(2), torch.ones(2)),
    )  # fmt: skip
    both = equations(
        [as_movie(frames)], [Split("train", 0, 16)],
        scale=Standardizer(torch.zeros(2), torch.ones(2), torch.ones(2)),
    )  # fmt: skip
    assert found.n.tolist() == [14 * Y * X, 14 * Y * (X - 1)]
    np.testing.assert_allclose(found.xx[0], both.xx[0])
    np.testing.assert_allclose(found.xy[0], both.xy[0])
    change = frames[2:16, 1, :, 1:].astype(np.float64) - frames[1:15, 1, :, 1:]
    assert found.yy[1] == pytest.approx((change**2).sum(), rel=1e-6)
    assert found.xx[1, -1, -1] == found.n[1]


def test_ridge_sees_train_frames_alone():
    movie = as_movie(noise(40))
    whole = equations([movie], [Split("train", 5, 30)])
    movie.values[:5] = movie.values[30:] = 1e9
    assert_equal(equations([movie], [Split("train", 5, 30)]), whole)


def test_windows_with_a_blank_frame_are_left_out_of_the_fit():
    movie = stirred_movie(20)
    found = equations([movie], [Split("train", 0, 20)])
    assert found.n == 2 * 7 * Y * X  # frames 0 to 8 of each ten hold 7 windows of 3


def test_no_more_windows_are_read_than_asked_and_they_span_the_movie():
    ramp = np.arange(100.0, dtype=np.float32)[:, None, None, None] * np.ones(
        (1, 1, Y, X), np.float32
    )
    found = equations([as_movie(ramp)], [Split("train", 0, 100)], n_windows=9, k=1)
    assert found.n == 9 * Y * X  # starts 0, 11, ..., 88
    starts = found.xx[0, 0, -1] / (Y * X)
    assert starts == np.arange(0, 98, 11).sum()


def test_a_cut_out_of_a_large_frame_has_no_edges():
    """Rows of x = column number: a replicated edge would break neighbour = centre + 1."""
    columns = np.broadcast_to(np.arange(float(CROP + 9)), (12, 1, CROP + 3, CROP + 9))
    movie = as_movie(columns.astype(np.float32))
    found = equations([movie], [Split("train", 0, 12)], spec=WindowSpec(1))
    assert found.n == 11 * (CROP - 2) ** 2
    right_minus_centre = np.zeros(10)
    right_minus_centre[[5, 4, 9]] = 1, -1, -1  # right - centre - 1
    assert right_minus_centre @ found.xx[0] @ right_minus_centre == pytest.approx(0, abs=1e-3)


def test_movies_of_unequal_size_share_a_fit():
    movies = [as_movie(stirred(60, y=4, x=9)), as_movie(stirred(60, y=7, x=5, seed=1))]
    found = equations(movies, [Split("train", 0, 60)] * 2)
    assert found.n == 2 * 58 * (4 - 2) * (5 - 2)


def test_an_even_stencil_is_refused():
    with pytest.raises(SlimeError, match=r"k=4 pixels has no centre"):
        Ridge.fit([as_movie(noise(9))], [Split("train", 0, 9)], WindowSpec(1), PLAIN, k=4)


@pytest.mark.parametrize("penalties", [(), (0.0, 1.0)])
def test_penalties_that_do_not_penalise_are_refused(penalties):
    with pytest.raises(SlimeError, match="must be above 0"):
        Ridge.fit(
            [as_movie(noise(9))], [Split("train", 0, 9)], WindowSpec(1), PLAIN, penalties=penalties
        )


def test_fewer_pixels_than_weights_are_refused():
    with pytest.raises(SlimeError, match="40 pixels that count cannot fix 101 weights"):
        Ridge.fit([as_movie(noise(6))], [Split("train", 0, 6)], WindowSpec(4), PLAIN, k=5)


def test_frames_too_large_for_their_scale_are_refused():
    tiny = Standardizer(torch.zeros(1), torch.full((1,), 1e-30), torch.ones(1))
    movie = as_movie(noise(20) * np.float32(1e30))
    with pytest.raises(SlimeError, match="not finite"):
        Ridge.fit([movie], [Split("train", 0, 20)], WindowSpec(1), tiny, k=3)


# --- all of them ---


def test_every_baseline_steps_in_movie_units_from_the_longest_past():
    movies = [as_movie(noise(60, 2, seed=i).cumsum(axis=0)) for i in range(2)]
    cuts = [temporal_splits(60, {"train": 0.7, "val": 0.3}, gap=6) for _ in movies]
    fitted = fit_baselines(
        movies, [c["train"] for c in cuts], WindowSpec(4, 3), val_splits=[c["val"] for c in cuts]
    )
    assert fitted["ridge"].n_in == 4
    past = torch.tensor(movies[1].values[:12]).reshape(3, 4, 2, Y, X)
    for baseline in fitted.values():
        forecast = rollout(baseline.for_movie(1), past, 3)
        assert forecast.shape == (3, 3, 2, Y, X)
        assert forecast.dtype == torch.float32
        assert not forecast.requires_grad
    assert len(fitted["ridge"].val_mse) > 1


def test_baselines_are_fitted_where_whole_movies_are_held_out():
    movies = [as_movie(noise(30, seed=i).cumsum(axis=0)) for i in range(3)]
    fitted = fit_baselines(
        movies,
        [Split("train", 0, 30), None, None],
        WindowSpec(2),
        val_splits=[None, Split("val", 0, 30), None],
    )
    assert fitted["ridge"].val_mse
    forecast = fitted["climatology"].for_movie(2)(torch.zeros(1, 2, 1, Y, X))
    np.testing.assert_allclose(forecast, movies[0].values.mean(), rtol=1e-4)


def test_the_fit_leaves_the_nets_scale_alone():
    movie, split = as_movie(noise(60)), Split("train", 0, 60)
    scale = Standardizer.fit([movie], [split])
    fitted = fit_baselines([movie], [split], WindowSpec(1), scale=scale)
    ridge = fitted["ridge"].double()
    assert ridge.scale.mean.dtype == torch.float64
    assert scale.mean.dtype == torch.float32


def test_the_seed_decides_the_cuts():
    movie = as_movie(noise(30, 1, CROP + 9, CROP + 5))
    found = [equations([movie], [Split("train", 0, 30)], seed=s, k=1).yy for s in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
