"""What may be chosen of the question where cells will aggregate, with its defaults."""

import math
from dataclasses import dataclass, field
from typing import Any

from slime.data_spec import DataSpec
from slime.errors import SlimeError
from slime.nets import NetSpec
from slime.optim import OptimSpec
from slime.prepare import shares_of
from slime.settings import setting


@dataclass(frozen=True)
class EnsembleSpec:
    """The movies that are simulated where no store is given."""

    n_movies: int = setting(80, "Dictyostelium movies, each of its own seed")
    size_px: int = setting(64, "height and width, pixels of 50 um")
    n_frames: int = setting(140, "frames a movie")
    frame_interval_s: float = setting(60.0, "seconds between frames")
    warm_up_min: float = setting(0.0, "minutes simulated before the first frame")
    folder: str = setting("data/aggregation", "where the movies are kept")


@dataclass(frozen=True)
class TruthSpec:
    """What a mound is, and when its place counts as known."""

    channel: Any = setting(None, "name or number of the channel of cells; the first by default")
    at_min: float | None = setting(
        None, "minutes after the first frame; the last frame of the shortest movie by default"
    )
    smooth_um: float = setting(100.0, "Gaussian over a frame before mounds are looked for")
    threshold: float | None = setting(
        None, "of a mound, stored units; by default Otsu's over the train movies' frames of truth"
    )
    otsu: int = setting(
        2, "how often Otsu's threshold is taken, each time of what lies above: 1 keeps streams too"
    )
    min_area_um2: float | None = setting(None, "smallest mound; pi smooth_um^2 by default")
    max_um: float = setting(500.0, "farthest that a found mound may lie from a true one")

    def __post_init__(self) -> None:
        for name in ("smooth_um", "max_um"):
            _check_above(f"truth.{name}", getattr(self, name))
        if self.at_min is not None:
            _check_above("truth.at_min", self.at_min)
        if self.otsu < 1:
            raise SlimeError(f"truth.otsu={self.otsu} must be at least 1")
        if self.min_area_um2 is not None and not 0 <= self.min_area_um2 < math.inf:
            raise SlimeError(f"truth.min_area_um2={self.min_area_um2} must be 0 or above")


@dataclass(frozen=True)
class HeatSpec:
    """The net that draws a map of future mounds from the first frames, and how it is trained."""

    net: NetSpec = field(default_factory=NetSpec)
    sigma_um: float = setting(150.0, "width of a mound on the map")
    apart_um: float = setting(300.0, "of two maxima nearer than this the higher one counts")
    lr: float = setting(3e-3, "learning rate at its highest")
    weight_decay: float = setting(1e-2, "AdamW's weight decay")
    epochs: int = setting(40, "passes over the train movies; the best one on validation is kept")
    batch_size: int = setting(16, "maps a step")

    def __post_init__(self) -> None:
        for name in ("sigma_um", "apart_um", "lr"):
            _check_above(f"heat.{name}", getattr(self, name))
        if not 0 <= self.weight_decay < math.inf:
            raise SlimeError(f"heat.weight_decay={self.weight_decay} must be 0 or above")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise SlimeError(f"heat.{name}={getattr(self, name)} must be at least 1")


@dataclass(frozen=True)
class RollSpec:
    """The next-frame forecaster that is rolled out to the truth."""

    step_min: float = setting(5.0, "minutes between two frames of the forecaster")
    n_in: int = setting(2, "frames that it reads")
    n_out: int = setting(2, "frames that its training loss sums over, each from its own")
    hop: int = setting(5, "frames between the starts of two training windows")
    net: NetSpec = field(default_factory=NetSpec)
    optim: OptimSpec = field(default_factory=OptimSpec)

    def __post_init__(self) -> None:
        _check_above("roll.step_min", self.step_min)
        for name in ("n_in", "n_out", "hop"):
            if getattr(self, name) < 1:
                raise SlimeError(f"roll.{name}={getattr(self, name)} must be at least 1")


@dataclass(frozen=True)
class AggregationSpec:
    """The whole question."""

    data: DataSpec = field(default_factory=DataSpec)
    ensemble: EnsembleSpec = field(default_factory=EnsembleSpec)
    truth: TruthSpec = field(default_factory=TruthSpec)
    heat: HeatSpec = field(default_factory=HeatSpec)
    roll: RollSpec = field(default_factory=RollSpec)
    given: list[int] = setting(
        [11, 21, 31, 41, 51, 61, 81, 101], "how many first frames are given, one after the other"
    )
    bin: int = setting(2, "pixels a side that are averaged to one before all else")
    seeds: int = setting(3, "nets of each kind, from different weights")
    seed: int = setting(0, "of the first of them, of the split and of the resampling")
    draws: int = setting(2000, "resamplings of the test movies")
    level: float = setting(0.95, "coverage of the intervals")
    device: str = setting("auto", "auto takes cuda, then mps, then cpu")
    out: str = setting("runs/mounds", "folder of tables, figures and nets; what it holds is kept")

    def __post_init__(self) -> None:
        if not self.given or min(self.given) < 1 or sorted(set(self.given)) != list(self.given):
            raise SlimeError(f"given={list(self.given)} must be rising numbers of frames from 1")
        for name in ("bin", "seeds", "draws"):
            if getattr(self, name) < 1:
                raise SlimeError(f"{name}={getattr(self, name)} must be at least 1")
        if not 0 <= self.seed < 2**31:
            raise SlimeError(f"seed={self.seed} must be at least 0 and below 2**31")
        if not 0 < self.level < 1:
            raise SlimeError(f"level={self.level} must be between 0 and 1")
        if "test" not in shares_of(self.data.shares):
            raise SlimeError(f"data.shares={self.data.shares} leaves no test movie")
        if self.data.crop is not None or self.data.mix or self.data.gap is not None:
            raise SlimeError("data.crop, data.mix and data.gap have no meaning here: whole movies")


def _check_above(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise SlimeError(f"{name}={value} must be above 0 and finite")
