"""Each control passes on a program that is right, and fails on one made wrong in its way."""

import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from sklearn.linear_model import LinearRegression
from torch import nn

from foundations.sanity import (
    Fitted,
    batch_independence,
    changed_inputs,
    draw_curves,
    gradients,
    initial_loss,
    overfit_one_batch,
    overlap,
    right_answer,
    round_trip,
    shuffled_order,
    shuffled_targets,
    trivial_features,
    uses_frames,
    without_meaning,
)


class Small(nn.Module):
    """Two layers over all frames given; `fault` breaks it."""

    def __init__(self, fault=""):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(6, 16), nn.Linear(16, 2)
        self.norm, self.fault = nn.BatchNorm1d(16), fault

    def forward(self, past):
        if self.fault == "old frame":
            past = past * torch.tensor([1.0, 1.0, 0.0])[:, None]
        hidden = self.first(past.flatten(1))
        if self.fault == "batch norm":
            hidden = self.norm(hidden)
        if self.fault == "thrown away":
            hidden = past.flatten(1).mean(dim=1, keepdim=True).expand(-1, 16)
        if self.fault == "neighbours":
            hidden = hidden + 0.1 * torch.roll(hidden, 1, dims=0)
        out = self.last(torch.tanh(hidden))
        return out * 0 if self.fault == "dead" else out


PAST = torch.randn(8, 3, 2, generator=torch.Generator().manual_seed(1))
WANTED = torch.randn(8, 2, generator=torch.Generator().manual_seed(2))


def squared(model):
    return (model(PAST) - WANTED).square().mean()


def test_the_first_loss_of_a_classifier_is_the_logarithm_of_its_classes():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2))
    points, labels = torch.randn(200, 2), torch.arange(200) % 2
    first = nn.functional.cross_entropy(net(points), labels).item()
    assert initial_loss(first, math.log(2), low=0.8, high=1.2).passed
    nn.init.normal_(net[2].weight, std=5)
    wild = nn.functional.cross_entropy(net(points), labels).item()
    assert not initial_loss(wild, math.log(2), low=0.8, high=1.2).passed
    assert not initial_loss(math.nan, 1.0).passed


def test_one_batch_is_learned_by_heart_and_the_model_is_left_as_it_was():
    model = Small()
    before = [p.clone() for p in model.parameters()]
    verdict = overfit_one_batch(model, squared, rates=(3e-2,))
    assert verdict.passed
    curve = verdict.curves["loss on one batch"]
    assert verdict.figure == curve[-1] / curve[0]
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not overfit_one_batch(Small("dead"), squared, n_steps=30).passed
    assert not overfit_one_batch(model, lambda m: squared(m) * torch.nan, n_steps=3).passed
    # what knowing nothing costs may be told: half of it makes the share twice as large
    half = overfit_one_batch(model, squared, n_steps=5, expected=curve[0] / 2)
    whole = overfit_one_batch(model, squared, n_steps=5, expected=curve[0])
    assert half.figure == pytest.approx(2 * whole.figure)


def test_another_rate_is_tried_where_one_fails_and_the_best_is_told():
    slow, fast = (overfit_one_batch(Small(), squared, rates=(r,)).figure for r in (1e-6, 3e-2))
    assert fast <= 0.05 < 0.5 < slow <= 1
    assert overfit_one_batch(Small(), squared, rates=(1e-6, 3e-2)).figure == fast
    assert overfit_one_batch(Small(), squared, rates=(1e-6, 1e-7)).figure == slow


@pytest.mark.parametrize("fault", ["thrown away", "dead"])
def test_a_parameter_without_gradient_is_found(fault):
    idle = ("norm",)
    assert gradients(Small(), squared, idle=idle).passed
    verdict = gradients(Small(fault), squared, idle=idle)
    assert not verdict.passed
    assert "not first.weight" in verdict.says
    unused = gradients(Small(), squared)
    assert unused.figure == pytest.approx(4 / 6)  # the two of `norm` are never called


def test_a_frame_that_is_not_read_is_named():
    assert uses_frames(Small(), PAST).passed
    verdict = uses_frames(Small("old frame"), PAST)
    assert verdict.figure == pytest.approx(2 / 3)
    assert not verdict.passed
    assert "not on [2] (the last is 2)" in verdict.says


@pytest.mark.parametrize("fault", ["batch norm", "neighbours"])
def test_rows_that_leak_within_a_batch_are_found(fault):
    assert batch_independence(Small(), PAST).passed
    assert not batch_independence(Small(fault), PAST).passed
    assert not batch_independence(Small(), PAST[:1]).applies


def test_dropout_is_no_leak_between_rows():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 4))
    assert batch_independence(model, PAST[:, 0]).passed


def test_a_scale_that_does_not_come_back_is_found():
    values = 5 + 3 * PAST
    assert round_trip(lambda v: (v - 5) / 3, lambda v: 3 * v + 5, values).passed
    assert not round_trip(lambda v: (v - 5) / 3, lambda v: 3 * v + 4.99, values).passed


