"""G1 to G4: the split, weight decay, dropout and the learning rate, five seeds each.

On 240 points of validation one point is 0.4 %: what is smaller is noise, and so is much above it.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from foundations.arms import ARM_SEEDS, Arm, Fitted, fitted
from foundations.exercise import Draw, Exercise, Outcome, Row
from foundations.pictures import bare

WITHIN = 0.03  # of the reference's accuracy
DECAYS = {1e-4: (0.954, 0.951), 1e-3: (0.952, 0.954), 1e-2: (0.932, 0.923)}  # train, validation
DROPOUTS = {0.0: 0.945, 0.2: 0.951, 0.5: 0.954}
RATES = {1e-2: 0.947, 1e-4: 0.945}


def near(name: str, ours: Float[Tensor, " seed"], reference: float, printed: str = "") -> Row:
    """The row of an accuracy: its mean over seeds must be within 0.03 of the reference's."""
    shown = printed or f"{reference:.3f}".lstrip("0")
    low, high = round(reference - WITHIN, 4), round(reference + WITHIN, 4)
    return Row(name, ours.tolist(), shown, low, high, judged="mean")


def difference(name: str, of: Float[Tensor, " seed"], most: float = WITHIN) -> Row:
    """The row of a difference between two arms, seed by seed; none beyond `most` in the mean."""
    return Row(name, [round(d, 6) for d in of.tolist()], "", -most, most, judged="mean")


def shares() -> Outcome:
    """G1: 60/20/20 against 70/15/15 on the same points."""
    more, less = fitted(Arm()), fitted(Arm(shares=(0.6, 0.2, 0.2)))
    rows = [
        near("validation, 60/20/20", less.val, 0.955, ".951 .956 .958"),
        near("test, 60/20/20", less.test, 0.944),
        near("validation, 70/15/15", more.val, 0.950),
        near("test, 70/15/15", more.test, 0.944),
        difference("test, 60/20/20 less 70/15/15", less.test - more.test),
    ]
    arms = {"70/15/15": more, "60/20/20": less}
    says = (
        f"Test changes by {_told(less.test - more.test)}: which points are held out matters more."
    )
    return Outcome(rows, _dots({n: a.test for n, a in arms.items()}, "test accuracy"), says=says)


def decay() -> Outcome:
    """G2: weight decay, and the gap between train and validation."""
    arms = {of: fitted(Arm(weight_decay=of)) for of in DECAYS}
    rows = []
    for of, arm in arms.items():
        train, val = DECAYS[of]
        rows += [near(f"train, decay {of:g}", arm.train, train)]
        rows += [near(f"validation, decay {of:g}", arm.val, val)]
        rows += [difference(f"train less validation, decay {of:g}", arm.train - arm.val)]
    change = arms[1e-2].val - arms[1e-4].val
    says = f"From decay 1e-4 to 1e-2 validation changes by {_told(change)}, and the net underfits."
    return Outcome(rows, _gaps(arms), says=says)


def dropout() -> Outcome:
    """G3: dropout 0, 0.2 and 0.5."""
    arms = {of: fitted(Arm(dropout=of)) for of in DROPOUTS}
    rows = [near(f"validation, dropout {of:g}", arms[of].val, DROPOUTS[of]) for of in arms]
    change = arms[0.5].val - arms[0.0].val
    noise = torch.stack([arm.val for arm in arms.values()]).std(dim=1).mean()
    rows += [difference("validation, dropout 0.5 less 0", change)]
    says = (
        f"From dropout 0 to 0.5 validation changes by {_told(change)}; seeds alone by {noise:.3f}."
    )
    return Outcome(rows, _curves({f"dropout {of:g}": arm for of, arm in arms.items()}), says=says)


