"""A channel of a movie in memory, read block by block, masked, binned and within a budget."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float32, Shaped

from slime.errors import SlimeError
from slime.frames import GIB, blank_frames, enough_gib, pass_blocks, read_frames
from slime.observables.fields import SLAB_BYTES
from slime.progress import Progress

COPIES = 5  # float32 arrays of the movie's size held at once while waves are measured


class Units(NamedTuple):
    """Seconds a frame and micrometres a pixel, or frames and pixels where the movie is silent."""

    frame_interval_s: float
    pixel_um: float
    time: str
    length: str


class Field(NamedTuple):
    """One channel in memory, NaN where a pixel does not count.

    Attributes:
        first: the number of the first frame, of the movie.
        note: frames that were left out, where some were.
    """

    frames: Float32[np.ndarray, "t y x"]
    units: Units
    channel: str
    first: int
    note: str


def units_of(movie: xr.DataArray, bin_px: int = 1) -> Units:
    """The units of a movie whose pixels are `bin_px` stored ones wide."""
    interval, pixel = movie.attrs.get("frame_interval_s"), movie.attrs.get("pixel_um")
    return Units(
        float(interval or 1),
        float(pixel or 1) * bin_px,
        "s" if interval else "frame",
        "um" if pixel else "px",
    )


def needed_nbytes(shape: tuple[int, int, int]) -> int:
    """Bytes that measuring frames of the given `t y x` takes beside the blocks being read."""
    t, y, x = shape
    return COPIES * 4 * t * y * x + 6 * max(SLAB_BYTES, 32 * t * x)


def read_field(
    movie: xr.DataArray,
    channel: int,
    *,
    bin_px: int,
    memory_budget: int,
    first: int = 0,
    progress: Progress | None = None,
) -> Field:
    """The longest run of frames that are not blank, each the mean of squares of `bin_px` pixels.

    Blank is a frame without chunks, or with nothing but zeros.
    A square counts where one of its pixels does, and is the mean of those that do; rows and columns
    beyond the last whole square are left out. Frames are numbered from `first` on.

    Raises:
        SlimeError: it would not fit `memory_budget` (bytes), or every frame is blank.
        StoreError: a chunk cannot be read.
    """
    _, _, height, width = movie.shape
    y, x = height // bin_px, width // bin_px
    if not y or not x:
        raise SlimeError(f"bin={bin_px}: {movie.name} has frames of {height} x {width} pixels")
    n = movie.sizes["time"]
    _check_memory(movie, (n, y, x), bin_px, memory_budget)
    frames = np.empty((n, y, x), np.float32)
    one = movie.isel(channel=[channel])
    blocks, _ = pass_blocks(one, 0, n, memory_budget=memory_budget)
    blank = blank_frames(movie, 0, n)
    for a, b in progress(blocks, len(blocks), "reading") if progress else blocks:
        pixels, mask = read_frames(one, a, b)
        blank[a:b] |= ~pixels.any(axis=(1, 2, 3))
        frames[a:b] = binned(pixels[:, 0], None if mask is None else mask[:, 0], bin_px)
    start, stop, note = _longest_run(blank, str(movie.name), first)
    name = str(movie["channel"].values[channel]) if "channel" in movie.coords else str(channel)
    return Field(frames[start:stop], units_of(movie, bin_px), name, first + start, note)


def binned(
    pixels: Shaped[np.ndarray, "t y x"], mask: Bool[np.ndarray, "t y x"] | None, bin_px: int
) -> Float32[np.ndarray, "t by bx"]:
    """Means over squares of the pixels that count, NaN where none does."""
    n, y, x = len(pixels), pixels.shape[1] // bin_px, pixels.shape[2] // bin_px
    cut = (slice(None), slice(y * bin_px), slice(x * bin_px))
    weight = np.ones(pixels.shape, bool) if mask is None else mask
    if bin_px == 1:
        return np.where(weight, pixels, np.nan).astype(np.float32)
    squares = (n, y, bin_px, x, bin_px)
    counts = weight[cut].reshape(squares).sum(axis=(2, 4))
    held = np.where(weight[cut], pixels[cut], 0).reshape(squares)
    total = held.sum(axis=(2, 4), dtype=np.float64)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan).astype(np.float32)


def _longest_run(blank: Bool[np.ndarray, " t"], label: str, first: int) -> tuple[int, int, str]:
    """The first of the longest runs of frames that are not blank, and what was left out."""
    n = len(blank)
    edges = [-1, *np.flatnonzero(blank).tolist(), n]
    lengths = np.diff(edges) - 1
    k = int(lengths.argmax())
    if not lengths[k]:
        raise SlimeError(f"{label}: all {n} frames are blank: there is nothing to measure")
    start, stop = edges[k] + 1, edges[k + 1]
    shown = f"frames {first + start} to {first + stop - 1} of {n}"
    note = f"{shown}: the longest run without the {int(blank.sum())} blank"
    return start, stop, note if blank.any() else ""


def _check_memory(
    movie: xr.DataArray, shape: tuple[int, int, int], bin_px: int, memory_budget: int
) -> None:
    needed = needed_nbytes(shape)
    if needed <= memory_budget:
        return
    wider = bin_px
    while needed > memory_budget and wider < min(movie.shape[2:]):
        wider += 1
        small = (shape[0], movie.shape[2] // wider, movie.shape[3] // wider)
        if needed_nbytes(small) <= memory_budget:
            break
    raise SlimeError(
        f"{movie.name}: measuring {shape[0]} frames of {shape[1]} x {shape[2]} pixels takes "
        f"{enough_gib(needed)} GiB, but memory_gib is {memory_budget / GIB:.2g}: raise it, or take "
        f"squares of pixels (bin={wider})"
    )
