"""One pass over a movie: what each of its frames tells without being kept."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int, Shaped, UInt64

from slime.frames import GIB, not_finite, pass_blocks, read_mask
from slime.movie import stored_frames
from slime.progress import Progress
from slime.schedule import compute_blocks, scheduler

Result = TypeVar("Result")


@dataclass(frozen=True)
class FrameTable:
    """What one pass over a movie tells of each of its frames.

    Attributes:
        mean: spatial mean, channels averaged, in movie units; masked pixels left out, NaN where
            none is left.
        flat: True where some channel holds nothing: its pixels are all the store's fill value, all
            0, or all masked out and not finite.
        uniform: True where every channel has one value all over.
        digest: a hash of the frame's pixels as float32; equal frames have equal ones, whatever
            type or byte order they are stored in.
        n_nonfinite: pixels that count and are NaN or infinite.
        n_blank_slices: z slices taken in that hold nothing in some channel.
    """

    mean: Float[np.ndarray, " t"]
    flat: Bool[np.ndarray, " t"]
    uniform: Bool[np.ndarray, " t"]
    digest: UInt64[np.ndarray, " t"]
    n_nonfinite: Int[np.ndarray, " t"]
    n_blank_slices: Int[np.ndarray, " t"]


class Row(NamedTuple):
    """One frame's entries in the table."""

    mean: float
    flat: bool
    uniform: bool
    digest: int
    n_nonfinite: int
    n_blank_slices: int


class Block(NamedTuple):
    """Frames as they were read.

    Attributes:
        counts: True where a pixel counts; None where all do.
        fill: what a lost chunk reads as.
        n_blank_slices: of each frame, the z slices that hold nothing.
    """

    pixels: Shaped[np.ndarray, "t c y x"]
    counts: Bool[np.ndarray, "t c y x"] | None
    fill: Any
    n_blank_slices: list[int]


LOST = Row(np.nan, True, True, 0, 0, 0)  # a frame without any chunk


def frame_table(
    movie: xr.DataArray,
    *,
    memory_budget: int = 2 * GIB,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> FrameTable:
    """One pass over all frames, in blocks of whole chunks, by threads or another executor.

    Raises:
        StoreError: a chunk cannot be read, or lone tiles are lost.
        SlimeError: a chunk does not fit `memory_budget` (bytes).
    """
    parts = pass_results(
        partial(_block_rows, movie),
        movie,
        memory_budget=memory_budget,
        progress=progress,
        executor=executor,
    )
    return table_of([row for part in parts for row in part])


def pass_results(
    measure: Callable[[int, int], Result],
    movie: xr.DataArray,
    *,
    memory_budget: int,
    progress: Progress | None,
    executor: Executor | None,
) -> Iterator[Result]:
    """`measure(start, stop)` of all blocks, in order; a few at once, as memory allows."""
    blocks, n_at_once = pass_blocks(movie, 0, movie.sizes["time"], memory_budget=memory_budget)
    steps = progress(blocks, len(blocks), f"reading {movie.name}") if progress else blocks
    # a partial hides the movie: dask would compute a chunked one whole
    tasks = (partial(measure, a, b) for a, b in steps)
    with scheduler() if executor is None else nullcontext(executor) as pool:
        yield from compute_blocks(tasks, pool, n_at_once=n_at_once)


def table_of(rows: Sequence[Row]) -> FrameTable:
    """The rows of all frames as columns."""
    mean, flat, uniform, digest, n_nonfinite, n_blank_slices = zip(*rows, strict=True)
    return FrameTable(
        np.array(mean, float),
        np.array(flat, bool),
        np.array(uniform, bool),
        np.array(digest, np.uint64),
        np.array(n_nonfinite, int),
        np.array(n_blank_slices, int),
    )


def read_block(movie: xr.DataArray, start: int, stop: int) -> Block | None:
    """Frames start to stop; None where they have no chunk at all.

    Raises:
        StoreError: a chunk cannot be read, or lone tiles are lost.
    """
    stored = stored_frames(movie)
    fill, slices = 0, None
    if stored is None:
        frames = movie.variable[start:stop].compute(scheduler="synchronous").values
    else:
        fill = stored.fill_value
        if stored.blank[start:stop].all():
            stored.check_chunks(range(start, stop))
            return None
        frames, slices = stored.projected(range(start, stop))
    mask = read_mask(movie.isel(time=slice(start, stop)))
    n_blank = [0] * len(frames) if slices is None else (~slices).any(axis=1).sum(axis=1).tolist()
    return Block(frames, mask, fill, n_blank)


def block_rows(block: Block) -> list[Row]:
    """The table's rows of a block."""
    return [
        _row(frame, None if block.counts is None else block.counts[i], block.fill, n_blank)
        for i, (frame, n_blank) in enumerate(zip(block.pixels, block.n_blank_slices, strict=True))
    ]


def _block_rows(movie: xr.DataArray, start: int, stop: int) -> list[Row]:
    block = read_block(movie, start, stop)
    return [LOST] * (stop - start) if block is None else block_rows(block)


def _row(
    frame: Shaped[np.ndarray, "c y x"],
    mask: Bool[np.ndarray, "c y x"] | None,
    fill: Any,
    n_blank_slices: int,
) -> Row:
    bad = not_finite(frame)
    counts = ~bad if mask is None else mask & ~bad
    counted_bad = bad if mask is None else mask & bad
    n = counts.sum(axis=(1, 2))
    total = frame.sum(axis=(1, 2), where=counts, dtype=np.float64)
    first = frame[:, :1, :1]
    same = ((frame == first) | (np.isnan(frame) & np.isnan(first))).all(axis=(1, 2))
    value = first[:, 0, 0]
    empty = same & ((value == fill) | (value == 0) | (np.isnan(value) & np.isnan(fill)))
    hopeless = bad.all(axis=(1, 2)) & ~counted_bad.any(axis=(1, 2))
    return Row(
        float(np.mean(total / n)) if n.all() else np.nan,
        bool((empty | hopeless).any()),
        bool(same.all()),
        digest_of(np.where(bad, np.nan, frame) if bad.any() else frame),
        int(counted_bad.sum()),
        n_blank_slices,
    )


def digest_of(frame: Shaped[np.ndarray, "c y x"]) -> int:
    """A hash of pixels as float32; equal frames have equal ones, whatever their stored type."""
    pixels = np.ascontiguousarray(frame, "<f4")
    digest = hashlib.blake2b(repr(frame.shape).encode() + pixels.tobytes(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")