def rate() -> Outcome:
    """G4: a learning rate of 1e-2 against 1e-4, both constant, since rates are what is compared."""
    arms = {of: fitted(Arm(lr=of, schedule=None)) for of in RATES}
    rows = [near(f"validation, rate {of:g}", arms[of].val, RATES[of]) for of in arms]
    reached = {of: epochs_to(arm.trained.curves["val accuracy"]) for of, arm in arms.items()}
    rows += [
        Row("epochs to 0.9, rate 0.01", reached[1e-2].tolist(), "", 1.0, 30.0, judged="mean"),
        Row("epochs to 0.9, rate 0.0001", reached[1e-4].tolist(), "", 30.0, 300.0, judged="mean"),
        difference("test, rate 0.01 less 0.0001", arms[1e-2].test - arms[1e-4].test, 0.04),
    ]
    says = (
        f"1e-2 learns {(reached[1e-4] / reached[1e-2]).mean():.0f} times faster; in the end test "
        f"differs by {_told(arms[1e-2].test - arms[1e-4].test)}."
    )
    return Outcome(rows, _curves({f"rate {of:g}": arm for of, arm in arms.items()}), says=says)


def epochs_to(curves: Float[Tensor, "epochs seed"], level: float = 0.9) -> Float[Tensor, " seed"]:
    """The first epoch, from 1, at which each curve is at the level; one more than all if never."""
    above = torch.cat([curves >= level, torch.ones_like(curves[:1], dtype=torch.bool)])
    return above.int().argmax(dim=0).float() + 1


def _told(change: Float[Tensor, " seed"]) -> str:
    """A mean change and its standard error over seeds."""
    return f"{change.mean():+.3f} ± {change.std() / len(change) ** 0.5:.3f} (standard error)"


def _dots(values: Mapping[str, Float[Tensor, " seed"]], name: str) -> Draw:
    def draw(figure: Figure) -> None:
        axes = bare(figure.subplots())
        axes.plot(
            range(len(values)), torch.stack(list(values.values())), "o-", color="C0", alpha=0.6
        )
        axes.set(ylabel=name, xticks=range(len(values)), xlim=(-0.5, len(values) - 0.5))
        axes.set_xticklabels(values)
        axes.set_title(f"a line a seed ({len(ARM_SEEDS)})", fontsize=10)

    return draw


def _gaps(arms: Mapping[float, Fitted]) -> Draw:
    def draw(figure: Figure) -> None:
        axes = bare(figure.subplots())
        for part, color in (("train", "C0"), ("val", "C1")):
            values = torch.stack([getattr(arm, part) for arm in arms.values()])
            axes.semilogx(list(arms), values, "o", color=color, alpha=0.4)
            label = {"train": "train", "val": "validation"}[part]
            axes.semilogx(list(arms), values.mean(dim=1), color=color, label=label)
        axes.set(xlabel="weight decay", ylabel="accuracy")
        axes.legend(frameon=False)

    return draw


def _curves(arms: Mapping[str, Fitted]) -> Draw:
    """Validation accuracy by epoch, smoothed over nine: the mean over seeds and their range."""

    def draw(figure: Figure) -> None:
        axes = bare(figure.subplots())
        for i, (name, arm) in enumerate(arms.items()):
            curves = arm.trained.curves["val accuracy"]
            smooth = torch.nn.functional.avg_pool1d(curves.T, 9, 1).T
            epochs = range(5, 5 + len(smooth))
            axes.plot(epochs, smooth.mean(dim=1), color=f"C{i}", label=name)
            low, high = smooth.aminmax(dim=1)
            axes.fill_between(epochs, low, high, color=f"C{i}", alpha=0.15, lw=0)
        axes.set(xlabel="epoch", ylabel="validation accuracy (mean of 9 epochs)")
        axes.legend(frameon=False, loc="lower right")

    return draw


EXERCISES = (
    Exercise("G1", "60/20/20 against 70/15/15", shares),
    Exercise("G2", "weight decay", decay),
    Exercise("G3", "dropout", dropout),
    Exercise("G4", "learning rate", rate),
)
