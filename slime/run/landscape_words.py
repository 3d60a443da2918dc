"""What is asked of scripts/plot_landscape.py."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slime.errors import SlimeError
from slime.landscape.loss import Precision, check_loss
from slime.settings import names_and_settings, setting, settings_help, spec_from_words

USAGE = "usage: python scripts/plot_landscape.py RUN [RUN ...] [key=value ...]"
N_RUNS = {"plane": None, "line": None, "between": 2, "runs": 3, "trajectory": 1, "hessian": None}


@dataclass(frozen=True)
class LandscapeWords:
    """What is drawn of which runs."""

    kind: Literal["plane", "line", "between", "runs", "trajectory", "hessian"] = setting(
        "plane",
        "plane and line about each run; between two; runs: the plane through three; the trajectory "
        "of one training; hessian: eigenvalues, trace and density",
    )
    axes: Literal["random", "hessian"] = setting(
        "random", "of a plane: filter-normalised directions, or the top two eigenvectors"
    )
    points: int = setting(21, "points a side; odd about a net")
    radius: float = setting(1.0, "how far along random directions, in their lengths")
    loss: str = setting("mse", "or horizon_0.8: frames until the correlation falls below 0.8")
    lead: int = setting(1, "frames ahead at which the loss is taken; the longest horizon")
    precision: Precision = setting("float32", "bfloat16 is faster, and tells its error")
    windows: int = setting(64, "windows that it is taken over; 0 takes all")
    split: Literal["train", "val"] = setting("val", "of which split; test stays closed")
    seed: int = setting(0, "of directions, probes and the choice of windows")
    probes: int = setting(16, "random vectors for trace and density")
    out: str | None = setting(None, "a folder; RUN/landscapes of the first run by default")
    html: bool = setting(False, "of planes also a page that turns under the mouse")
    device: str = setting("auto", "auto takes cuda, then mps, then cpu")

    @property
    def label(self) -> str:
        """What files are named by: the kind, with the loss where it is not the one-step error."""
        kind = f"{self.kind}-{self.axes}" if self.along_eigenvectors else self.kind
        plain = (self.loss, self.lead) == ("mse", 1)
        return kind if plain else f"{kind}-{self.loss}-lead{self.lead}"

    @property
    def along_eigenvectors(self) -> bool:
        """Whether it is a plane along eigenvectors of the Hessian."""
        return (self.kind, self.axes) == ("plane", "hessian")

    def __post_init__(self) -> None:
        for name, least in (("points", 3), ("lead", 1), ("windows", 0), ("probes", 0)):
            if getattr(self, name) < least:
                raise SlimeError(f"{name}={getattr(self, name)} must be at least {least}")
        if self.points % 2 == 0 and self.kind not in ("between", "hessian"):
            raise SlimeError(f"points={self.points} must be odd, so that the net itself is a point")
        if not 0 < self.radius < math.inf:
            raise SlimeError(f"radius={self.radius} must be above 0 and finite")
        if self.axes == "hessian" and self.kind != "plane":
            raise SlimeError(f"axes=hessian are those of a plane: kind={self.kind} has its own")
        check_loss(self.loss, self.precision)
        if self.loss != "mse" and "hessian" in (self.kind, self.axes):
            raise SlimeError(f"loss={self.loss} has no Hessian: it moves in steps")


def help_text() -> str:
    """The usage, and every key with its default and meaning."""
    return f"{USAGE}\n\n{settings_help(LandscapeWords)}"


def parse_words(words: Sequence[str]) -> tuple[list[Path], LandscapeWords]:
    """The runs' folders, and what is asked of them.

    Raises:
        SlimeError: too few or too many runs, a folder that holds none, an unknown key or value.
    """
    names, settings = names_and_settings(words)
    asked = spec_from_words(LandscapeWords, settings)
    wanted = N_RUNS[asked.kind]
    if not names or (wanted is not None and len(names) != wanted):
        raise SlimeError(f"kind={asked.kind} wants {wanted or 'one run or more'}; {USAGE}")
    if len({Path(name).resolve() for name in names}) < len(names):
        raise SlimeError(f"{', '.join(names)}: name each run once")
    for name in names:
        if not (Path(name) / "config.yaml").is_file():
            raise SlimeError(f"{name} holds no run: there is no {Path(name) / 'config.yaml'}")
    return [Path(name) for name in names], asked
