"""Movies that may be copies of one another though no frame is equal: rescaled, binned, re-encoded.

What is compared are coarse frames, each divided by its own light, without what stays and what
drifts evenly: a copy at another intensity scale, bit depth or binning keeps them; two movies of one
microscope, with the same lamp and the same vignette, do not share them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

LIKE = 0.6  # mean correlation along the best line: movies of unlike dishes reach 0.3
MOST_STRIDE = 12  # frames of one between two of the other
LEAST_FRAMES = 8  # that the two must share
COMPARED = 200  # frames of the shorter one that are compared, spread over it
MOST_FRAMES = 20_000  # of the longer one; above, only equal frames are looked for


@dataclass(frozen=True)
class Likeness:
    """Two movies by their places: frame j of `other` looks like offset + every * j of `one`."""

    one: int
    other: int
    every: int
    offset: int
    correlation: float
    n_shared: int


def find_likenesses(thumbs: Sequence[Float[np.ndarray, "_ _ _ _"]]) -> list[Likeness]:
    """Pairs of movies that look alike, from coarse frames (t, channel, y, x) of each.

    Movies of unlike grids of cells or numbers of channels are not compared, so a copy that was
    cropped or shifted in space is not seen.
    """
    prints = [_fingerprints(t) for t in thumbs]
    found = []
    for one, other in combinations(range(len(thumbs)), 2):
        if thumbs[one].shape[1:] != thumbs[other].shape[1:]:
            continue
        there = _best_line(prints[one], prints[other])
        back = _best_line(prints[other], prints[one])
        best, swapped = (back, True) if back[0] > there[0] else (there, False)
        correlation, every, offset, n = best
        if correlation >= LIKE:
            pair = (other, one) if swapped else (one, other)
            found.append(Likeness(*pair, every, offset, correlation, n))
    return found


def _fingerprints(thumb: Float[np.ndarray, "t c y x"]) -> Float[np.ndarray, "t cells"]:
    """Each frame over its light, less what each cell has on average and as a trend, of length 1."""
    cells = thumb.astype(np.float64)
    light = np.abs(cells).mean(axis=(2, 3), keepdims=True)
    cells = (cells / np.where(light > 0, light, 1)).reshape(len(cells), -1)
    known = np.isfinite(cells).all(axis=1)
    rest = np.zeros_like(cells)
    if known.sum() < LEAST_FRAMES:
        return rest
    time = np.flatnonzero(known) / len(cells)
    design = np.stack([np.ones_like(time), time], axis=1)
    rest[known] = cells[known] - design @ np.linalg.lstsq(design, cells[known], rcond=None)[0]
    rest -= rest.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rest, axis=1, keepdims=True)
    # what is left of a movie without change is rounding
    return np.where(length > 1e-6, rest / np.maximum(length, 1e-12), 0)


def _best_line(
    one: Float[np.ndarray, "t cells"], other: Float[np.ndarray, "t2 cells"]
) -> tuple[float, int, int, int]:
    """Highest mean correlation of other's frame j with one's offset + every * j, and the line."""
    best = (-1.0, 1, 0, 0)
    if len(one) > MOST_FRAMES or min(len(one), len(other)) < LEAST_FRAMES:
        return best
    rows = np.unique(np.linspace(0, len(other) - 1, min(COMPARED, len(other))).round().astype(int))
    alike = other[rows] @ one.T
    for every in range(1, MOST_STRIDE + 1):
        offsets = np.arange(-every * (len(other) - LEAST_FRAMES), len(one) - LEAST_FRAMES + 1)
        at = offsets[:, None] + every * rows
        inside = (at >= 0) & (at < len(one))
        n = inside.sum(axis=1)
        total = np.where(inside, alike[np.arange(len(rows)), np.clip(at, 0, len(one) - 1)], 0)
        least = max(LEAST_FRAMES, len(rows) // 4)
        mean = np.where(n >= least, total.sum(axis=1) / np.maximum(n, 1), -1)
        k = int(np.argmax(mean))
        if mean[k] > best[0]:
            best = (float(mean[k]), every, int(offsets[k]), int(n[k]))
    return best
