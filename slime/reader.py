"""Blocks of frames read ahead in threads, each chunk once, no more in memory than were planned."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
import xarray as xr
from jaxtyping import Shaped

from slime.crop import Area
from slime.frames import WHOLE, area_shape, chunk_grid, read_frames
from slime.gather import Frames, Held
from slime.plan import Block, Epoch
from slime.reuse import Memory, Room

READ_AHEAD = 2  # blocks in flight beside those that are being mixed, at most; as many threads


def read_held(
    movie: xr.DataArray,
    start: int,
    stop: int,
    area: Area = WHOLE,
    out: Shaped[np.ndarray, "t c y x"] | None = None,
) -> Frames:
    """Frames start to stop of a movie in memory, or the given area of them."""
    pixels, mask = read_frames(movie, start, stop, area=area, out=out)
    return Frames(start, pixels, mask, (area[0].start or 0, area[1].start or 0))


def read_whole(movie: xr.DataArray, blocks: Sequence[tuple[int, int]], area: Area) -> Frames:
    """Consecutive blocks as one run of frames, read in threads without a second copy of all."""
    first, stop = blocks[0][0], blocks[-1][1]
    shape = (stop - first, *area_shape(movie, area))
    pixels = np.empty(shape, movie.dtype)
    mask = np.empty(shape, bool) if "mask" in movie.coords else None

    def fill(block: tuple[int, int]) -> None:
        rows = slice(block[0] - first, block[1] - first)
        held = read_held(movie, *block, area, pixels[rows])
        if held.pixels.base is not pixels:
            pixels[rows] = held.pixels
        if mask is not None and held.mask is not None:
            mask[rows] = held.mask

    pool = ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="slime-read")
    try:
        list(pool.map(fill, blocks))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return Frames(first, pixels, mask, (area[0].start or 0, area[1].start or 0))


class BlockReader:
    """The blocks of an epoch, from its window number `begin` on; a context, for its threads.

    A block that needs the last frames of its predecessor, or the first ones of the segment after
    it, gets a copy that was kept when these were read. At most `n_held` blocks are in memory, and
    memory that a block gives back takes the next one. A block without windows is read for its edges
    alone, where its neighbours would each decode the same chunk for theirs.

    Args:
        areas: for each block the rows and columns that its windows and its neighbours' need.
        room: memory for blocks and edges; all of it is given back at the end.
    """

    def __init__(
        self,
        movies: Sequence[xr.DataArray],
        epoch: Epoch,
        span: int,
        areas: Sequence[Area],
        *,
        n_held: int,
        begin: int,
        room: Room,
    ):
        self.movies, self.epoch, self.n_edge, self.n_held = movies, epoch, span - 1, n_held
        self.areas = areas
        self.n_frames_read, self.wait_s, self.most_held = 0, 0.0, 0
        self._last_row = np.full(len(epoch.order), -1)
        np.maximum.at(self._last_row, epoch.block, np.arange(len(epoch.block)))
        with_windows = np.flatnonzero(self._last_row >= begin).tolist()
        self._before = {(b.movie, b.stop): place for place, b in enumerate(epoch.order)}
        self._after = {(b.movie, b.start): place for place, b in enumerate(epoch.order)}
        self._lenders = self._only_lending(with_windows)
        self._needed = sorted([*with_windows, *self._lenders])
        self._n_asked, self._lock = 0, threading.Lock()
        self._blocks: dict[int, Future[Held]] = {}
        self._for_blocks, self._for_edges = room
        self._loans: dict[int, list[tuple[Memory, np.ndarray]]] = {p: [] for p in self._needed}
        self._edges = self._kept_edges()
        self._pool = ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="slime-read")

    def __enter__(self) -> "BlockReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for place in list(self._loans):
            self._give_back(place)

    def rows(self, begin: int, stop: int) -> Iterator[list[Held]]:
        """Frames that hold these windows, in order, some at a time; valid until the next ones."""
        some: list[Held] = []
        for row in range(begin, stop):
            place = int(self.epoch.block[row])
            self._ask(place)
            block = self._blocks[place]
            if not block.done():
                began = time.perf_counter()
                block.exception()
                self.wait_s += time.perf_counter() - began
            some.append(block.result())
            if self._last_row[place] == row:
                yield some
                some = []
                del self._blocks[place]
                self._give_back(place)
        yield some

    def _give_back(self, place: int) -> None:
        for memory, array in self._loans.pop(place):
            memory.give(array)

    def _ask(self, place: int) -> None:
        """Have the blocks up to this place read, and those after it while there is room."""
        for lender in [p for p in self._lenders if p in self._blocks and self._blocks[p].done()]:
            self._lenders.remove(lender)
            del self._blocks[lender]
            self._give_back(lender)
        while self._n_asked < len(self._needed):
            following = self._needed[self._n_asked]
            if following > place and len(self._blocks) >= self.n_held:
                break
            self._blocks[following] = self._pool.submit(self._load, following)
            self._n_asked += 1
            self.most_held = max(self.most_held, len(self._blocks))

    def _only_lending(self, with_windows: Sequence[int]) -> set[int]:
        """Blocks without windows of which two others need edges that lie in one chunk."""
        order, borrowers = self.epoch.order, Counter[int]()
        for place in with_windows:
            block = order[place]
            for wants, lender in (
                (block.before, self._before.get((block.movie, block.start), place)),
                (block.after, self._after.get((block.movie, block.stop), place)),
            ):
                borrowers[lender] += bool(wants) and lender < place
        lenders = set()
        for place in set(borrowers) - set(with_windows):
            block = order[place]
            length, offset = chunk_grid(self.movies[block.movie])
            first_of_end = (block.stop - self.n_edge - offset) // length
            last_of_start = (block.start + self.n_edge - 1 - offset) // length
            if borrowers[place] == 2 and first_of_end <= last_of_start:
                lenders.add(place)
        return lenders

    def _kept_edges(self) -> dict[tuple[int, str], Future[Frames]]:
        """A future for each edge that a later block will want of an earlier one."""
        order, needed = self.epoch.order, set(self._needed)
        edges: dict[tuple[int, str], Future[Frames]] = {}
        for place in self._needed:
            block = order[place]
            before = self._before.get((block.movie, block.start), place)
            after = self._after.get((block.movie, block.stop), place)
            # Only of blocks read earlier: a thread that waits for a later one might wait for ever.
            if block.before and before in needed and before < place:
                edges[before, "end"] = Future()
            if block.after and after in needed and after < place:
                edges[after, "start"] = Future()
        return edges

    def _load(self, place: int) -> Held:
        try:
            return self._joined(place)
        except BaseException as error:
            for side in ("end", "start"):
                waiting = self._edges.get((place, side))
                if waiting is not None and not waiting.done():
                    waiting.set_exception(error)
            raise

    def _joined(self, place: int) -> Held:
        block, area = self.epoch.order[place], self.areas[place]
        core = self._read(block, block.start, block.stop, area, self._room(place))
        n = min(self.n_edge, block.stop - block.start)
        for side, first in (("end", block.stop - n), ("start", block.start)):
            wanted = self._edges.get((place, side))
            if wanted is not None:
                room = self._for_edges.take((n, *core.pixels.shape[1:]), core.pixels.dtype)
                wanted.set_result(core.cut(first, first + n, room))
        parts = [core]
        if place in self._lenders:
            return Held((core,))
        if block.before:
            before = self._before[block.movie, block.start]
            parts.insert(0, self._edge(place, (before, "end"), block.first, block.start))
        if block.after:
            after = self._after[block.movie, block.stop]
            parts.append(self._edge(place, (after, "start"), block.stop, block.last))
        return Held(tuple(parts))

    def _room(self, place: int) -> Shaped[np.ndarray, "t c y x"]:
        """Memory for a block, given back when its last window was emitted."""
        block = self.epoch.order[place]
        movie = self.movies[block.movie]
        shape = (block.stop - block.start, *area_shape(movie, self.areas[place]))
        room = self._for_blocks.take(shape, movie.dtype)
        self._loans[place].append((self._for_blocks, room))
        return room

    def _edge(self, place: int, source: tuple[int, str], first: int, stop: int) -> Frames:
        """Frames first to stop as kept, else (a resumed epoch) from the store."""
        kept = self._edges.get(source)
        if kept is None:
            return self._read(self.epoch.order[place], first, stop, self.areas[source[0]])
        held = kept.result()
        del self._edges[source]  # not before: the lender looks for it when it has read
        self._loans[place].append((self._for_edges, held.pixels))
        return held if held.first == first else held.cut(first, stop)

    def _read(
        self,
        block: Block,
        start: int,
        stop: int,
        area: Area,
        out: Shaped[np.ndarray, "t c y x"] | None = None,
    ) -> Frames:
        with self._lock:
            self.n_frames_read += stop - start
        return read_held(self.movies[block.movie], start, stop, area, out)
