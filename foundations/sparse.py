"""G5: linear regression in which five features of d matter, with and without an L1 penalty."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from matplotlib.figure import Figure
from torch import Tensor, nn

from foundations.exercise import SEEDS, Draw, Erratum, Exercise, Outcome, Row
from foundations.lasso import Chosen, Linear, choice, descended, penalties, squared_errors
from foundations.pictures import bare

N, N_TRAIN, N_VAL = 500, 400, 50  # the last 50 are the test split
N_MATTER = 5
NOISE = 0.1  # of the targets; its square is the floor of the loss
FOUND = 0.05  # a coefficient above it counts as found
REFERENCE = {10: ("2.12", "1.84"), 1000: ("21.1", "19.9")}  # validation loss without and with L1
SHORT_STEPS, SHORT_L1 = 500, 1e-3

Made = Mapping[tuple[int, int], Sequence["Fits"]]  # by d and the number of outputs, a seed each


class Sparse(NamedTuple):
    """A data set: inputs, targets, the true coefficients and the features that matter."""

    x: Float[Tensor, "n d"]
    y: Float[Tensor, "n q"]
    w: Float[Tensor, "d q"]
    matter: Int[Tensor, " five"]

    def part(self, name: str) -> tuple[Float[Tensor, "m d"], Float[Tensor, "m q"]]:
        """Inputs and targets of train, val or test."""
        borders = {
            "train": slice(0, N_TRAIN),
            "val": slice(N_TRAIN, N_TRAIN + N_VAL),
            "test": slice(N_TRAIN + N_VAL, N),
        }
        return self.x[borders[name]], self.y[borders[name]]


def sparse_points(d: int, *, q: int = 1, seed: int) -> Sparse:
    """Standard normal inputs; the five coefficients of each output are 0.5 to 1.5 in size."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(N, d, generator=draw)
    matter = torch.randperm(d, generator=draw)[:N_MATTER].sort().values
    signs = 2 * torch.randint(0, 2, (N_MATTER, q), generator=draw) - 1
    w = torch.zeros(d, q)
    w[matter] = signs * (0.5 + torch.rand(N_MATTER, q, generator=draw))
    return Sparse(x, x @ w + NOISE * torch.randn(N, q, generator=draw), w, matter)


def start(d: int, q: int, *, seed: int) -> Float[Tensor, "d q"]:
    """The weights of a fresh nn.Linear."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(d, q).weight.detach().T.clone()


def found(w: Float[Tensor, "d q"]) -> Bool[Tensor, "d q"]:
    """Which coefficients are above 0.05 in size."""
    return w.abs() > FOUND


def support_share(model: Float[Tensor, "d q"], sparse: Sparse) -> float:
    """The share of outputs in which exactly the features that matter are found: 1 is all."""
    truth = torch.zeros(len(model), dtype=torch.bool)
    truth[sparse.matter] = True
    return float((found(model) == truth[:, None]).all(dim=0).float().mean())


def by_adam(
    sparse: Sparse,
    first: Sequence[Float[Tensor, "d q"]],
    l1: Sequence[float],
    *,
    steps: int = SHORT_STEPS,
    lr: float = 1e-3,
) -> Float[Tensor, "steps arm"]:
    """Validation loss after each step of Adam over the whole train split, for several arms at once.

    Args:
        first, l1: the weights that an arm starts from, and its penalty.
    """
    (x, y), (x_val, y_val) = sparse.part("train"), sparse.part("val")
    w = torch.stack(list(first)).requires_grad_()
    b = torch.zeros(len(w), 1, y.shape[1], requires_grad=True)
    weight = torch.tensor(l1)
    adam = torch.optim.Adam([w, b], lr=lr)
    losses = []
    for _ in range(steps):
        error = (x @ w + b - y).square().mean(dim=(1, 2))
        adam.zero_grad()
        (error + weight * w.abs().sum(dim=(1, 2))).sum().backward()
        adam.step()
        with torch.no_grad():
            losses.append((x_val @ w + b - y_val).square().mean(dim=(1, 2)))
    return torch.stack(losses)


class Fits(NamedTuple):
    """What one seed gave at some d and q: test losses, the support, and how many are not 0."""

    plain: float
    with_l1: float
    support: float
    n_kept: float
    chosen: Chosen


def fits(d: int, *, q: int = 1, seed: int) -> Fits:
    """Without and with L1 from the same start to convergence; the test split is read once, here."""
    sparse = sparse_points(d, q=q, seed=seed)
    x, y = sparse.part("train")
    of = penalties(x, y)
    model = descended(x, y, torch.cat([of, torch.zeros(1)]), start(d, q, seed=seed))
    chosen = choice(Linear(model.w[:-1], model.b[:-1]), of, *sparse.part("val"))
    test = squared_errors(model, *sparse.part("test")).mean(dim=1)
    n_kept = (model.w[chosen.least] != 0).sum(dim=0).float().mean()
    w = model.w[chosen.simplest]
    with_l1 = float(test[chosen.simplest])
    return Fits(float(test[-1]), with_l1, support_share(w, sparse), float(n_kept), chosen)


def adam_arms(d: int, *, seed: int) -> Float[Tensor, "steps 3"]:
    """The reference's training: without L1; with it from the same start; with it from another."""
    sparse = sparse_points(d, seed=seed)
    same, other = start(d, 1, seed=seed), start(d, 1, seed=seed + 100)
    return by_adam(sparse, [same, same, other], [0.0, SHORT_L1, SHORT_L1])


