"""Reading on where chunks cannot be: the audit names every one of them, not the first."""

import copy
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool

from slime.errors import StoreError
from slime.frame_table import Block, read_block
from slime.lazy import BlankFrames, lazy_variable
from slime.movie import stored_frames
from slime.nodes import one_line


class Broken(NamedTuple):
    """A chunk that is there and cannot be decoded: its key, its frames and the decoder's words."""

    chunk: str
    start: int
    stop: int
    said: str

    @property
    def is_checksum(self) -> bool:
        """Whether the decoder tells of bytes that do not fit their checksum."""
        words = self.said.lower()
        return any(sign in words for sign in ("checksum", "crc", "corruption detected"))


class Segment(NamedTuple):
    """A run of frames that were read (None where they have no chunk), or could not be."""

    start: int
    stop: int
    block: Block | None
    broken: tuple[Broken, ...] = ()


def forgiving(movie: xr.DataArray) -> xr.DataArray:
    """The movie, read with lost chunks as fill value instead of an error."""
    stored = stored_frames(movie)
    if stored is None:
        return movie
    lenient = copy.copy(stored)
    lenient.fill_missing = True
    lenient.__dict__.pop("blank", None)
    return xr.DataArray(
        lazy_variable([str(d) for d in movie.dims], lenient),
        coords={**movie.coords, "blank": lazy_variable(("time",), BlankFrames(lenient))},
        name=movie.name,
        attrs=movie.attrs,
    )


def damaged(movie: xr.DataArray) -> Bool[np.ndarray, " t"]:
    """Frames that lack a tile or a whole shard, so that a part of them reads as fill value."""
    stored = stored_frames(movie)
    if stored is None:
        return np.zeros(movie.sizes["time"], bool)
    return stored.chunks.torn | stored.chunks.hollow


def read_segments(movie: xr.DataArray, start: int, stop: int) -> Iterator[Segment]:
    """A block's frames, in one segment, or cut where chunks cannot be decoded."""
    try:
        yield Segment(start, stop, read_block(movie, start, stop))
        return
    except StoreError:
        broken, bad = list(_broken_chunks(movie, start, stop)), _hollow(movie)[start:stop].copy()
        for chunk in broken:
            bad[max(chunk.start - start, 0) : chunk.stop - start] = True
        if not bad.any():
            raise
    edges = [0, *(np.flatnonzero(np.diff(bad)) + 1).tolist(), stop - start]
    for i, a in enumerate(edges[:-1]):
        a, b = start + a, start + edges[i + 1]
        own = tuple(chunk for chunk in broken if a <= chunk.start < b or chunk.start < a <= start)
        if bad[a - start]:
            yield Segment(a, b, None, own)
        else:
            yield Segment(a, b, read_block(movie, a, b))


def _hollow(movie: xr.DataArray) -> Bool[np.ndarray, " t"]:
    """Frames of which a shard is an empty file, which some decoders refuse."""
    stored = stored_frames(movie)
    return np.zeros(movie.sizes["time"], bool) if stored is None else stored.chunks.hollow


def _broken_chunks(movie: xr.DataArray, start: int, stop: int) -> Iterator[Broken]:
    """Each chunk of these frames that cannot be decoded, found by reading each one alone."""
    stored = stored_frames(movie)
    if stored is None:
        return
    grid, time = stored.chunks.grid, stored.axes.index("time")
    for cell in product(*stored.chunks.cells_of([start, stop - 1])):
        if grid.hollow[cell]:
            continue
        key = tuple(slice(i * c, (i + 1) * c) for i, c in zip(cell, grid.cell, strict=True))
        try:
            stored.decoder.read(key)
        except Exception as error:  # whatever the decoder makes of damaged bytes
            first = cell[time] * grid.cell[time]
            last = min(first + grid.cell[time], stored.shape[0])
            name = str(stored.array.metadata.encode_chunk_key(cell))
            yield Broken(name, first, last, one_line(error))
