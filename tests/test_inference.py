"""Intervals against theory and hand arithmetic."""

import math

import numpy as np
import pytest
from series import ar1, noisy_frames, tally_of

from slime.blocks import block_length, stationary_weights
from slime.errors import SlimeError
from slime.inference import Resampling, resample_blocks
from slime.score import Tally, mae, mse, pearson, r2, skill


def width(interval) -> float:
    return (interval.high - interval.low).item()


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
    assert 90 <= block <= 99  # nominally 95, one sigma 2.2
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
    monkeypatch.setattr("slime.resampling.DRAWN_AT_ONCE", 350)  # 7 draws at once
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
