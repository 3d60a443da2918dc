"""What each pixel does over a whole movie: its extremes, and how often it stands out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Shaped

FAR_SIGMAS = 6.0  # of frame noise: one Gaussian pixel in 5e8 lies so far out by chance
ALONE = 0.85  # share of its height above the neighbours' mean that it must have above each of them
# too: a spot seen through a lens has 0.77 (Gaussian of 1 px) or 0.83 (0.75 px), a lone pixel 1
FAR_STEPS = 3  # usual steps between neighbours that differ: on a coarse scale, one is not far
STRIP_ROWS = 256  # compared at once, so that memory stays small


@dataclass(frozen=True)
class PixelMaps:
    """Maps over pixels, joined block by block.

    Attributes:
        low, high: smallest and largest value over time.
        n_high: frames in which the pixel has its largest value.
        n_far, n_looked: frames in which it was far from all its neighbours but one, of how many.
        counted: whether it counts (is not masked out, and finite) in some frame.
    """

    low: Shaped[np.ndarray, "c y x"]
    high: Shaped[np.ndarray, "c y x"]
    n_high: Int[np.ndarray, "c y x"]
    n_far: Int[np.ndarray, "c y x"]
    n_looked: int
    counted: Bool[np.ndarray, "c y x"]

    def joined(self, other: "PixelMaps") -> "PixelMaps":
        """Maps over both sets of frames."""
        high = np.where(other.counted & ~self.counted, other.high, self.high)
        low = np.where(other.counted & ~self.counted, other.low, self.low)
        both = self.counted & other.counted
        high = np.where(both, np.maximum(self.high, other.high), high)
        low = np.where(both, np.minimum(self.low, other.low), low)
        n_high = np.where(self.counted & (self.high == high), self.n_high, 0)
        n_high += np.where(other.counted & (other.high == high), other.n_high, 0)
        return PixelMaps(
            low,
            high,
            n_high,
            self.n_far + other.n_far,
            self.n_looked + other.n_looked,
            self.counted | other.counted,
        )


def pixel_maps(
    pixels: Shaped[np.ndarray, "t c y x"],
    counts: Bool[np.ndarray, "t c y x"] | None,
    looked: Sequence[int],
) -> PixelMaps:
    """Maps of one block; `looked` are the frames in which pixels are held against neighbours."""
    if counts is None:
        low, high = np.amin(pixels, axis=0), np.amax(pixels, axis=0)
        counted = np.ones(high.shape, bool)
        n_high = np.zeros(high.shape, np.int32)
        for frame in pixels:
            n_high += frame == high
    else:
        first, last = _limits(pixels.dtype)
        low = np.where(counts, pixels, last).min(axis=0)
        high = np.where(counts, pixels, first).max(axis=0)
        counted = np.asarray(np.logical_or.reduce(counts, axis=0))
        n_high = ((pixels == high) & counts).sum(axis=0, dtype=np.int32)
    n_far = np.zeros(high.shape, np.int32)
    for i in looked:
        for c, picture in enumerate(pixels[i]):
            n_far[c] += far_pixels(picture)
    return PixelMaps(low, high, n_high, n_far, len(looked), counted)


def _limits(dtype: np.dtype) -> tuple[Any, Any]:
    if dtype.kind == "f":
        return -np.inf, np.inf
    return np.iinfo(dtype).min, np.iinfo(dtype).max


def far_pixels(picture: Shaped[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """Pixels that stand out from all their 8 neighbours but one, by far more than the noise.

    One neighbour may be as odd (two hot pixels side by side). Pixels at the border are held
    against mirrored ones.
    """
    if min(picture.shape) < 3:
        return np.zeros(picture.shape, bool)
    finite = np.isfinite(picture)
    if not finite.any():
        return np.zeros(picture.shape, bool)
    if not finite.all():
        picture = np.where(finite, picture, picture[finite].mean(dtype=np.float64))
    strips = range(0, picture.shape[0], STRIP_ROWS)
    padded = np.pad(picture, 1, mode="reflect")
    parts = [padded[a : a + STRIP_ROWS + 2].astype(np.float32) for a in strips]
    heights = [_height(part) for part in parts]
    size = np.abs(np.concatenate([h for _, h in heights]))
    # the mean rules where most of a picture is flat, and its few edges are what it has for noise
    spread = max(1.4826 * float(np.median(size)), float(size.mean()))
    steps = np.abs(np.diff(picture.astype(np.float32), axis=0))
    step = float(np.median(steps[steps > 0])) if steps.any() else 0.0
    least = max(FAR_SIGMAS * spread, FAR_STEPS * step)
    return np.concatenate([alone > np.maximum(least, ALONE * abs(h)) for alone, h in heights])


def _height(part: Shaped[np.ndarray, "y2 x2"]) -> tuple[np.ndarray, np.ndarray]:
    """How far each inner pixel is beyond its second most extreme neighbour, and above them all."""
    own = part[1:-1, 1:-1]
    h, w = own.shape
    around = [part[i : i + h, j : j + w] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    most, least = around[0].copy(), around[0].copy()
    second_most, second_least = np.full_like(own, -np.inf), np.full_like(own, np.inf)
    total = around[0].copy()
    for other in around[1:]:
        second_most = np.maximum(second_most, np.minimum(most, other))
        second_least = np.minimum(second_least, np.maximum(least, other))
        np.maximum(most, other, out=most)
        np.minimum(least, other, out=least)
        total += other
    height = own - (total - most - least) / 6
    return np.maximum(own - second_most, second_least - own), height
