"""G5: the lasso is the one of scikit-learn, and names the features that matter."""

import pytest
import torch
from sklearn.linear_model import Lasso

from foundations.exercise import drawn
from foundations.lasso import Linear, choice, descended, penalties, squared_errors
from foundations.sparse import (
    adam_arms,
    by_adam,
    fits,
    found,
    sparse_points,
    sparse_regression,
    start,
    support_share,
)

SPARSE = sparse_points(30, q=2, seed=5)
X, Y = SPARSE.part("train")


def test_the_points_have_five_features_that_matter_and_noise_of_a_tenth():
    assert [len(SPARSE.part(name)[0]) for name in ("train", "val", "test")] == [400, 50, 50]
    assert (SPARSE.w != 0).sum(dim=0).tolist() == [5, 5]
    assert SPARSE.w[SPARSE.matter].abs().min() >= 0.5
    # the standard error of a deviation from 1000 values is 2.2 %
    assert (SPARSE.y - SPARSE.x @ SPARSE.w).std().item() == pytest.approx(0.1, rel=0.1)


def test_every_penalty_ends_at_the_lasso_of_scikit_learn():
    of = torch.tensor([1.0, 0.1, 0.01])
    made = descended(X, Y, of, start(30, 2, seed=0), steps=300)
    for number, penalty in enumerate(of.tolist()):
        # its loss is half of the mean squared error
        theirs = Lasso(alpha=penalty / 2, tol=1e-10).fit(X.double().numpy(), Y.double().numpy())
        assert torch.allclose(made.w[number].T, torch.from_numpy(theirs.coef_).float(), atol=1e-5)
        assert made.b[number].tolist() == pytest.approx(theirs.intercept_.tolist(), abs=1e-5)


def test_without_penalty_it_is_least_squares_and_at_the_greatest_one_nothing():
    of = torch.cat([penalties(X, Y)[:1], torch.zeros(1)])
    made = descended(X, Y, of, start(30, 2, seed=0), steps=300)
    assert (made.w[0] == 0).all()
    wide = torch.cat([X, torch.ones(len(X), 1)], dim=1)
    wanted = torch.linalg.lstsq(wide, Y).solution
    assert torch.allclose(made.w[1], wanted[:-1], atol=1e-5)
    assert torch.allclose(made.b[1], wanted[-1], atol=1e-5)


def test_the_choice_is_the_simplest_within_a_standard_error():
    x, y = torch.ones(4, 1), torch.zeros(4, 1)
    y[0] = 1.0
    # constants 0.7, 0.5, 0.25 and 0: squared errors by hand
    model = Linear(torch.zeros(4, 1, 1), torch.tensor([0.7, 0.5, 0.25, 0.0])[:, None])
    errors = squared_errors(model, x, y)
    assert errors[1].tolist() == [0.25] * 4
    assert errors.mean(dim=1).tolist() == pytest.approx([0.39, 0.25, 0.1875, 0.25])
    chosen = choice(model, torch.tensor([8.0, 4.0, 2.0, 1.0]), x, y)
    # at the least loss errors are 9/16 and three times 1/16: standard error 0.25 / 2, limit 0.3125
    assert (chosen.least, chosen.simplest) == (2, 1)


def test_the_support_counts_outputs_in_which_exactly_the_five_are_found():
    w = SPARSE.w.clone()
    assert support_share(w, SPARSE) == 1
    w[SPARSE.matter[0], 0] = 0.04
    assert not found(w)[SPARSE.matter[0], 0]
    assert support_share(w, SPARSE) == 0.5
    w[:, 1] = 1.0
    assert support_share(w, SPARSE) == 0


def test_at_d_10_both_reach_the_noise():
    made = fits(10, q=2, seed=0)
    # 0.01 from 100 values: standard error 14 %
    assert 0.005 < made.plain < 0.016
    assert 0.005 < made.with_l1 < 0.02
    assert made.support == 1


def test_arms_from_one_start_are_alike_and_those_from_two_are_not():
    curves = adam_arms(10, seed=0)
    same, other = (curves[-1, 0] - curves[-1, 1]).abs(), (curves[-1, 0] - curves[-1, 2]).abs()
    assert same < 0.01 < other
    assert curves[-1].min() > 0.2  # far from the noise, 0.01
    longer = by_adam(sparse_points(10, seed=0), [start(10, 1, seed=0)], [0.0], steps=300, lr=0.1)
    assert longer[-1].item() < 0.02


@pytest.mark.slow
def test_every_row_of_g5_is_in_its_band():
    outcome = sparse_regression()
    assert [row.name for row in outcome.rows if not row.passed] == []
    assert all(len(row.ours) >= 3 for row in outcome.rows)
    assert len(drawn(outcome).axes) == 2
