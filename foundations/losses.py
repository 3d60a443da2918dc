"""Exercise C: a mean squared error by hand that refuses shapes which nn.MSELoss broadcasts."""

import warnings
from typing import Literal

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from foundations.exercise import Exercise, Outcome, Row, exactly
from foundations.pictures import draw_loss
from foundations.regression import fit_line
from foundations.together import squared_error

Reduction = Literal["mean", "sum", "none"]
REDUCTIONS: tuple[Reduction, ...] = ("mean", "sum", "none")
SAID, TRUTH = (2.5, 0.0, 2.1), (3.0, -0.5, 2.0)  # squares 0.25, 0.25 and 0.01: 0.17 on average


class MeanSquaredOops(nn.Module):
    """nn.MSELoss, but shapes that differ are an error.

    Raises:
        ValueError: an unknown reduction; on a call, outputs and targets of different shapes.
    """

    def __init__(self, reduction: Reduction = "mean"):
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction {reduction!r} is none of {', '.join(REDUCTIONS)}")
        self.reduction: Reduction = reduction

    def forward(self, outputs: Float[Tensor, "..."], targets: Float[Tensor, "..."]) -> Tensor:
        """Squared differences: their mean, their sum or themselves."""
        if outputs.shape != targets.shape:
            raise ValueError(
                f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)} differ in shape"
            )
        squares = (outputs - targets).square()
        if self.reduction == "none":
            return squares
        return squares.sum() if self.reduction == "sum" else squares.mean()


def broadcast_loss(n: int = 4) -> tuple[float, str]:
    """nn.MSELoss of outputs (n, 1) that are all right, with targets (n), and its warning.

    n x n differences are averaged: twice the variance of 0 to n - 1.
    """
    truth = torch.arange(float(n))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = float(nn.MSELoss()(truth[:, None], truth))
    return value, str(caught[0].message) if caught else ""


def refuses(n: int = 4) -> bool:
    """Whether MeanSquaredOops refuses the same."""
    truth = torch.arange(float(n))
    try:
        MeanSquaredOops()(truth[:, None], truth)
    except ValueError:
        return True
    return False


def loss_by_hand() -> Outcome:
    """0.17 on the example, equality on every reduction, and the shapes that differ."""
    said, truth = torch.tensor(SAID), torch.tensor(TRUTH)
    worst = max(
        float((MeanSquaredOops(r)(said, truth) - nn.MSELoss(reduction=r)(said, truth)).abs().max())
        for r in REDUCTIONS
    )
    value, warned = broadcast_loss()
    rows = [
        Row(
            "(2.5, 0, 2.1) to (3, -0.5, 2)",
            [float(MeanSquaredOops()(said, truth))],
            "0.17",
            0.16999,
            0.17001,
        ),
        Row("largest difference to nn.MSELoss, 3 reductions", [worst], "", 0.0, 0.0),
        exactly("shapes that differ are refused", refuses()),
        Row("nn.MSELoss of right answers, (4, 1) to (4,)", [value], "", 2.5, 2.5),
        exactly("of which it only warns", "different to the input size" in warned),
    ]
    return Outcome(rows, draw, says=f"nn.MSELoss: {warned.split(' This will')[0]}")


def draw(figure: Figure) -> None:
    """Loss curves on train and validation, and the test loss at the end, of section 2's line."""
    fits = fit_line()
    curves = fits.trained.curves
    axes = figure.add_subplot()
    test = [
        squared_error(net(p.test.x), p.test.y).mean().detach()
        for net, p in zip(fits.trained.last, fits.parts, strict=True)
    ]
    n_epochs = len(curves["train loss"])
    draw_loss(
        axes,
        {
            "train": curves["train loss"],
            "validation": curves["val loss"],
            "test, once, at the end": torch.stack(test).expand(n_epochs, -1),
        },
        ylabel="MSE",
    )


EXERCISES = (Exercise("C", "a loss by hand", loss_by_hand),)
