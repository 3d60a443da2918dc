"""Section 2 and exercise B: a line by Adam and by SGD, beside the closed form of least squares."""

from functools import cache
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.data import random_split

from foundations.exercise import SEEDS, Exercise, Outcome, Row
from foundations.nets import fresh, linear_regressor
from foundations.pictures import bare, draw_loss
from foundations.together import Recipe, Trained, fit_together, squared_error
from foundations.toys import ArrayDataset, Pairs, Parts, line, split, split_sizes

RECIPES = {
    "adam": Recipe(lr=1e-2, epochs=200),
    "sgd": Recipe(lr=5e-3, epochs=200, optimizer="sgd"),
}
NOISE = 0.35
Optimizer = Literal["adam", "sgd"]


class LineFits(NamedTuple):
    """Fits of a line, one a seed: its sets and its nets."""

    parts: list[Parts]
    trained: Trained


def least_squares(pairs: Pairs) -> Float[Tensor, "i o"]:
    """Weights, the last row the intercepts, of least squared error: the closed form."""
    x = torch.cat([pairs.x, torch.ones(len(pairs.x), 1)], dim=1).double()
    return torch.linalg.lstsq(x, pairs.y.double()).solution.float()


def weights_of(net: nn.Module) -> Float[Tensor, "i o"]:
    """Weights of a linear layer, the last row the intercepts."""
    assert isinstance(net, nn.Linear)
    return torch.cat([net.weight.T, net.bias[None]]).detach()


def off(net: nn.Module, pairs: Pairs) -> float:
    """How far a net's weights are from those of least squares on the pairs, at most."""
    return float((weights_of(net) - least_squares(pairs)).abs().max())


@cache
def fit_line(optimizer: Optimizer = "adam", *, thirds: bool = False) -> LineFits:
    """600 points on 70/15/15, or on the 60/20/20 `random_split` of exercise B, for each seed."""
    divide = random_parts if thirds else split
    parts = [divide(*line(noise=NOISE, seed=seed), seed=seed) for seed in SEEDS]
    trained = fit_together(
        fresh(linear_regressor, SEEDS),
        [p.train for p in parts],
        [p.val for p in parts],
        RECIPES[optimizer],
        loss=squared_error,
    )
    return LineFits(parts, trained)


def random_parts(x: Tensor, y: Tensor, *, seed: int) -> Parts:
    """Exercise B: 60/20/20 by torch's random_split of a Dataset."""
    pairs = ArrayDataset(x, y)
    draw = torch.Generator().manual_seed(seed)
    subsets = random_split(pairs, split_sizes(len(pairs), (0.6, 0.2, 0.2)), generator=draw)
    return Parts(*(Pairs(x[s.indices], y[s.indices]) for s in subsets))


def last(fits: LineFits, curve: str) -> list[float]:
    """A curve's value after the last epoch, for each seed."""
    return fits.trained.curves[curve][-1].tolist()


def fitted_line() -> Outcome:
    """Section 2: errors near the noise, and weights at the closed form, by both optimizers."""
    fits, by_sgd = fit_line(), fit_line("sgd")
    trains = [p.train for p in fits.parts]

    def offs(nets: list[nn.Module]) -> list[float]:
        return [off(net, pairs) for net, pairs in zip(nets, trains, strict=True)]

    rows = [
        Row("train MSE of a line, last epoch", last(fits, "train loss"), "0.1170", 0.07, 0.16),
        Row("validation MSE", last(fits, "val loss"), "0.0847", 0.07, 0.16),
        Row("Adam: a, b off least squares, last", offs(fits.trained.last), "", 0.0, 0.01),
        Row("SGD: a, b off least squares, last", offs(by_sgd.trained.last), "", 0.0, 0.01),
        Row("Adam: off by weights of best validation", offs(fits.trained.best), "", 0.0, 0.2),
    ]
    says = (
        "The weights of least validation loss are those of an epoch that happened to suit the "
        "validation points: they are farther from least squares than the last ones."
    )
    return Outcome(rows, lambda figure: draw_line(figure, fits), says=says)


def another_split() -> Outcome:
    """Exercise B: the same training on 360, 120 and 120 points."""
    fits = fit_line(thirds=True)
    test = [
        float(squared_error(net(p.test.x), p.test.y).mean().detach())
        for net, p in zip(fits.trained.last, fits.parts, strict=True)
    ]
    rows = [
        Row("train points of 600", [float(len(fits.parts[0].train.x))], "360", 360.0, 360.0),
        Row("train MSE on 60/20/20", last(fits, "train loss"), "", 0.07, 0.16),
        Row("validation MSE", last(fits, "val loss"), "", 0.07, 0.16),
        Row("test MSE", test, "", 0.07, 0.16),
    ]
    return Outcome(rows, lambda figure: draw_line(figure, fits))


def draw_line(figure: Figure, fits: LineFits) -> None:
    """The learning curves of all seeds, and the fitted line of the first one."""
    figure.set_size_inches(10, 3.8)
    left, right = figure.subplots(1, 2)
    curves = fits.trained.curves
    draw_loss(left, {"train": curves["train loss"], "validation": curves["val loss"]})
    left.axhline(NOISE**2, color="black", linestyle=":", linewidth=1)
    left.annotate("variance of the noise", (60, NOISE**2 * 1.05), fontsize=8)
    left.set_ylabel("MSE")
    draw_fit(right, fits.parts[0].train, fits.trained.last[0])


def draw_fit(axes: Axes, pairs: Pairs, net: nn.Module) -> Axes:
    """Points, the fitted line, and that of least squares."""
    x = torch.tensor([[-2.0], [2.0]])
    a, b = (float(v) for v in least_squares(pairs))
    axes.plot(pairs.x, pairs.y, ".", color="lightsteelblue", markersize=4, label="train")
    axes.plot(x, net(x).detach(), color="tab:red", label="trained")
    axes.plot(x, a * x + b, color="black", linestyle=":", label="least squares")
    axes.set(xlabel="x", ylabel="y")
    axes.legend(frameon=False)
    return bare(axes)


EXERCISES = (
    Exercise("2", "a fitted line", fitted_line),
    Exercise("B", "another split", another_split),
)
