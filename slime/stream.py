"""Batches of windows from movies of any size: resident where they fit, streamed by blocks else."""

import math
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from slime.errors import SlimeError
from slime.movie import check_movie, nonfinite_error, stored_frames
from slime.plan import Block, arrival_order, emission_keys, time_blocks, window_blocks
from slime.split import Split
from slime.windows import WindowSpec, starts_clear_of, window_starts

READ_AHEAD = 2  # blocks in flight beside those that are being mixed
GIB = 1 << 30


class Batch(NamedTuple):
    """Windows in movie units, float32; `mask` is True where a target pixel counts."""

    past: Float[Tensor, "b t c y x"]
    future: Float[Tensor, "b lead c y x"]
    mask: Bool[Tensor, "b lead c y x"] | None
    movie: Int[Tensor, " b"]
    start: Int[Tensor, " b"]


class _Held(NamedTuple):
    """Frames in memory, from frame `first` of their movie on, with their mask if there is one."""

    first: int
    frames: np.ndarray
    mask: np.ndarray | None


@dataclass(frozen=True)
class _Plan:
    """One epoch: windows in order of emission, and their blocks in order of reading."""

    movie: Int[np.ndarray, " windows"]
    start: Int[np.ndarray, " windows"]
    block: Int[np.ndarray, " windows"]
    corner: Int[np.ndarray, "windows 2"]
    order: list[Block]


