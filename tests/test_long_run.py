"""Long-run variances against closed forms, exact resampling and another implementation."""

import math

import numpy as np
import pytest
from scipy.signal import lfilter
from series import ar1
from statsmodels.regression.linear_model import burg
from statsmodels.tsa.stattools import pacf_burg

from slime.blocks import stationary_weights
from slime.long_run import autoregressive_variance, long_run, spread_of


def column(series):
    return np.asarray(series, dtype=float)[:, None]


def told(series, mean_block=1.0):
    return long_run(column(series), np.array([mean_block]))


def test_the_variance_of_draws_is_that_of_the_blocks_that_are_drawn():
    series = ar1(60, 0.7, np.random.default_rng(0))
    weights = stationary_weights(60, 4.5, 40_000, np.random.default_rng(1))
    # 40 000 draws tell a variance to 0.7 %
    assert told(series, 4.5).drawn.item() == pytest.approx((weights @ series).var(), rel=0.03)


def test_blocks_of_one_leave_the_plain_variance_and_its_mean_is_given_back():
    series = np.random.default_rng(0).normal(size=2000)
    found = told(series)
    assert found.drawn.item() == pytest.approx(2000 * series.var())
    # blocks of 2 keep shares 1, 1/2, 1/4 ... of covariances: squared, both ways, 5/3 in sum
    assert found.freedom.item() == pytest.approx(2000 / (5 / 3), rel=0.01)


def test_blocks_of_one_window_give_the_variance_of_the_textbook(monkeypatch):
    monkeypatch.setattr("slime.long_run.LONGER", 1.0)
    monkeypatch.setattr("slime.long_run.autoregressive_variance", lambda centred: 0.0)
    series = np.random.default_rng(0).normal(size=20)
    assert told(series).told.item() == pytest.approx(20 * series.var(ddof=1))
    assert told(series).freedom == 20


@pytest.mark.parametrize("phi", [-0.4, 0.0, 0.5, 0.9])
def test_an_autoregression_tells_the_variance_of_its_mean(phi):
    series = np.stack([ar1(4000, phi, np.random.default_rng(i)) for i in range(30)], axis=1)
    found = np.mean(autoregressive_variance(series - series.mean(axis=0)))
    assert found == pytest.approx((1 + phi) / (1 - phi), rel=0.06)  # 30 of some 10 % each


def test_burgs_recursion_is_that_of_statsmodels(monkeypatch):
    noise = np.random.default_rng(0).normal(size=500)
    series = lfilter([1], [1, -0.5, -0.2, 0.3], noise)
    series -= series.mean()
    monkeypatch.setattr("slime.long_run._less_biased", lambda total, n, order: total)
    pacf, _ = pacf_burg(series, 26, demean=False)
    least = []
    for order in range(27):
        rho, _ = burg(series, order, demean=False) if order else ([], None)
        variance = (series**2).mean() * np.prod(1 - pacf[1 : order + 1] ** 2)
        criterion = 500 * math.log(variance) + 2 * order * 500 / (500 - order - 2)
        scale = 500 / (500 - order - 1)
        least.append((criterion, variance * scale / (1 - np.sum(rho)) ** 2))
    assert autoregressive_variance(column(series)).item() == pytest.approx(min(least)[1])


def test_a_long_memory_asks_for_more_than_its_blocks_hold():
    slow = ar1(300, 0.9, np.random.default_rng(0))
    spread = spread_of([(column(slow), np.array([5.0]))])
    assert spread.widening.item() > 1.4
    # blocks of 10 keep shares 0.9^|lag| of covariances: their squares add up to 1.81 / 0.19
    assert spread.freedom.item() == pytest.approx(300 * 0.19 / 1.81, rel=0.05)


def test_movies_add_their_variances_and_their_freedom_by_satterthwaite():
    rng = np.random.default_rng(0)
    parts = [(column(k * rng.normal(size=n)), np.array([2.0])) for k, n in ((1, 50), (3, 80))]
    one, other = (long_run(*part) for part in parts)
    both = spread_of(parts)
    variance = one.told + other.told
    assert both.widening == pytest.approx(np.sqrt(variance / (one.drawn + other.drawn)))
    expected = variance**2 / (one.told**2 / one.freedom + other.told**2 / other.freedom)
    assert both.freedom == pytest.approx(expected)


def test_what_never_changes_is_left_as_it_is_and_what_is_not_finite_is_not_told():
    flat, short = spread_of([(np.full((50, 1), 3.0), np.ones(1))]), told([1.0, 2.0])
    assert flat.widening == 1
    assert flat.freedom == math.inf
    assert np.isfinite([short.drawn, short.told, short.freedom]).all()
    bad = np.ones((50, 1))
    bad[3] = np.inf
    assert np.isnan(spread_of([(bad, np.array([np.nan]))]).widening).all()
