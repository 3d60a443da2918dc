"""Scores against hand arithmetic, closed forms, scikit-learn and SciPy."""

import math
from inspect import unwrap

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics

from slime.errors import SlimeError
from slime.score import (
    Tally,
    frame_pearson,
    horizon,
    mae,
    mse,
    pearson,
    r2,
    rmse,
    skill,
    tally_windows,
    vrmse,
)

B, LEADS, C, Y, X = 7, 3, 2, 4, 5


@pytest.fixture
def frames() -> tuple[torch.Tensor, torch.Tensor]:
    """Truth and a forecast of it that is worse at later leads and in channel 1."""
    rng = np.random.default_rng(0)
    truth = rng.normal(3, 2, (B, LEADS, C, Y, X))
    size = np.arange(1, LEADS + 1)[:, None, None, None] * np.array([0.3, 0.6])[:, None, None]
    forecast = truth + 0.2 + size * rng.normal(size=truth.shape)
    return torch.tensor(forecast).float(), torch.tensor(truth).float()


def tally(forecast, truth, mask=None, *, first=0, movie=0) -> Tally:
    n = len(truth)
    return tally_windows(
        forecast, truth, mask, torch.full((n,), movie), torch.arange(first, first + n)
    )


def flat(frames, lead, channel) -> np.ndarray:
    return frames[:, lead, channel].double().numpy().ravel()


def test_scores_by_hand():
    # p - y = 1, -1, 2, 0: squares sum to 6, absolutes to 4; y = 0, 2, 4, 6 about 3: 9+1+1+9 = 20.
    truth = torch.tensor([0.0, 2, 4, 6]).view(1, 1, 1, 2, 2)
    forecast = torch.tensor([1.0, 1, 6, 6]).view(1, 1, 1, 2, 2)
    sums = tally(forecast, truth).total()
    assert mse(sums).item() == 1.5
    assert mae(sums).item() == 1.0
    assert rmse(sums).item() == math.sqrt(1.5)
    assert r2(sums).item() == pytest.approx(1 - 6 / 20)
    assert vrmse(sums, np.array([6.0])).item() == 0.5
    last = torch.tensor([0.0, 2, 4, 3]).view(1, 1, 1, 2, 2)  # squares sum to 9
    assert skill(sums, tally(last, truth).total()).item() == pytest.approx(1 - 6 / 9)


def test_scores_agree_with_scikit_learn_at_each_lead_and_channel(frames):
    sums = tally(*frames).total()
    for lead in range(LEADS):
        for c in range(C):
            p, y = (flat(f, lead, c) for f in frames)
            assert mse(sums)[lead, c] == pytest.approx(metrics.mean_squared_error(y, p))
            assert mae(sums)[lead, c] == pytest.approx(metrics.mean_absolute_error(y, p))
            assert rmse(sums)[lead, c] == pytest.approx(metrics.root_mean_squared_error(y, p))
            assert r2(sums)[lead, c] == pytest.approx(metrics.r2_score(y, p))


def test_pooled_scores_take_all_channels_pixels_before_the_ratio(frames):
    sums = tally(*frames).total()
    for lead in range(LEADS):
        p, y = (np.stack([flat(f, lead, c) for c in range(C)], axis=1) for f in frames)
        assert mse(sums, pool=True)[lead, 0] == pytest.approx(metrics.mean_squared_error(y, p))
        assert r2(sums, pool=True)[lead, 0] == pytest.approx(
            metrics.r2_score(y, p, multioutput="variance_weighted")
        )


def test_scores_do_not_depend_on_how_windows_are_batched(frames):
    forecast, truth = frames
    whole = tally(forecast, truth)
    parts = [(0, 3), (3, 6), (6, 7)]  # 3, 3 and 1
    added = sum(tally(forecast[a:b], truth[a:b], first=a) for a, b in parts)
    np.testing.assert_array_equal(added.start, whole.start)
    np.testing.assert_allclose(added.sums, whole.sums, rtol=1e-14)  # the order of addition


def test_a_score_is_not_a_mean_of_batch_means():
    truth = torch.zeros(B, 1, 1, Y, X)
    forecast = torch.tensor([1.0, 1, 1, 1, 1, 1, 4]).view(B, 1, 1, 1, 1).expand(truth.shape)
    parts = [(0, 3), (3, 6), (6, 7)]  # whose RMSE are 1, 1 and 4: their mean would be 2
    added = sum(tally(forecast[a:b], truth[a:b], first=a) for a, b in parts)
    assert rmse(added.total()).item() == pytest.approx(math.sqrt((6 * 1 + 16) / 7))


def test_pixels_of_one_window_scored_in_two_parts_are_added_up(frames):
    forecast, truth = frames
    left = torch.zeros(truth.shape, dtype=torch.bool)
    left[..., :2] = True
    added = tally(forecast, truth, left) + tally(forecast, truth, ~left)
    assert len(added) == B
    np.testing.assert_allclose(added.sums, tally(forecast, truth).sums, rtol=1e-12)


