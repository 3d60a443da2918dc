"""G6 and G8: polar features, and what softmax confidence is worth."""

import math
from functools import cache

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from foundations.arms import (
    ARM_SEEDS,
    Arm,
    Fitted,
    accuracy,
    as_features,
    confidence,
    fit_on,
    fitted,
    parts_of,
    polar,
    said,
)
from foundations.exercise import Draw, Erratum, Exercise, Outcome, Row
from foundations.pictures import bare
from foundations.toys import Parts
from foundations.tuning import difference, near

SMALL = Arm(widths=(64,))
N = len(ARM_SEEDS)
ARMS = {  # which of the nets of `both_ways`
    ("circles", "cartesian"): slice(0, N),
    ("circles", "polar"): slice(N, 2 * N),
    ("moons", "cartesian"): slice(2 * N, 3 * N),
    ("moons", "polar"): slice(3 * N, 4 * N),
}
FAR = 20.0  # from the origin; the moons end at 2.5


@cache
def both_ways() -> Fitted:
    """2-64-2 nets on circles and moons, by x and y and by radius and angle: 20 at once."""
    ring, moon = parts_of("circles"), parts_of("moons")
    turned = [[as_features(p, polar) for p in parts] for parts in (ring, moon)]
    return fit_on([*ring, *turned[0], *moon, *turned[1]], SMALL)


def linear_accuracy(parts: Parts, columns: list[int]) -> float:
    """The test accuracy of a logistic law of some features."""
    law = LogisticRegression().fit(parts.train.x[:, columns].numpy(), parts.train.y.numpy())
    return float(law.score(parts.test.x[:, columns].numpy(), parts.test.y.numpy()))


def polar_features() -> Outcome:
    """G6: after 300 epochs the features change nothing; early on, or for a linear law, they do."""
    made = both_ways()
    curves = made.trained.curves["val accuracy"]
    val = {arm: curves[-1, which] for arm, which in ARMS.items()}
    early = {arm: curves[4, which] for arm, which in ARMS.items()}
    ring = made.parts[ARMS["circles", "polar"]]
    by_radius = [linear_accuracy(p, [0]) for p in ring]
    by_x_and_y = [linear_accuracy(p, [0, 1]) for p in made.parts[ARMS["circles", "cartesian"]]]
    rows = [
        near("circles, x and y", val["circles", "cartesian"], 0.873, ".873 (.895)"),
        near("circles, polar", val["circles", "polar"], 0.873, ".873 (.898)"),
        near("moons, x and y", val["moons", "cartesian"], 0.941, ".941 (.954)"),
        near("moons, polar", val["moons", "polar"], 0.942, ".942 (.954)"),
        difference("circles, polar less x and y", _less(val, "circles")),
        difference("moons, polar less x and y", _less(val, "moons")),
        near("moons, x and y, after 5 epochs", early["moons", "cartesian"], 0.88),
        near("moons, polar, after 5 epochs", early["moons", "polar"], 0.85),
        Row("circles, a linear law of x and y", by_x_and_y, "", 0.35, 0.65),
        Row("circles, a linear law of the radius", by_radius, "", 0.83, 0.93, judged="mean"),
    ]
    return Outcome(rows, _curves(curves), says=SAYS_POLAR)


SAYS_POLAR = (
    "A net with a hidden layer finds the circle by itself; a linear law needs the radius given. "
    "The moons are cut by the angle's jump, which costs the first epochs."
)


def _less(
    val: dict[tuple[str, str], Float[Tensor, " seed"]], points: str
) -> Float[Tensor, " seed"]:
    return val[points, "polar"] - val[points, "cartesian"]


def grid(reach: float, n: int = 160) -> Float[Tensor, "n_squared 2"]:
    """Points of a square around (0.5, 0.25), the middle of the moons, row after row."""
    x = torch.linspace(0.5 - reach, 0.5 + reach, n)
    y = torch.linspace(0.25 - reach, 0.25 + reach, n)
    return torch.cartesian_prod(y, x).flip(1)


def along_boundary(net: nn.Module, reach: float = 1.0, n: int = 400) -> float:
    """The mean confidence at points of a grid whose right neighbour is of another class."""
    points = grid(reach, n)
    classes = said(net, points).reshape(n, n)
    border = nn.functional.pad(classes[:, 1:] != classes[:, :-1], (0, 1))
    return float(confidence(net, points)[border.flatten()].mean())


def far_away(net: nn.Module) -> float:
    """The mean confidence in all directions at 20 from the origin, where there is no data."""
    angle = torch.linspace(0, 2 * math.pi, 361)[:-1]
    return float(confidence(net, FAR * torch.stack([angle.cos(), angle.sin()], dim=1)).mean())


