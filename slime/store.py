"""Zarr arrays as lazy frames: read-only, projected as they are read, never silently filled."""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import zarr
from jaxtyping import Bool, Shaped
from xarray.backends import BackendArray
from xarray.core import indexing

from slime.axes import FRAME_AXES, Axis
from slime.blame import unreadable
from slime.chunks import ChunkGrid, FrameChunks
from slime.engine import Decoder
from slime.errors import StoreError, span_text
from slime.guard import ReadGuard
from slime.positions import Picked, as_index, positions
from slime.projection import project, projected_together

MEMORY_BUDGET = 2 << 30  # bytes that one chunk may decode to, unless the user allows more


class StoredFrames(BackendArray):
    """A zarr array seen as (time, channel, y, x): read, projected and ordered block by block.

    Reading a block decodes only its chunks. A lone missing tile is an error unless `fill_missing`;
    frames whose chunks are all missing read as the fill value and count as blank (see `blank`).

    Args:
        axes: the meaning of each stored axis.
        z: "max", "mean" or the number of one slice; applied as blocks are read. "all" is for masks:
            True where a pixel is not 0 in every slice.
        movie: the position along the axis of movies, where there is one.
        channels: positions along the axis of channels; all by default.
        follow_links: read chunks that are links out of the store's folder.
        memory_budget: bytes; a chunk that decodes to more is refused.
    """

    def __init__(
        self,
        array: zarr.Array,
        axes: Sequence[Axis],
        *,
        label: str,
        z: str | int = "max",
        movie: int | None = None,
        channels: Sequence[int] | None = None,
        fill_missing: bool = False,
        follow_links: bool = False,
        memory_budget: int = MEMORY_BUDGET,
    ):
        self.decoder = Decoder(array)
        self.array = self.decoder.array
        self.axes, self.label, self.z = tuple(axes), label, z
        self.movie, self.fill_missing = movie, fill_missing
        self._size = size = dict(zip(axes, array.shape, strict=True))
        self.channels = list(range(size.get("channel", 1))) if channels is None else list(channels)
        self.shape = (size["time"], len(self.channels), size["y"], size["x"])
        self.dtype = np.dtype("float32") if z == "mean" and "z" in axes else array.dtype
        self.memory_budget = memory_budget
        time = self.axes.index("time")
        grid = ChunkGrid(array, label, follow_links=follow_links, time=time)
        self.guard = ReadGuard(grid)
        self.chunks = FrameChunks(
            grid,
            self.axes,
            movie=movie,
            channels=self.channels,
            z=z if isinstance(z, int) else None,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "StoredFrames":
        return self  # it is never changed, and what it has listed is listed once

    @property
    def n_z(self) -> int:
        """Slices that a projection takes in; 1 where there is no z axis or one slice is chosen."""
        return 1 if isinstance(self.z, int) else self._size.get("z", 1)

    @property
    def chunk_frames(self) -> int:
        """Frames that are decoded together: a chunk's, also where a shard holds several chunks."""
        return self.array.chunks[self.axes.index("time")]

    @property
    def fill_value(self) -> Any:
        """What a chunk that is not there reads as."""
        fill = self.array.fill_value
        return self.array.dtype.type(0 if fill is None else fill)

    @property
    def loss_is_error(self) -> bool:
        """True for stores of ours, in which every chunk was written, also the empty ones."""
        return self.array.attrs.get("written_by") == "slime"

    def reading_nbytes(self, n_frames: int, *, side_by_side: bool = True) -> int:
        """Bytes needed beside the result while this many frames are read: whole chunks, decoded.

        Args:
            side_by_side: False leaves out that the decoder works on several chunks at once.
        """
        chunk = dict(zip(self.axes, self.array.chunks, strict=True))
        decoded = self.array.dtype.itemsize
        for axis in ("channel", "y", "x", "z"):
            if axis in chunk:
                decoded *= -(-self._size[axis] // chunk[axis]) * chunk[axis]
        if isinstance(self.z, int) and "z" in chunk:
            decoded = decoded // -(-self._size["z"] // chunk["z"])
        decoded *= chunk.get("movie", 1)
        together = self._together(n_frames) if self.n_z > 1 else n_frames
        n_decoded = -(-together // self.chunk_frames) * self.chunk_frames
        if self.n_z > 1:
            return decoded * n_decoded * 2
        cell = self.array.dtype.itemsize * math.prod(self.array.chunks)
        at_once = (self.decoder.at_once if side_by_side else 1) * cell
        # another order of axes is decoded whole, and then turned
        in_order = self.axes == tuple(a for a in ("movie", *FRAME_AXES) if a in self.axes)
        return min(at_once, decoded * n_decoded) + (0 if in_order else decoded * n_decoded)

    def _together(self, n_frames: int) -> int:
        raw = math.prod(self.shape[1:]) * self.n_z * self.array.dtype.itemsize
        return projected_together(n_frames, self.chunk_frames, raw)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        picked = [positions(k, n) for k, n in zip(key, self.shape, strict=True)]
        block, _ = self.projected(*picked)
        whole = slice(None)
        dropped = tuple(0 if isinstance(k, (int, np.integer)) else whole for k in key)
        return np.asarray(block[dropped])

    def projected(
        self,
        frames: Picked,
        channels: Picked | None = None,
        y: Picked | None = None,
        x: Picked | None = None,
        *,
        out: Shaped[np.ndarray, "t c y x"] | None = None,
    ) -> tuple[Shaped[np.ndarray, "t c y x"], Bool[np.ndarray, "t c z"] | None]:
        """Frames at these positions, and which of their slices hold anything (None without z).

        Args:
            out: memory to read into, of the frames' shape and type.

        Raises:
            StoreError: a chunk cannot be read, or is lost (see `check_chunks`).
        """
        channels = range(self.shape[1]) if channels is None else channels
        y = range(self.shape[2]) if y is None else y
        x = range(self.shape[3]) if x is None else x
        if not self.fill_missing:
            self.check_chunks(frames)
        shape = (len(frames), len(channels), len(y), len(x))
        self.guard.check_memory(shape, self.dtype, self.memory_budget)
        block = np.empty(shape, self.dtype) if out is None else out
        if self.n_z == 1:
            self._decode(block[:, :, None], frames, channels, y, x)
            return block, None
        there = np.empty((len(frames), len(channels), self.n_z), bool)
        turn = np.asarray(frames) // self._together(len(frames))
        bounds = [*np.flatnonzero(np.diff(turn, prepend=-1)), len(frames)]
        everywhere = range(self.shape[2]), range(self.shape[3])  # an empty slice is empty all over
        for a, b in pairwise(bounds):
            shape = (int(b - a), len(channels), self.n_z, *self.shape[2:])
            self.guard.check_slices(shape, self.memory_budget)
            raw = np.empty(shape, self.array.dtype)
            self._decode(raw, frames[a:b], channels, *everywhere)
            whole, there[a:b] = project(raw, str(self.z), self.fill_value)
            block[a:b] = whole[:, :, as_index(y)][..., as_index(x)]
        return block, there

    def _decode(
        self,
        block: Shaped[np.ndarray, "t c z y x"],
        frames: Picked,
        channels: Picked,
        y: Picked,
        x: Picked,
    ) -> None:
        """Slices as stored into `block`, those of a chosen number or without a z axis as one."""
        movie = self.movie or 0
        z = slice(self.z, self.z + 1) if isinstance(self.z, int) else slice(None)
        where: dict[str, Any] = {
            "movie": slice(movie, movie + 1),
            "time": as_index(frames),
            "channel": as_index(np.asarray(self.channels)[as_index(channels)]),
            "z": z,
            "y": as_index(y),
            "x": as_index(x),
        }
        key = tuple(where[axis] for axis in self.axes)
        order = ["time", "channel", "z", "y", "x"]
        absent = [k for k, axis in enumerate(order) if axis not in self.axes]
        left = [axis for axis in order if axis in self.axes]
        target = block.squeeze(tuple(absent))
        if "movie" in self.axes:
            target, left = target[None], ["movie", *left]
        target = target.transpose([left.index(axis) for axis in self.axes])  # a view, as stored
        scattered = any(isinstance(k, np.ndarray) for k in key)
        self.guard.before(key, look=scattered or self.decoder.name != "direct")
        try:
            missing = self.decoder.read_into(key, target)
        except Exception as error:
            self.guard.before(key)  # another decoder, which finds the fault, would believe a claim
            raise unreadable(self.decoder, self.chunks, self.label, frames, error) from error
        if missing is None:
            missing = self.guard.filled(key, target, self.fill_value)
        self.guard.check_gone(missing)

    @cached_property
    def blank(self) -> Bool[np.ndarray, " t"]:
        """Frames of which some channel lacks every chunk: blank, or lost, which looks the same.

        Raises:
            StoreError: the store is one of ours, which writes every chunk, so they are lost.
        """
        lost = self.chunks.lost
        if lost.any() and self.loss_is_error and not self.fill_missing:
            raise StoreError(
                f"{self.label}: the chunks of frames {span_text(np.flatnonzero(lost))} are "
                "lost: put them back from a copy, or go on with data.missing=fill"
            )
        return lost

    def check_chunks(self, frames: Picked) -> None:
        """Refuse to read frames of which a part is lost.

        Raises:
            StoreError: tiles are missing, a shard is an empty file, or our own store lacks frames.
        """
        if not len(frames):
            return
        place = as_index(frames)
        for of_frame, what in (
            (self.chunks.hollow, "have a shard that is an empty file"),
            (self.chunks.torn, "lack a tile of the picture"),
        ):
            found = np.asarray(frames)[of_frame[place]]
            if found.size:
                raise StoreError(
                    f"{self.label}: {found.size} frames {what} ({span_text(found)}): put the "
                    "chunks back from a copy, or go on with data.missing=fill"
                )
        _ = self.blank  # raises where our own store has lost frames
