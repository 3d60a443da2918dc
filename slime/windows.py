"""Where windows start: index arithmetic alone, apart from pixels."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from slime.errors import SlimeError
from slime.settings import setting
from slime.split import Split


@dataclass(frozen=True)
class WindowSpec:
    """A window of `n_in` frames given and `n_out` frames to predict, `step` frames apart.

    Windows start every `hop` frames.

    >>> WindowSpec(n_in=4, n_out=2, step=3).span
    16
    """

    n_in: int = setting(1, "frames given")
    n_out: int = setting(1, "frames predicted, each from those before it, that the loss sums over")
    step: int = setting(1, "frames between two frames of a window")
    hop: int = setting(1, "frames between the starts of two windows")

    def __post_init__(self) -> None:
        for name in ("n_in", "n_out", "step", "hop"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SlimeError(f"window.{name}={value!r} must be a whole number of at least 1")

    @property
    def n_frames(self) -> int:
        """Frames that a window holds, given and predicted."""
        return self.n_in + self.n_out

    @property
    def span(self) -> int:
        """Frames from a window's first to its last, both counted."""
        return (self.n_frames - 1) * self.step + 1


def window_starts(split: Split, spec: WindowSpec) -> Int[np.ndarray, " windows"]:
    """First frames of all windows that lie wholly inside the split, in time order.

    >>> window_starts(Split("val", 10, 15), WindowSpec(n_in=2, n_out=1)).tolist()
    [10, 11, 12]

    Raises:
        SlimeError: the split is shorter than one window.
    """
    if len(split) < spec.span:
        raise SlimeError(
            f"split {split.name!r}{split.where} has {len(split)} frames, but one window spans "
            f"{spec.span} ({spec.n_in} in, {spec.n_out} out, step {spec.step}): a longer movie, "
            "a larger share or a smaller window would do"
        )
    return np.arange(split.start, split.stop - spec.span + 1, spec.hop)


def starts_clear_of(
    starts: Int[np.ndarray, " windows"], spec: WindowSpec, blank: Bool[np.ndarray, " t"]
) -> Int[np.ndarray, " kept"]:
    """The starts whose windows hold no frame marked in `blank` (indexed by the movie's frames)."""
    frames = starts[:, None] + np.arange(spec.n_frames) * spec.step
    return starts[~blank[frames].any(axis=1)]
