"""G1 to G4, G6 and G8: the arms differ in what they say alone, and confidence is what it says."""

import math

import pytest
import torch
from sklearn.metrics import accuracy_score
from torch import nn

from foundations.arms import (
    ARM_SEEDS,
    Arm,
    accuracy,
    as_features,
    confidence,
    fit_on,
    parts_of,
    polar,
    said,
)
from foundations.coordinates import along_boundary, far_away, grid, linear_accuracy
from foundations.exercise import drawn
from foundations.registry import exercises
from foundations.toys import Pairs
from foundations.tuning import epochs_to, near


class Steep(nn.Module):
    """Class 1 right of x = 0.5, with logits of 0 and `slope` times the distance."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, x):
        return torch.stack([torch.zeros(len(x)), self.slope * (x[:, 0] - 0.5)], dim=1)


def test_polar_features_are_radius_and_angle():
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, -1.0]])
    wanted = torch.tensor([[1, 0], [2, math.pi / 2], [3, math.pi], [1, -math.pi / 2]])
    assert torch.allclose(polar(x), wanted)
    parts = parts_of("moons")[0]
    turned = as_features(parts, polar)
    assert torch.equal(turned.test.y, parts.test.y)
    r, angle = turned.test.x.T
    back = torch.stack([r * angle.cos(), r * angle.sin()], dim=1)
    assert torch.allclose(back, parts.test.x, atol=1e-5)


def test_arms_have_the_shares_they_ask_for_and_points_of_five_seeds():
    parts = parts_of("moons", (0.6, 0.2, 0.2))
    assert len(parts) == len(ARM_SEEDS) == 5
    assert [len(part.y) for part in parts[0]] == [720, 240, 240]
    assert not torch.equal(parts[0].train.x, parts[1].train.x)
    again = parts_of("moons", (0.6, 0.2, 0.2))
    assert torch.equal(parts[3].val.x, again[3].val.x)


def test_a_few_epochs_learn_and_accuracies_are_those_of_the_nets():
    parts = parts_of("moons")[:2]
    made = fit_on(parts, Arm(epochs=2))
    net, test = made.trained.last[1], parts[1].test
    wanted = accuracy_score(test.y.numpy(), said(net, test.x).numpy())
    assert made.test[1].item() == pytest.approx(wanted) == accuracy(net, test)
    assert made.val[0].item() == pytest.approx(accuracy(made.trained.last[0], parts[0].val))
    assert made.test.min() > 0.75
    decayed = fit_on(parts, Arm(epochs=2, weight_decay=3.0))
    sizes = [sum(p.square().sum() for p in m.trained.last[0].parameters()) for m in (made, decayed)]
    assert sizes[1] < 0.9 * sizes[0]


def test_epochs_to_a_level_are_counted_from_1_and_are_one_more_than_all_if_never():
    curves = torch.tensor([[0.5, 0.95, 0.1], [0.91, 0.2, 0.2], [0.8, 0.3, 0.3]])
    assert epochs_to(curves).tolist() == [2, 1, 4]


def test_an_accuracy_is_near_within_0_03_in_the_mean():
    assert near("a", torch.tensor([0.90, 0.99]), 0.93).passed
    assert not near("a", torch.tensor([0.90, 0.89]), 0.93).passed
    assert near("a", torch.tensor([0.9]), 0.93).reference == ".930"


def test_confidence_is_a_half_on_the_boundary_and_1_far_away():
    # 2 / (1 + exp(-1)) - 1 apart: the logistic function of slope times distance
    x = torch.tensor([[0.5, 3.0], [1.5, 0.0], [-0.5, 0.0]])
    of = 1 / (1 + math.exp(-2.0))
    assert confidence(Steep(2.0), x).tolist() == pytest.approx([0.5, of, of])
    assert along_boundary(Steep(2.0)) == pytest.approx(0.5, abs=0.01)
    assert far_away(Steep(0.5)) > 0.85  # at 1 from the origin it would be about 0.6
    assert far_away(Steep(0.0)) == 0.5


def test_the_grid_is_row_after_row_around_the_moons():
    points = grid(1.0, 3)
    assert points[0].tolist() == [-0.5, -0.75]
    assert points[1].tolist() == [0.5, -0.75]
    assert points[3].tolist() == [-0.5, 0.25]


def test_a_linear_law_of_the_radius_solves_circles_and_one_of_x_and_y_does_not():
    parts = parts_of("circles")[0]
    assert linear_accuracy(as_features(parts, polar), [0]) > 0.8
    assert linear_accuracy(parts, [0, 1]) < 0.65
    moved = Pairs(parts.train.x + 10, parts.train.y)
    assert linear_accuracy(parts._replace(train=moved, test=moved), [0, 1]) < 0.65


def test_stack_g_is_in_order():
    known = [number for number in exercises() if number.startswith("G")]
    assert known == [f"G{i}" for i in range(1, 9)]


@pytest.mark.slow
@pytest.mark.parametrize("number", ["G1", "G2", "G3", "G4", "G6", "G8"])
def test_every_row_is_in_its_band_over_five_seeds(number):
    outcome = exercises()[number].run()
    assert [row.name for row in outcome.rows if not row.passed] == []
    assert all(len(row.ours) == 5 for row in outcome.rows)
    drawn(outcome).canvas.draw()
