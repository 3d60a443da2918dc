"""Section 1 as an exercise: the toy sets, their split, and draws that a seed repeats."""

import torch
from matplotlib.figure import Figure

from foundations.exercise import Exercise, Outcome, Row, exactly
from foundations.pictures import bare, draw_classes
from foundations.toys import blobs, circles, line, moons, seed_everything, split, split_sizes


def toy_sets() -> Outcome:
    """Sizes of a split of 1200 points, shares that are refused, and a seed that repeats."""
    train, val, test = split(*moons())
    rows = [
        Row("train points of 1200", [float(len(train.x))], "840", 840.0, 840.0),
        Row("validation points", [float(len(val.x))], "180", 180.0, 180.0),
        Row("test points", [float(len(test.x))], "180", 180.0, 180.0),
        exactly("shares that add up to 0.95 are refused", refused((0.7, 0.15, 0.1))),
        exactly("a seed repeats what is drawn", repeated()),
    ]
    return Outcome(rows, draw)


def refused(shares: tuple[float, ...]) -> bool:
    """Whether a split by these shares is refused."""
    try:
        split_sizes(1200, shares)
    except ValueError:
        return True
    return False


def repeated() -> bool:
    """Whether the one function for seeds brings the same draws again, and they are not constant."""
    with torch.random.fork_rng(devices=[]):
        seed_everything(1)
        first, second = torch.rand(3), torch.rand(3)
        seed_everything(1)
        return torch.equal(first, torch.rand(3)) and not torch.equal(first, second)


def draw(figure: Figure) -> None:
    """Scatter plots of the four sets."""
    figure.set_size_inches(11, 3)
    axes = figure.subplots(1, 4)
    for panel, made in zip(axes, (moons, circles, blobs), strict=False):
        draw_classes(panel, made()).set_title(made.__name__)
    axes[0].legend(frameon=False, fontsize=7)
    x, y = line()
    bare(axes[3]).plot(x, y, ".", markersize=3, color="dimgray")
    axes[3].set_title("line")


EXERCISES = (Exercise("1", "toy sets", toy_sets),)