def test_overlap_is_the_largest_share_of_a_part_that_another_holds():
    apart = {"train": np.array([1, 2, 2]), "val": np.array([3, 4]), "test": np.array([5])}
    assert overlap(apart).passed
    shared = overlap(apart | {"test": np.array([2, 5, 6])})
    # 1 of test's 3 are in train, 2 of train's 3 in test
    assert shared.figure == pytest.approx(2 / 3)
    assert not shared.passed
    assert "2 of 3 frames of train are in test" in shared.says
    assert overlap({"train": np.array([1]), "empty": np.array([], int)}).passed


def test_the_right_answer_is_perfect_and_one_that_is_off_is_not():
    truth = torch.tensor([0, 1, 1, 0, 2])

    def accuracy(said):
        return float((said == truth).float().mean())

    right, wrong = right_answer(accuracy, truth, torch.roll(truth, 1))
    assert right.passed
    assert wrong.passed
    late, _ = right_answer(lambda said: accuracy(torch.roll(said, 1)), truth, truth)
    assert not late.passed  # a score that reads targets a place late
    _, lenient = right_answer(lambda said: 1.0, truth, truth + 1)
    assert not lenient.passed  # a score that likes everything


def nearest(inputs, targets):
    """Learns by heart: the target of the nearest input."""
    return Fitted(lambda x: targets[torch.cdist(x, inputs).argmin(dim=1)], [1.0])


def correlation(inputs, said, targets):
    return float(torch.corrcoef(torch.stack([said, targets]))[0, 1])


def controls_of(fit, score, held=slice(200, 400)):
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(400, 2, generator=draw)
    pairs, numbers = (x, x[:, 0]), torch.arange(400)
    verdicts = shuffled_targets(
        fit, score, pairs, numbers[:200], numbers[held], high=0.3, true_high=0.3
    )
    return [verdict.passed for verdict in verdicts]


def test_shuffled_targets_teach_nothing():
    assert controls_of(nearest, correlation) == [True, True]


def test_pairs_on_both_sides_betray_themselves_under_shuffled_targets():
    assert controls_of(nearest, correlation, held=slice(150, 250)) == [False, True]


def test_a_model_that_is_not_fresh_or_a_shuffle_unheard_is_found():
    assert controls_of(lambda x, y: Fitted(lambda x: x[:, 0], [1.0]), correlation)[1] is False


def test_a_score_that_likes_everything_is_found():
    assert controls_of(nearest, lambda x, said, y: 1.0) == [False, False]


def test_what_was_trained_on_true_targets_stands_beside_and_curves_are_kept():
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(3))
    rows = torch.arange(40)
    first, second = shuffled_targets(
        nearest, correlation, (x, x[:, 0]), rows, rows, high=1.0, true_high=1.0
    )
    assert "trained on true ones +1.000" in second.says
    assert set(first.curves) == {"shuffled targets", "true targets"}


def test_targets_are_taken_from_other_groups():
    groups = torch.arange(12) // 4
    order = shuffled_order(12, 0, groups)
    assert (groups[order] != groups).all()
    assert sorted(shuffled_order(12, 0).tolist()) == list(range(12))
    assert torch.equal(shuffled_order(12, 5), shuffled_order(12, 5))
    with pytest.raises(ValueError, match="one group holds all items"):
        shuffled_order(4, 0, torch.zeros(4))


def test_a_model_blind_to_order_is_as_good_without_it():
    past = torch.randn(50, 4, generator=torch.Generator().manual_seed(4))
    wanted = past[:, -1] - past[:, 0]

    def score(inputs, said, targets):
        return float(1 - (said - targets).square().mean() / targets.square().mean())

    changes = {"reversed_frames": lambda x: x.flip(1)}

    def verdict(predict):
        (only,) = changed_inputs(predict, score, (past, wanted), changes, least=0.01)
        return only

    # told backwards, the answer has the other sign: 1 - (2 d)^2 / d^2 = -3, a fall of 4
    assert verdict(lambda x: x[:, -1] - x[:, 0]).figure == pytest.approx(4)
    assert verdict(lambda x: x[:, -1] - x[:, 0]).passed
    assert not verdict(lambda x: x.mean(dim=1)).passed


def test_trivial_features_that_come_near_are_found():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 2))

    def verdict(targets):
        def score(said):
            return float(1 - np.mean((said - targets[200:]) ** 2) / np.var(targets[200:]))

        train = x[:200], targets[:200]
        return trivial_features(LinearRegression(), train, x[200:], score, ours=0.9)

    assert not verdict(x[:, 0] + 0.1 * draw.normal(size=300)).passed
    assert verdict(draw.normal(size=300)).passed


def test_what_has_no_meaning_passes_and_says_why():
    verdict = without_meaning("reversed_frames", "one frame is given")
    assert verdict.passed
    assert not verdict.applies
    assert verdict.says == "does not apply: one frame is given"


def test_curves_are_drawn_by_steps_taken():
    axes = draw_curves(
        Figure().add_subplot(), overfit_one_batch(Small(), squared, n_steps=4, rates=(1e-3,))
    )
    (line,) = axes.lines
    assert list(line.get_xdata()) == [0, 1, 2, 3, 4]
    assert axes.get_yscale() == "log"
