"""Stack G's arms: one way to train, over five seeds at once, each with points of its own."""

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from foundations.nets import fresh, toy_mlp
from foundations.perceptron import trained_on
from foundations.together import Recipe, Trained
from foundations.toys import SHARES, Pairs, Parts, circles, moons, split

ARM_SEEDS = (1, 2, 3, 4, 5)
POINTS = {"moons": moons, "circles": circles}
Features = Callable[[Float[Tensor, "n 2"]], Float[Tensor, "n 2"]]


class Arm(NamedTuple):
    """What is changed from arm to arm; the rest is as in the classification of moons."""

    shares: tuple[float, float, float] = SHARES
    weight_decay: float = 1e-4
    dropout: float = 0.2
    lr: float = 5e-3
    schedule: tuple[int, float] | None = (100, 0.5)
    epochs: int = 300
    widths: tuple[int, ...] = (64, 64)


class Fitted(NamedTuple):
    """The nets of an arm and their parts, a seed each, and the accuracies after the last epoch."""

    parts: list[Parts]
    trained: Trained
    train: Float[Tensor, " seed"]
    val: Float[Tensor, " seed"]
    test: Float[Tensor, " seed"]


def parts_of(
    points: Literal["moons", "circles"], shares: tuple[float, float, float] = SHARES
) -> list[Parts]:
    """The points of each seed, split by the same seed."""
    made = [POINTS[points](seed=seed) for seed in ARM_SEEDS]
    return [split(p.x, p.y, shares, seed=s) for p, s in zip(made, ARM_SEEDS, strict=True)]


def fit_on(parts: list[Parts], arm: Arm) -> Fitted:
    """Fresh nets, one for each of the parts; five of them have the first weights of five seeds."""
    seeds = [ARM_SEEDS[i % len(ARM_SEEDS)] for i in range(len(parts))]
    nets = fresh(lambda: toy_mlp(widths=arm.widths, dropout=arm.dropout), seeds)
    recipe = Recipe(arm.lr, arm.epochs, weight_decay=arm.weight_decay, schedule=arm.schedule)
    trained = trained_on(parts, nets, recipe)
    train, val = (trained.curves[f"{part} accuracy"][-1] for part in ("train", "val"))
    test = [accuracy(net, p.test) for net, p in zip(trained.last, parts, strict=True)]
    return Fitted(parts, trained, train, val, torch.tensor(test))


@cache
def fitted(arm: Arm) -> Fitted:
    """An arm on moons. Kept, since exercises share arms."""
    return fit_on(parts_of("moons", arm.shares), arm)


def accuracy(net: nn.Module, pairs: Pairs) -> float:
    """The share of right classes."""
    return float((said(net, pairs.x) == pairs.y).float().mean())


def said(net: nn.Module, x: Float[Tensor, "n 2"]) -> Int[Tensor, " n"]:
    """The class of each point."""
    with torch.no_grad():
        return net(x).argmax(dim=1)


def confidence(net: nn.Module, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
    """The greater one of the two classes' softmax outputs: 0.5 to 1."""
    with torch.no_grad():
        return net(x).softmax(dim=1).amax(dim=1)


def polar(x: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
    """Radius and angle in rad, -pi to pi, of each point."""
    return torch.stack([x.norm(dim=1), torch.atan2(x[:, 1], x[:, 0])], dim=1)


def as_features(parts: Parts, features: Features) -> Parts:
    """The same parts, described by other features."""
    return Parts(*(Pairs(features(p.x), p.y) for p in parts))
