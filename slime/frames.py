"""Frames into memory: as stored, checked to be finite, in blocks that fit a budget."""

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, Context, Decimal
from itertools import pairwise

import numpy as np
import xarray as xr
from jaxtyping import Bool, Shaped

from slime.errors import SlimeError, StoreError, span_text
from slime.movie import stored_source

GIB = 1 << 30
PASS_BYTES = 16 << 20  # decoded by one task of a pass over a movie
MOST_AT_ONCE = 8  # tasks of a pass in memory at once
WHOLE = (slice(None), slice(None))  # the area of a whole frame


def enough_gib(nbytes: int) -> str:
    """GiB that these bytes take, with two digits, rounded up: a budget of as much holds them.

    >>> enough_gib(1 << 30), enough_gib((1 << 30) + 1), enough_gib(54_000)
    ('1', '1.1', '5.1e-05')
    """
    upwards = Context(prec=2, rounding=ROUND_CEILING)
    return f"{float(upwards.divide(Decimal(nbytes), Decimal(GIB))):.2g}"


def read_frames(
    movie: xr.DataArray,
    start: int,
    stop: int,
    *,
    area: tuple[slice, slice] = WHOLE,
    out: Shaped[np.ndarray, "t c y x"] | None = None,
) -> tuple[Shaped[np.ndarray, "t c y x"], Bool[np.ndarray, "t c y x"] | None]:
    """Frames start to stop as stored, and their mask (True counts) where the movie has one.

    Args:
        area: rows and columns to read; only their chunks are decoded.
        out: memory of the frames' shape and type that may be read into; where the frames are in
            memory already, these are given instead.

    Raises:
        StoreError: a chunk is lost or cannot be read, or a pixel that counts is not finite.
    """
    source, where = stored_source(movie), (slice(start, stop), slice(None), *area)
    mask = read_mask(movie[where]) if "mask" in movie.coords else None
    if source is None:
        # one thread: several blocks are read at once, each by a thread of its own
        frames = movie.variable[where].compute(scheduler="synchronous").values
    else:
        time, channel, y, x = source.positions
        frames, _ = source.frames.projected(
            time[start:stop], channel, y[area[0]], x[area[1]], out=out
        )
    if frames.dtype.kind == "f":
        frames = _finite(movie, frames, mask, start)
    return frames, mask


def read_mask(movie: xr.DataArray) -> Bool[np.ndarray, "t c y x"] | None:
    """The mask of a movie along all its axes (True counts), None where it has none."""
    if "mask" not in movie.coords:
        return None
    mask = movie["mask"].variable.compute(scheduler="synchronous")
    return np.asarray(mask.set_dims(dict(movie.sizes)).values, bool)


def blank_frames(movie: xr.DataArray, start: int, stop: int) -> Bool[np.ndarray, " t"]:
    """Which of the frames start to stop the movie's coord `blank` marks; none without it."""
    if "blank" not in movie.coords:
        return np.zeros(stop - start, bool)
    return np.asarray(movie["blank"].variable[start:stop].values, bool)


def not_finite(frames: Shaped[np.ndarray, "*any"]) -> Bool[np.ndarray, "*any"]:
    """Pixels that are NaN, infinite, or beyond what float32 holds."""
    if frames.dtype == np.float64:
        return ~(np.abs(frames) <= np.finfo(np.float32).max)
    return ~np.isfinite(frames)


def nonfinite_error(movie: xr.DataArray, frames: Sequence[int], n_pixels: int) -> StoreError:
    """The refusal of NaN or infinite pixels in the given frames."""
    return StoreError(
        f"{movie.name}: {n_pixels} pixels are NaN or infinite, in {len(frames)} frames "
        f"({span_text(frames)}): mask them (data.mask), or write a store without them"
    )


