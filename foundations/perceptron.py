"""Section 3 and exercise E: a multilayer perceptron tells two moons apart."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

from foundations.exercise import SEEDS, Erratum, Exercise, Outcome, Row
from foundations.nets import fresh, toy_mlp
from foundations.pictures import draw_boundary, draw_loss
from foundations.regression import fit_line
from foundations.together import Recipe, Trained, cross_entropy, fit_together, right_class
from foundations.toys import Parts, Points, moons, split

RECIPE = Recipe(lr=5e-3, epochs=300, weight_decay=1e-4, schedule=(100, 0.5))
AGAIN = Recipe(lr=5e-3, epochs=20, weight_decay=1e-4)  # the reference's second call, cut short
BAND = (0.91, 0.98)  # the band of test accuracy


class Scores(NamedTuple):
    """How a classifier does; class 1 is what is looked for. 0 / 0 is not a number."""

    accuracy: float
    precision: float
    recall: float


class MoonFits(NamedTuple):
    """Sets and nets, one a seed."""

    parts: list[Parts]
    trained: Trained


def scores(said: Int[Tensor, " n"], truth: Int[Tensor, " n"]) -> Scores:
    """Accuracy, precision (right of those called 1) and recall (called 1 of those that are)."""
    found = ((said == 1) & (truth == 1)).sum()
    return Scores(
        float((said == truth).float().mean()),
        float(found / (said == 1).sum()),
        float(found / (truth == 1).sum()),
    )


def classes(net: nn.Module, x: Float[Tensor, "n i"]) -> Int[Tensor, " n"]:
    """The class of the largest logit."""
    with torch.no_grad():
        return net(x).argmax(dim=1)


def second_class(net: nn.Module) -> Callable[[Tensor], Tensor]:
    """The softmax probability of class 1, as a function of points."""
    return lambda x: net(x).softmax(dim=1)[:, 1]


@cache
def fit_moons() -> MoonFits:
    """Fresh nets with the schedule attached, each on moons, split and weights of its own seed."""
    parts = [split(*moons(seed=seed), seed=seed) for seed in SEEDS]
    return MoonFits(parts, trained_on(parts, fresh(toy_mlp, SEEDS), RECIPE))


@cache
def fit_moons_again() -> Trained:
    """The nets of `fit_moons` trained on, at a constant rate: what a second call does."""
    first = fit_moons()
    return trained_on(first.parts, first.trained.last, AGAIN)


def trained_on(parts: list[Parts], nets: list[nn.Module], recipe: Recipe) -> Trained:
    """Nets trained on the train parts, with curves of loss and accuracy."""
    return fit_together(
        nets,
        [p.train for p in parts],
        [p.val for p in parts],
        recipe,
        loss=cross_entropy,
        scores={"accuracy": right_class},
    )


def fit_briefly(x: Float[Tensor, "n 2"], y: Int[Tensor, " n"], *, seed: int = 0) -> nn.Module:
    """Exercise E: section 3's training in as few lines as stay readable."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = toy_mlp()
        adam = torch.optim.Adam(net.parameters(), lr=5e-3, weight_decay=1e-4, fused=True)
        schedule = StepLR(adam, 100, 0.5)
        for _ in range(300):
            for rows in torch.randperm(len(x)).split(64):
                adam.zero_grad()
                nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
                adam.step()
            schedule.step()
    return net.eval()


def rate_after(epochs: int, *, held: bool) -> float:
    """The learning rate after some epochs, by a schedule that holds the optimizer, or another's."""
    weight = nn.Parameter(torch.zeros(1))
    used, discarded = (torch.optim.Adam([weight], lr=RECIPE.lr) for _ in range(2))
    schedule = StepLR(used if held else discarded, 100, 0.5)
    for _ in range(epochs):
        used.step()
        discarded.step()
        schedule.step()
    return used.param_groups[0]["lr"]


def held_out_scores(nets: list[nn.Module], parts: list[Parts]) -> list[Scores]:
    """Scores on the test points, for each seed."""
    pairs = zip(nets, parts, strict=True)
    return [scores(classes(net, p.test.x), p.test.y) for net, p in pairs]


def two_moons() -> Outcome:
    """Section 3: a fresh net with its schedule, and what the reference trained instead."""
    parts, trained = fit_moons()
    again = fit_moons_again()
    test = held_out_scores(trained.last, parts)
    val = trained.curves["val accuracy"]
    late = again.curves["val accuracy"]
    rows = [
        Row("test accuracy on moons", [s.accuracy for s in test], "", *BAND),
        Row("test precision", [s.precision for s in test], "", 0.88, 1.0),
        Row("test recall", [s.recall for s in test], "", 0.88, 1.0),
        Row("validation accuracy, last epoch", val[-1].tolist(), "0.939 to 0.950", *BAND),
        Row("validation accuracy of a fresh net, epoch 1", val[0].tolist(), "0.94", 0.75, 0.9),
    ]
    return Outcome(rows, draw, errata(float(val[0].mean()), float(late[0].mean())))


def errata(fresh_first: float, again_first: float) -> list[Erratum]:
    """The three of section 3, by the accuracies of a fresh and of a trained net after an epoch."""
    line = fit_line(thirds=True).parts[0].train
    return [
        Erratum(
            did="a second training call on the same net: validation accuracy at 'epoch 1'",
            got=again_first,
            why="the net had learned for 300 epochs before: its curves are epochs 301 to 600",
            right="a fresh net: validation accuracy at epoch 1",
            gets=fresh_first,
        ),
        Erratum(
            did="a schedule that holds a discarded optimizer: rate after 300 epochs",
            got=rate_after(300, held=False),
            why="the optimizer that trains never hears of it: the rate is constant",
            right="the schedule of the optimizer that trains: rate after 300 epochs",
            gets=rate_after(300, held=True),
        ),
        Erratum(
            did="loaders left from exercise B: distinct targets",
            got=float(len(line.y.unique())),
            why="they hold the points of a line, not of moons: real numbers, no classes",
            right="loaders of the moons: distinct targets",
            gets=float(len(fit_moons().parts[0].train.y.unique())),
        ),
    ]


def draw(figure: Figure) -> None:
    """Loss and accuracy by epoch for all seeds, and the boundary of the first."""
    parts, trained = fit_moons()
    figure.set_size_inches(13, 3.8)
    loss, accuracy, plane = figure.subplots(1, 3)
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        curves = {p: trained.curves[f"{p} {name}"] for p in ("train", "val")}
        draw_loss(axes, curves, ylabel="cross-entropy" if name == "loss" else name)
    draw_test_boundary(figure, plane, trained.last[0], parts[0])


def draw_test_boundary(figure: Figure, axes, net: nn.Module, parts: Parts) -> None:
    """The decision boundary of a net over its test points."""
    mesh = draw_boundary(axes, second_class(net), Points(*parts.test))
    axes.set_title("test points")
    figure.colorbar(mesh, ax=axes, label="softmax probability of class 1", shrink=0.8)


def in_few_lines() -> Outcome:
    """Exercise E: the same training, a dozen lines of plain torch."""
    parts = fit_moons().parts
    nets = [fit_briefly(*p.train, seed=seed) for p, seed in zip(parts, SEEDS, strict=True)]
    test = [s.accuracy for s in held_out_scores(nets, parts)]
    return Outcome(
        [Row("test accuracy, in few lines", test, "", *BAND)],
        lambda figure: draw_test_boundary(figure, figure.add_subplot(), nets[0], parts[0]),
    )


EXERCISES = (
    Exercise("3", "two moons", two_moons),
    Exercise("E", "in few lines", in_few_lines),
)
