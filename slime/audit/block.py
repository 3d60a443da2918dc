"""What one block of frames adds to an audit: a row of each frame, and samples of a few."""

from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Shaped, UInt64

from slime.audit.pixel_maps import PixelMaps, pixel_maps
from slime.audit.reading import Broken, read_segments
from slime.audit.sampling import SamplePlan, crops, middle, places_of, quads, shown, thumbnails
from slime.frame_table import LOST, Block, Row, block_rows, digest_of
from slime.frames import not_finite

N_PILE = 4  # pixels at a frame's maximum, from which the value below it is counted too


@dataclass(frozen=True)
class Samples:
    """Small parts of a few frames, by frame number.

    Attributes:
        crops: four of each frame, all channels in one, for drift.
        raw: the middle, in the stored type.
        shown: the whole, with pixels left out.
        noise: level and detail of the change over one frame and two, by channel and quad.
    """

    crops: dict[int, Float[np.ndarray, "4 h w"]] = field(default_factory=dict)
    raw: dict[int, Shaped[np.ndarray, "c h w"]] = field(default_factory=dict)
    shown: dict[int, Shaped[np.ndarray, "c h w"]] = field(default_factory=dict)
    noise: dict[int, Float[np.ndarray, "3 c n"]] = field(default_factory=dict)


@dataclass(frozen=True)
class BlockMeasures:
    """Measures of a run of frames; columns are named as in Measures.

    `head` and `tail` are the sampled pixels of the first and last two frames, for the change from
    one block to the next; None, like all columns, where the frames have no pixels.
    """

    start: int
    rows: list[Row]
    readable: bool = True
    broken: tuple[Broken, ...] = ()
    columns: dict[str, np.ndarray] | None = None
    samples: Samples = field(default_factory=Samples)
    maps: PixelMaps | None = None
    head: Float[np.ndarray, "few c n 4"] | None = None
    tail: Float[np.ndarray, "few c n 4"] | None = None


def measure_block(
    movie: xr.DataArray, plan: SamplePlan, tiles: tuple[int, int] | None, start: int, stop: int
) -> list[BlockMeasures]:
    """Measures of frames start to stop, in one run, or several where chunks cannot be decoded.

    Args:
        tiles: height and width of a chunk where it is smaller than a frame.
    """
    parts = []
    for segment in read_segments(movie, start, stop):
        if segment.block is None:
            rows = [LOST] * (segment.stop - segment.start)
            parts.append(BlockMeasures(segment.start, rows, not segment.broken, segment.broken))
        else:
            parts.append(_measured(segment.block, plan, tiles, segment.start))
    return parts


def _measured(
    block: Block, plan: SamplePlan, tiles: tuple[int, int] | None, start: int
) -> BlockMeasures:
    rows = block_rows(block)
    pixels, counts = _counted(block)
    seen = np.array([not row.flat for row in rows])
    sampled = quads(pixels).astype(np.float32)
    if counts is not None:
        sampled[quads(counts) == 0] = np.nan
    sampled[~seen] = np.nan
    whole = _filled(pixels, counts)
    columns = {
        "mean": _means(pixels, counts),
        **_tops(pixels, counts),
        "thumb": thumbnails(whole, plan.thumb_cell).astype(np.float32),
        "change": _changes(sampled),
    }
    if tiles is not None:
        columns["tile"] = _tile_digests(pixels, tiles)
    return BlockMeasures(
        start,
        rows,
        columns=columns,
        samples=_samples(whole, sampled, seen, plan, start),
        maps=_maps(pixels, counts, seen, plan, start),
        head=sampled[:2].copy(),
        tail=sampled[-2:].copy(),
    )


def _changes(sampled: Float[np.ndarray, "t c n 4"]) -> Float[np.ndarray, "t c"]:
    """Of each frame since the one before it; of the first it is not known here."""
    change = np.full(sampled.shape[:2], np.nan)
    for i in range(1, len(sampled)):
        change[i] = change_between(sampled[i - 1], sampled[i])
    return change


def _samples(
    pixels: Shaped[np.ndarray, "t c y x"],
    sampled: Float[np.ndarray, "t c n 4"],
    seen: Bool[np.ndarray, " t"],
    plan: SamplePlan,
    start: int,
) -> Samples:
    """The parts that are kept of this block's frames, blank ones left out."""
    samples, stop = Samples(), start + len(pixels)
    for i in places_of(plan.pair_ends, start, stop):
        if i >= 2 and seen[i - 2 : i + 1].all():
            samples.noise[start + i] = noise_samples(sampled[i - 2 : i + 1])
    for wanted, kept, part in (
        (plan.crop_frames, samples.crops, crops),
        (plan.shown_frames, samples.raw, middle),
        (plan.shown_frames, samples.shown, shown),
    ):
        for i in places_of(wanted, start, stop):
            if seen[i]:
                kept[start + i] = part(pixels[i])
    return samples


