import pytest
import torch

from foundations.tensors import EXERCISES, columns, columns_in_order, three_diagonals, two_pi


def test_the_columns_count_downwards():
    assert columns_in_order().tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert columns_in_order().dtype == torch.int64


def test_the_transpose_is_wrong_off_the_diagonal():
    (erratum,) = columns().errata
    assert (erratum.got, erratum.gets) == (6, 0)


def test_two_pi_is_a_python_number_until_it_is_made_a_tensor():
    kind, tensor = two_pi()
    assert kind is float
    assert tensor.shape == ()


def test_the_three_diagonals_sum_to_what_they_hold():
    made = three_diagonals()
    assert [int(made.diagonal(k).sum()) for k in range(-3, 4)] == [0, 0, -6, 4, -6, 0, 0]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_every_answer_is_right(exercise):
    assert all(row.passed for row in exercise.run().rows)


def test_a_wrong_answer_is_out_of_its_band(monkeypatch):
    monkeypatch.setattr(
        "foundations.tensors.columns_in_order", lambda: torch.arange(9).reshape(3, 3)
    )
    assert not columns().rows[0].passed
    monkeypatch.setattr("foundations.tensors.one_value", lambda: torch.full((3, 5), -2.0))
    assert not next(e for e in EXERCISES if e.id == "T4").run().rows[0].passed