def boundary() -> Outcome:
    """G8: softmax confidence near the boundary, on test points, and far from all data."""
    made = fitted(Arm())
    nets, parts = made.trained.last, made.parts
    near_it = [along_boundary(net) for net in nets]
    sure = [_confidences(net, p) for net, p in zip(nets, parts, strict=True)]
    far = [far_away(net) for net in nets]
    of_polar = both_ways().trained.last[ARMS["moons", "polar"]]
    mistaken = [accuracy(net, p.test) for net, p in zip(of_polar, parts, strict=True)]
    rows = [
        near("test accuracy over x and y", made.test, 0.95),
        Row("confidence along the boundary", near_it, "low", 0.5, 0.6),
        Row("confidence where the net is right", [s[0] for s in sure], "", 0.85, 1.0),
        Row("confidence where it is wrong", [s[1] for s in sure], "", 0.5, 0.9),
        Row(f"confidence at {FAR:g} from the origin", far, "", 0.95, 1.0, judged="mean"),
        Row("accuracy of a polar net over x and y", mistaken, ".62", 0.3, 0.8, judged="mean"),
    ]
    erratum = Erratum(
        did="drew a net of polar features over x and y: accuracy there",
        got=sum(mistaken) / len(mistaken),
        why="it takes x for a radius and y for an angle: the picture is of no net that was trained",
        right="draw a net over the features that it learned from: accuracy",
        gets=float(made.test.mean()),
    )
    says = (
        f"Confidence falls along the boundary alone. At {FAR:g} from the origin, where no point "
        f"ever was, the mean is {sum(far) / len(far):.3f}: logits grow with distance, knowledge "
        "does not."
    )
    return Outcome(rows, _maps(nets[0], of_polar[0], parts[0]), [erratum], says)


def _confidences(net: nn.Module, parts: Parts) -> tuple[float, float]:
    """The mean confidence of right and of wrong classes, on validation and test points."""
    x, y = (torch.cat([getattr(p, of) for p in (parts.val, parts.test)]) for of in ("x", "y"))
    right, sure = said(net, x) == y, confidence(net, x)
    return float(sure[right].mean()), float(sure[~right].mean())


def _curves(curves: Float[Tensor, "epochs nets"]) -> Draw:
    def draw(figure: Figure) -> None:
        figure.set_size_inches(8.0, 3.4)
        for axes, points in zip(figure.subplots(1, 2), ("circles", "moons"), strict=True):
            for name, color in (("cartesian", "C0"), ("polar", "C1")):
                values = curves[:, ARMS[points, name]]
                label = {"cartesian": "x, y", "polar": "radius, angle"}[name]
                axes.plot(range(1, len(values) + 1), values.mean(dim=1), color=color, label=label)
            bare(axes).set(xscale="log", xlabel="epoch", title=points)
            axes.set_ylabel(f"validation accuracy (mean of {N} seeds)", fontsize=9)
            axes.legend(frameon=False)

    return draw


def _maps(net: nn.Module, of_polar: nn.Module, parts: Parts) -> Draw:
    def draw(figure: Figure) -> None:
        figure.set_size_inches(10.0, 3.2)
        axes = figure.subplots(1, 3)
        image = draw_confidence(axes[0], net, 2.2, "its own features")
        draw_confidence(axes[1], net, FAR, "the same net, far from its data")
        draw_confidence(axes[2], of_polar, 2.2, "a polar net over x, y: wrong")
        for i in (0, 2):
            x, y = parts.test
            axes[i].scatter(*x.T, c=y, cmap="coolwarm", s=6, edgecolors="k", linewidths=0.2)
        figure.colorbar(image, ax=axes, label="softmax output of class 1")

    return draw


def draw_confidence(axes: Axes, net: nn.Module, reach: float, title: str):
    """The softmax output of class 1 by colour, the boundary as a line; gives the picture."""
    n = 200
    with torch.no_grad():
        red = net(grid(reach, n)).softmax(dim=1)[:, 1].reshape(n, n).numpy()
    extent = (0.5 - reach, 0.5 + reach, 0.25 - reach, 0.25 + reach)
    image = axes.imshow(
        red, origin="lower", extent=extent, cmap="coolwarm", vmin=0, vmax=1, alpha=0.7
    )
    axes.contour(red, [0.5], extent=extent, colors="k", linewidths=1)
    axes.set_title(title, fontsize=9)
    return image


EXERCISES = (
    Exercise("G6", "polar features", polar_features),
    Exercise("G8", "softmax confidence", boundary),
)
