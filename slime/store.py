"""Zarr arrays as lazy frames: read-only, projected as they are read, never silently filled."""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Bool
from xarray.core import indexing
from zarr.core.sync import sync

from slime.errors import MissingStoreError, StoreError, nearest, span_text

Axis = Literal["movie", "time", "channel", "z", "y", "x"]
FRAME_AXES = ("time", "channel", "y", "x")
PROJECTION_BYTES = 64 << 20  # decoded at once while projecting; more would only cost memory
GRID_CELLS = 50_000_000  # a chunk grid above this is metadata gone wrong, not a movie


def open_node(store: Any) -> zarr.Array | zarr.Group:
    """The zarr array or group at a path, always read-only (a plain `zarr.open` creates folders).

    Raises:
        MissingStoreError: nothing is at the path; names a near one.
        StoreError: something is there, but not a readable zarr store.
    """
    if isinstance(store, (zarr.Array, zarr.Group)):
        return store
    path = Path(store).expanduser() if isinstance(store, (str, Path)) else None
    if path is not None and not path.exists():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        raise MissingStoreError(
            f"there is no store at {str(path)!r}{nearest(path.name, [p.name for p in beside])}"
        )
    if path is not None and path.name.endswith(".partial"):
        raise StoreError(f"{str(path)!r} was not finished: run the command that makes it again")
    try:
        return zarr.open(str(path) if path else store, mode="r")
    except Exception as error:
        raise StoreError(
            f"{str(path or store)!r} holds no zarr array or group that can be read "
            f"({_one_line(error)})"
        ) from error


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


class ChunkGrid:
    """Which chunk (or shard) files of an array exist, listed once, when first asked."""

    def __init__(self, array: zarr.Array):
        self.array = array
        self.cell = tuple(array.shards or array.chunks)
        self.shape = tuple(
            math.ceil(n / c) if c else 0 for n, c in zip(array.shape, self.cell, strict=True)
        )

    @cached_property
    def present(self) -> Bool[np.ndarray, "..."]:
        """True where a chunk file exists; one cell a chunk, axes as stored."""
        if math.prod(self.shape) > GRID_CELLS:
            raise StoreError(
                f"array {self.array.name!r} of shape {self.array.shape} would have "
                f"{math.prod(self.shape)} chunks of {self.cell}: its metadata is damaged, or it "
                "wants larger chunks"
            )
        present = np.zeros(self.shape, bool)
        for key in sync(self._keys()):
            place = self._place(key)
            if place is not None:
                present[place] = True
        return present

    async def _keys(self) -> list[str]:
        root = self.array.store_path
        prefix = f"{root.path}/" if root.path else ""
        return [key.removeprefix(prefix) async for key in root.store.list_prefix(prefix)]

    def _place(self, key: str) -> tuple[int, ...] | None:
        """The cell of a chunk key, None for other keys."""
        words = key.replace(".", "/").split("/")
        if words[0] == "c":
            words = words[1:]
        if len(words) != len(self.shape) or not all(w.isdigit() for w in words):
            return None
        place = tuple(map(int, words))
        inside = all(i < n for i, n in zip(place, self.shape, strict=True))
        return place if inside and self.array.metadata.encode_chunk_key(place) == key else None


