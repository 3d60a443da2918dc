"""Zarr stores of any layout that slime opens: their movie, projected and checked as it is read."""

from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Shaped

from slime.frames import chunk_grid
from slime.ingest.source import Facts, RawArray, Source
from slime.movie import open_movie, stored_source
from slime.nodes import open_node
from slime.places import local_path


def store_source(path: str, **choices: Any) -> Source:
    """A store through `open_movie`; choices are its arguments.

    Raises:
        SlimeError: as `open_movie`.
    """
    movie, notes = open_movie(path, **choices), []
    times = movie["time"] if "time" in movie.coords else None
    blank = (
        np.flatnonzero(np.asarray(movie["blank"].values, bool)) if "blank" in movie.coords else []
    )
    if len(blank):
        notes = [*notes, f"{len(blank)} frames have no chunk and are written as fill value"]
    left = _left_out(path, movie)
    if left:
        notes = [*notes, f"only the movie is taken; left out: {', '.join(left)}"]
    return Source(
        label=str(movie.name),
        kind="zarr",
        files=[] if (place := local_path(path)) is None else [place],
        axes=("time", "channel", "y", "x"),
        shape=movie.shape,
        dtype=movie.dtype.newbyteorder("="),
        opener=partial(_open_store, path, choices),
        facts=Facts(
            frame_interval_s=movie.attrs["frame_interval_s"],
            pixel_um=movie.attrs["pixel_um"],
            times_s=None if times is None else np.asarray(times.values, float),
            channels=[str(name) for name in movie["channel"].values],
            notes=notes,
        ),
        chunk_frames=chunk_grid(movie)[0],
    )


def _left_out(path: str, movie: xr.DataArray) -> list[str]:
    """Other arrays of the store that hold a value for each pixel, such as masks."""
    node, source = open_node(path), stored_source(movie)
    if not isinstance(node, zarr.Group) or source is None:
        return []
    taken = source.frames.array.shape[-2:]
    return [
        name
        for name, array in sorted(node.arrays())
        if array.path != source.frames.array.path and array.ndim >= 2 and array.shape[-2:] == taken
    ]


def _open_store(path: str, choices: dict[str, Any], stack: ExitStack) -> RawArray:
    return _Lazy(open_movie(path, **choices))


class _Lazy:
    """A movie read block by block, in the thread that asks."""

    def __init__(self, movie: xr.DataArray):
        self._movie = movie
        self.shape, self.dtype = movie.shape, movie.dtype

    def __getitem__(self, key: Any) -> Shaped[np.ndarray, "..."]:
        """Pixels of a tuple of whole numbers and slices, one an axis."""
        return self._movie.variable[key].compute(scheduler="synchronous").values
