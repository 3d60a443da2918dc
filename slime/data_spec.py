"""The settings under `data`: which movies, how they are opened, and how they are cut."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from slime.errors import SlimeError
from slime.settings import setting


@dataclass(frozen=True)
class DataSpec:
    """Which movies, how they are read and how they are cut."""

    stores: list[str] = setting(
        [], "zarr stores, paths or URLs; none is the demo, which simulates its own"
    )
    variable: str | None = setting(None, "array of a group that holds several")
    axes: Any = setting(None, "meaning of the stored axes, TCZYX or time,channel,z,y,x")
    channels: Any = setting(None, "names or numbers of the channels to keep; all by default")
    z: Any = setting("max", "projection of the z axis: max, mean or the number of a slice")
    mask: str | None = setting(
        None, "where pixels count: a variable of the store (~name inverts it), a .npy or zarr path"
    )
    frame_interval_s: float | None = setting(None, "seconds between frames; replaces the store's")
    pixel_um: float | None = setting(None, "micrometres a pixel; replaces the store's")
    experiment: Any = setting(
        None, "name of each store's experiment (one, or a list); by default the file's stem"
    )
    movie: int | None = setting(None, "which movie, where a store has an axis of them; all else")
    split: Literal["time", "movie"] = setting(
        "time", "cut each movie in time, or hold out whole experiments"
    )
    split_seed: int | None = setting(
        None, "draws the experiments that are held out (data.split=movie); by default seed"
    )
    shares: Any = setting(
        None, "shares of train, val and test (test may be absent); 0.7, 0.15, 0.15 by default"
    )
    gap: int | None = setting(
        None, "frames left out at each border; by default a window's span - 1 and an embargo"
    )
    blank: Literal["skip", "refuse"] = setting("skip", "what to do about blank frames")
    missing: Literal["refuse", "fill"] = setting("refuse", "what to do about lost chunks")
    links: Literal["refuse", "follow"] = setting(
        "refuse", "what to do about chunks that are links out of their store"
    )
    mix: bool = setting(False, "train on movies of different frame interval or pixel size at once")
    crop: Any = setting(
        None, "[height, width] in pixels cut from each window in training, the middle in validation"
    )
    memory_gib: float = setting(2.0, "decoded frames held in memory at once, GiB")

    def __post_init__(self) -> None:
        if not 0 < self.memory_gib < math.inf:
            raise SlimeError(f"data.memory_gib={self.memory_gib} must be above 0 and finite")
        for name in ("frame_interval_s", "pixel_um"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SlimeError(f"data.{name}={value} must be above 0 and finite")
        if not isinstance(self.axes, (str, list, tuple, type(None))):
            raise SlimeError(
                f"data.axes={self.axes} must be words such as time,channel,y,x or TCYX"
            )
        if not isinstance(self.channels, (str, int, list, tuple, type(None))):
            raise SlimeError(f"data.channels={self.channels} must be names or numbers of channels")
        if isinstance(self.experiment, dict):
            raise SlimeError(f"data.experiment={self.experiment} must be a name, or a list of them")
        if self.crop is not None and not _is_size(self.crop):
            raise SlimeError(f"data.crop={self.crop} must be [height, width] in pixels")
        if self.split_seed is not None and self.split_seed < 0:
            raise SlimeError(f"data.split_seed={self.split_seed} must be 0 or more")
        if self.gap is not None and self.gap < 0:
            raise SlimeError(f"data.gap={self.gap} must be 0 or more")

    @property
    def window_size(self) -> tuple[int, int] | None:
        """Height and width of a train window in pixels, None where frames are taken whole."""
        return (self.crop[0], self.crop[1]) if self.crop else None

    @property
    def memory_budget(self) -> int:
        """Bytes of decoded frames."""
        return int(self.memory_gib * (1 << 30))


def _is_size(value: Any) -> bool:
    """Whether a setting is two whole numbers above 0."""
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in value)
    )
