"""What of each frame windows show: all of it, or a part of a given size."""

import math
from typing import NamedTuple

import xarray as xr

from slime.frames import WHOLE, area_shape, frame_nbytes

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
