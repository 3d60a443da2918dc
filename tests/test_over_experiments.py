import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from slime.over_experiments import over_experiments


def test_without_seeds_it_is_students_paired_test():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(2, 8, 1, 3, 2))
    found = over_experiments(ours, theirs)
    known = ttest_rel(ours[:, 0], theirs[:, 0])
    np.testing.assert_allclose(found.p, known.pvalue)
    np.testing.assert_allclose(found.low, known.confidence_interval(0.95).low)
    np.testing.assert_allclose(found.high, known.confidence_interval(0.95).high)


def test_experiments_that_agree_leave_the_spread_of_seeds():
    seeds = np.array([0.3, 0.5, 0.9])
    found = over_experiments(
        np.broadcast_to(seeds[:, None, None], (7, 3, 1, 1)).copy(), np.zeros((7, 1, 1, 1))
    )
    known = ttest_1samp(seeds, 0)
    assert found.p.item() == pytest.approx(known.pvalue)
    assert found.low.item() == pytest.approx(known.confidence_interval(0.95).low)


def test_a_model_does_not_differ_from_itself():
    same = np.random.default_rng(0).normal(size=(6, 1, 1, 1))
    assert over_experiments(same, same).p.item() == 1


@pytest.mark.parametrize(
    ("n", "n_seeds", "told"),
    [
        (1, 1, "1 held-out experiments, 6 are needed for an interval: all shown"),
        (5, 3, "5 held-out experiments, 6 are needed for an interval: all shown"),
        (6, 2, "2 seeds, 3 are needed"),
    ],
)
def test_few_experiments_or_seeds_give_a_value_alone(n, n_seeds, told):
    ours, theirs = np.full((n, n_seeds, 2, 1), 3.0), np.full((n, 1, 2, 1), 1.0)
    found = over_experiments(ours, theirs)
    assert (found.value == 2).all()
    assert np.isnan([found.low, found.high, found.p]).all()
    assert found.reasons == (told, told)
