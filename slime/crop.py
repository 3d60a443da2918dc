"""What of each frame windows show: all of it, or a part of a given size."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from slime.frames import WHOLE, area_shape, frame_nbytes
from slime.plan import Epoch

Area = tuple[slice, slice]  # rows and columns


class Crop(NamedTuple):
    """A part of each frame.

    Attributes:
        shape: (height, width) in pixels; None for whole frames.
        drawn: whether its place is drawn for each window; else it is the middle.
    """

    shape: tuple[int, int] | None
    drawn: bool

    def size(self, movie: xr.DataArray) -> tuple[int, int]:
        """Height and width that windows of a movie show."""
        return self.shape or (movie.sizes["y"], movie.sizes["x"])

    def room(self, movie: xr.DataArray) -> tuple[int, int]:
        """Pixels by which the crop may move in y and x."""
        height, width = self.size(movie)
        return movie.sizes["y"] - height, movie.sizes["x"] - width

    def area(self, movie: xr.DataArray) -> Area:
        """What is read of a movie's frames in every epoch: the middle where the crop stays there.

        All of them where the movie has a mask.
        """
        if self.shape is None or self.drawn or "mask" in movie.coords:
            return WHOLE
        (y, x), (height, width) = (r // 2 for r in self.room(movie)), self.shape
        return slice(y, y + height), slice(x, x + width)

    def frame_nbytes(self, movie: xr.DataArray) -> int:
        """Bytes in memory of a frame's area."""
        n_pixels = math.prod(area_shape(movie, self.area(movie)))
        return frame_nbytes(movie) * n_pixels // math.prod(movie.shape[1:])


def block_areas(
    movies: Sequence[xr.DataArray], epoch: Epoch, crop: tuple[int, int] | None, begin: int
) -> list[Area]:
    """For each block of an epoch the rows and columns that windows from number `begin` on need.

    The frames of a movie with a mask are needed whole: its masked pixels read as a frame's mean.
    """
    order = epoch.order
    if crop is None:
        return [WHOLE] * len(order)
    low = np.full((len(order), 2), np.iinfo(np.int64).max)
    high = np.zeros((len(order), 2), np.int64)
    before = {(b.movie, b.stop): place for place, b in enumerate(order)}
    after = {(b.movie, b.start): place for place, b in enumerate(order)}
    neighbours = np.array(
        [
            (
                before[b.movie, b.start] if b.before else place,
                place,
                after[b.movie, b.stop] if b.after else place,
            )
            for place, b in enumerate(order)
        ]
    )
    corner = epoch.corner[begin:]
    for touched in neighbours[epoch.block[begin:]].T:
        np.minimum.at(low, touched, corner)
        np.maximum.at(high, touched, corner + np.array(crop))
    return [
        WHOLE
        if "mask" in movies[b.movie].coords or (high[i] == 0).any()
        else (slice(int(low[i, 0]), int(high[i, 0])), slice(int(low[i, 1]), int(high[i, 1])))
        for i, b in enumerate(order)
    ]