def _finite(
    movie: xr.DataArray,
    frames: Shaped[np.ndarray, "t c y x"],
    mask: Bool[np.ndarray, "t c y x"] | None,
    start: int,
) -> Shaped[np.ndarray, "t c y x"]:
    """The frames, refused where a pixel that counts is not finite.

    Pixels that are masked out and not finite read as the mean of their frame's finite pixels, the
    most neutral input; they are left out of every loss and score.
    """
    if _sums_are_finite(frames):
        return frames
    bad = not_finite(frames)
    if not bad.any():
        return frames
    bad[blank_frames(movie, start, start + len(frames))] = False  # no window touches them
    # a frame without a finite pixel has no mean to put in, masked or not
    counted = (bad if mask is None else bad & mask) | bad.all(axis=(2, 3), keepdims=True)
    if counted.any():
        at = np.flatnonzero(counted.any(axis=(1, 2, 3))) + start
        raise nonfinite_error(movie, at.tolist(), int(counted.sum()))
    frames = frames.copy()
    for t, c in zip(*np.nonzero(bad.any(axis=(2, 3))), strict=True):
        frame = frames[t, c]
        frame[bad[t, c]] = frame[~bad[t, c]].mean(dtype=np.float64)
    return frames


def _sums_are_finite(frames: Shaped[np.ndarray, "t c y x"]) -> bool:
    """Whether each frame's sum in float32 is a number: then so are its pixels, seen faster."""
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.add.reduce(frames.reshape(len(frames), -1), axis=1, dtype=np.float32)
    return bool(np.isfinite(sums).all())


def chunk_grid(movie: xr.DataArray) -> tuple[int, int]:
    """Frames that are decoded together, and the first frame at which such a run begins."""
    source = stored_source(movie)
    if source is not None:
        times, length = source.positions[0], source.frames.chunk_frames
        if not isinstance(times, range):
            return 1, 0
        length //= math.gcd(length, times.step)  # frames of the movie in a whole number of chunks
        return length, -(times.start // times.step) % length
    if movie.chunks:
        length = max(movie.chunks[0])
        return length, movie.chunks[0][0] % length
    return 1, 0


def area_shape(movie: xr.DataArray, area: tuple[slice, slice]) -> tuple[int, int, int]:
    """Channels, rows and columns of a frame's area."""
    n_channels, height, width = movie.shape[1:]
    return n_channels, len(range(height)[area[0]]), len(range(width)[area[1]])


def frame_nbytes(movie: xr.DataArray) -> int:
    """Bytes that a frame takes in memory, with its mask."""
    return math.prod(movie.shape[1:]) * (movie.dtype.itemsize + ("mask" in movie.coords))


def reading_nbytes(movie: xr.DataArray, n_frames: int, *, side_by_side: bool = True) -> int:
    """Bytes needed beside the result while frames are read, chunks side by side or one by one."""
    source = stored_source(movie)
    if source is not None:
        return source.frames.reading_nbytes(n_frames, side_by_side=side_by_side)
    return n_frames * frame_nbytes(movie)


def pass_blocks(
    movie: xr.DataArray, start: int, stop: int, *, memory_budget: int
) -> tuple[list[tuple[int, int]], int]:
    """Blocks of whole chunks for one pass over frames, and how many fit the budget at once.

    Raises:
        SlimeError: not even one chunk fits.
    """
    chunk, offset = chunk_grid(movie)
    frame, pixels = frame_nbytes(movie), math.prod(movie.shape[1:])

    def cost(n: int) -> int:
        # what is read, a copy of it, and a frame in float64, five times
        return 2 * min(n, stop - start) * frame + reading_nbytes(movie, n) + 40 * pixels

    n_chunks = PASS_BYTES // max(reading_nbytes(movie, chunk), chunk * frame, 1)
    length = chunk * max(min(n_chunks, -(-(stop - start) // chunk)), 1)
    length = length if cost(length) <= memory_budget else chunk
    n_at_once = min(MOST_AT_ONCE, memory_budget // max(cost(length), 1))
    if n_at_once < 1:
        raise SlimeError(
            f"{movie.name}: reading {min(chunk, stop - start)} frames, a chunk's, takes "
            f"{enough_gib(cost(length))} GiB, but data.memory_gib is {memory_budget / GIB:.2g}: "
            "raise it, or write shorter chunks"
        )
    first = offset + ((start - offset) // length + 1) * length
    edges = [start, *range(first, stop, length), stop]
    return list(pairwise(edges)), n_at_once
