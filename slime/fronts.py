"""How far a front of a wave moves in one lead, and whether the net sees as far.

A pixel of the next frame that a net makes depends on pixels within its receptive radius alone. A
front that comes from further away cannot be forecast, however long the net is trained.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from slime.errors import SlimeError, StoreError
from slime.frames import GIB, enough_gib, frame_nbytes, reading_nbytes
from slime.observables.choices import Choices
from slime.observables.fields import smoothed
from slime.observables.measure_waves import measure_waves
from slime.observables.reading import Field, needed_nbytes, read_field
from slime.split import Split

MOST_FRAMES = 200  # the last ones of a train split
MOST_PIXELS = 128  # along a side; larger frames are binned


@dataclass(frozen=True)
class Front:
    """Motion of the fronts in one channel, in pixels a lead: the median, 5th and 95th percentile.

    Attributes:
        where: the movie and frames that it was measured on.
    """

    channel: str
    px_per_lead: float
    low: float
    high: float
    where: str


def measure_fronts(
    movies: Sequence[xr.DataArray], splits: Sequence[Split], *, step: int, memory_budget: int
) -> tuple[list[Front], list[str]]:
    """Front motion in each channel with waves, on the last 200 frames of the longest split (train).

    Nothing is given where too few pixels repeat themselves to be waves, or where a wave is longer
    than the frame: what flashes everywhere at once has no front. Where measuring does not fit
    `memory_budget` (bytes), a note beside says so.

    Raises:
        StoreError: a chunk cannot be read.
    """
    own = [i for i, movie in enumerate(movies) if not movie.attrs.get("twin_of")]
    chosen = max(own or range(len(movies)), key=lambda i: len(splits[i]))
    movie, split = movies[chosen], splits[chosen]
    start = max(split.start, split.stop - MOST_FRAMES)
    film = movie.isel(time=slice(start, split.stop))
    bin_px = math.ceil(max(*movie.shape[2:]) / MOST_PIXELS)
    shape = len(film), movie.sizes["y"] // bin_px, movie.sizes["x"] // bin_px
    if min(shape) < 1:
        return [], []
    needed = needed_nbytes(shape) + frame_nbytes(movie) + reading_nbytes(movie, 1)
    if needed > memory_budget:
        return [], [
            f"how far fronts move was not measured: it takes {enough_gib(needed)} GiB, but "
            f"data.memory_gib is {memory_budget / GIB:.2g}"
        ]
    found = []
    for channel in range(movie.sizes["channel"]):
        try:
            field = read_field(
                film, channel, bin_px=bin_px, memory_budget=memory_budget, first=start
            )
        except StoreError:
            raise
        except SlimeError:  # dark in all of these frames: nothing moves
            continue
        found += _front(field, str(movie.name), step, bin_px)
    return found, []


def _front(field: Field, movie: str, step: int, bin_px: int) -> list[Front]:
    choices = Choices()
    seen = np.stack([smoothed(frame, choices.smooth_px) for frame in field.frames])
    _, rows = measure_waves(seen, field, choices)
    by_name = {row.observable: row for row in rows}
    speed, length = by_name.get("wave_speed"), by_name.get("wavelength")
    diagonal = math.hypot(*field.frames.shape[1:]) * field.units.pixel_um
    if speed is None or length is None or not length.value < diagonal:
        return []
    px = field.units.frame_interval_s * step * bin_px / field.units.pixel_um
    last = field.first + len(field.frames) - 1
    where = f"{movie}, frames {field.first} to {last}"
    return [Front(field.channel, speed.value * px, speed.low * px, speed.high * px, where)]


def describe_field(kind: str, radius: int | None, fronts: Sequence[Front]) -> str:
    """How far a net sees in one lead, beside how far fronts move.

    >>> describe_field("cnn", 4, [Front("camp", 1.83, 1.37, 4.9, "a dish, frames 0 to 69")])
    'cnn sees 4 px around a pixel; fronts of camp move 1.8 px a lead (1.4 to 4.9)'
    """
    seen = "the whole frame" if radius is None else f"{radius} px around a pixel"
    moving = ", ".join(
        f"{f.channel} move {f.px_per_lead:.2g} px a lead ({f.low:.2g} to {f.high:.2g})"
        for f in fronts
    )
    return f"{kind} sees {seen}" + (f"; fronts of {moving}" if moving else "")


def short_sight(kind: str, radius: int | None, fronts: Sequence[Front]) -> list[str]:
    """A note for each channel whose fronts move further in a lead than the net sees."""
    return [
        f"{kind} sees {radius} px around a pixel, but fronts of channel {f.channel} move "
        f"{f.px_per_lead:.2g} px a lead ({f.where}): it sees too little of what comes; a larger "
        "net.depth (net.kernel of patch_mlp) or frames closer in time would do"
        for f in fronts
        if radius is not None and f.px_per_lead > radius
    ]
