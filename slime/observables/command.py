"""The words after measure_movie: a store and settings; what is written of each movie."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from slime.errors import SlimeError
from slime.files import write_text
from slime.folders import check_place
from slime.observables.choices import Choices
from slime.observables.measure import Measured, measure
from slime.observables.reading import read_field
from slime.observables.table import Row, csv_text
from slime.observables.waves import dispersion_curve
from slime.opening import OpeningSpec
from slime.prepare import open_stores
from slime.progress import Progress
from slime.settings import names_and_settings, setting, settings_help, spec_from_words

USAGE = "usage: python scripts/measure_movie.py STORE|RUN out=PATH [key=value ...]"
COLUMNS = ("movie", "channel", *Row._fields)


@dataclass(frozen=True)
class MeasureSpec(OpeningSpec):
    """How a store is opened and what is looked for."""

    out: str | None = setting(None, "folder of the tables and figures; measured/<store> by default")
    memory_gib: float = setting(2.0, "memory for frames and what is made of them, GiB")
    smooth_px: float = setting(
        2.0, "Gaussian over each frame before waves and mounds, binned pixels"
    )
    bin: int = setting(1, "pixels a side that are averaged to one: less memory, less noise")
    waves: Literal["bright", "dark"] = setting("bright", "how a wave looks in this channel")
    shortest_s: float | None = setting(None, "shortest period looked for; 3 frames by default")
    longest_s: float | None = setting(None, "longest one; a third of the movie by default")
    threshold: float | None = setting(None, "of a mound, in stored units; Otsu's by default")
    min_area_um2: float | None = setting(None, "smallest mound; the area of the smoothing")
    missing: Literal["refuse", "fill"] = setting("refuse", "what to do about lost chunks")

    def __post_init__(self) -> None:
        if not 0 <= self.smooth_px < np.inf:
            raise SlimeError(f"smooth_px={self.smooth_px} must be 0 or above")
        if self.bin < 1:
            raise SlimeError(f"bin={self.bin} must be 1 or above")
        for name in ("shortest_s", "longest_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise SlimeError(f"{name}={value} must be above 0")

    @property
    def choices(self) -> Choices:
        """What of this is about measuring."""
        return Choices(
            self.smooth_px,
            self.waves == "dark",
            self.shortest_s,
            self.longest_s,
            self.threshold,
            self.min_area_um2,
        )


class OfMovie(NamedTuple):
    """A movie and what was measured of each of its channels."""

    movie: xr.DataArray
    channels: list[Measured]


def parse_words(words: Sequence[str]) -> tuple[str, MeasureSpec]:
    """The store and the settings of a command line; data.axes=... may stand for axes=...

    Raises:
        SlimeError: no store or several, an unknown key, a value or a folder that cannot be.
    """
    stores, settings = names_and_settings(words)
    given = [word.removeprefix("data.") for word in settings]
    if len(stores) != 1:
        raise SlimeError(f"name one store, not {len(stores)}; {USAGE}")
    spec = spec_from_words(MeasureSpec, given)
    check_place(Path(spec.out or "measured"))
    return stores[0], spec


def help_text() -> str:
    """The usage, and every key with its default and meaning."""
    return "\n".join([USAGE, "", "Settings (key=default):", settings_help(MeasureSpec)])


def measure_store(
    store: str, spec: MeasureSpec, *, progress: Progress | None = None
) -> list[OfMovie]:
    """Everything of every channel of every movie of a store; one channel in memory at a time.

    Raises:
        SlimeError: the store cannot be read as asked, or does not fit the memory.
    """
    data = spec.data(store)
    return [
        measure_channels(movie, spec, data.memory_budget, progress=progress)
        for movie in open_stores(data)[0]
    ]


def measure_channels(
    movie: xr.DataArray,
    spec: MeasureSpec,
    memory_budget: int,
    *,
    first: int = 0,
    progress: Progress | None = None,
) -> OfMovie:
    """Everything of every channel of a movie whose frames are numbered from `first` on."""
    channels = []
    for c in range(movie.sizes["channel"]):
        field = read_field(
            movie,
            c,
            bin_px=spec.bin,
            memory_budget=memory_budget,
            first=first,
            progress=progress,
        )
        channels.append(measure(field, spec.choices, progress=progress))
    return OfMovie(movie, channels)


def silences(movie: xr.DataArray) -> list[str]:
    """What the movie does not say of its units, and what stands for it."""
    said = []
    if not movie.attrs.get("frame_interval_s"):
        said.append("times are in frames: give frame_interval_s=SECONDS")
    if not movie.attrs.get("pixel_um"):
        said.append("lengths are in pixels: give pixel_um=MICROMETRES")
    return [f"{movie.name}: {line}" for line in said]


def write_tables(of_movie: OfMovie, folder: Path) -> None:
    """observables.csv, series.csv (a row a frame), mounds.csv (last frame's) and dispersion.csv."""
    label, channels = str(of_movie.movie.name), of_movie.channels
    rows = [(label, one.field.channel, *row) for one in channels for row in one.rows]
    write_text(folder / "observables.csv", csv_text(COLUMNS, rows))
    names = list(dict.fromkeys(name for one in channels for name in one.series))
    head = ["movie", "channel", "frame", f"time_{channels[0].field.units.time}", *names]
    write_text(
        folder / "series.csv",
        csv_text(head, [r for one in channels for r in _series(label, one, names)]),
    )
    length = channels[0].field.units.length
    head = ["movie", "channel", "frame", f"y_{length}", f"x_{length}", f"area_{length}2"]
    mounds = [
        (label, one.field.channel, one.field.first + len(one.field.frames) - 1, *place, area)
        for one in channels
        for place, area in zip(
            one.mounds.position_um.tolist(), one.mounds.area_um2.tolist(), strict=True
        )
    ]
    write_text(folder / "mounds.csv", csv_text(head, mounds))
    time = channels[0].field.units.time
    periods = [f"{name}_{time}" for name in ("shortest", "longest", "period")]
    speeds = [f"{name}_{length}/{time}" for name in ("speed", "low", "high")]
    waves = [
        (label, one.field.channel, *bin_of_pairs)
        for one in channels
        if one.waves is not None
        for bin_of_pairs in dispersion_curve(one.waves.pairs)
    ]
    head = ["movie", "channel", *periods, *speeds, "n"]
    write_text(folder / "dispersion.csv", csv_text(head, waves))


def _series(label: str, one: Measured, names: Sequence[str]) -> list[tuple[Any, ...]]:
    n, first = len(one.field.frames), one.field.first
    unknown = np.full(n, np.nan)
    columns = [one.series.get(name, unknown).tolist() for name in names]
    every = one.field.units.frame_interval_s
    return [
        (label, one.field.channel, first + t, (first + t) * every, *values)
        for t, values in enumerate(zip(*columns, strict=True))
    ]
