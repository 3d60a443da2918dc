"""Which chunks of an array are there, and what a lost one means for the frames of its movie."""

import asyncio
import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import zarr
from dask.utils import SerializableLock
from jaxtyping import Bool
from zarr.core.sync import sync

from slime.errors import SlimeError, StoreError, one_line
from slime.listing import Entry, UnlistedError, is_empty, listed
from slime.remote import RemoteStore, UnreachableError

METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
ASKED_AT_ONCE = 32  # requests to a server that keeps no lists
MOST_CELLS = 50_000_000  # frames or chunks above this are metadata gone wrong, not a movie


class _Files(NamedTuple):
    """What a listing of the chunk files shows."""

    present: Bool[np.ndarray, "..."]
    hollow: Bool[np.ndarray, "..."]
    outside: list[tuple[int, ...]]


class ChunkGrid:
    """Which chunk (or shard) files of an array exist, listed once, when first asked.

    A server that keeps no lists is asked for the first bytes of each chunk instead.

    Args:
        follow_links: read chunks that are links out of the store's folder.
        time: which axis is time, for the frames in messages.

    Raises:
        StoreError: the metadata claim more frames or chunks than any movie has.
    """

    def __init__(self, array: zarr.Array, label: str, *, follow_links: bool = False, time: int = 0):
        self.array, self.label, self.follow_links, self.time = array, label, follow_links, time
        self.cell = tuple(array.shards or array.chunks)
        if min(*self.cell, *array.chunks) < 1:
            raise StoreError(
                f"{label} claims chunks of {array.chunks}: every length must be at least 1, so the "
                "metadata are damaged"
            )
        self.shape = tuple(-(-n // c) for n, c in zip(array.shape, self.cell, strict=True))
        if max(math.prod(self.shape), *array.shape, 0) > MOST_CELLS:
            raise StoreError(
                f"{label} claims shape {array.shape} in {math.prod(self.shape)} chunks of "
                f"{self.cell}: above {MOST_CELLS} the metadata are damaged, or the chunks too small"
            )
        self._lock = SerializableLock()

    @property
    def _files(self) -> _Files:
        with self._lock:  # several threads read; one of them lists
            return self._files_once

    @cached_property
    def _files_once(self) -> _Files:
        try:
            return sync(self._listed())
        except SlimeError:
            raise
        except Exception as error:
            raise StoreError(
                f"{self.label}: the store does not tell which chunks it holds ({one_line(error)})"
            ) from error

    @property
    def present(self) -> Bool[np.ndarray, "..."]:
        """True where a chunk file with content exists; one cell a chunk, axes as stored."""
        return self._files.present

    @property
    def hollow(self) -> Bool[np.ndarray, "..."]:
        """True where a shard file exists and is empty: zarr would read it as the fill value."""
        return self._files.hollow

    @property
    def n_outside(self) -> int:
        """Chunk files beyond the array's shape: frames that the metadata have forgotten."""
        return len(self._files.outside)

    def key(self, cell: Sequence[int]) -> str:
        """Where a cell's chunk lies in the store."""
        root = self.array.store_path
        place = self.array.metadata.encode_chunk_key(tuple(int(i) for i in cell))
        return f"{root.path}/{place}" if root.path else place

    def gone(self, cell: Sequence[int]) -> bool:
        """Whether a chunk that was listed is there no longer, or is an empty shard now."""
        return sync(self._gone(self.key(cell)))

    async def _gone(self, key: str) -> bool:
        store = self.array.store_path.store
        if not await store.exists(key):
            return True
        return self.array.shards is not None and await is_empty(store, key)

    async def _listed(self) -> _Files:
        root = self.array.store_path
        prefix = f"{root.path}/" if root.path else ""
        files = _Files(np.zeros(self.shape, bool), np.zeros(self.shape, bool), [])
        try:
            async for entry in listed(root.store, prefix):
                await self._note(entry, entry.key.removeprefix(prefix), files)
        except UnlistedError:
            assert isinstance(root.store, RemoteStore)
            return await self._asked(root.store)
        return files

    async def _note(self, entry: Entry, key: str, files: _Files) -> None:
        place = self._place(key)
        if entry.leads_out and not self.follow_links:
            self._refuse_link(key, place)
        if place is None:
            return
        if any(i >= n for i, n in zip(place, self.shape, strict=True)):
            files.outside.append(place)
        # an empty chunk cannot be decoded and says so; an empty shard decodes to nothing
        elif self.array.shards is not None and not (
            entry.n_bytes or not await is_empty(self.array.store_path.store, entry.key)
        ):
            files.hollow[place] = True
        else:
            files.present[place] = True

    async def _asked(self, store: RemoteStore) -> _Files:
        """The chunks of a server that keeps no lists, by a request for each."""
        present, hollow = np.zeros(self.shape, bool), np.zeros(self.shape, bool)
        cells = np.ndindex(*self.shape)

        async def ask() -> None:
            for cell in cells:  # shared: each worker takes the next one
                try:
                    head = await store.head(self.key(cell))
                except UnreachableError as error:
                    raise self._unreachable(cell, error) from error
                if head is not None:
                    (hollow if self.array.shards is not None and not head else present)[cell] = True

        await asyncio.gather(*(ask() for _ in range(min(ASKED_AT_ONCE, math.prod(self.shape)))))
        return _Files(present, hollow, [])

    def _unreachable(self, cell: Sequence[int], error: UnreachableError) -> StoreError:
        length, n_frames = self.cell[self.time], self.array.shape[self.time]
        first = cell[self.time] * length
        return StoreError(
            f"{self.label}: frames {first} to {min(first + length, n_frames) - 1} cannot be read: "
            f"{error}: try again when the server answers"
        )

    def _refuse_link(self, key: str, place: tuple[int, ...] | None) -> None:
        if place is None and key.rpartition("/")[2] not in METADATA:
            return  # a file that is never read
        raise StoreError(
            f"{self.label}: {key!r} is a link that leads out of the store: data.links=follow reads "
            "it all the same"
        )

    def _place(self, key: str) -> tuple[int, ...] | None:
        """The cell of a chunk key, None for other keys."""
        words = key.replace(".", "/").split("/")
        if words[0] == "c":
            words = words[1:]
        if len(words) != len(self.shape) or not all(w.isdecimal() for w in words):
            return None
        place = tuple(map(int, words))
        return place if self.array.metadata.encode_chunk_key(place) == key else None


class FrameChunks:
    """The chunk grid as the frames of one movie see it, of the chosen channels and slices.

    Args:
        axes: the meaning of each stored axis.
        movie: the position along the axis of movies, where there is one.
        z: the number of the slice that is read, None for all.
    """

    def __init__(
        self,
        grid: ChunkGrid,
        axes: Sequence[str],
        *,
        movie: int | None,
        channels: Sequence[int],
        z: int | None,
    ):
        self.grid, self.axes = grid, tuple(axes)
        self.movie, self.channels, self.z = movie or 0, list(channels), z
        self.size = dict(zip(axes, grid.array.shape, strict=True))
        self.cell = dict(zip(axes, grid.cell, strict=True))

    def _chosen(self, cells: Bool[np.ndarray, "..."]) -> Bool[np.ndarray, "t c z y x"]:
        """Cells of the chosen movie, channels and slices, in the order t c z y x."""
        axes = list(self.axes)
        if "movie" in axes:
            cells = cells.take(self.movie // self.cell["movie"], axis=axes.index("movie"))
            axes.remove("movie")
        if "channel" in axes:
            touched = sorted({c // self.cell["channel"] for c in self.channels})
            cells = cells.take(touched, axis=axes.index("channel"))
        if "z" in axes and self.z is not None:
            cells = cells.take([self.z // self.cell["z"]], axis=axes.index("z"))
        for axis in ("channel", "z"):
            if axis not in axes:
                cells, axes = np.expand_dims(cells, 0), [axis, *axes]
        return cells.transpose([axes.index(a) for a in ("time", "channel", "z", "y", "x")])

    def _by_frame(self, cells: Bool[np.ndarray, "chunks *rest"]) -> Bool[np.ndarray, "t *rest"]:
        n_frames = self.size["time"]
        return np.repeat(cells, min(self.cell["time"], n_frames), axis=0)[:n_frames]

    @cached_property
    def lost(self) -> Bool[np.ndarray, " t"]:
        """Frames of which some channel lacks every chunk: blank, or lost, which looks the same."""
        there = np.logical_or.reduce(self._chosen(self.grid.present), axis=(2, 3, 4))
        return self._by_frame(~np.logical_and.reduce(there, axis=1))

    @cached_property
    def torn(self) -> Bool[np.ndarray, " t"]:
        """Frames that lack a y/x tile of a slice whose other tiles are there."""
        present = self._chosen(self.grid.present)
        tile_lost = present.any(axis=(3, 4)) & ~present.all(axis=(3, 4))
        return self._by_frame(np.logical_or.reduce(tile_lost, axis=(1, 2)))

    @cached_property
    def hollow(self) -> Bool[np.ndarray, " t"]:
        """Frames of which a shard file is empty."""
        hollow = self._chosen(self.grid.hollow)
        return self._by_frame(np.logical_or.reduce(hollow, axis=(1, 2, 3, 4)))

    def cells_of(self, frames: Sequence[int]) -> list[range]:
        """For each stored axis the cells that a read of these frames touches."""
        touched = {a: range(n) for a, n in zip(self.axes, self.grid.shape, strict=True)}
        if "movie" in touched:
            touched["movie"] = range(self.movie // self.cell["movie"], self.movie + 1)[:1]
        if "z" in touched and self.z is not None:
            touched["z"] = range(self.z // self.cell["z"], self.z + 1)[:1]
        first, last = (f // self.cell["time"] for f in (min(frames), max(frames)))
        touched["time"] = range(first, last + 1)
        return [touched[a] for a in self.axes]
