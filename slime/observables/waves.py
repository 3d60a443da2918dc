"""Waves: when each pixel is reached, how long until the next wave, and how fast fronts run."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Num

from slime.errors import SlimeError
from slime.observables.fields import check_positive, counted, row_slabs

RANGE = (5, 95)  # percentiles over time between which a pixel swings
LOW, MIDDLE, HIGH = 0.25, 0.5, 0.75  # of that range
SPEED_RADIUS_PX = 2
DISPERSION_BINS, MIN_PAIRS = 8, 20


class Dispersion(NamedTuple):
    """One pair for each wave and pixel: the time since the wave before, and the front's speed."""

    period_s: Float[np.ndarray, " pairs"]
    speed_um_per_s: Float[np.ndarray, " pairs"]


class DispersionBin(NamedTuple):
    """Pairs whose period lies between two limits: medians, and the speed's 5th and 95th percentile.

    Speeds are in um/s.
    """

    shortest_s: float
    longest_s: float
    period_s: float
    speed: float
    low: float
    high: float
    n: int


def activation_times(
    frames: Num[np.ndarray, "t y x"],
    *,
    frame_interval_s: float | int,
    mask: Bool[np.ndarray, "..."] | None = None,
    falling: bool = False,
) -> Float[np.ndarray, "wave y x"]:
    """Seconds since frame 0 at which each wave reaches each pixel; NaN behind a pixel's last one.

    A wave is a rise from the lowest quarter of the pixel's range (its 5th to 95th percentile over
    time) to the highest; its time is the crossing of the middle, on the straight line between two
    frames. Pixels that are masked in a frame, or never change, have none. `falling` times the
    falls instead, for reporters that are dark in a wave.

    Give the mask of pixels that do repeat (see period_map): noise rises and falls too.
    """
    check_positive(frame_interval_s=frame_interval_s)
    field = counted(frames, mask)
    parts = []
    for rows in row_slabs(field.shape, 8 * len(field) * field.shape[2]):
        slab = field[:, rows].astype(np.float64)
        parts.append(_crossings(-slab if falling else slab))
    n_waves = max(len(part) for part in parts)
    padded = [
        np.pad(p, ((0, n_waves - len(p)), (0, 0), (0, 0)), constant_values=np.nan) for p in parts
    ]
    return np.concatenate(padded, axis=1) * frame_interval_s


def _crossings(field: Float[np.ndarray, "t y x"]) -> Float[np.ndarray, "wave y x"]:
    """Frame numbers, with fractions, at which pixels rise through the middle of their range."""
    shape = field.shape[1:]
    whole = np.isfinite(field).all(axis=0)
    held = np.where(whole, field, 0)
    bottom, top = np.percentile(held, RANGE, axis=0)
    low, middle, high = (bottom + share * (top - bottom) for share in (LOW, MIDDLE, HIGH))
    ready = whole & (top > bottom)
    armed, rise = np.zeros(shape, bool), np.full(shape, np.nan)
    count = np.zeros(shape, int)
    times: list[np.ndarray] = []
    for t in range(len(held)):
        if t > 0:
            before, now = held[t - 1], held[t]
            crosses = (before < middle) & (now >= middle)
            step = np.where(crosses, now - before, 1)
            rise = np.where(crosses, t - 1 + (middle - before) / step, rise)
        fires = armed & (held[t] >= high) & np.isfinite(rise)
        for k in np.unique(count[fires]):
            if k == len(times):
                times.append(np.full(shape, np.nan))
            times[k] = np.where(fires & (count == k), rise, times[k])
        count += fires
        armed = ready & (held[t] <= low) | armed & ~fires
        rise = np.where(held[t] <= low, np.nan, rise)
    return np.stack(times) if times else np.full((0, *shape), np.nan)


def crossing_periods(times_s: Float[np.ndarray, "wave y x"]) -> Float[np.ndarray, "y x"]:
    """Seconds from wave to wave at each pixel, the mean; NaN where fewer than two came."""
    n = np.isfinite(times_s).sum(axis=0)
    if len(times_s) < 2:
        return np.full(times_s.shape[1:], np.nan)
    last = np.take_along_axis(times_s, np.maximum(n - 1, 0)[None], axis=0)[0]
    return np.where(n > 1, (last - times_s[0]) / np.maximum(n - 1, 1), np.nan)