class WindowStream(IterableDataset[Batch]):
    """All windows of the splits as batches, each exactly once an epoch.

    Where the splits fit `memory_budget` in their stored dtype they are decoded once, in the
    constructor, and shuffled fully; else blocks are read ahead in threads, each chunk once an
    epoch, and mixed (see slime.plan). Each `iter()` is the next epoch, in an order that depends on
    seed and epoch alone; seed=None keeps time order. Windows that touch a frame marked in the
    movie's coord `blank` are left out.

    Iterate it, or `DataLoader(stream, batch_size=None)`. A batch's memory is used again once
    nothing refers to it.

    Args:
        movies: movies of equal channels and, without `crop`, equal size.
        splits: for each movie the frames to take windows from.
        memory_budget: bytes of decoded frames held at once, batches apart.
        crop: (height, width) in pixels cut from each window: at random, or from the middle where
            seed is None.
        device: where batches arrive.

    Raises:
        SlimeError: lists of unequal length, sizes that cannot share a batch, a gap shorter than
            span - 1, no window, pixels that are not finite, or a budget too small for the blocks
            that one window needs.
    """

    def __init__(
        self,
        movies: Sequence[xr.DataArray],
        splits: Sequence[Split],
        spec: WindowSpec,
        *,
        batch_size: int,
        seed: int | None = None,
        memory_budget: int = 2 * GIB,
        crop: tuple[int, int] | None = None,
        device: str | torch.device = "cpu",
    ):
        self.movies, self.splits, self.spec = list(movies), list(splits), spec
        self.batch_size, self.seed, self.crop = batch_size, seed, crop
        self.memory_budget, self.device = memory_budget, torch.device(device)
        self._check()
        self.starts = [_starts(m, s, spec) for m, s in zip(self.movies, self.splits, strict=True)]
        if not self.n_windows:
            raise SlimeError(
                f"no window of {spec.span} frames is free of blank frames in split "
                f"{self.splits[0].name!r}: a smaller window.n_in or step would do"
            )
        self._ranges = [
            time_blocks(s.start, s.stop, _chunk_frames(m), spec.span)
            for m, s in zip(self.movies, self.splits, strict=True)
        ]
        self._epoch, self._batch, self._resume_at = -1, 0, 0
        self._ring: list[np.ndarray] = []
        self.wait_s = 0.0
        self.frames_read = 0
        nbytes = sum(len(s) * _frame_nbytes(m) for m, s in zip(self.movies, splits, strict=True))
        self.resident = nbytes <= memory_budget
        self._n_live = self._live_blocks()
        self._held = [self._whole(i) for i in range(len(self.movies))] if self.resident else None

    def _check(self) -> None:
        if not self.movies or len(self.movies) != len(self.splits):
            raise SlimeError(
                f"{len(self.movies)} movies and {len(self.splits)} splits: one split a movie"
            )
        if self.batch_size < 1:
            raise SlimeError(f"optim.batch_size={self.batch_size} must be at least 1")
        for movie, split in zip(self.movies, self.splits, strict=True):
            check_movie(movie)
            if split.stop > movie.sizes["time"]:
                raise SlimeError(
                    f"split {split.name!r} ends at frame {split.stop}, but {movie.name} has "
                    f"{movie.sizes['time']}"
                )
            if split.gap is not None and split.gap < self.spec.span - 1:
                raise SlimeError(
                    f"data.gap={split.gap} at the borders of split {split.name!r}{split.where} is "
                    f"shorter than a window's span - 1 = {self.spec.span - 1} frames"
                )
        self._check_sizes()

    def _check_sizes(self) -> None:
        shapes = {(m.sizes["channel"], m.sizes["y"], m.sizes["x"]) for m in self.movies}
        if len({c for c, _, _ in shapes}) > 1:
            raise SlimeError(
                f"movies of {sorted(c for c, _, _ in shapes)} channels cannot be mixed"
            )
        if self.crop is None and len(shapes) > 1:
            sizes = ", ".join(f"{m.name} {m.sizes['y']} x {m.sizes['x']}" for m in self.movies)
            raise SlimeError(
                f"movies of unequal size cannot share a batch ({sizes}): data.crop=[height,width]"
            )
        for movie in self.movies:
            if self.crop and (self.crop[0] > movie.sizes["y"] or self.crop[1] > movie.sizes["x"]):
                raise SlimeError(
                    f"data.crop={list(self.crop)} is larger than {movie.name}: "
                    f"{movie.sizes['y']} x {movie.sizes['x']}"
                )

    @property
    def n_windows(self) -> int:
        """Windows in an epoch."""
        return sum(map(len, self.starts))

    def __len__(self) -> int:
        """Batches in an epoch; the last may be smaller."""
        return math.ceil(self.n_windows / self.batch_size)

    def state_dict(self) -> dict[str, int]:
        """The position: the epoch under way and the batches of it that were handed out."""
        return {"epoch": self._epoch, "batch": self._batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position: the next `iter()` gives what was left of that epoch."""
        done = state["epoch"] >= 0 and state["batch"] >= len(self)
        self._epoch = state["epoch"] if done else max(state["epoch"], 0) - 1
        self._resume_at = 0 if done else state["batch"]
        self._batch = state["batch"]

    def __iter__(self) -> Iterator[Batch]:
        if get_worker_info() is not None:
            raise SlimeError(
                "a WindowStream reads ahead in threads of its own: DataLoader(stream, "
                "batch_size=None, num_workers=0)"
            )
        self._epoch += 1
        first, self._resume_at = self._resume_at, 0
        self._batch = first
        plan = self._plan(self._epoch)
        batches = self._resident_batches(plan, first) if self.resident else self._read(plan, first)
        for batch in batches:
            self._batch += 1
            yield batch

    # --- the plan ---

    def _plan(self, epoch: int) -> _Plan:
        rng = None if self.seed is None else np.random.default_rng((self.seed, epoch))
        spans = [self.spec.span] * len(self.movies)
        order = arrival_order(self._ranges, spans, self._n_live, rng)
        movie = np.repeat(np.arange(len(self.movies)), [len(s) for s in self.starts])
        start = np.concatenate(self.starts)
        block = np.concatenate(
            [window_blocks(order, i, s, self.spec.span) for i, s in enumerate(self.starts)]
        )
        if rng is None:
            corner = np.array([self._middle(self.movies[i]) for i in movie])
            return _Plan(movie, start, block, corner.reshape(-1, 2), order)
        n_live = len(order) if self.resident else self._n_live
        keys = emission_keys(block, len(order), n_live, rng)
        corner = self._corners(movie, rng)
        turn = np.argsort(keys, kind="stable")
        return _Plan(movie[turn], start[turn], block[turn], corner[turn], order)

    def _middle(self, movie: xr.DataArray) -> tuple[int, int]:
        height, width = self.crop or (movie.sizes["y"], movie.sizes["x"])
        return (movie.sizes["y"] - height) // 2, (movie.sizes["x"] - width) // 2

    def _corners(
        self, movie: Int[np.ndarray, " windows"], rng: np.random.Generator
    ) -> Int[np.ndarray, "windows 2"]:
        if self.crop is None:
            return np.zeros((len(movie), 2), int)
        room = np.array(
            [(m.sizes["y"] - self.crop[0], m.sizes["x"] - self.crop[1]) for m in self.movies]
        )
        return rng.integers(0, room[movie] + 1)

    def _live_blocks(self) -> int:
        """Blocks to mix: as many as the budget holds beside those in flight."""
        span = self.spec.span
        largest = max(
            (b - a + 2 * (span - 1)) * _frame_nbytes(m)
            for m, blocks in zip(self.movies, self._ranges, strict=True)
            for a, b in blocks
        )
        n_live = self.memory_budget // largest - READ_AHEAD - 1
        if not self.resident and n_live < 1:
            raise SlimeError(
                f"memory_budget={self.memory_budget} bytes is too small: blocks of {largest} bytes "
                f"are read, and {READ_AHEAD + 2} must be held; data.memory_gib of "
                f"{(READ_AHEAD + 2) * largest / GIB:.2g}, or a store with shorter chunks, would do"
            )
        return max(1, int(n_live))

    # --- frames into batches ---

    def _whole(self, i: int) -> _Held:
        split = self.splits[i]
        self.frames_read += len(split)
        return _Held(split.start, *read_frames(self.movies[i], split.start, split.stop))

    def _resident_batches(self, plan: _Plan, first: int) -> Iterator[Batch]:
        assert self._held is not None
        for i in range(first, len(self)):
            rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
            yield self._gather(plan, rows, [self._held[m] for m in plan.movie[rows]])

    def _read(self, plan: _Plan, first: int) -> Iterator[Batch]:
        """Batches from `first` on, reading only the blocks that they still need."""
        rows_of = np.arange(len(plan.block)) // self.batch_size
        last_use = np.full(len(plan.order), -1)
        np.maximum.at(last_use, plan.block, rows_of)
        needed = [int(a) for a in np.flatnonzero(last_use >= first)]
        with ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="slime-read") as pool:
            reader = _BlockReader(self, plan.order, pool)
            try:
                for i in range(first, len(self)):
                    rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
                    wanted = plan.block[rows]
                    reader.ask(needed, int(wanted.max()), self._n_live + READ_AHEAD)
                    waited = time.perf_counter()
                    held = [reader.block(int(a)) for a in wanted]
                    self.wait_s += time.perf_counter() - waited
                    yield self._gather(plan, rows, held)
                    del held
                    reader.free(a for a in needed if last_use[a] <= i)
                    needed = [a for a in needed if last_use[a] > i]
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _gather(self, plan: _Plan, rows: slice, held: Sequence[_Held]) -> Batch:
        spec, n = self.spec, len(held)
        height, width = self.crop or self.movies[0].shape[2:]
        shape = (n, spec.n_frames, self.movies[0].sizes["channel"], height, width)
        pixels = self._buffer(shape, np.dtype("float32"))
        counts = None
        if any(h.mask is not None for h in held) or self._masked:
            counts = self._buffer((n, spec.n_out, *shape[2:]), np.dtype(bool))
        for k, (block, start, (y, x)) in enumerate(
            zip(held, plan.start[rows], plan.corner[rows], strict=True)
        ):
            at = start - block.first
            frames = slice(at, at + spec.span, spec.step)
            area = (slice(None), slice(y, y + height), slice(x, x + width))
            np.copyto(pixels[k], block.frames[(frames, *area)], casting="unsafe")
            if counts is not None:
                future = slice(at + spec.n_in * spec.step, at + spec.span, spec.step)
                counts[k] = True if block.mask is None else block.mask[(future, *area)]
        both = torch.from_numpy(pixels).to(self.device, non_blocking=True)
        return Batch(
            both[:, : spec.n_in],
            both[:, spec.n_in :],
            None if counts is None else torch.from_numpy(counts).to(self.device),
            torch.from_numpy(plan.movie[rows].copy()).to(self.device),
            torch.from_numpy(plan.start[rows].copy()).to(self.device),
        )

    @property
    def _masked(self) -> bool:
        return any("mask" in m.coords for m in self.movies)

    def _buffer(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array that no batch in use refers to: fresh pages cost more than the copy."""
        for spare in self._ring:
            # The ring's own reference, the loop's and getrefcount's argument: nobody else's.
            if spare.shape == shape and spare.dtype == dtype and sys.getrefcount(spare) == 3:
                return spare
        fresh = np.empty(shape, dtype)
        if len(self._ring) < 8:
            self._ring.append(fresh)
        return fresh


class _BlockReader:
    """Blocks read ahead in threads; each keeps its last frames for the block that follows."""

    def __init__(self, stream: WindowStream, order: Sequence[Block], pool: ThreadPoolExecutor):
        self.stream, self.order, self.pool = stream, order, pool
        self.futures: dict[int, Future[_Held]] = {}
        self.edges: dict[tuple[int, int, str], _Held] = {}
        self.ending = {(b.movie, b.stop): place for place, b in enumerate(order)}
        self.lock = threading.Lock()
        self.n_asked = 0

    def ask(self, needed: Sequence[int], must: int, n_held: int) -> None:
        """Start reading the blocks up to `must`, and more while fewer than `n_held` are held."""
        for place in needed:
            if place in self.futures:
                continue
            if place > must and len(self.futures) >= n_held:
                break
            self.futures[place] = self.pool.submit(self._load, place)

    def block(self, place: int) -> _Held:
        return self.futures[place].result()

    def free(self, places: Iterator[int]) -> None:
        for place in list(places):
            self.futures.pop(place, None)

    def _load(self, place: int) -> _Held:
        block = self.order[place]
        movie = self.stream.movies[block.movie]
        core = _Held(block.start, *read_frames(movie, block.start, block.stop))
        with self.lock:
            self.stream.frames_read += block.stop - block.start
        parts = [core]
        if block.before:
            parts.insert(0, self._edge(block.movie, block.first, block.start))
        if block.after:
            parts.append(self._edge(block.movie, block.stop, block.last))
        whole = parts[0] if len(parts) == 1 else _joined(parts)
        self._keep_edges(block, whole)
        return whole

    def _keep_edges(self, block: Block, whole: _Held) -> None:
        """Copy the frames that a later block needs of this one: its end, and a segment's start."""
        n = self.stream.spec.span - 1
        if not n:
            return
        with self.lock:
            if block.after == 0:
                a = max(block.stop - n, whole.first)
                self.edges[block.movie, block.stop, "end"] = _cut(whole, a, block.stop)
            if block.before == 0 and block.start > self.stream.splits[block.movie].start:
                b = min(block.start + n, block.stop)
                self.edges[block.movie, block.start, "start"] = _cut(whole, block.start, b)

    def _edge(self, movie: int, first: int, stop: int) -> _Held:
        """Frames first to stop from what was kept, else (a resumed epoch) from the store."""
        before = self.futures.get(self.ending.get((movie, stop), -1))
        if before is not None:
            before.result()  # asked for earlier, so it is running or done
        with self.lock:
            kept = self.edges.pop((movie, stop, "end"), None)
            if kept is None:
                kept = self.edges.pop((movie, first, "start"), None)
        if kept is not None and kept.first <= first and kept.first + len(kept.frames) >= stop:
            return _cut(kept, first, stop)
        with self.lock:
            self.stream.frames_read += stop - first
        return _Held(first, *read_frames(self.stream.movies[movie], first, stop))


class WindowDataset(Dataset[tuple[Tensor, Tensor]]):
    """The windows of one split as (past `t c y x`, future `lead c y x`) pairs, by number.

    Holds the split's frames in memory, in their stored dtype: for small movies, notebooks and any
    DataLoader. Pairs are float32, in movie units; windows that touch a blank frame are left out.
    """

    def __init__(self, movie: xr.DataArray, split: Split, spec: WindowSpec):
        self.spec, self.starts = spec, _starts(check_movie(movie), split, spec)
        self._held = _Held(split.start, *read_frames(movie, split.start, split.stop))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        at = int(self.starts[i]) - self._held.first
        window = self._held.frames[at : at + self.spec.span : self.spec.step]
        pixels = torch.from_numpy(window.astype(np.float32))
        return pixels[: self.spec.n_in], pixels[self.spec.n_in :]


def _starts(movie: xr.DataArray, split: Split, spec: WindowSpec) -> Int[np.ndarray, " windows"]:
    starts = window_starts(split, spec)
    if "blank" not in movie.coords:
        return starts
    return starts_clear_of(starts, spec, np.asarray(movie["blank"].values, bool))


def _chunk_frames(movie: xr.DataArray) -> int:
    frames = stored_frames(movie)
    return frames.chunk_frames if frames else 1


def _frame_nbytes(movie: xr.DataArray) -> int:
    mask = movie.coords.get("mask")
    moving = mask is not None and "time" in mask.dims
    pixels = math.prod(movie.shape[1:])
    return pixels * (movie.dtype.itemsize + (1 if moving else 0))


def read_frames(movie: xr.DataArray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Frames start to stop as stored, and their mask (True counts) where the movie has one.

    Both have axes t c y x.

    Raises:
        StoreError: a chunk is lost or cannot be read, or a pixel that counts is not finite.
    """
    part = movie.isel(time=slice(start, stop))
    frames, mask = part.variable.values, None
    if "mask" in movie.coords:
        mask = part["mask"].variable.set_dims(dict(part.sizes)).values
    if frames.dtype.kind == "f":
        frames = _finite(movie, frames, mask, start)
    return frames, mask


def _finite(
    movie: xr.DataArray, frames: np.ndarray, mask: np.ndarray | None, start: int
) -> np.ndarray:
    """The frames, refused where a pixel that counts is not finite.

    Pixels that are masked out and not finite read as the mean of their frame's finite pixels, the
    most neutral input; they are left out of every loss and score.
    """
    bad = ~np.isfinite(frames)
    if bad.any() and "blank" in movie.coords:
        bad[np.asarray(movie["blank"].values[start : start + len(frames)], bool)] = False
    if not bad.any():
        return frames
    counted = bad if mask is None else bad & mask
    if counted.any():
        at = np.flatnonzero(counted.any(axis=(1, 2, 3))) + start
        raise nonfinite_error(movie, at.tolist(), int(counted.sum()))
    frames = frames.copy()
    for t, c in zip(*np.nonzero(bad.any(axis=(2, 3))), strict=True):
        frame = frames[t, c]
        frame[bad[t, c]] = frame[~bad[t, c]].mean()
    return frames


def _cut(held: _Held, first: int, stop: int) -> _Held:
    rows = slice(first - held.first, stop - held.first)
    mask = None if held.mask is None else held.mask[rows].copy()
    return _Held(first, held.frames[rows].copy(), mask)


def _joined(parts: Sequence[_Held]) -> _Held:
    masks = [p.mask for p in parts if p.mask is not None]
    return _Held(
        parts[0].first,
        np.concatenate([p.frames for p in parts]),
        np.concatenate(masks) if masks else None,
    )


def stream_summary(stream: WindowStream) -> dict[str, Any]:
    """What a stream does, in words and numbers for a log."""
    return {
        "windows": stream.n_windows,
        "resident": stream.resident,
        "blocks_mixed": stream._n_live,
        "frames_read": stream.frames_read,
    }