def _maps(
    pixels: Shaped[np.ndarray, "t c y x"],
    counts: Bool[np.ndarray, "t c y x"] | None,
    seen: Bool[np.ndarray, " t"],
    plan: SamplePlan,
    start: int,
) -> PixelMaps | None:
    if not seen.any():
        return None
    frames = np.flatnonzero(seen).tolist()
    looked = [k for k, i in enumerate(frames) if start + i in plan.spot_frames]
    if not seen.all():
        pixels, counts = pixels[seen], None if counts is None else counts[seen]
    return pixel_maps(pixels, counts, looked)


def _counted(
    block: Block,
) -> tuple[Shaped[np.ndarray, "t c y x"], Bool[np.ndarray, "t c y x"] | None]:
    """The pixels, truth values as 0 and 1, and which count and are finite (None: all)."""
    pixels = block.pixels.view(np.uint8) if block.pixels.dtype == bool else block.pixels
    counts = block.counts
    if pixels.dtype.kind == "f":
        bad = not_finite(pixels)
        if bad.any():
            counts = ~bad if counts is None else counts & ~bad
            pixels = np.where(bad, np.nan, pixels)  # float64 may be beyond float32
    return pixels, None if counts is None or counts.all() else counts


def _means(
    pixels: Shaped[np.ndarray, "t c y x"], counts: Bool[np.ndarray, "t c y x"] | None
) -> Float[np.ndarray, "t c"]:
    if counts is None:
        return np.stack([frame.mean(axis=(1, 2), dtype=np.float64) for frame in pixels])
    total = pixels.sum(axis=(2, 3), where=counts, dtype=np.float64)
    n = counts.sum(axis=(2, 3))
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _filled(
    pixels: Shaped[np.ndarray, "t c y x"], counts: Bool[np.ndarray, "t c y x"] | None
) -> Shaped[np.ndarray, "t c y x"]:
    """Pixels that do not count as the mean of those that do, 0 where none does."""
    if counts is None:
        return pixels
    level = np.nan_to_num(_means(pixels, counts))[..., None, None].astype(pixels.dtype)
    return np.where(counts, pixels, level)


def _tops(
    pixels: Shaped[np.ndarray, "t c y x"], counts: Bool[np.ndarray, "t c y x"] | None
) -> dict[str, Float[np.ndarray, "t c"]]:
    """The largest value of each frame and its pixels; the same of the second largest, if piled."""
    found = {name: np.full(pixels.shape[:2], np.nan) for name in ("top", "second")}
    found |= {name: np.zeros(pixels.shape[:2]) for name in ("n_top", "n_second")}
    for i, j in np.ndindex(*pixels.shape[:2]):
        picture = pixels[i, j] if counts is None else pixels[i, j][counts[i, j]]
        if not picture.size:
            continue
        top = picture.max()
        n_top = int((picture == top).sum())
        found["top"][i, j], found["n_top"][i, j] = top, n_top
        if n_top >= N_PILE and n_top < picture.size:
            second = np.where(picture == top, picture.min(), picture).max()
            found["second"][i, j] = second
            found["n_second"][i, j] = (picture == second).sum()
    return found


def change_between(
    before: Float[np.ndarray, "*t c n 4"], after: Float[np.ndarray, "*t c n 4"]
) -> Float[np.ndarray, "*t c"]:
    """Mean square change of the sampled pixels; NaN where none counts in both."""
    square = (after.astype(np.float64) - before) ** 2
    there = ~np.isnan(square)
    n = there.sum(axis=(-2, -1))
    total = np.where(there, square, 0).sum(axis=(-2, -1))
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def noise_samples(frames: Float[np.ndarray, "3 c n 4"]) -> Float[np.ndarray, "3 c n"]:
    """Level, and the checkered part of the change over one frame and over two, of each quad.

    The checkered part (a - b - c + d) / 2 leaves out what changes smoothly over space; of
    independent noise of variance s^2 in each frame it has variance 2 s^2.
    """
    first, middle, last = frames.astype(np.float64)
    level = (middle + last).mean(axis=-1) / 2
    return np.stack([level, _checkered(last - middle), _checkered(last - first)]).astype(np.float32)


def _checkered(change: Float[np.ndarray, "c n 4"]) -> Float[np.ndarray, "c n"]:
    return (change[..., 0] - change[..., 1] - change[..., 2] + change[..., 3]) / 2


def _tile_digests(
    pixels: Shaped[np.ndarray, "t c y x"], tiles: tuple[int, int]
) -> UInt64[np.ndarray, "t n"]:
    """A hash of each chunk-sized tile of each frame; 0 where the tile has one value all over."""
    _, _, y, x = pixels.shape
    corners = [(a, b) for a in range(0, y, tiles[0]) for b in range(0, x, tiles[1])]
    found = np.zeros((len(pixels), len(corners)), np.uint64)
    for i, frame in enumerate(pixels):
        for k, (a, b) in enumerate(corners):
            tile = frame[:, a : a + tiles[0], b : b + tiles[1]]
            if (tile != tile[:, :1, :1]).any():
                found[i, k] = digest_of(tile)
    return found