class StoredFrames(xr.backends.BackendArray):
    """A zarr array seen as (time, channel, y, x): read, projected and ordered block by block.

    Reading a block decodes only its chunks. A lone missing tile is an error unless `fill_missing`;
    frames whose chunks are all missing read as the fill value and count as blank (see `blank`).

    Args:
        axes: the meaning of each stored axis.
        z: "max", "mean" or the number of one slice; applied as blocks are read.
        select: positions along "movie" (one number) and "channel" (a list), where the store has
            these axes.
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
    ):
        self.array, self.axes, self.label, self.z = array, tuple(axes), label, z
        self.movie, self.fill_missing = movie, fill_missing
        self.grid = ChunkGrid(array)
        size = dict(zip(axes, array.shape, strict=True))
        self.channels = list(range(size.get("channel", 1))) if channels is None else list(channels)
        self.shape = (size["time"], len(self.channels), size["y"], size["x"])
        self.dtype = np.dtype("float32") if z == "mean" and "z" in axes else array.dtype

    @property
    def n_z(self) -> int:
        """Slices that a projection takes in; 1 where there is no z axis."""
        return dict(zip(self.axes, self.array.shape, strict=True)).get("z", 1)

    @property
    def chunk_frames(self) -> int:
        """Frames that one chunk (or shard) holds."""
        return self.grid.cell[self.axes.index("time")]

    @property
    def frame_nbytes(self) -> int:
        """Bytes that one projected frame takes in memory."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def fill_value(self) -> Any:
        """What the store gives for a chunk that is not there."""
        return self.array.fill_value

    @property
    def loss_is_error(self) -> bool:
        """True for stores of ours, in which every chunk was written, also the empty ones."""
        return self.array.attrs.get("written_by") == "slime"

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[int | slice, ...]) -> np.ndarray:
        spans = [slice(k, k + 1) if isinstance(k, (int, np.integer)) else k for k in key]
        frames = range(*spans[0].indices(self.shape[0]))
        if len(frames) and not self.fill_missing:
            self._check_tiles(frames)
        parts = [self._read_run(run, spans) for run in self._runs(frames)]
        block = np.concatenate(parts) if len(parts) != 1 else parts[0]
        dropped = tuple(0 if isinstance(k, (int, np.integer)) else slice(None) for k in key)
        return block[dropped]

    def _runs(self, frames: range) -> list[range]:
        """Frames in runs that decode at most PROJECTION_BYTES, cut where chunks end."""
        raw = math.prod(self.array.shape) // max(self.shape[0], 1) * self.array.dtype.itemsize
        if self.n_z == 1 or raw * len(frames) <= PROJECTION_BYTES:
            return [frames]
        n = max(PROJECTION_BYTES // raw // self.chunk_frames, 1) * self.chunk_frames
        n = max(n // frames.step, 1)
        return [frames[i : i + n] for i in range(0, len(frames), n)]

    def _read_run(self, frames: range, spans: Sequence[slice]) -> np.ndarray:
        where: dict[str, Any] = {
            "movie": self.movie,
            "time": slice(frames.start, frames.stop, frames.step),
            "channel": self.channels[spans[1]],
            "z": self.z if isinstance(self.z, int) else slice(None),
            "y": spans[2],
            "x": spans[3],
        }
        chosen = where["channel"]
        adjacent = chosen == list(range(chosen[0], chosen[0] + len(chosen))) if chosen else False
        if adjacent:
            where["channel"] = slice(chosen[0], chosen[0] + len(chosen))
        key = tuple(where[axis] for axis in self.axes)
        try:
            raw = np.asarray(self.array.oindex[key] if not adjacent else self.array[key])
        except Exception as error:
            raise self._unreadable(frames, error) from error
        left = [a for a, k in zip(self.axes, key, strict=True) if not isinstance(k, int)]
        if "z" in left:
            raw = _project(raw, left.index("z"), self.z)
            left.remove("z")
        if "channel" not in left:
            raw, left = np.expand_dims(raw, 0), ["channel", *left]
        return raw.transpose([left.index(a) for a in FRAME_AXES])

    def _unreadable(self, frames: range, error: Exception) -> StoreError:
        """Name the first chunk at fault by reading each chunk of the run alone."""
        place = ""
        for cell in product(*map(range, self.grid.shape)):
            first = cell[self.axes.index("time")] * self.chunk_frames
            if first >= frames.stop or first + self.chunk_frames <= frames.start:
                continue
            key = tuple(
                slice(i * c, (i + 1) * c) for i, c in zip(cell, self.grid.cell, strict=True)
            )
            try:
                self.array[key]
            except Exception as first_error:
                chunk = self.array.metadata.encode_chunk_key(cell)
                place, error = f"chunk {chunk!r}, ", first_error
                frames = range(first, min(first + self.chunk_frames, self.shape[0]))
                break
        return StoreError(
            f"{self.label}: {place}frames {frames[0]} to {frames[-1]} cannot be read "
            f"({_one_line(error)}): put the chunk back from a copy, or leave these frames out"
        )

    def _selected(self, present: Bool[np.ndarray, "..."]) -> Bool[np.ndarray, "t c z y x"]:
        """The chunk grid of the chosen movie and channels, in the order t c z y x."""
        axes = list(self.axes)
        if "movie" in axes:
            at = axes.index("movie")
            present = present.take((self.movie or 0) // self.grid.cell[at], axis=at)
            axes.remove("movie")
        if "channel" in axes:
            at = self.axes.index("channel")
            cells = sorted({c // self.grid.cell[at] for c in self.channels})
            present = present.take(cells, axis=axes.index("channel"))
        for axis in ("channel", "z"):
            if axis not in axes:
                present, axes = np.expand_dims(present, 0), [axis, *axes]
        present = present.transpose([axes.index(a) for a in ("time", "channel", "z", "y", "x")])
        if isinstance(self.z, int) and "z" in self.axes:
            cell = self.z // self.grid.cell[self.axes.index("z")]
            present = present[:, :, cell : cell + 1]
        return present

    def _of_frames(self, cells: Bool[np.ndarray, " chunks"]) -> Bool[np.ndarray, " t"]:
        return np.repeat(cells, self.chunk_frames)[: self.shape[0]]

    @cached_property
    def blank(self) -> Bool[np.ndarray, " t"]:
        """Frames of which some channel lacks every chunk: blank, or lost, which looks the same.

        Raises:
            StoreError: the store is one of ours, which writes every chunk, so they are lost.
        """
        absent = ~self._selected(self.grid.present).any(axis=(2, 3, 4))
        lacking = self._of_frames(absent.any(axis=1))
        if lacking.any() and self.loss_is_error and not self.fill_missing:
            raise StoreError(
                f"{self.label}: the chunks of frames {span_text(np.flatnonzero(lacking))} are "
                "lost: put them back from a copy, or go on with data.missing=fill"
            )
        return lacking

    @cached_property
    def blank_slices(self) -> Bool[np.ndarray, "t z_chunks"]:
        """Z slices (by chunk) of frames that are not blank, without a single chunk."""
        lacking = ~self._selected(self.grid.present).any(axis=(1, 3, 4))
        spread = np.repeat(lacking, self.chunk_frames, axis=0)[: self.shape[0]]
        return spread & ~self.blank[:, None]

    @cached_property
    def torn(self) -> Bool[np.ndarray, " t"]:
        """Frames that lack a y/x tile of a slice whose other tiles are there."""
        present = self._selected(self.grid.present)
        tile_lost = present.any(axis=(3, 4)) & ~present.all(axis=(3, 4))
        return self._of_frames(tile_lost.any(axis=(1, 2)))

    def _check_tiles(self, frames: range) -> None:
        torn = np.asarray(frames)[self.torn[frames.start : frames.stop : frames.step]]
        if torn.size:
            raise StoreError(
                f"{self.label}: {torn.size} frames lack a tile of the picture "
                f"({span_text(torn)}): put the chunks back from a copy, or go on with "
                "data.missing=fill"
            )
        _ = self.blank  # raises where our own store has lost frames


class BlankFrames(xr.backends.BackendArray):
    """The frames of StoredFrames that lack all chunks, as a lazy array along time."""

    def __init__(self, frames: StoredFrames):
        self.frames, self.shape, self.dtype = frames, frames.shape[:1], np.dtype(bool)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, lambda k: self.frames.blank[k]
        )


def lazy_variable(dims: Sequence[str], frames: xr.backends.BackendArray) -> xr.Variable:
    """An xarray variable that reads nothing until a block is asked for."""
    return xr.Variable(dims, indexing.LazilyIndexedArray(frames))


def _project(raw: np.ndarray, axis: int, z: str | int) -> np.ndarray:
    if z == "mean":
        return raw.mean(axis=axis, dtype=np.float32)
    return raw.max(axis=axis)