def test_tallies_of_several_movies_stay_apart(frames):
    both = tally(*frames, movie=1) + tally(*frames, movie=0)
    assert len(both) == 2 * B
    one = both.of_movie(1)
    np.testing.assert_array_equal(one.movie, np.ones(B))
    np.testing.assert_array_equal(one.sums, tally(*frames).sums)


def test_a_movies_windows_come_in_time_order(frames):
    forecast, truth = frames
    turn = torch.tensor([4, 0, 6, 2, 5, 1, 3])
    shuffled = tally_windows(
        forecast[turn], truth[turn], None, torch.zeros(B, dtype=torch.int64), turn
    )
    np.testing.assert_array_equal(shuffled.of_movie(0).sums, tally(forecast, truth).sums)


def test_garbage_under_the_mask_changes_nothing(frames):
    forecast, truth = frames
    mask = torch.ones(truth.shape, dtype=torch.bool)
    mask[..., 0] = False  # the first column
    masked = tally(torch.where(mask, forecast, torch.nan), torch.where(mask, truth, 1e9), mask)
    np.testing.assert_allclose(
        masked.sums, tally(forecast[..., 1:], truth[..., 1:]).sums, rtol=1e-13
    )


def test_mse_does_not_depend_on_the_resolution(frames):
    forecast, truth = (f.repeat_interleave(3, -1).repeat_interleave(2, -2) for f in frames)
    fine, coarse = mse(tally(forecast, truth).total()), mse(tally(*frames).total())
    np.testing.assert_allclose(fine, coarse, rtol=1e-12)


def test_scores_go_over_draws_at_once(frames):
    counted = tally(*frames)
    weights = np.array([[1.0] * B, [2.0, 0, 0, 1, 1, 1, 2]])
    drawn = np.stack([counted.total(w) for w in weights])
    for score in (mse, mae, rmse, r2):
        both = score(drawn, pool=True)
        assert both.shape == (2, LEADS, 1)
        np.testing.assert_array_equal(both[1], score(counted.total(weights[1]), pool=True))


def test_weights_count_windows_as_often_as_they_say(frames):
    forecast, truth = frames
    twice = torch.tensor([0, 0, 3, 4, 5, 6, 6])
    weights = np.array([2.0, 0, 0, 1, 1, 1, 2])
    np.testing.assert_allclose(
        tally(forecast, truth).total(weights),
        tally(forecast[twice], truth[twice]).total(),
        rtol=1e-13,
    )


def test_persistence_has_no_skill_against_itself(frames):
    sums = tally(*frames).total()
    np.testing.assert_array_equal(skill(sums, sums), np.zeros((LEADS, C)))


def test_half_the_reference_error_is_three_quarters_of_skill(frames):
    _, truth = frames
    sums = [tally(truth + error, truth).total() for error in (1.0, 2.0)]
    np.testing.assert_allclose(skill(*sums), 0.75, rtol=1e-6)  # float32 truth + 1


def test_vrmse_of_the_mean_is_one(frames):
    _, truth = frames
    mean = truth.double().mean(dim=(0, 1, 3, 4), keepdim=True)
    variance = truth.double().var(dim=(0, 1, 3, 4), correction=0).numpy()
    sums = tally(mean.expand(truth.shape), truth.double()).total().sum(axis=1, keepdims=True)
    np.testing.assert_allclose(vrmse(sums, variance), 1, rtol=1e-12)
    np.testing.assert_allclose(vrmse(sums, variance, pool=True), 1, rtol=1e-12)


def test_r2_of_the_mean_is_zero_and_of_the_truth_one(frames):
    _, truth = frames
    mean = truth.double().mean(dim=(0, 3, 4), keepdim=True)  # at each lead
    np.testing.assert_allclose(
        r2(tally(mean.expand(truth.shape), truth.double()).total()), 0, atol=1e-12
    )
    np.testing.assert_array_equal(r2(tally(truth, truth).total()), 1)


def test_frame_pearson_agrees_with_scipy(frames):
    forecast, truth = frames
    found = frame_pearson(tally(forecast, truth))
    for b, lead, c in np.ndindex(B, LEADS, C):
        p, y = (f[b, lead, c].double().numpy().ravel() for f in (forecast, truth))
        assert found[b, lead, c] == pytest.approx(stats.pearsonr(p, y).statistic, abs=1e-12)


def test_pearson_ignores_gain_and_offset_and_a_cosine_does_not(frames):
    forecast, truth = (f.double() for f in frames)
    bright = tally(7 * forecast + 100, truth)
    np.testing.assert_allclose(
        frame_pearson(bright), frame_pearson(tally(forecast, truth)), atol=1e-10
    )
    cosine = bright["product"] / np.sqrt(bright["forecast2"] * bright["truth2"])
    assert np.abs(cosine - frame_pearson(bright)).max() > 0.05


