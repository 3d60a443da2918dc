"""0.1 to 0.5: tables by broadcasting, distances without loops, rows and columns, masks."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from foundations.exercise import Exercise, Outcome, Row, exactly
from foundations.pictures import draw_matrices, draw_matrix

DISTANCE = 8**0.5  # between two rows of arange(12.).reshape(6, 2) that follow each other


def index_table() -> Int[Tensor, "3 4"]:
    """0.1: X[i, j] = 2 i + j."""
    return 2 * torch.arange(3)[:, None] + torch.arange(4)


def distances(points: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """0.2: the Euclidean distance of every point to every other, without a loop."""
    return (points[:, None] - points).square().sum(dim=-1).sqrt()


def counted() -> Int[Tensor, "6 6"]:
    """0 to 35 in six rows."""
    return torch.arange(36).reshape(6, 6)


def rows_and_columns() -> Int[Tensor, "2 3"]:
    """0.3: rows 1 and 4, columns 0, 2 and 3."""
    return counted()[torch.tensor([1, 4])[:, None], torch.tensor([0, 2, 3])]


def divisible(x: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
    """0.4: True where an entry is divisible by 5 or by 7."""
    return (x % 5 == 0) | (x % 7 == 0)


def add_ten_there(x: Int[Tensor, "..."]) -> None:
    """0.5: add 10 in place where an entry is divisible by 5 or by 7."""
    x[divisible(x)] += 10


def table() -> Outcome:
    """0.1."""
    ours = index_table()
    right = ours.tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    return Outcome([exactly("X[i, j] = 2 i + j", right)], lambda f: draw_matrices(f, {"X": ours}))


def distance_matrix() -> Outcome:
    """0.2, beside sqrt(8) |i - j|, and as an image."""
    ours = distances(torch.arange(12.0).reshape(6, 2))
    i = torch.arange(6)
    error = float((ours - DISTANCE * (i[:, None] - i).abs()).abs().max())

    def draw(figure) -> None:
        axes = figure.add_subplot()
        draw_matrix(axes, ours.numpy())
        axes.set(xticks=range(6), yticks=range(6), xlabel="point", ylabel="point")
        figure.colorbar(axes.images[0], label="Euclidean distance")

    return Outcome([Row("distances, largest error", [error], "", 0.0, 2e-6)], draw)


def selection() -> Outcome:
    """0.3."""
    ours = rows_and_columns()
    right = ours.tolist() == [[6, 8, 9], [24, 26, 27]]
    pictures = {"all": counted(), "rows 1, 4, columns 0, 2, 3": ours}
    return Outcome(
        [exactly("rows 1, 4 of columns 0, 2, 3", right)], lambda f: draw_matrices(f, pictures)
    )


def mask() -> Outcome:
    """0.4."""
    ours = divisible(counted())
    row = Row("entries divisible by 5 or 7", [float(ours.sum())], "12", 12.0, 12.0)
    return Outcome([row], lambda f: draw_matrices(f, {"divisible by 5 or 7": ours.long()}))


def ten_added() -> Outcome:
    """0.5."""
    ours = counted()
    add_ten_there(ours)
    first = ours[0].tolist() == [10, 1, 2, 3, 4, 15]
    rows = [
        exactly("first row 10 1 2 3 4 15", first),
        Row("the sum has grown by", [float((ours - counted()).sum())], "", 120.0, 120.0),
    ]
    return Outcome(rows, lambda f: draw_matrices(f, {"before": counted(), "after": ours}))


EXERCISES = (
    Exercise("0.1", "a table of two indices", table),
    Exercise("0.2", "a distance matrix", distance_matrix),
    Exercise("0.3", "rows and columns", selection),
    Exercise("0.4", "a mask", mask),
    Exercise("0.5", "a change in place", ten_added),
)
