"""Exercise A: two inputs, four outputs; targets that depend on the inputs, and ones that do not."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from foundations.exercise import SEEDS, Erratum, Exercise, Outcome, Row, exactly
from foundations.nets import fresh, linear_regressor
from foundations.pictures import bare
from foundations.regression import least_squares, weights_of
from foundations.together import Recipe, Trained, fit_together, squared_error
from foundations.toys import Pairs, Parts, split

N, N_IN, N_OUT, NOISE = 600, 2, 4, 0.1
RECIPE = Recipe(lr=1e-2, epochs=150)


class Planes(NamedTuple):
    """Sets, the weights behind them and nets fitted to them, a seed each."""

    parts: list[Parts]
    truth: list[Float[Tensor, "i o"]]
    trained: Trained


def plane(*, seed: int, noise: float = NOISE) -> tuple[Pairs, Float[Tensor, "i o"]]:
    """y = x W + b + noise with W and b standard normal, and [W; b]."""
    draw = np.random.default_rng(seed)
    x, weights = draw.normal(size=(N, N_IN)), draw.normal(size=(N_IN + 1, N_OUT))
    y = x @ weights[:-1] + weights[-1] + draw.normal(0, noise, (N, N_OUT))
    return Pairs(*(torch.from_numpy(v).float() for v in (x, y))), torch.from_numpy(weights).float()


def independent(*, seed: int) -> Pairs:
    """The same inputs with targets that know nothing of them: the negative control."""
    pairs, _ = plane(seed=seed)
    y = np.random.default_rng((seed, 1)).normal(size=(N, N_OUT))
    return Pairs(pairs.x, torch.from_numpy(y).float())


def r2(said: Tensor, truth: Tensor) -> float:
    """1 - squared error over the variance around the mean, all outputs pooled."""
    around = (truth - truth.mean(dim=0)).square().sum()
    return 1 - float((said - truth).square().sum() / around)


def shape_error() -> str:
    """What torch says of a layer from 1 to 1 that is given inputs of shape (n, 2)."""
    try:
        nn.Linear(1, 1)(torch.zeros(3, N_IN))
    except RuntimeError as error:
        return str(error)
    return ""


@cache
def fit_planes(*, control: bool = False) -> Planes:
    """Linear nets from 2 to 4 on 70/15/15, to true targets or to independent ones."""
    made = [plane(seed=seed) for seed in SEEDS]
    pairs = [independent(seed=seed) for seed in SEEDS] if control else [m[0] for m in made]
    parts = [split(*p, seed=seed) for p, seed in zip(pairs, SEEDS, strict=True)]
    trained = fit_together(
        fresh(lambda: linear_regressor(N_IN, N_OUT), SEEDS),
        [p.train for p in parts],
        [p.val for p in parts],
        RECIPE,
        loss=squared_error,
    )
    return Planes(parts, [m[1] for m in made], trained)


def held_out_r2(planes: Planes) -> list[float]:
    """R2 on the test points, for each seed."""
    with torch.no_grad():
        return [
            r2(net(p.test.x), p.test.y)
            for net, p in zip(planes.trained.last, planes.parts, strict=True)
        ]


def several_outputs() -> Outcome:
    """The error of a layer of the wrong size, W recovered, and the negative control."""
    planes, control = fit_planes(), fit_planes(control=True)
    triples = list(zip(planes.trained.last, planes.parts, planes.truth, strict=True))
    to_truth = [float((weights_of(n) - w).abs().max()) for n, _, w in triples]
    to_best = [float((weights_of(n) - least_squares(p.train)).abs().max()) for n, p, _ in triples]
    good, none = held_out_r2(planes), held_out_r2(control)
    rows = [
        exactly("a 1-to-1 layer refuses (n, 2)", "cannot be multiplied" in shape_error()),
        Row("W and b, largest error to the truth", to_truth, "", 0.0, 0.05),
        Row("W and b off least squares", to_best, "", 0.0, 0.02),
        Row("test R2, y = x W + b + noise", good, "", 0.95, 1.0),
        Row("test R2, targets independent of x", none, "", -0.1, 0.03),
    ]
    erratum = Erratum(
        did="targets drawn independent of the inputs: test R2",
        got=sum(none) / len(none),
        why="nothing can be learned from them; that says nothing of the model",
        right="targets y = x W + b + noise: test R2",
        gets=sum(good) / len(good),
    )
    return Outcome(rows, lambda figure: draw(figure, planes, control), [erratum], shape_error())


def draw(figure: Figure, planes: Planes, control: Planes) -> None:
    """Prediction against truth on test points, by output: with a law, and without."""
    figure.set_size_inches(9, 4)
    titles = ("y = x W + b + noise", "y independent of x (control)")
    for axes, fits, title in zip(figure.subplots(1, 2), (planes, control), titles, strict=True):
        test = fits.parts[0].test
        said = fits.trained.last[0](test.x).detach()
        for i in range(N_OUT):
            bare(axes).plot(test.y[:, i], said[:, i], ".", markersize=4, label=f"output {i + 1}")
        low, high = float(test.y.min()), float(test.y.max())
        axes.plot([low, high], [low, high], color="black", linewidth=0.8)
        axes.set(xlabel="truth", ylabel="prediction", title=title)
        axes.legend(frameon=False, fontsize=8)


EXERCISES = (Exercise("A", "several outputs", several_outputs),)
