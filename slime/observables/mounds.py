"""Mounds: places, sizes and numbers, how far two sets of places lie apart, and when they form."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Num
from scipy.ndimage import center_of_mass, label
from scipy.optimize import linear_sum_assignment

from slime.errors import SlimeError
from slime.observables.fields import check_positive, counted, smoothed


class Mounds(NamedTuple):
    """The mounds of one frame.

    Attributes:
        position_um: y and x of the centre of the light above the threshold; pixel (0, 0) has its
            middle at 0.
        threshold: in movie units.
    """

    position_um: Float[np.ndarray, "mound 2"]
    area_um2: Float[np.ndarray, " mound"]
    threshold: float

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.area_um2)


class Matched(NamedTuple):
    """Two sets of places, paired so that the sum of all distances and penalties is smallest.

    Attributes:
        mean_um: mean distance of the pairs; NaN without a pair.
        n_pairs, n_missed, n_extra: pairs, true places without one, found places without one.
        penalised_um: mean over places of half the pair's distance each, and `max_um / 2` for a
            place without one, times 2: 0 is perfect, `max_um` is nothing found; NaN without places.
    """

    mean_um: float
    n_pairs: int
    n_missed: int
    n_extra: int
    penalised_um: float


def otsu_threshold(values: Num[np.ndarray, "..."], n_bins: int = 256) -> float:
    """The value that splits the finite values into two classes of least variance within.

    Otsu 1979, doi 10.1109/TSMC.1979.4310076. NaN where no two values differ by more
    than float32's rounding.
    """
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size or np.ptp(numbers) <= 1e-6 * np.abs(numbers).max():
        return float("nan")
    counts, edges = np.histogram(numbers, n_bins)
    centres = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts)[:-1], counts.sum()
    sum_below, sum_all = np.cumsum(counts * centres)[:-1], (counts * centres).sum()
    both = (below > 0) & (below < total)
    n_low, n_high = np.where(both, below, 1), np.where(both, total - below, 1)
    gap = sum_below / n_low - (sum_all - sum_below) / n_high
    between = np.where(both, below * (total - below) * gap**2, 0)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))  # a tie where bins are empty
    return float(edges[1:-1][best].mean())


def find_mounds(
    frame: Num[np.ndarray, "y x"],
    *,
    pixel_um: float | int,
    threshold: float | int | None = None,
    sigma_px: float | int = 2.0,
    min_area_um2: float | int = 0.0,
    mask: Bool[np.ndarray, "y x"] | None = None,
) -> Mounds:
    """Connected regions (8 neighbours) of the smoothed frame above a threshold.

    Args:
        threshold: in movie units; Otsu's of the smoothed frame by default, which splits any frame
            in two: for a movie, use one threshold for all frames.
        sigma_px: of the Gaussian smoothing.
        min_area_um2: smaller regions are left out.
    """
    check_positive(pixel_um=pixel_um)
    field = counted(frame[None], None if mask is None else mask[None])[0].astype(np.float64)
    field = smoothed(field, sigma_px)
    level = otsu_threshold(field) if threshold is None else float(threshold)
    above = field > level  # False where NaN
    labelled: Any = label(above, structure=np.ones((3, 3)))
    labels, n = labelled
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:] * pixel_um**2
    kept = np.flatnonzero(area >= min_area_um2)
    light = np.where(above, field - level, 0)
    centres = center_of_mass(light, labels, kept + 1) if len(kept) else []
    places = np.array(centres, dtype=np.float64).reshape(-1, 2) * pixel_um
    return Mounds(places, area[kept].astype(np.float64), level)


def matched_error(
    found_um: Float[np.ndarray, "found 2"],
    true_um: Float[np.ndarray, "true 2"],
    *,
    max_um: float | int,
) -> Matched:
    """How well found places agree with true ones: pairs (Hungarian), missed and extra places.

    A pair may lie up to `max_um` apart; leaving a place alone costs `max_um / 2`.
    """
    check_positive(max_um=max_um)
    n_found, n_true = len(found_um), len(true_um)
    if n_found + n_true == 0:
        return Matched(float("nan"), 0, 0, 0, float("nan"))
    distance = np.linalg.norm(found_um[:, None] - true_um[None], axis=2)
    alone = 1e9 * max_um  # of a place with another one's penalty
    cost = np.zeros((n_found + n_true, n_true + n_found))
    cost[:n_found, :n_true] = distance
    cost[:n_found, n_true:] = np.where(np.eye(n_found), max_um / 2, alone)
    cost[n_found:, :n_true] = np.where(np.eye(n_true), max_um / 2, alone)
    rows, columns = linear_sum_assignment(cost)
    pair = (rows < n_found) & (columns < n_true)
    pairs = distance[rows[pair], columns[pair]]
    n = len(pairs)
    missed, extra = n_true - n, n_found - n
    total = pairs.sum() + max_um / 2 * (missed + extra)
    mean = float(pairs.mean()) if n else float("nan")
    return Matched(mean, n, missed, extra, float(2 * total / (n_found + n_true)))


def density_variance(
    frames: Num[np.ndarray, "t y x"],
    *,
    sigma_px: float | int = 2.0,
    mask: Bool[np.ndarray, "..."] | None = None,
) -> Float[np.ndarray, " t"]:
    """Variance over each frame's smoothed pixels, divided by the square of its mean; no unit.

    It depends on `sigma_px` and on a camera's offset, which lowers it.
    """
    field = counted(frames, mask)
    variance = np.full(len(field), np.nan)
    for t, frame in enumerate(field):
        values = smoothed(frame.astype(np.float64), sigma_px)
        values = values[np.isfinite(values)]
        if values.size and values.mean() != 0:
            variance[t] = values.var() / values.mean() ** 2
    return variance


def time_to_aggregation(
    variance: Float[np.ndarray, " t"], *, frame_interval_s: float | int, share: float | int = 0.5
) -> float:
    """Seconds until the density variance has risen by `share` of its rise, and stays above it.

    The rise is from the mean of the first twentieth of the frames to that of the last; NaN where
    the last is not twice the first: nothing has aggregated.

    Raises:
        SlimeError: a share outside 0 to 1.
    """
    check_positive(frame_interval_s=frame_interval_s)
    if not 0 < share < 1:
        raise SlimeError(f"share is {share}; it must lie between 0 and 1")
    at = np.flatnonzero(np.isfinite(variance))
    if len(at) < 2:
        return float("nan")
    known, n = variance[at], max(len(at) // 20, 1)
    first, last = known[:n].mean(), known[-n:].mean()
    if not last >= 2 * first:
        return float("nan")
    level = first + share * (last - first)
    below = np.flatnonzero(known < level)
    i = below[-1]  # there is one: the first frames lie below on average
    if i + 1 == len(known):
        return float("nan")
    part = (level - known[i]) / (known[i + 1] - known[i])
    return float((at[i] + part * (at[i + 1] - at[i])) * frame_interval_s)
