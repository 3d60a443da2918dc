"""What an exercise comes to: rows with a figure and its band, errata, and a drawing."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.figure import Figure

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Row:
    """One figure of an exercise beside the one that a reference run printed.

    Attributes:
        name: what is measured.
        ours: a value a seed; one where nothing is random. True counts as 1.
        reference: what the reference printed, in its digits; empty where it printed nothing.
        low, high: the band. Infinite where it is open.
        judged: whether each seed must lie in the band, or their mean.
    """

    name: str
    ours: Sequence[float]
    reference: str
    low: float
    high: float
    judged: Literal["each", "mean"] = "each"

    def __post_init__(self):
        if not self.ours:
            raise ValueError(f"the row {self.name!r} has no figure: ours is empty")
        if not self.low <= self.high:
            raise ValueError(f"the row {self.name!r} has no band: {self.low} to {self.high}")

    @property
    def figure(self) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.ours)

    @property
    def spread(self) -> float:
        """The standard deviation over seeds (n - 1); not a number for one figure alone."""
        return statistics.stdev(self.ours) if len(self.ours) > 1 else math.nan

    @property
    def passed(self) -> bool:
        """Whether the figure lies in its band; what is not a number lies in none."""
        figures = self.ours if self.judged == "each" else [self.figure]
        return all(self.low <= figure <= self.high for figure in figures)


@dataclass(frozen=True)
class Erratum:
    """Something that the reference did wrong, by a number for its way and one for the right way.

    Attributes:
        did, got: what it did, and the figure that this gives.
        why: what is wrong with it.
        right, gets: what is right, and the figure that this gives.
    """

    did: str
    got: float
    why: str
    right: str
    gets: float


Draw = Callable[[Figure], None]  # into an empty figure, whose size it may set


@dataclass(frozen=True)
class Outcome:
    """What running an exercise gave. `draw` draws what was found; `says` tells it in a sentence."""

    rows: Sequence[Row]
    draw: Draw
    errata: Sequence[Erratum] = ()
    says: str = ""


@dataclass(frozen=True)
class Exercise:
    """A task of the course: its number, what it asks, and the function that does it."""

    id: str
    name: str
    run: Callable[[], Outcome]


def exactly(name: str, right: bool, reference: str = "") -> Row:
    """The row of an answer in which nothing is random: 1 where it is right to the last digit."""
    return Row(name, [float(right)], reference, 1.0, 1.0)


def drawn(outcome: Outcome) -> Figure:
    """The figure of an outcome, for a notebook or a file; pyplot is not touched."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    outcome.draw(figure)
    return figure
