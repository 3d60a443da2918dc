"""Scores from totals against the scores themselves, and against numpy on drawn windows."""

import numpy as np
import pytest
from series import noisy_frames

from slime.errors import SlimeError
from slime.score import horizon, mse, pearson, skill, vrmse
from slime.statistic import NAMES, median_of, statistic

VARIANCE = np.array([2.0, 3.0])


def of(name, *tallies):
    score = statistic(name, VARIANCE)
    return score.score(*(score.terms(tally).sum(axis=0) for tally in tallies))


def test_a_score_of_totals_is_the_score_by_channel_and_pooled():
    tally, other = (noisy_frames(31, np.random.default_rng(i)) for i in range(2))
    tally.sums[5, 6:, 0, 1] = 0  # a flat forecast
    sums, others = tally.total(), other.total()
    for pool, columns in ((False, slice(0, 2)), (True, slice(2, 3))):
        wanted = {
            "mse": mse(sums, pool=pool),
            "skill": skill(sums, others, pool=pool),
            "vrmse": vrmse(sums, VARIANCE, pool=pool),
            "pearson": pearson(tally, pool=pool),
        }
        for name, values in wanted.items():
            both = (tally, other) if name == "skill" else (tally,)
            np.testing.assert_allclose(of(name, *both)[:, columns], values, rtol=1e-9)


@pytest.mark.parametrize("n_windows", [7, 8])
def test_the_horizon_is_the_median_over_windows_as_numpy_takes_it(n_windows):
    tally = noisy_frames(n_windows, np.random.default_rng(3), n_leads=5)
    first, _ = horizon(tally, 0.6)
    found = of("horizon_0.6", tally)
    assert found.shape == (1, 3)
    assert found[0, :2].tolist() == np.median(first, axis=0).tolist()
    assert found[0, 2] == np.median(first)
    assert len(set(first.ravel())) > 2


def test_the_median_of_counts_is_that_of_the_values_they_count():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.integers(1, 7, size=int(rng.integers(1, 12)))
        counts = np.bincount(values, minlength=7)[1:].astype(float)
        assert median_of(counts[:, None, None]).item() == np.median(values)


def test_every_score_has_a_name_and_other_names_are_refused():
    for name in NAMES:
        assert statistic(name, VARIANCE).name == name
    with pytest.raises(SlimeError, match=r"there is no score 'skil'.*did you mean skill"):
        statistic("skil")
    for name in ("horizon_", "horizon_2", "horizon_nan", "horizon_a"):
        with pytest.raises(SlimeError, match=f"there is no score '{name}'"):
            statistic(name)
    with pytest.raises(SlimeError, match="vrmse needs the variance"):
        statistic("vrmse")