def wave_speed(
    times_s: Float[np.ndarray, "wave y x"],
    *,
    pixel_um: float | int,
    radius_px: int = SPEED_RADIUS_PX,
) -> Float[np.ndarray, "wave y x"]:
    """Speed of each wave at each pixel, um/s: 1 / |grad t| of the activation times.

    The gradient is that of the plane fitted by least squares to the times in a square of
    `radius_px` pixels to each side; that is all the smoothing there is. A neighbour's time is the
    one nearest to the pixel's own, within half of the pixel's period, so that waves may be numbered
    differently from pixel to pixel. NaN where less than three quarters of the square have a time
    (at the edges, at a spiral's core), and where all times are equal.

    Raises:
        SlimeError: a radius below 1.
    """
    check_positive(pixel_um=pixel_um)
    if radius_px < 1:
        raise SlimeError(f"radius_px is {radius_px}; a gradient needs 1 pixel at least")
    reach = 0.5 * crossing_periods(times_s)
    reach = np.where(np.isfinite(reach), reach, np.inf)
    padded = np.pad(
        times_s, ((0, 0), (radius_px, radius_px), (radius_px, radius_px)), constant_values=np.nan
    )
    slope = np.full(times_s.shape, np.nan)
    for rows in row_slabs(times_s.shape, 8 * 25 * len(times_s) * times_s.shape[2]):
        around = padded[:, rows.start : rows.stop + 2 * radius_px]
        slope[:, rows] = _fitted_slopes(times_s[:, rows], around, reach[rows], radius_px)
    return pixel_um / np.where(slope > 0, slope, np.nan)


def _fitted_slopes(
    times_s: Float[np.ndarray, "wave y x"],
    padded: Float[np.ndarray, "wave h w"],
    reach: Float[np.ndarray, "y x"],
    radius_px: int,
) -> Float[np.ndarray, "wave y x"]:
    """|gradient| in s a pixel of the planes; `padded` holds `radius_px` more pixels all round."""
    offsets = range(-radius_px, radius_px + 1)
    sums = np.zeros((9, *times_s.shape))
    height, width = times_s.shape[1:]
    for dy in offsets:
        for dx in offsets:
            y, x = radius_px + dy, radius_px + dx
            delay = _delays(times_s, padded[:, y : y + height, x : x + width])
            known = np.abs(delay) < reach
            delay = np.where(known, delay, 0)
            for i, term in enumerate((1, dx, dy, dx * dx, dx * dy, dy * dy)):
                sums[i] += known * term
            for i, term in enumerate((1, dx, dy)):
                sums[6 + i] += delay * term
    return _slopes(sums, 0.75 * len(offsets) ** 2)


def _delays(
    own: Float[np.ndarray, "wave y x"], other: Float[np.ndarray, "wave y x"]
) -> Float[np.ndarray, "wave y x"]:
    """For each of a pixel's times, the difference of the other pixel's nearest; NaN without one."""
    delay = np.full(own.shape, np.inf)
    for theirs in other:
        difference = theirs - own
        delay = np.where(np.abs(difference) < np.abs(delay), difference, delay)
    return np.where(np.isfinite(delay), delay, np.nan)


def _slopes(
    sums: Float[np.ndarray, "9 wave y x"], n_needed: float
) -> Float[np.ndarray, "wave y x"]:
    """|gradient| of the plane of least squares, in s a pixel, from its nine sums."""
    n, x, y, xx, xy, yy, d, dx, dy = sums
    enough = n >= n_needed
    n = np.where(enough, n, 1)
    xx, xy, yy = xx - x * x / n, xy - x * y / n, yy - y * y / n
    dx, dy = dx - d * x / n, dy - d * y / n
    determinant = np.where(enough, xx * yy - xy * xy, 1)
    along_x = (dx * yy - dy * xy) / determinant
    along_y = (dy * xx - dx * xy) / determinant
    return np.where(enough, np.hypot(along_x, along_y), np.nan)


def dispersion(
    times_s: Float[np.ndarray, "wave y x"], speed_um_per_s: Float[np.ndarray, "wave y x"]
) -> Dispersion:
    """Pairs of the time since the wave before and the speed, wherever both are known."""
    period = np.diff(times_s, axis=0)
    speed = speed_um_per_s[1:]
    known = np.isfinite(period) & np.isfinite(speed)
    return Dispersion(period[known], speed[known])


def dispersion_curve(
    pairs: Dispersion, *, n_bins: int = DISPERSION_BINS, min_pairs: int = MIN_PAIRS
) -> list[DispersionBin]:
    """The speed of waves against the time since the wave before, in bins of alike many pairs.

    Waves run slower in the wake of another (Siegert & Weijer 1991, Physica D 49:224). A bin of
    fewer than `min_pairs` is left out; periods that are all alike fall into one.
    """
    period, speed = pairs
    edges = np.unique(np.quantile(period, np.linspace(0, 1, n_bins + 1))) if period.size else period
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    which = np.clip(np.searchsorted(edges, period, side="right") - 1, 0, max(len(edges) - 2, 0))
    curve = []
    for i, (shortest, longest) in enumerate(pairwise(edges)):
        own = which == i
        if own.sum() >= max(min_pairs, 1):
            low, middle, high = (float(v) for v in np.percentile(speed[own], (5, 50, 95)))
            median = float(np.median(period[own]))
            ends = float(shortest), float(longest)
            curve.append(DispersionBin(*ends, median, middle, low, high, int(own.sum())))
    return curve
