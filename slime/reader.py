"""Blocks of frames read ahead in threads, each chunk once, no more in memory than were planned."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Shaped

from slime.frames import read_frames
from slime.plan import Block, Epoch

READ_AHEAD = 2  # blocks in flight beside those that are being mixed; as many threads


class Held(NamedTuple):
    """Frames in memory, from frame `first` of their movie on, with their mask if there is one."""

    first: int
    frames: Shaped[np.ndarray, "t c y x"]
    mask: Bool[np.ndarray, "t c y x"] | None

    def cut(self, first: int, stop: int) -> "Held":
        """A copy of the frames first to stop, so that the others can be freed."""
        rows = slice(first - self.first, stop - self.first)
        mask = None if self.mask is None else self.mask[rows].copy()
        return Held(first, self.frames[rows].copy(), mask)


def read_held(movie: xr.DataArray, start: int, stop: int) -> Held:
    """Frames start to stop of a movie in memory."""
    return Held(start, *read_frames(movie, start, stop))


def read_whole(movie: xr.DataArray, blocks: Sequence[tuple[int, int]]) -> Held:
    """Consecutive blocks as one run of frames, read in threads without a second copy of all."""
    first, stop = blocks[0][0], blocks[-1][1]
    shape = (stop - first, *movie.shape[1:])
    frames = np.empty(shape, movie.dtype)
    mask = np.empty(shape, bool) if "mask" in movie.coords else None

    def fill(block: tuple[int, int]) -> None:
        rows = slice(block[0] - first, block[1] - first)
        held = read_held(movie, *block)
        frames[rows] = held.frames
        if mask is not None and held.mask is not None:
            mask[rows] = held.mask

    pool = ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="slime-read")
    try:
        list(pool.map(fill, blocks))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return Held(first, frames, mask)


class BlockReader:
    """The blocks of an epoch, from its window number `begin` on; a context, for its threads.

    A block that needs the last frames of its predecessor, or the first ones of the segment after
    it, gets a copy that was kept when these were read. At most `n_held` blocks are in memory.
    """

    def __init__(
        self, movies: Sequence[xr.DataArray], epoch: Epoch, span: int, n_held: int, begin: int
    ):
        self.movies, self.epoch, self.n_edge, self.n_held = movies, epoch, span - 1, n_held
        self.n_frames_read, self.wait_s, self.most_held = 0, 0.0, 0
        self._last_row = np.full(len(epoch.order), -1)
        np.maximum.at(self._last_row, epoch.block, np.arange(len(epoch.block)))
        self._needed = np.flatnonzero(self._last_row >= begin).tolist()
        self._n_asked, self._lock = 0, threading.Lock()
        self._blocks: dict[int, Future[Held]] = {}
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

    def rows(self, begin: int, stop: int) -> Iterator[Held]:
        """For each of these windows, in order, frames that hold it; valid until the next one."""
        for row in range(begin, stop):
            place = int(self.epoch.block[row])
            self._ask(place)
            began = time.perf_counter()
            held = self._blocks[place].result()
            self.wait_s += time.perf_counter() - began
            yield held
            if self._last_row[place] == row:
                del self._blocks[place], held

    def _ask(self, place: int) -> None:
        """Have the blocks up to this place read, and those after it while there is room."""
        while self._n_asked < len(self._needed):
            following = self._needed[self._n_asked]
            if following > place and len(self._blocks) >= self.n_held:
                break
            self._blocks[following] = self._pool.submit(self._load, following)
            self._n_asked += 1
            self.most_held = max(self.most_held, len(self._blocks))

    def _kept_edges(self) -> dict[tuple[int, str], Future[Held]]:
        """A future for each edge that a later block will want of an earlier one."""
        order, needed = self.epoch.order, set(self._needed)
        self._before = {(b.movie, b.stop): place for place, b in enumerate(order)}
        self._after = {(b.movie, b.start): place for place, b in enumerate(order)}
        edges: dict[tuple[int, str], Future[Held]] = {}
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
        block = self.epoch.order[place]
        core = self._read(block, block.start, block.stop)
        n = min(self.n_edge, block.stop - block.start)
        for side, first in (("end", block.stop - n), ("start", block.start)):
            wanted = self._edges.get((place, side))
            if wanted is not None:
                wanted.set_result(core.cut(first, first + n))
        parts = [core]
        if block.before:
            before = self._before[block.movie, block.start]
            parts.insert(0, self._edge(block, (before, "end"), block.first, block.start))
        if block.after:
            after = self._after[block.movie, block.stop]
            parts.append(self._edge(block, (after, "start"), block.stop, block.last))
        return _joined(parts)

    def _edge(self, block: Block, source: tuple[int, str], first: int, stop: int) -> Held:
        """Frames first to stop as kept, else (a resumed epoch) from the store."""
        kept = self._edges.get(source)
        if kept is None:
            return self._read(block, first, stop)
        held = kept.result()
        del self._edges[source]  # not before: the lender looks for it when it has read
        return held if held.first == first else held.cut(first, stop)

    def _read(self, block: Block, start: int, stop: int) -> Held:
        with self._lock:
            self.n_frames_read += stop - start
        return read_held(self.movies[block.movie], start, stop)


def _joined(parts: Sequence[Held]) -> Held:
    if len(parts) == 1:
        return parts[0]
    masks = [p.mask for p in parts if p.mask is not None]
    return Held(
        parts[0].first,
        np.concatenate([p.frames for p in parts]),
        np.concatenate(masks) if masks else None,
    )