def test_pearson_averages_by_fishers_z(frames):
    counted = tally(*frames)
    by_hand = np.tanh(np.arctanh(frame_pearson(counted)).mean(axis=0))
    np.testing.assert_allclose(pearson(counted), by_hand, atol=1e-12)
    weights = np.array([0.0, 0, 5, 0, 0, 0, 0])
    np.testing.assert_allclose(pearson(counted, weights), frame_pearson(counted)[2], atol=1e-11)


def test_pooled_pearson_is_over_the_frames_of_all_channels(frames):
    counted = tally(*frames)
    z = np.arctanh(frame_pearson(counted))
    by_hand = np.tanh(z.transpose(0, 2, 1).reshape(B * C, LEADS).mean(axis=0))
    np.testing.assert_allclose(pearson(counted, pool=True)[:, 0], by_hand, atol=1e-12)


def test_flat_frames_have_no_correlation_and_are_left_out(frames):
    forecast, truth = (f.clone() for f in frames)
    truth[2, 1, 0] = 1234.5
    found = frame_pearson(tally(forecast, truth))
    assert np.argwhere(np.isnan(found)).tolist() == [[2, 1, 0]]
    others = np.delete(np.arange(B), 2)
    np.testing.assert_allclose(
        pearson(tally(forecast, truth))[1, 0],
        pearson(tally(forecast[others], truth[others]))[1, 0],
        rtol=1e-12,
    )
    truth[:, 1, 0] = 1234.5
    assert np.isnan(pearson(tally(forecast, truth))[1, 0])


def test_a_faint_frame_on_a_bright_background_is_not_flat(frames):
    forecast, truth = (f.double() for f in frames)
    faint = tally(forecast + 1e4, truth + 1e4)  # a contrast of 2 in 10 000
    np.testing.assert_allclose(
        frame_pearson(faint), frame_pearson(tally(forecast, truth)), atol=1e-6
    )


def test_a_diverged_or_all_masked_frame_has_no_correlation(frames):
    forecast, truth = (f.clone() for f in frames)
    forecast[0, 1] = torch.inf
    mask = torch.ones(truth.shape, dtype=torch.bool)
    mask[3] = False
    found = frame_pearson(tally(forecast, truth, mask))
    assert np.isnan(found[0, 1]).all()
    assert np.isnan(found[3]).all()
    assert np.isfinite(found[[1, 2, 4, 5, 6]]).all()


def leads_with_correlation(wanted: list[list[float]]) -> Tally:
    """One channel whose frames correlate with the truth as `wanted`, window by window, by lead."""
    a = torch.tensor([1.0, -1, 1, -1], dtype=torch.float64).view(2, 2)
    b = torch.tensor([1.0, 1, -1, -1], dtype=torch.float64).view(2, 2)  # uncorrelated with a
    r = torch.tensor(wanted, dtype=torch.float64)[:, :, None, None, None]
    forecast = r * a + (1 - r**2).sqrt() * b
    return tally(forecast, a.expand(forecast.shape).clone())


def test_the_horizon_is_the_first_lead_below_the_threshold():
    crossing = leads_with_correlation([[0.95, 0.7, 0.9, 0.5], [0.99, 0.9, 0.85, 0.79]])
    leads, crossed = horizon(crossing, 0.8)
    assert leads[:, 0].tolist() == [2, 4]  # a count of leads below would say 2 and 1
    assert crossed[:, 0].tolist() == [True, True]


def test_a_horizon_that_is_never_reached_is_censored_at_the_last_lead():
    leads, crossed = horizon(leads_with_correlation([[0.95, 0.9, 0.85], [0.95, 0.9, 0.7]]), 0.8)
    assert leads[:, 0].tolist() == [3, 3]
    assert crossed[:, 0].tolist() == [False, True]


def test_a_lead_without_a_correlation_ends_the_horizon():
    truth = torch.tensor([1.0, -1, 1, -1]).view(1, 1, 1, 2, 2).repeat(1, 3, 1, 1, 1)
    forecast = truth.clone()
    forecast[0, 1] = 0
    leads, crossed = horizon(tally(forecast, truth), 0.8)
    assert leads.item() == 2
    assert crossed.item()


def test_forecast_and_truth_of_unequal_shape_are_refused(frames):
    window = torch.zeros(B, dtype=torch.int64)
    with pytest.raises(SlimeError, match=r"forecast \(7, 2, 2, 4, 5\) and truth .* differ"):
        # Unwrapped: the tests' shape checks would speak first.
        unwrap(tally_windows)(frames[0][:, :2], frames[1], None, window, window)
