"""The period of every pixel: the peak of its spectrum, believed where the pixel repeats itself."""

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy.fft import rfft

from slime.errors import SlimeError
from slime.observables.fields import check_positive, counted, row_slabs

# of a pixel with itself one period later: 1 % of the pixels of noise, red or white, reach it
MIN_CORRELATION = 0.5
MIN_FRAMES = 12
PADDING = 4  # spectra are taken at this many points for each independent one


def period_map(
    frames: Num[np.ndarray, "t y x"],
    *,
    frame_interval_s: float | int,
    mask: Bool[np.ndarray, "..."] | None = None,
    shortest_s: float | int | None = None,
    longest_s: float | int | None = None,
    min_correlation: float | int = MIN_CORRELATION,
) -> Float[np.ndarray, "y x"]:
    """Seconds of a pixel's period: the highest peak of its spectrum, interpolated.

    A straight line is removed and a Hann window applied; the peak is that of the parabola through
    the logarithm of three points. NaN where a frame is masked, where the highest value in the band
    is no peak, and where the pixel's correlation with itself one period later is below
    `min_correlation`: noise and drift have a highest value too, but do not repeat themselves.

    Args:
        shortest_s, longest_s: the band; 3 frames and a third of the movie by default.

    Raises:
        SlimeError: fewer than 12 frames, or a band that is empty.
    """
    check_positive(frame_interval_s=frame_interval_s)
    field, n = counted(frames, mask), len(frames)
    if n < MIN_FRAMES:
        raise SlimeError(f"a period needs {MIN_FRAMES} frames, but there are {n}")
    shortest = (3 * frame_interval_s if shortest_s is None else shortest_s) / frame_interval_s
    longest = (n * frame_interval_s / 3 if longest_s is None else longest_s) / frame_interval_s
    if not 2 <= shortest < longest <= n:
        raise SlimeError(
            f"periods from {shortest * frame_interval_s:g} to {longest * frame_interval_s:g} s: "
            f"the band must lie between 2 frames ({2 * frame_interval_s:g} s) and the movie's "
            f"{n * frame_interval_s:g} s"
        )
    periods = np.full(field.shape[1:], np.nan)
    n_padded = PADDING * n
    for rows in row_slabs(field.shape, 8 * n_padded * field.shape[2]):
        series = field[:, rows].reshape(n, -1).astype(np.float64)
        whole = np.isfinite(series).all(axis=0) & (series != series[0]).any(axis=0)
        found = np.full(series.shape[1], np.nan)
        centred = _without_line(series[:, whole])
        found[whole] = _repeating(
            centred, _peaks(centred, n_padded, shortest, longest), n_padded, min_correlation
        )
        periods[rows] = found.reshape(-1, field.shape[2]) * frame_interval_s
    return periods


def _without_line(series: Float[np.ndarray, "t p"]) -> Float[np.ndarray, "t p"]:
    """Each column less its straight line; exactly 0 where it was constant."""
    t = np.arange(len(series)) - (len(series) - 1) / 2
    centred = series - series.mean(axis=0)
    flat = np.ptp(series, axis=0) == 0
    return np.where(flat, 0, centred - t[:, None] * (t @ centred / (t @ t)))


def _peaks(
    series: Float[np.ndarray, "t p"], n_padded: int, shortest: float, longest: float
) -> Float[np.ndarray, " p"]:
    """Periods in frames of the highest peak in the band; NaN where that is no peak."""
    window = np.hanning(len(series) + 2)[1:-1]
    power = np.abs(np.asarray(rfft(series * window[:, None], n_padded, axis=0))) ** 2
    first = max(int(np.ceil(n_padded / longest)), 1)
    last = min(int(n_padded / shortest), len(power) - 2)
    if last < first or not power.size:
        return np.full(series.shape[1], np.nan)
    peak = first + power[first : last + 1].argmax(axis=0)
    return n_padded / _interpolated(power, peak)


def _interpolated(
    power: Float[np.ndarray, "f p"], peak: Int[np.ndarray, " p"]
) -> Float[np.ndarray, " p"]:
    """The place of the maximum of the parabola through three logarithms; NaN if it is no peak."""
    around = np.stack([np.take_along_axis(power, (peak + i)[None], 0)[0] for i in (-1, 0, 1)])
    is_peak = (around[1] > 0) & (around[1] >= around[0]) & (around[1] >= around[2])
    left, middle, right = np.log(np.where(is_peak, np.maximum(around, 1e-300), 1.0))
    bend = left - 2 * middle + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1), 0)
    return np.where(is_peak, peak + shift, np.nan)


def _repeating(
    series: Float[np.ndarray, "t p"],
    periods: Float[np.ndarray, " p"],
    n_padded: int,
    min_correlation: float | int,
) -> Float[np.ndarray, " p"]:
    """The periods (frames) after which a column resembles itself, NaN elsewhere.

    The correlation at a lag between frames is the cosine series of the padded power spectrum.
    """
    n = len(series)
    power = np.abs(np.asarray(rfft(series, n_padded, axis=0))) ** 2
    power[1 : (n_padded + 1) // 2] *= 2  # the negative frequencies
    lag = np.where(np.isfinite(periods), periods, 0)
    turns = np.arange(len(power))[:, None] * (2 * np.pi / n_padded) * lag
    total = power.sum(axis=0)
    overlap = np.maximum(1 - lag / n, 1 / n)
    likeness = (power * np.cos(turns)).sum(axis=0) / np.where(total > 0, total, 1) / overlap
    return np.where((likeness >= min_correlation) & (total > 0), periods, np.nan)
