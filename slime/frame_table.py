"""One pass over a movie: what each of its frames tells without being kept."""

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from dask.base import compute
from dask.delayed import delayed
from jaxtyping import Bool, Float, Int, Shaped, UInt64

from slime.frames import GIB, not_finite, pass_blocks, read_mask
from slime.movie import stored_frames
from slime.progress import Progress


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


class _Row(NamedTuple):
    """One frame's entries in the table."""

    mean: float
    flat: bool
    uniform: bool
    digest: int
    n_nonfinite: int
    n_blank_slices: int


LOST = _Row(np.nan, True, True, 0, 0, 0)  # a frame without any chunk


def frame_table(
    movie: xr.DataArray, *, memory_budget: int = 2 * GIB, progress: Progress | None = None
) -> FrameTable:
    """One pass over all frames by dask threads, in blocks of whole chunks.

    Raises:
        StoreError: a chunk cannot be read, or lone tiles are lost.
        SlimeError: a chunk does not fit `memory_budget` (bytes).
    """
    n_frames = movie.sizes["time"]
    blocks, n_at_once = pass_blocks(movie, 0, n_frames, memory_budget=memory_budget)
    # a few blocks at once, so that progress is seen and memory stays bounded
    steps = [blocks[i : i + n_at_once] for i in range(0, len(blocks), n_at_once)]
    rows: list[_Row] = []
    for step in progress(steps, len(steps), f"reading {movie.name}") if progress else steps:
        # a partial hides the movie: dask would compute a chunked one whole
        tasks = [delayed(partial(_block_rows, movie, a, b), pure=False)() for a, b in step]
        for part in compute(*tasks, scheduler="threads"):
            rows += part
    mean, flat, uniform, digest, n_nonfinite, n_blank_slices = zip(*rows, strict=True)
    return FrameTable(
        np.array(mean, float),
        np.array(flat, bool),
        np.array(uniform, bool),
        np.array(digest, np.uint64),
        np.array(n_nonfinite, int),
        np.array(n_blank_slices, int),
    )


def _block_rows(movie: xr.DataArray, start: int, stop: int) -> list[_Row]:
    stored = stored_frames(movie)
    fill, slices = 0, None
    if stored is None:
        frames = movie.variable[start:stop].compute(scheduler="synchronous").values
    else:
        fill = stored.fill_value
        if stored.blank[start:stop].all():
            stored.check_chunks(range(start, stop))
            return [LOST] * (stop - start)
        frames, slices = stored.projected(range(start, stop))
    mask = read_mask(movie.isel(time=slice(start, stop)))
    n_blank = [0] * len(frames) if slices is None else (~slices).any(axis=1).sum(axis=1).tolist()
    return [
        _row(frame, None if mask is None else mask[i], fill, n_blank[i])
        for i, frame in enumerate(frames)
    ]


def _row(
    frame: Shaped[np.ndarray, "c y x"],
    mask: Bool[np.ndarray, "c y x"] | None,
    fill: Any,
    n_blank_slices: int,
) -> _Row:
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
    pixels = np.ascontiguousarray(np.where(bad, np.nan, frame), "<f4") if bad.any() else frame
    pixels = np.ascontiguousarray(pixels, "<f4")
    digest = hashlib.blake2b(repr(frame.shape).encode() + pixels.tobytes(), digest_size=8)
    return _Row(
        float(np.mean(total / n)) if n.all() else np.nan,
        bool((empty | hopeless).any()),
        bool(same.all()),
        int.from_bytes(digest.digest(), "little"),
        int(counted_bad.sum()),
        n_blank_slices,
    )
