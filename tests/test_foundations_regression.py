import numpy as np
import pytest
import torch
from torch import nn

from foundations.exercise import drawn
from foundations.losses import EXERCISES as LOSSES
from foundations.losses import MeanSquaredOops, broadcast_loss
from foundations.multivariate import EXERCISES as MULTIVARIATE
from foundations.multivariate import independent, plane, r2, shape_error
from foundations.points import EXERCISES as POINTS
from foundations.points import refused
from foundations.regression import EXERCISES, least_squares, off, random_parts
from foundations.toys import Pairs, line


@pytest.mark.slow
@pytest.mark.parametrize("exercise", [*POINTS, *EXERCISES, *MULTIVARIATE], ids=lambda e: e.id)
def test_every_row_lies_in_its_band_and_the_figure_is_drawn(exercise):
    outcome = exercise.run()
    assert [row.name for row in outcome.rows if not row.passed] == []
    assert all(axes.has_data() for axes in drawn(outcome).axes)


def test_the_loss_by_hand_is_in_its_band():
    (exercise,) = LOSSES
    assert all(row.passed for row in exercise.run().rows)


def test_least_squares_are_numpys():
    x, y = line(50, seed=3)
    wanted = np.polyfit(x[:, 0].double().numpy(), y[:, 0].double().numpy(), 1)
    assert np.allclose(least_squares(Pairs(x, y))[:, 0], wanted, atol=1e-6)


def test_off_is_the_largest_error_of_a_weight():
    x = torch.tensor([[0.0], [1.0], [2.0]])
    net = nn.Linear(1, 1)
    nn.init.constant_(net.weight, 3.5)
    nn.init.constant_(net.bias, -0.5)
    assert abs(off(net, Pairs(x, 3 * x - 1.2)) - 0.7) < 1e-5


def test_a_random_split_loses_no_point():
    x = torch.arange(10.0)[:, None]
    parts = random_parts(x, x, seed=0)
    assert [len(p.x) for p in parts] == [6, 2, 2]
    assert torch.cat([p.y for p in parts]).sum() == 45


def test_independent_targets_know_nothing_of_the_inputs():
    pairs, weights = plane(seed=1, noise=0.0)
    ones = torch.ones(len(pairs.x), 1)
    assert torch.allclose(torch.cat([pairs.x, ones], 1) @ weights, pairs.y, atol=1e-5)
    control = independent(seed=1)
    assert torch.equal(control.x, pairs.x)
    corr = torch.corrcoef(torch.cat([control.x, control.y], 1).T)[:2, 2:]
    assert corr.abs().max() < 0.17  # 4 standard errors of 1 / sqrt(600)


def test_r2_is_1_for_the_truth_and_0_for_its_mean():
    truth = torch.tensor([[1.0, 5.0], [3.0, 9.0]])
    assert r2(truth, truth) == 1
    assert r2(truth.mean(0).expand(2, 2), truth) == 0
    assert r2(truth + 1, truth) == pytest.approx(1 - 4 / 10)  # squares: 4; around means: 2 + 8


def test_the_wrong_size_of_a_layer_is_told_by_torch():
    assert "cannot be multiplied" in shape_error()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_loss_by_hand_is_torchs(reduction):
    said, truth = torch.randn(3, 4), torch.randn(3, 4)
    wanted = nn.MSELoss(reduction=reduction)(said, truth)
    assert torch.equal(MeanSquaredOops(reduction)(said, truth), wanted)


def test_shapes_that_differ_are_refused_where_torch_broadcasts():
    with pytest.raises(ValueError, match=r"outputs \(4, 1\) and targets \(4,\) differ in shape"):
        MeanSquaredOops()(torch.zeros(4, 1), torch.zeros(4))
    value, warned = broadcast_loss(6)
    assert value == pytest.approx(2 * 35 / 12)  # twice the variance of 0 to 5, (36 - 1) / 12
    assert "will likely lead to incorrect results" in warned


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="reduction 'median' is none of mean, sum, none"):
        MeanSquaredOops.__init__.__wrapped__(MeanSquaredOops.__new__(MeanSquaredOops), "median")


def test_refused_tells_shares_that_are_right():
    assert not refused((0.5, 0.25, 0.25))
