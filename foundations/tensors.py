"""T1 to T7: tensors made with torch functions only, no entry written by hand."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from foundations.exercise import Draw, Erratum, Exercise, Outcome, exactly
from foundations.pictures import draw_matrices


def columns_in_order() -> Int[Tensor, "3 3"]:
    """T1: 0 to 8, counted down the columns: [[0,3,6],[1,4,7],[2,5,8]]."""
    return torch.arange(9).reshape(3, 3).T


def size_of_columns() -> torch.Size:
    """T2: the size of T1's tensor."""
    return columns_in_order().size()


def repeated_count() -> Int[Tensor, " 15"]:
    """T3: 0 to 4, three times one after the other."""
    return torch.arange(5).repeat(3)


def one_value(value: float = -2.0) -> Float[Tensor, "5 3"]:
    """T4: five rows and three columns of one value."""
    return torch.full((5, 3), value)


def stacked_count() -> Int[Tensor, "3 5"]:
    """T5: 0 to 4 in each of three rows."""
    return torch.arange(5).expand(3, 5).clone()


def two_pi() -> tuple[type, Float[Tensor, ""]]:
    """T6: the type of 2 * torch.pi, a plain Python number, and the same as a tensor."""
    return type(2 * torch.pi), torch.tensor(2 * torch.pi)


def three_diagonals() -> Int[Tensor, "4 4"]:
    """T7: 1 on the diagonal, -2 on both neighbours, 0 elsewhere."""
    i = torch.arange(4)
    distance = (i[:, None] - i).abs()
    return (distance == 0).long() - 2 * (distance == 1).long()


def columns() -> Outcome:
    """T1, with the count of entries that are wrong in the reference's answer, the transpose."""
    wanted = torch.tensor([[0, 3, 6], [1, 4, 7], [2, 5, 8]])
    ours, theirs = columns_in_order(), torch.arange(9).reshape(3, 3)
    return Outcome(
        rows=[exactly("0 to 8 down the columns, int64", _same(ours, wanted), "its transpose")],
        errata=[
            Erratum(
                did="arange(9).reshape(3, 3), entries that are wrong",
                got=float((theirs != wanted).sum()),
                why="reshape fills row after row, so that the answer is the transpose",
                right="arange(9).reshape(3, 3).T, entries that are wrong",
                gets=float((ours != wanted).sum()),
            )
        ],
        draw=lambda figure: draw_matrices(figure, {"asked for": ours, "the reference": theirs}),
    )


def size() -> Outcome:
    """T2."""
    right = tuple(size_of_columns()) == (3, 3)
    return Outcome(
        [exactly("its size is (3, 3)", right)], _picture(columns_in_order, "size (3, 3)")
    )


def repeated() -> Outcome:
    """T3."""
    wanted = torch.tensor([0, 1, 2, 3, 4] * 3)
    row = exactly("0 to 4 three times, 15 elements", _same(repeated_count(), wanted))
    return Outcome([row], _picture(lambda: repeated_count()[None], "arange(5).repeat(3)"))


def filled() -> Outcome:
    """T4."""
    right = _same(one_value(), torch.tensor([[-2.0] * 3] * 5))
    return Outcome([exactly("(5, 3) of -2", right)], _picture(one_value, "full((5, 3), -2.0)"))


def stacked() -> Outcome:
    """T5."""
    right = _same(stacked_count(), torch.tensor([[0, 1, 2, 3, 4]] * 3))
    return Outcome([exactly("0 to 4 in three rows", right)], _picture(stacked_count, "(3, 5)"))


def pi_twice() -> Outcome:
    """T6."""
    kind, tensor = two_pi()
    right = kind is float and tensor.ndim == 0 and abs(tensor.item() - 6.2831853) < 1e-6
    row = exactly("2 * torch.pi is a float; a 0-d tensor of it", right)
    return Outcome([row], _picture(lambda: tensor.reshape(1, 1), "torch.tensor(2 * torch.pi)"))


def diagonals() -> Outcome:
    """T7."""
    wanted = [[1, -2, 0, 0], [-2, 1, -2, 0], [0, -2, 1, -2], [0, 0, -2, 1]]
    right = _same(three_diagonals(), torch.tensor(wanted))
    return Outcome([exactly("1 beside -2 on both sides, 4x4", right)], _picture(three_diagonals))


def _same(ours: Tensor, wanted: Tensor) -> bool:
    """Whether values, shape and type are equal."""
    return ours.dtype == wanted.dtype and torch.equal(ours, wanted)


def _picture(matrix: Callable[[], Tensor], name: str = "") -> Draw:
    def draw(figure: Figure) -> None:
        draw_matrices(figure, {name: matrix()})

    return draw


EXERCISES = (
    Exercise("T1", "0 to 8 down the columns", columns),
    Exercise("T2", "its size", size),
    Exercise("T3", "repeat", repeated),
    Exercise("T4", "one value", filled),
    Exercise("T5", "stack", stacked),
    Exercise("T6", "two pi", pi_twice),
    Exercise("T7", "three diagonals", diagonals),
)
