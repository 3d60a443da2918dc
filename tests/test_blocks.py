"""Block lengths and drawn series against theory, the arch package and hand arithmetic."""

import numpy as np
import pytest
from arch.bootstrap import optimal_block_length
from series import ar1

from slime.blocks import block_length, effective_blocks, stationary_weights
from slime.errors import SlimeError

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


def test_windows_over_block_lengths_are_added_up_over_movies():
    blocks = effective_blocks(np.array([60, 30]), np.array([[6.0, 1.0], [10.0, 1.0]]))
    assert blocks.tolist() == [13, 90]