def sparse_regression() -> Outcome:
    """G5: d = 10 and 1000, one output and three, three seeds."""
    made = {(d, q): [fits(d, q=q, seed=s) for s in SEEDS] for d in (10, 1000) for q in (1, 3)}
    arms = {d: torch.stack([adam_arms(d, seed=s) for s in SEEDS], dim=1) for d in (10, 1000)}
    rows = []
    for (d, q), of_seeds in made.items():
        plain, with_l1, support, n_kept, _ = zip(*of_seeds, strict=True)
        at = f"d = {d}, {q} output{'s' if q > 1 else ''}"
        theirs = REFERENCE[d] if q == 1 else ("", "")
        band = (0.005, 0.02) if d == 10 else (1.0, math.inf)
        rows += [
            Row(f"test loss without L1, {at}", plain, theirs[0], *band),
            Row(f"with L1, {at}", with_l1, theirs[1], 0.005, 0.025),
            Row(f"exactly the five found, {at}", support, "", 1.0, 1.0),
        ]
        if d == 1000:
            rows += [Row(f"the smallest loss keeps, {at}", n_kept, "about 30", 6.0, 300.0)]
    gaps = (arms[10][-1, :, 0] - arms[10][-1, :, 1]).abs().tolist()
    rows += [Row(f"gap of the arms after {SHORT_STEPS} steps, d = 10", gaps, ".28", 0.0, 0.01)]
    return Outcome(rows, _picture(made, arms), _errata(made, arms), SAYS)


SAYS = (
    "Without L1 400 points say nothing about 1000 coefficients; with it they name the five, at the "
    "simplest penalty within a standard error of the best."
)


def _errata(made: Made, arms: Mapping[int, Float[Tensor, "steps seed 3"]]) -> list[Erratum]:
    last = arms[10][-1].mean(dim=0).tolist()
    gaps = (arms[10][-1][:, [0]] - arms[10][-1][:, 1:]).abs().mean(dim=0).tolist()
    return [
        Erratum(
            did=f"{SHORT_STEPS} steps of Adam at 1e-3, validation loss at d = 10",
            got=last[0],
            why="a step moves a weight by 1e-3 at most, so that none has come further than 0.5",
            right="descend to convergence, test loss (the noise alone leaves 0.01)",
            gets=sum(fit.plain for fit in made[10, 1]) / len(SEEDS),
        ),
        Erratum(
            did="compared arms that began at different weights: mean gap at d = 10",
            got=gaps[1],
            why="far from convergence the loss tells where a training began",
            right="begin both at the same weights: mean gap",
            gets=gaps[0],
        ),
    ]


def _picture(made: Made, arms: Mapping[int, Float[Tensor, "steps seed 3"]]) -> Draw:
    names = ("without L1", "with L1, same start", "with L1, another start")

    def draw(figure: Figure) -> None:
        figure.set_size_inches(9.6, 3.4)
        left, right = figure.subplots(1, 2)
        for i, (d, curves) in enumerate(arms.items()):
            for arm, style in enumerate(("-", ":", "--")):
                values = curves[:, 0, arm]
                left.semilogy(values, style, color=f"C{i}", label=f"d = {d}, {names[arm]}")
        for i, d in enumerate(arms):
            of = made[d, 1][0].chosen
            right.loglog(of.penalties, of.losses, ".-", color=f"C{i}", label=f"d = {d}")
            for number, marker in ((of.least, "o"), (of.simplest, "s")):
                at = of.penalties[number], of.losses[number]
                right.plot(*at, marker, mfc="none", ms=10, color=f"C{i}")
        left.set(xlabel="step of Adam at 1e-3", ylabel="validation loss")
        right.set(xlabel="penalty, to convergence", ylabel="validation loss")
        right.plot([], [], "o", mfc="none", ms=10, color="0.3", label="smallest loss")
        right.plot([], [], "s", mfc="none", ms=10, color="0.3", label="simplest within 1 s.e.")
        for axes in (left, right):
            axes.axhline(NOISE**2, color="0.5", ls=":", zorder=0)
            axes.legend(frameon=False, fontsize=7)
            bare(axes)

    return draw


EXERCISES = (Exercise("G5", "five features of 10 or 1000 matter: L1", sparse_regression),)
