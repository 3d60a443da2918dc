"""What a control came to, and how its curves are drawn."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes


@dataclass(frozen=True)
class Verdict:
    """What one control came to: its figure, the band that it must lie in, and a sentence.

    A band may be open (infinite), the figure being told alone. A figure that is not a number lies
    in no band. `applies` is False where the question has no meaning, which `says` explains.
    `curves` are what the figure was read from, by name, a value a step.
    """

    name: str
    figure: float
    low: float
    high: float
    says: str
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    applies: bool = True

    @property
    def passed(self) -> bool:
        """Whether the figure lies in its band; True where the control does not apply."""
        return not self.applies or self.low <= self.figure <= self.high


def without_meaning(name: str, why: str) -> Verdict:
    """The verdict of a control that does not apply."""
    return Verdict(name, math.nan, -math.inf, math.inf, f"does not apply: {why}", applies=False)


def draw_curves(axes: Axes, verdict: Verdict) -> Axes:
    """The curves of a verdict by step, on a logarithmic axis where all values are above 0."""
    for name, curve in verdict.curves.items():
        axes.plot(range(len(curve)), curve, label=name, linewidth=1.2)
    if all(value > 0 for curve in verdict.curves.values() for value in curve):
        axes.set_yscale("log")
    axes.set(xlabel="steps taken", ylabel="loss", title=verdict.name.replace("_", " "))
    axes.spines[["right", "top"]].set_visible(False)
    axes.legend(frameon=False)
    return axes
