"""G7: the closed form is the one of other implementations, and gradient descent reaches it."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from foundations.exercise import drawn
from foundations.ppca import one_factor, ppca
from foundations.ppca_model import (
    Noisy,
    axis_correlations,
    closed_form,
    covariance,
    descended,
    largest_angle,
    negative_log_likelihood,
    principal_axes,
    turned_correlations,
)

X = one_factor(60, seed=4)
COV = covariance(X)


def test_the_closed_form_is_the_one_of_scikit_learn():
    theirs = PCA(2).fit(X.numpy())
    # scikit-learn divides by n - 1, maximum likelihood by n
    assert closed_form(COV).sigma2.item() == pytest.approx(theirs.noise_variance_ * 59 / 60)
    axes = torch.from_numpy(theirs.components_.T)
    assert (principal_axes(COV) * axes).sum(dim=0).abs().tolist() == pytest.approx([1, 1])


def test_the_likelihood_is_that_of_a_multivariate_normal():
    draw = torch.Generator().manual_seed(1)
    w = torch.randn(10, 2, generator=draw, dtype=torch.float64)
    sigma2 = torch.tensor(0.7, dtype=torch.float64)
    whole = w @ w.T + sigma2 * torch.eye(10, dtype=torch.float64)
    normal = torch.distributions.MultivariateNormal(X.mean(dim=0), whole)
    wanted = -normal.log_prob(X).mean().item()
    assert negative_log_likelihood(Noisy(w, sigma2), COV).item() == pytest.approx(wanted)


def test_no_small_step_from_the_closed_form_is_likelier():
    best = closed_form(COV)
    least = negative_log_likelihood(best, COV)
    draw = torch.Generator().manual_seed(2)
    for _ in range(20):
        w = best.w + 0.05 * torch.randn(10, 2, generator=draw, dtype=torch.float64)
        assert negative_log_likelihood(Noisy(w, best.sigma2), COV) > least
        assert negative_log_likelihood(Noisy(best.w, 1.1 * best.sigma2), COV) > least


def test_the_largest_angle_is_the_one_of_scipy_and_keeps_small_digits():
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(2, 7, 2))
    wanted = subspace_angles(a, b).max()
    assert largest_angle(torch.from_numpy(a), torch.from_numpy(b)).item() == pytest.approx(wanted)
    tilted = torch.eye(3, 2, dtype=torch.float64)
    tilted[2, 1] = 1e-10
    angle = largest_angle(torch.eye(3, 2, dtype=torch.float64), tilted)
    assert angle.item() == pytest.approx(1e-10, rel=1e-4)


def test_turning_the_columns_changes_the_axis_correlation_alone():
    best = closed_form(COV)
    c, s = math.cos(1.1), math.sin(1.1)
    turned = Noisy(best.w @ torch.tensor([[c, -s], [s, c]], dtype=torch.float64), best.sigma2)
    ours = [negative_log_likelihood(model, COV).item() for model in (best, turned)]
    assert ours[0] == pytest.approx(ours[1], abs=1e-12)
    assert largest_angle(best.w, turned.w) < 1e-12
    axes = principal_axes(COV)
    assert axis_correlations(best.w, axes).tolist() == pytest.approx([1, 1])
    assert axis_correlations(turned.w, axes)[1] < 0.3
    every = turned_correlations(best, COV)[:, 1]
    assert every.min() < 0.01
    assert every.max() > 0.999


def test_descent_reaches_the_closed_form_from_any_start():
    cov = COV.expand(3, -1, -1)
    end = descended(cov, steps=400, lr=0.05, fades=True).model
    best = closed_form(cov)
    assert largest_angle(best.w, end.w).max() < 1e-3
    assert (end.sigma2 / best.sigma2 - 1).abs().max() < 1e-3
    # the three solutions are turned against each other
    assert axis_correlations(end.w, principal_axes(cov))[:, 1].std() > 0.01
    early = descended(cov, steps=100, lr=0.01, fades=False).model
    assert largest_angle(best.w, early.w).max() > 0.1


@pytest.mark.slow
def test_every_row_of_g7_is_in_its_band():
    outcome = ppca()
    assert [row.name for row in outcome.rows if not row.passed] == []
    assert all(len(row.ours) >= 3 for row in outcome.rows)
    assert len(drawn(outcome).axes) == 2
