"""The phase of a pixel in its cycle, and the points around which it winds: the tips of spirals."""

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy.signal import butter, hilbert, sosfiltfilt

from slime.errors import SlimeError
from slime.observables.fields import check_positive, counted, row_slabs

BAND = (0.5, 2.0)  # of the frequency 1 / period


def hilbert_phase(
    frames: Num[np.ndarray, "t y x"],
    *,
    frame_interval_s: float | int,
    period_s: float | int,
    mask: Bool[np.ndarray, "..."] | None = None,
) -> Float[np.ndarray, "t y x"]:
    """Phase in radians, -pi to pi, rising with time and 0 at the crest of the fundamental.

    The analytic signal (Hilbert) of the series between half and twice the frequency 1 / period
    (Butterworth, second order, forth and back). NaN where the pixel is masked in a frame or never
    changes, and in the first and last half period, where the filter has to guess what lies outside.

    Raises:
        SlimeError: a period below 4 frames, or above half of the movie.
    """
    check_positive(frame_interval_s=frame_interval_s, period_s=period_s)
    field, n = counted(frames, mask), len(frames)
    period = period_s / frame_interval_s
    if period < 4 * (1 - 1e-9) or period > n / 2:
        raise SlimeError(
            f"a phase at a period of {period:.3g} frames in {n} frames: the period must be 4 "
            "frames at least and half of the movie at most"
        )
    nyquist_share = [min(share * 2 / period, 0.99) for share in BAND]
    band = butter(2, nyquist_share, btype="bandpass", output="sos")
    phase = np.full(field.shape, np.nan, np.float32)
    edge = int(np.ceil(period / 2))
    for rows in row_slabs(field.shape, 32 * n * field.shape[2]):
        series = field[:, rows].astype(np.float64)
        usable = np.asarray(np.ptp(series, axis=0) > 0)  # False of NaN
        filtered = sosfiltfilt(band, series[:, usable], axis=0, padlen=min(int(3 * period), n - 1))
        angle = np.angle(np.asarray(hilbert(filtered, axis=0)))
        phase[edge : n - edge, rows][:, usable] = angle[edge : n - edge]
    return phase


def delay_phase(
    frames: Num[np.ndarray, "t y x"],
    *,
    delay_frames: int,
    mask: Bool[np.ndarray, "..."] | None = None,
) -> Float[np.ndarray, "t y x"]:
    """Phase in radians in the plane of I(t) and I(t - delay), around the pixel's mean over time.

    A delay of a quarter of the period gives the phase of a sine exactly. No filter: it needs clean
    frames, and follows periods that change. NaN in the first `delay_frames` frames.

    Raises:
        SlimeError: a delay that is not from 1 to the movie's length less 1.
    """
    if not 1 <= delay_frames < len(frames):
        raise SlimeError(f"delay_frames is {delay_frames}; it must be 1 to {len(frames) - 1}")
    field = counted(frames, mask)
    field = field - field.mean(axis=0)
    phase = np.full(field.shape, np.nan)
    now, before = field[delay_frames:], field[:-delay_frames]
    known = (now != 0) | (before != 0)
    phase[delay_frames:] = np.where(known, np.arctan2(before, now), np.nan)
    return phase


def winding(
    phase: Float[np.ndarray, "t y x"], *, periodic: bool = False
) -> Int[np.ndarray, "t py px"]:
    """Turns of the phase around each square of 2 x 2 pixels: the charge of a singularity there.

    Element (y, x) is the square whose first corner is pixel (y, x); its centre lies half a pixel
    on. Positive where the phase grows from x towards y, as in arctan2(y, x). Squares with a NaN
    corner have 0: they lie outside the active area. `periodic` closes both axes, so that there are
    as many squares as pixels and all charges of a frame sum to 0.
    """
    if periodic:
        phase = np.pad(phase, ((0, 0), (0, 1), (0, 1)), mode="wrap")
    along_x = _wrapped(np.diff(phase, axis=2))
    along_y = _wrapped(np.diff(phase, axis=1))
    turns = along_x[:, :-1] + along_y[:, :, 1:] - along_x[:, 1:] - along_y[:, :, :-1]
    turns = np.where(np.isfinite(turns), turns, 0) / (2 * np.pi)
    return np.rint(turns).astype(np.int64)


def _wrapped(difference: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """An angle brought to -pi (kept) to pi (left out)."""
    return (difference + np.pi) % (2 * np.pi) - np.pi


def singularities(charge: Int[np.ndarray, "t py px"]) -> Float[np.ndarray, "n 4"]:
    """Frame, y, x (pixels, of the middle of the square) and charge of each singularity."""
    t, y, x = np.nonzero(charge)
    return np.stack([t, y + 0.5, x + 0.5, charge[t, y, x]], axis=1).astype(np.float64)
