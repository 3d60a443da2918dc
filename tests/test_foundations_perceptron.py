import pytest
import torch
from sklearn.metrics import accuracy_score, precision_score, recall_score
from torch import nn

from foundations.exercise import drawn
from foundations.nets import toy_mlp
from foundations.perceptron import EXERCISES, classes, rate_after, scores, second_class
from foundations.perceptron_in_words import EXERCISES as WORDS
from foundations.perceptron_in_words import TEXT, dropout_input


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_every_row_lies_in_its_band_and_the_figure_is_drawn(exercise):
    outcome = exercise.run()
    assert [row.name for row in outcome.rows if not row.passed] == []
    assert all(axes.has_data() for axes in drawn(outcome).axes)
    assert all(erratum.got > erratum.gets for erratum in outcome.errata)


def test_scores_are_scikit_learns():
    draw = torch.Generator().manual_seed(0)
    said, truth = torch.randint(0, 2, (2, 57), generator=draw)
    of = (accuracy_score, precision_score, recall_score)
    assert scores(said, truth) == pytest.approx(tuple(score(truth, said) for score in of))


def test_the_perceptron_is_2_64_64_2_with_dropout_after_the_first_hidden_layer():
    kinds = [type(layer).__name__ for layer in toy_mlp()]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Linear"]
    assert [m.out_features for m in toy_mlp() if isinstance(m, nn.Linear)] == [64, 64, 2]


def test_a_schedule_of_another_optimizer_changes_nothing():
    assert rate_after(300, held=True) == pytest.approx(5e-3 / 8)
    assert rate_after(99, held=True) == 5e-3
    assert rate_after(300, held=False) == 5e-3


def test_classes_and_probabilities_follow_the_logits():
    class Logits(nn.Module):
        def forward(self, x):
            return torch.stack([torch.zeros(len(x)), x[:, 0]], dim=1)

    x = torch.tensor([[-1.0, 0.0], [2.0, 0.0]])
    assert classes(Logits(), x).tolist() == [0, 1]
    assert torch.allclose(second_class(Logits())(x), torch.sigmoid(x[:, 0]))


def test_what_the_text_says_is_measured():
    outcome = WORDS[0].run()
    assert all(row.passed for row in outcome.rows)
    assert drawn(outcome).axes[0].has_data()
    assert outcome.says == TEXT.strip()
    assert TEXT.count("$") % 2 == 0


def test_the_dropout_is_given_a_row_a_point_and_a_column_a_unit():
    net = toy_mlp(3, 1, widths=(5,))
    x = torch.randn(7, 3)
    assert torch.equal(dropout_input(net, x), torch.relu(net[0](x)))
