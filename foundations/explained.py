"""Exercise F: why an accuracy of 1 is no surprise here; every hypothesis over three seeds."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from foundations.cnn import draw_samples, fitted, sets_of
from foundations.exercise import SEEDS, Draw, Erratum, Exercise, Outcome, Row
from foundations.fair import FAIR_NAMES, discs_and_rings, fair
from foundations.images import Images, dots_and_rings
from foundations.pictures import bare
from foundations.too_good import (
    against_shuffled,
    beginnings,
    brightness_alone,
    clean_twins,
    exact_twins,
    near_twins,
    pixels_alone,
    shuffled_labels,
    smaller_net,
)

FILTERS = (8, 4, 2, 1)


def overlap_rows(sets: Sequence[Images]) -> list[Row]:
    """Does train hold the test images?"""
    twins = ((clean_twins, "test images with a clean twin in train", ".997", 0.98, 1.0),)
    twins += ((near_twins, "whose nearest of train is that twin", "almost all", 0.97, 1.0),)
    twins += ((exact_twins, "test images with an exact twin", "0", 0.0, 0.0),)
    return [
        Row(name, [ask(images, seed=s).figure for s, images in enumerate(sets)], told, low, high)
        for ask, name, told, low, high in twins
    ]


def simplicity_rows(sets: Sequence[Images]) -> list[Row]:
    """Is the set too simple, or the net too complex?"""
    laws = ((brightness_alone, "total brightness alone"), (pixels_alone, "a linear law of pixels"))
    rows = [
        Row(
            name,
            [ask(images, 1.0, seed=s).figure for s, images in enumerate(sets)],
            "1.000",
            0.99,
            1.0,
        )
        for ask, name in laws
    ]
    for n in FILTERS:
        ours = [smaller_net(images, n, seed=s) for s, images in enumerate(sets)]
        rows += [Row(f"a net with {n} filter{'s' if n > 1 else ''}", ours, "1.000", 0.98, 1.0)]
    return rows


def beginning_rows() -> list[Row]:
    """Is it right from the beginning?"""
    made = [beginnings(seed=s) for s in SEEDS]
    return [
        Row("fresh net, before its first epoch", [b.fresh[0] for b in made], "", 0.3, 0.75),
        Row(
            "a second call, before its first epoch",
            [b.second_call[0] for b in made],
            "1.000",
            0.99,
            1.0,
        ),
    ]


def answers(seed: int) -> tuple[Tensor, Tensor]:
    """What the trained CNN says of its validation images, and their labels."""
    pixels, labels = sets_of(dots_and_rings(seed=seed), seed=seed)["val"]
    with torch.no_grad():
        return fitted(seed).net(pixels).argmax(dim=1), labels


def control_rows(sets: Sequence[Images]) -> list[Row]:
    """Which control could show a leak?"""
    net = [against_shuffled(*answers(s), seed=s) for s in SEEDS]
    truth = [against_shuffled(answers(s)[1], answers(s)[1], seed=s) for s in SEEDS]
    trained = [shuffled_labels(images, seed=s) for s, images in enumerate(sets)]
    on_such, on_true = ([pair[i].figure for pair in trained] for i in (0, 1))
    return [
        Row("against shuffled validation labels", net, ".5", 0.4, 0.6),
        Row("the labels themselves, against the same", truth, ".5", 0.4, 0.6),
        Row("trained on shuffled labels, on such", on_such, ".44 to .53", 0.42, 0.58),
        Row("trained on shuffled labels, on true ones", on_true, ".37 to .74", 0.2, 0.85),
    ]


def fair_rows() -> list[Row]:
    """Brightness matched, no centre on both sides."""
    made = [fair(s) for s in SEEDS]
    return [
        Row("fair: places of test that train has", [f.shared.figure for f in made], "", 0.0, 0.0),
        Row("fair: brightness, over the CNN", [f.brightness.figure for f in made], "", 0.3, 0.65),
        Row("fair: linear law, places seen", [f.seen.figure for f in made], "", 0.6, 1.0),
        Row("fair: linear law, over the CNN", [f.linear.figure for f in made], "", 0.0, 0.65),
        Row("fair: the CNN", [f.fit.accuracies["test"][-1] for f in made], "", 0.95, 1.0),
    ]


def too_good() -> Outcome:
    """F: overlap, simplicity, the beginning, the controls, and a fair set."""
    sets = [dots_and_rings(seed=s) for s in SEEDS]
    overlap, simple, begin = overlap_rows(sets), simplicity_rows(sets), beginning_rows()
    control, fairly = control_rows(sets), fair_rows()
    errata = [
        Erratum(
            did="scored the net against shuffled validation labels, to show a leak: accuracy",
            got=control[0].figure,
            why="the true labels themselves reach no more there: it says nothing of the net",
            right="train a net on shuffled labels, score it on shuffled test labels: accuracy",
            gets=control[2].figure,
        ),
        Erratum(
            did="called the training again and read its first report as epoch 1: accuracy",
            got=begin[1].figure,
            why="the second call goes on with the weights of the first",
            right="a fresh net before its first epoch: accuracy",
            gets=begin[0].figure,
        ),
    ]
    rows = [*overlap, *simple, *begin, *control, *fairly]
    return Outcome(rows, _picture(rows), errata, SAYS)


SAYS = (
    "No bug: brightness alone tells a dot from a ring, and train has a clean twin of nearly every "
    "test image. With brightness matched and places held out, the net is still right, and "
    "brightness and lines are not."
)


def _picture(rows: Sequence[Row]) -> Draw:
    def draw(figure: Figure) -> None:
        figure.set_size_inches(9.4, 6.4)
        left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(3, 2))[0]
        _bars(left.subplots(), rows)
        above, below = right.subfigures(2, 1, squeeze=False)[:, 0]
        draw_samples(above, dots_and_rings(seed=SEEDS[0]), n=4)
        above.suptitle("too simple", fontsize=10)
        draw_samples(below, discs_and_rings(seed=SEEDS[0]), n=4, names=FAIR_NAMES)
        below.suptitle("fair: one brightness", fontsize=10)

    return draw


def _bars(axes: Axes, rows: Sequence[Row]) -> None:
    """Each row's mean as a bar, its seeds as dots."""
    for i, row in enumerate(rows):
        axes.barh(i, row.figure, color="C0", alpha=0.4)
        axes.plot(row.ours, [i] * len(row.ours), ".", color="C0")
    axes.axvline(0.5, color="0.5", ls=":")
    axes.set(yticks=range(len(rows)), xlabel="share, accuracy", xlim=(0, 1.05))
    axes.set_yticklabels([row.name for row in rows], fontsize=7)
    bare(axes).invert_yaxis()


EXERCISES = (Exercise("F", "too good to be true", too_good),)
