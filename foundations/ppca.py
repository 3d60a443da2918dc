"""G7: probabilistic PCA by gradient descent ends where the closed form says, up to a rotation.

See foundations.ppca_model for the model.
"""

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from foundations.exercise import SEEDS, Draw, Erratum, Exercise, Outcome, Row
from foundations.pictures import bare
from foundations.ppca_model import (
    Noisy,
    axis_correlations,
    closed_form,
    covariance,
    descended,
    largest_angle,
    principal_axes,
    turned_correlations,
)

SIZES = (100, 500, 2000)
STARTS = 10  # of each data set
STEPS, LR = 3000, 0.05
SHORT_STEPS, SHORT_LR = 1000, 1e-2  # as many as the reference took


def one_factor(n: int, *, seed: int, d: int = 10) -> Float[Tensor, "n d"]:
    """Standard normals; one common factor is added 3, 2 and 1 times to the first three columns."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=draw, dtype=torch.float64)
    factor = torch.randn(n, 1, generator=draw, dtype=torch.float64)
    x[:, :3] += factor * torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
    return x


def ppca() -> Outcome:
    """G7: angles and sigma^2 against the closed form, for three sizes, three seeds, ten starts."""
    cov = torch.stack(
        [torch.stack([covariance(one_factor(n, seed=seed)) for seed in SEEDS]) for n in SIZES]
    )
    cov = cov[:, :, None].expand(-1, -1, STARTS, -1, -1)  # size seed start d d
    best = closed_form(cov)
    short = descended(cov, steps=SHORT_STEPS, lr=SHORT_LR, fades=False).model
    model, way = descended(cov, steps=STEPS, lr=LR, fades=True)
    angles = largest_angle(best.w, model.w)
    early = largest_angle(best.w, short.w).rad2deg()
    worst = early.amax(dim=2)
    alike = axis_correlations(model.w, principal_axes(cov))
    off = (model.sigma2 / best.sigma2 - 1).abs()
    turned = turned_correlations(Noisy(model.w[1, :, 0], model.sigma2[1, :, 0]), cov[1, :, 0])
    least, greatest = (turned[..., 1].aminmax(dim=0)[i].tolist() for i in (0, 1))
    rows = [
        *_rows("largest angle to PCA's plane (rad)", angles.amax(dim=2), (0.0, 1e-3)),
        *_rows("sigma^2 off its closed form", off.amax(dim=2), (0.0, 1e-3)),
        *_rows("axis correlation", alike.mean(dim=(2, 3)), (0.4, 0.8), (".674", ".582", ".562")),
        Row("of the second axis, W turned: least", least, ".06", 0.0, 0.06),
        Row("of the second axis, W turned: greatest", greatest, "1.00", 0.99, 1.0),
        Row(
            f"angle after {SHORT_STEPS} steps, n = 500 (deg)",
            worst[1].tolist(),
            "up to 8",
            0.06,
            90.0,
        ),
    ]
    return Outcome(
        rows,
        _picture(largest_angle(best.w.expand_as(way), way), turned),
        _errata(alike, early, angles),
        SAYS,
    )


SAYS = (
    "PPCA ends in PCA's plane at every n; which columns span it is a matter of the start, since "
    "turning W's columns changes no likelihood."
)


def _rows(
    name: str,
    figures: Float[Tensor, "size seed"],
    band: tuple[float, float],
    references: tuple[str, ...] = ("", "", ""),
) -> list[Row]:
    """A row for each size, a figure for each seed."""
    return [
        Row(f"{name}, n = {n}", of_seeds.tolist(), reference, *band)
        for n, of_seeds, reference in zip(SIZES, figures, references, strict=True)
    ]


def _errata(
    alike: Float[Tensor, "size seed start k"],
    early: Float[Tensor, "size seed start"],
    angles: Float[Tensor, "size seed start"],
) -> list[Erratum]:
    n_500, seed = 1, int(early[1].amax(dim=1).argmax())
    return [
        Erratum(
            did="compared columns of W with PCA's axes one by one (|cosine|, mean at n = 500)",
            got=float(alike[n_500].mean()),
            why="W and W R have one likelihood for every rotation R, but other columns: "
            "turned, one and the same solution has any figure from 0 to 1 in the second axis",
            right="compare the planes: cosine of the largest principal angle",
            gets=float(angles[n_500].cos().min()),
        ),
        Erratum(
            did=f"stopped after {SHORT_STEPS} steps: largest angle at n = 500 (deg)",
            got=float(early[n_500, seed].max()),
            why="the second and the third eigenvalue nearly tie, so that the last turn is slow",
            right=f"{STEPS} steps with a rate that fades: largest angle (deg)",
            gets=float(angles[n_500, seed].max().rad2deg()),
        ),
    ]


def _picture(
    way: Float[Tensor, "time size seed start"], turned: Float[Tensor, "turn seed k"]
) -> Draw:
    def draw(figure: Figure) -> None:
        figure.set_size_inches(8.6, 3.4)
        left, right = figure.subplots(1, 2)
        steps = torch.linspace(0, STEPS, len(way))
        for i, n in enumerate(SIZES):
            curves = way[:, i].flatten(1)
            left.semilogy(steps, curves[:, 0], color=f"C{i}", lw=0.6, label=f"n = {n}")
            left.semilogy(steps, curves[:, 1:], color=f"C{i}", lw=0.6, alpha=0.3)
        left.axhline(1e-3, color="0.5", ls=":")
        bare(left).set(xlabel="step", ylabel="largest angle to PCA's plane (rad)")
        left.legend(frameon=False)
        degrees = torch.linspace(0, 180, len(turned))
        for axis, style in enumerate(("-", "--")):
            right.plot(degrees, turned[:, 0, axis], style, color="C1", label=f"axis {axis + 1}")
        bare(right).set(xlabel="columns of one solution turned by (deg)", ylabel="axis correlation")
        right.legend(frameon=False)

    return draw


EXERCISES = (Exercise("G7", "probabilistic PCA by gradient descent", ppca),)
