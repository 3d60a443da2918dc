import math

import pytest
import torch
from scipy import stats

from foundations.broadcasting import EXERCISES as BROADCASTING
from foundations.broadcasting import (
    add_ten_there,
    counted,
    distances,
    divisible,
    index_table,
    rows_and_columns,
)
from foundations.distributions import (
    EXERCISES,
    gamma_log_density,
    grid_draws,
    mixture_draws,
    mixture_pmf,
    normal_batch,
    poisson_draws,
    poisson_table,
    total_variation,
)
from foundations.exercise import drawn


@pytest.mark.parametrize("exercise", [*BROADCASTING, *EXERCISES], ids=lambda e: e.id)
def test_every_row_lies_in_its_band_and_the_figure_is_drawn(exercise):
    outcome = exercise.run()
    assert [row.name for row in outcome.rows if not row.passed] == []
    assert any(axes.has_data() for axes in drawn(outcome).axes)


def test_tables_distances_and_selections():
    assert index_table()[2, 3] == 7
    assert distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0, 5], [5, 0]]
    assert rows_and_columns().tolist() == [[6, 8, 9], [24, 26, 27]]


def test_twelve_entries_are_divisible_and_grow_in_place():
    x = counted()
    assert int(divisible(x).sum()) == 8 + 6 - 2  # multiples of 5, of 7, of both: 0 and 35
    add_ten_there(x)
    assert x[0].tolist() == [10, 1, 2, 3, 4, 15]
    assert x[5, 5] == 45


def test_poisson_probabilities_are_scipys():
    rates, counts = torch.tensor([[0.5, 3.0], [9.0, 20.0]]), torch.arange(30.0)
    wanted = stats.poisson.pmf(counts.numpy(), rates.numpy()[..., None])
    assert torch.allclose(poisson_table(rates, counts).double(), torch.tensor(wanted), atol=1e-6)


def test_gamma_densities_are_scipys():
    x = torch.tensor([0.1, 1.0, 7.0])
    wanted = stats.gamma.logpdf(x.numpy(), 2.5, scale=1 / 1.5)
    got = gamma_log_density(x, shape=2.5, rate=1.5)
    assert torch.allclose(got.double(), torch.tensor(wanted).double(), atol=1e-5)


def test_the_mixture_has_the_mean_and_variance_of_its_laws():
    counts = torch.arange(60.0)
    pmf = mixture_pmf(counts)
    mean = float((counts * pmf).sum())
    assert math.isclose(mean, 4.5, rel_tol=1e-5)
    variance = float((counts**2 * pmf).sum()) - mean**2
    assert math.isclose(variance, 4.5 + 2.5**2, rel_tol=1e-4)  # within laws, and between them
    draws = mixture_draws(200_000, seed=7).double()
    assert abs(draws.mean() - 4.5) < 0.03  # 4 standard errors of sqrt(10.75 / 200 000)


def test_total_variation_of_draws_that_are_all_one_value():
    pmf_of_3 = (math.exp(-2) * 8 + math.exp(-7) * 343) / 6 / 2
    assert math.isclose(total_variation(torch.full((50,), 3)), 1 - pmf_of_3, rel_tol=1e-5)


def test_draws_are_repeated_by_their_seed_alone():
    for draws in (poisson_draws, mixture_draws):
        assert torch.equal(draws(50, seed=1), draws(50, seed=1))
        assert not torch.equal(draws(50, seed=1), draws(50, seed=2))
    assert torch.equal(normal_batch(seed=1), normal_batch(seed=1))
    state = torch.get_rng_state()
    assert grid_draws(5).shape == (5, 4, 4)
    assert torch.equal(torch.get_rng_state(), state)
