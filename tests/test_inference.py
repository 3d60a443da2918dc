"""Intervals against theory, the arch package and hand arithmetic."""

import math

import numpy as np
import pytest
from arch.bootstrap import optimal_block_length

from slime.errors import SlimeError
from slime.inference import (
    Resampling,
    block_length,
    effective_blocks,
    resample_blocks,
    stationary_weights,
)
from slime.score import Tally, mae, mse, pearson, r2, skill


def ar1(n: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    """A stationary series of variance 1 and correlation phi^lag."""
    noise = rng.normal(size=n) * math.sqrt(1 - phi**2)
    series = np.empty(n)
    series[0] = rng.normal()
    for t in range(1, n):
        series[t] = phi * series[t - 1] + noise[t]
    return series


def tally_of(losses: np.ndarray, movie: np.ndarray | None = None) -> Tally:
    """Windows of one pixel, whose squared errors are `losses` (windows [lead channel])."""
    losses = losses if losses.ndim == 3 else losses[:, None, None]
    movie = np.zeros(len(losses), int) if movie is None else movie
    start = np.concatenate([np.arange((movie == m).sum()) for m in np.unique(movie)])
    error, truth = np.sqrt(losses), np.broadcast_to(np.arange(len(losses)) % 7.0, losses.T.shape).T
    forecast = truth + error
    terms = [np.ones_like(error), error, error, losses, truth, truth**2, forecast, forecast**2]
    return Tally(movie, start, np.stack([*terms, forecast * truth], axis=1))


def noisy_frames(n_windows: int, rng: np.random.Generator, *, n_leads: int = 2) -> Tally:
    """A tally of forecasts of 20 pixels with independent errors."""
    truth = rng.normal(size=(n_windows, n_leads, 2, 20))
    forecast = truth + rng.normal(size=truth.shape)
    error = forecast - truth
    terms = [np.ones_like(error), error, abs(error), error**2, truth, truth**2, forecast]
    terms += [forecast**2, forecast * truth]
    sums = np.stack([term.sum(axis=-1) for term in terms], axis=1)
    return Tally(np.zeros(n_windows, int), np.arange(n_windows), sums)


def width(interval) -> float:
    return (interval.high - interval.low).item()


# --- block length ---


def test_block_lengths_agree_with_arch():
    rng = np.random.default_rng(0)
    drawn = [(int(rng.integers(40, 600)), rng.uniform(-0.3, 0.95)) for _ in range(60)]
    series = [ar1(n, phi, rng) for n, phi in drawn]
    ours = np.array([block_length(s) for s in series])
    theirs = [optimal_block_length(s)["stationary"].iloc[0] for s in series]
    agree = np.isclose(ours, np.maximum(theirs, 1), rtol=1e-9)
    # arch divides a lag's covariance by the variance of the overlap, the paper by the series':
    # now and then a correlation is significant for one and not for the other.
    assert agree.mean() >= 0.93
    assert np.ptp(ours) > 10


def test_the_block_length_follows_scale_and_offset_nowhere():
    series = ar1(300, 0.8, np.random.default_rng(1))
    assert block_length(1e-6 * series + 3) == pytest.approx(block_length(series), rel=1e-6)


def test_independent_losses_have_short_blocks_and_lasting_ones_long():
    rng = np.random.default_rng(2)
    short, long = (
        np.median([block_length(ar1(400, phi, rng)) for _ in range(20)]) for phi in (0.0, 0.9)
    )
    # Theory: (2 g^2 / d)^(1/3) n^(1/3) with g/long-run variance = 2 phi / (1 - phi^2).
    theory = (2 * 0.9 / (1 - 0.9**2)) ** (2 / 3) * 400 ** (1 / 3)
    assert short < 4
    assert long == pytest.approx(theory, rel=0.35)  # the spread of the median of 20


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_a_short_series_has_a_block_length(n):
    assert 1 <= block_length(np.arange(float(n))) <= max(n / 3, 1) + 1


def test_a_constant_series_needs_no_blocks():
    assert block_length(np.full(50, 0.1)) == 1


def test_an_infinite_loss_has_no_block_length():
    with pytest.raises(SlimeError, match="finite"):
        block_length(np.array([1.0, np.inf, 2.0]))


# --- weights ---


@pytest.mark.parametrize("mean_block", [1.0, 4.5, 60.0])
def test_each_draw_holds_as_many_windows_as_there_are(mean_block):
    weights = stationary_weights(53, mean_block, 40, np.random.default_rng(0))
    assert weights.shape == (40, 53)
    np.testing.assert_array_equal(weights.sum(axis=1), 53)
    assert (weights >= 0).all()


def test_every_window_is_drawn_equally_often():
    weights = stationary_weights(11, 4.0, 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.05)  # 4 standard errors


def test_blocks_are_as_long_as_asked_and_wrap_around():
    n, stays = 1000, 1 - 1 / 8
    weights = stationary_weights(n, 8.0, 400, np.random.default_rng(0))
    # Two neighbours are drawn together where a block goes on, else by chance, 1 in n^2:
    # E[w_i w_(i+1)] = (n - 1)/n stays + (n^2 - pairs of draws in one block)/n^2.
    k = np.arange(1, n)
    in_one_block = n + 2 * ((n - k) * stays**k).sum()
    expected = (n - 1) / n * stays + 1 - in_one_block / n**2
    together = (weights * np.roll(weights, -1, axis=1)).mean(axis=0)
    assert together.mean() == pytest.approx(expected, abs=0.02)
    assert together[0] > 1.4  # the first and the last: 1 if they were no neighbours


def test_a_block_of_one_window_is_the_ordinary_bootstrap():
    weights = stationary_weights(50, 1.0, 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(weights.var(axis=0), 1 - 1 / 50, rtol=0.1)  # binomial


def test_the_variance_of_a_mean_is_politis_and_romanos():
    series = ar1(200, 0.7, np.random.default_rng(3))
    p, n = 1 / 6, len(series)
    weights = stationary_weights(n, 1 / p, 20_000, np.random.default_rng(0))
    # Lemma 1: var = 1/n (C_0 + 2 sum_k (1 - k/n)(1-p)^k C_k), C_k the circular autocovariance.
    centred = series - series.mean()
    k = np.arange(1, n)
    circular = np.array([(centred * np.roll(centred, -lag)).mean() for lag in range(n)])
    expected = (circular[0] + 2 * ((1 - k / n) * (1 - p) ** k * circular[1:]).sum()) / n
    assert (weights @ series / n).var() == pytest.approx(expected, rel=0.04)  # 4 standard errors


# --- intervals ---


def test_block_intervals_are_wider_than_iid_ones_by_the_known_factor():
    phi, rng = 0.8, np.random.default_rng(0)
    ratios = []
    for _ in range(10):
        losses = 20 + ar1(2000, phi, rng)
        draws = resample_blocks(tally_of(losses), n_draws=400)
        wide = width(draws.interval(mse(draws.sums(tally_of(losses)))))
        ratios.append(wide / (2 * 1.96 * losses.std() / math.sqrt(len(losses))))
    # A mean of an AR(1) series has (1 + phi)/(1 - phi) times the variance of an independent one.
    assert np.mean(ratios) == pytest.approx(math.sqrt((1 + phi) / (1 - phi)), rel=0.15)


def test_block_intervals_cover_the_true_mean_and_iid_ones_do_not():
    rng = np.random.default_rng(0)
    n_trials, block, iid = 100, 0, 0
    for trial in range(n_trials):
        tally = tally_of(20 + ar1(400, 0.7, rng))
        draws = resample_blocks(tally, n_draws=300, seed=trial)
        alone = Resampling(
            draws.movie, draws.start, draws.movies, np.ones_like(draws.mean_block), 300, trial
        )
        for given in (draws, alone):
            low, high = given.interval(mse(given.sums(tally)))
            covered = bool(low.item() <= 20 <= high.item())
            block, iid = (block + covered, iid) if given is draws else (block, iid + covered)
    assert block >= 85  # nominally 95; blocks are estimated, so somewhat less
    assert iid <= 75  # theory: P(|z| < 1.96 / 2.38) = 0.59


def test_intervals_of_independent_losses_are_the_textbook_ones():
    losses = np.random.default_rng(0).chisquare(4, size=800)
    draws = resample_blocks(tally_of(losses), n_draws=4000)
    low, high = draws.interval(mse(draws.sums(tally_of(losses))))
    half = 1.96 * losses.std() / math.sqrt(800)
    assert draws.mean_block.item() < 3
    assert low.item() == pytest.approx(losses.mean() - half, abs=0.2 * half)
    assert high.item() == pytest.approx(losses.mean() + half, abs=0.2 * half)
    inner = draws.interval(mse(draws.sums(tally_of(losses))), level=0.5)
    assert width(inner) == pytest.approx(2 * half * 0.6745 / 1.96, rel=0.1)


def test_a_model_has_no_skill_over_itself_for_sure():
    tally = noisy_frames(60, np.random.default_rng(0))
    draws = resample_blocks(tally, tally, n_draws=50)
    low, high = draws.interval(skill(draws.sums(tally), draws.sums(tally)))
    np.testing.assert_array_equal(low, np.zeros((2, 2)))
    np.testing.assert_array_equal(high, np.zeros((2, 2)))


def test_pairing_cancels_what_both_find_hard():
    rng = np.random.default_rng(0)
    hard = np.exp(ar1(400, 0.9, rng))
    model, reference = tally_of(0.8 * hard), tally_of(hard + 0.01 * rng.random(400))
    paired = resample_blocks(model, reference)
    together = paired.interval(skill(paired.sums(model), paired.sums(reference)))
    other = resample_blocks(model, reference, seed=1)
    apart = paired.interval(skill(paired.sums(model), other.sums(reference)))
    assert width(together) < 0.05 * width(apart)
    assert together.low.item() < 0.2 + 0.01
    assert together.high.item() > 0.2


def test_the_block_length_of_a_comparison_is_that_of_the_difference():
    rng = np.random.default_rng(0)
    hard = np.exp(ar1(300, 0.95, rng))
    noise = rng.random(300)
    model, reference = tally_of(hard), tally_of(hard + noise)
    assert resample_blocks(model).mean_block.item() == block_length(hard)
    compared = resample_blocks(model, reference).mean_block.item()
    assert compared == pytest.approx(block_length(noise), rel=1e-6)


def test_the_longest_block_of_all_channels_is_taken_for_each_lead():
    rng = np.random.default_rng(0)
    losses = 20 + np.stack([ar1(200, phi, rng) for phi in (0.0, 0.9, 0.5, 0.0)], axis=1)
    losses = losses.reshape(200, 2, 2)
    lengths = np.array([[block_length(losses[:, lead, c]) for c in range(2)] for lead in range(2)])
    found = resample_blocks(tally_of(losses)).mean_block
    np.testing.assert_allclose(found, lengths.max(axis=1)[None])


def test_movies_are_strata_and_never_mixed():
    movie = np.repeat([3, 8], [40, 25])
    tally = tally_of(np.where(movie == 3, 1.0, 100.0), movie)
    draws = resample_blocks(tally, n_draws=30)
    np.testing.assert_allclose(mse(draws.sums(tally)), (40 + 2500) / 65, rtol=1e-12)
    assert draws.n_windows.tolist() == [40, 25]


def test_a_movie_is_resampled_alike_alone_and_among_others():
    rng = np.random.default_rng(0)
    movie = np.repeat([3, 8], [40, 25])
    tally = tally_of(rng.chisquare(3, 65), movie)
    only = tally_of(np.where(movie == 3, tally["square"][:, 0, 0], 0), movie)
    both = resample_blocks(tally, n_draws=30).sums(only)
    alone = resample_blocks(tally.of_movie(3), n_draws=30).sums(tally.of_movie(3))
    np.testing.assert_allclose(both[:, 3], alone[:, 3], rtol=1e-12)  # the sums of squares


def test_the_order_of_windows_does_not_matter():
    tally = noisy_frames(50, np.random.default_rng(0))
    turn = np.random.default_rng(1).permutation(50)
    shuffled = Tally(tally.movie[turn], tally.start[turn], tally.sums[turn])
    a, b = resample_blocks(tally, n_draws=20), resample_blocks(shuffled, n_draws=20)
    np.testing.assert_array_equal(a.sums(shuffled), b.sums(tally))


def test_the_seed_decides_the_draws():
    tally = noisy_frames(50, np.random.default_rng(0))
    sums = [resample_blocks(tally, n_draws=20, seed=s).sums(tally) for s in (0, 0, 1)]
    np.testing.assert_array_equal(sums[0], sums[1])
    assert not np.array_equal(sums[0], sums[2])


def test_many_windows_are_drawn_in_several_goes(monkeypatch):
    tally = noisy_frames(50, np.random.default_rng(0))
    monkeypatch.setattr("slime.inference.DRAWN_AT_ONCE", 350)  # 7 draws at once
    draws = resample_blocks(tally, n_draws=16)
    sums = draws.sums(tally)
    np.testing.assert_array_equal(sums[:, 0], 50 * 20)
    assert len(np.unique(sums[:, 3, 0, 0])) == 16


def test_intervals_hold_the_score_itself():
    tally, reference = (noisy_frames(120, np.random.default_rng(i)) for i in range(2))
    draws = resample_blocks(tally)
    for score in (mse, mae, r2):
        low, high = draws.interval(score(draws.sums(tally)))
        assert (low < score(tally.total())).all()
        assert (score(tally.total()) < high).all()
    paired = resample_blocks(tally, reference)
    pooled = skill(paired.sums(tally), paired.sums(reference), pool=True)
    assert paired.interval(pooled).low.shape == (2, 1)


def test_pearson_of_draws_is_the_score_with_their_weights():
    tally = noisy_frames(60, np.random.default_rng(0), n_leads=1)
    tally.sums[5, 6:, 0, 1] = 0  # a flat forecast
    draws = resample_blocks(tally, n_draws=5)
    rng = np.random.default_rng((0, 0, 0))
    weights = stationary_weights(60, draws.mean_block.item(), 5, rng)
    for pool in (False, True):
        expected = np.stack([pearson(tally, w, pool=pool) for w in weights])
        np.testing.assert_allclose(draws.pearson(tally, pool=pool), expected, rtol=1e-9)


# --- where there is no interval ---


def test_windows_over_block_lengths_are_added_up_over_movies():
    blocks = effective_blocks(np.array([60, 30]), np.array([[6.0, 1.0], [10.0, 1.0]]))
    assert blocks.tolist() == [13, 90]


def test_fewer_than_ten_blocks_give_no_interval_and_say_so():
    slow = 20 + ar1(90, 0.97, np.random.default_rng(0))
    quick = np.random.default_rng(1).random(90)
    tally = tally_of(np.stack([quick, slow], axis=1)[:, :, None])
    draws = resample_blocks(tally, n_draws=50)
    low, high = draws.interval(mse(draws.sums(tally)))
    assert np.isfinite([low[0], high[0]]).all()
    assert np.isnan([low[1], high[1]]).all()
    assert draws.n_blocks[1] == pytest.approx(90 / block_length(slow))
    assert draws.reasons[0] == ""
    assert draws.reasons[1] == (
        f"no interval at lead 2: {90 / block_length(slow):.1f} effective blocks, 10 are needed "
        f"(90 windows in 1 movies, mean block of up to {block_length(slow):.1f} windows)"
    )


def test_movies_of_one_window_each_give_no_interval():
    rng = np.random.default_rng(0)
    tally = tally_of(rng.random(14), np.arange(14))
    draws = resample_blocks(tally, n_draws=20)
    assert "a movie of 1.0 effective blocks, 2 are needed" in draws.reasons[0]
    assert np.isnan(draws.interval(mse(draws.sums(tally))).low).all()


def test_a_diverged_model_has_no_interval():
    tally = noisy_frames(60, np.random.default_rng(0))
    tally.sums[7, 1:, 1] = np.inf
    steady = noisy_frames(60, np.random.default_rng(1))
    for draws in (resample_blocks(tally), resample_blocks(steady, tally)):
        assert draws.reasons == ("", "no interval at lead 2: losses are not finite numbers")
        low, _ = draws.interval(mse(draws.sums(tally)))
        assert np.isfinite(low[0]).all()
        assert np.isnan(low[1]).all()


def test_a_window_that_is_all_masked_counts_for_nothing():
    tally = noisy_frames(60, np.random.default_rng(0))
    tally.sums[7] = 0
    draws = resample_blocks(tally)
    assert draws.reasons == ("", "")
    assert np.isfinite(draws.interval(mse(draws.sums(tally))).low).all()
    assert np.isfinite(draws.pearson(tally)).all()


def test_scores_on_other_windows_are_not_compared():
    a = noisy_frames(60, np.random.default_rng(0))
    late = Tally(a.movie, a.start + 1, a.sums)
    elsewhere = Tally(a.movie + 1, a.start, a.sums)
    for other in (late, elsewhere, noisy_frames(59, np.random.default_rng(0))):
        with pytest.raises(SlimeError, match="same windows only"):
            resample_blocks(a, other)
        with pytest.raises(SlimeError, match="same windows only"):
            resample_blocks(a).sums(other)
    with pytest.raises(SlimeError, match="60 windows of 3 leads, there 60 of 2"):
        resample_blocks(a, noisy_frames(60, np.random.default_rng(0), n_leads=3))


def test_an_empty_tally_is_refused():
    with pytest.raises(SlimeError, match="needs windows"):
        resample_blocks(noisy_frames(0, np.random.default_rng(0)))


def test_a_level_outside_0_to_1_is_refused():
    tally = noisy_frames(60, np.random.default_rng(0))
    draws = resample_blocks(tally, n_draws=20)
    with pytest.raises(SlimeError, match="level 95"):
        draws.interval(mse(draws.sums(tally)), level=95.0)
