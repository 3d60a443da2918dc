"""Drift of the stage: the picture moving as a whole, told from what moves in it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from slime.audit.findings import Finding
from slime.audit.measures import Measures
from slime.audit.sampling import DRIFT_LAGS

LEAST_PX = 16  # height and width of a crop that can be followed
PEAK = 8.0  # standard deviations of the correlation surface; noise of 128 x 128 reaches 4.5
AGREEING = 3  # of the four quarters of the picture, that must move alike: waves and cells do not
LEAST_SITES = 3  # places in time
LEAST_SHIFT = 0.5  # px over a lag: of less, cells that turn and fixed patterns may make a show
TOTAL_PX = 2.0  # over the whole movie: less is within the image of a point
SIGMAS = 4.0  # standard errors of the mean shift


@dataclass(frozen=True)
class Drift:
    """Motion of the whole picture, y and x in pixels a frame, and over the movie."""

    y_px: float
    x_px: float
    total_px: float
    lag: int


def drift_findings(measures: Measures) -> list[Finding]:
    """A steady shift of all quarters of the picture."""
    drift = stage_drift(measures)
    if drift is None:
        return []
    advice = (
        f"suspicion: the whole picture moves by {drift.y_px:+.3g} px along y and {drift.x_px:+.3g} "
        f"along x a frame, {drift.total_px:.3g} px over the movie: register the frames, unless all "
        "that is filmed moves that way"
    )
    return [Finding("drift", (), "warning", advice)]


def stage_drift(measures: Measures) -> Drift | None:
    """The drift by phase correlation over the longest lag at which quarters are found again."""
    n_frames, crops = measures.plan.shape[0], measures.samples.crops
    for lag in sorted(DRIFT_LAGS, reverse=True):
        pairs = [(s, s + lag) for s in measures.plan.drift_sites]
        shifts = [_shifts(crops[a], crops[b]) for a, b in pairs if a in crops and b in crops]
        if len(shifts) < LEAST_SITES:
            continue
        drift = _consensus(np.array(shifts), lag, n_frames)
        if drift is not None:
            return drift if drift.total_px >= TOTAL_PX else None
    return None


def _consensus(shifts: Float[np.ndarray, "sites 4 2"], lag: int, n_frames: int) -> Drift | None:
    """The shift on which quarters and sites agree; None where they do not."""
    of_quarter = np.array(
        [
            np.nanmedian(own, axis=0) if np.isfinite(own[:, 0]).mean() >= 0.5 else [np.nan] * 2
            for own in np.moveaxis(shifts, 1, 0)
        ]
    )
    if np.isfinite(of_quarter[:, 0]).sum() < AGREEING:
        return None
    shift = np.nanmedian(of_quarter, axis=0)
    size = float(np.hypot(*shift))
    apart = np.hypot(*(of_quarter - shift).T)
    if (apart <= max(0.25, 0.3 * size)).sum() < AGREEING:
        return None
    followed = np.isfinite(shifts).any(axis=(1, 2))
    off = np.hypot(*(np.nanmedian(shifts[followed], axis=1) - shift).T)
    error = 1.4826 * np.median(off) / np.sqrt(len(off))
    if size < max(LEAST_SHIFT, SIGMAS * error):
        shift, size = np.zeros(2), 0.0
    total = size / lag * (n_frames - 1)
    return Drift(float(shift[0] / lag), float(shift[1] / lag), total, lag)


def _shifts(
    before: Float[np.ndarray, "4 h w"], after: Float[np.ndarray, "4 h w"]
) -> Float[np.ndarray, "4 2"]:
    return np.array([picture_shift(a, b) for a, b in zip(before, after, strict=True)])


def picture_shift(
    before: Float[np.ndarray, "h w"], after: Float[np.ndarray, "h w"]
) -> tuple[float, float]:
    """How far a picture moved along y and x, in pixels, by phase correlation; NaN where unclear.

    Kuglin & Hines 1975; the spectrum is windowed and damped towards fine detail, where only noise
    is left, and the peak is placed between pixels by a parabola.
    """
    h, w = before.shape
    if min(h, w) < LEAST_PX:
        return np.nan, np.nan
    window = np.outer(np.hanning(h), np.hanning(w))
    flat = [_detail(p) * window for p in (before, after)]
    one, two = np.fft.rfft2(flat[0]), np.fft.rfft2(flat[1])
    cross = two * np.conj(one)
    size = np.abs(cross)
    if not size.max() > 0:
        return np.nan, np.nan
    damp = np.exp(-0.5 * (_frequency(h, w) / 0.15) ** 2)
    surface = np.fft.irfft2(cross / np.maximum(size, 1e-6 * size.max()) * damp, s=(h, w))
    y, x = np.unravel_index(np.argmax(surface), surface.shape)
    if surface[y, x] < PEAK * surface.std():
        return np.nan, np.nan
    dy = y + _vertex(surface[[y - 1, y, (y + 1) % h], x])
    dx = x + _vertex(surface[y, [x - 1, x, (x + 1) % w]])
    return float((dy + h / 2) % h - h / 2), float((dx + w / 2) % w - w / 2)


def _detail(picture: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """The picture without its illumination, which stays where it is when the stage drifts."""
    picture = picture.astype(np.float64)
    return picture - gaussian_filter(picture, min(picture.shape) / 8)


def _frequency(h: int, w: int) -> Float[np.ndarray, "h w2"]:
    """Cycles a pixel of each term of rfft2."""
    return np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None])


def _vertex(around: Float[np.ndarray, " 3"]) -> float:
    """Where between -1 and 1 the parabola through three values, the middle largest, peaks.

    Through logarithms where all are above 0: the damped peak is a Gaussian, whose logarithm is a
    parabola.
    """
    values = np.log(around) if (around > 0).all() else around
    low, middle, high = values
    bend = low - 2 * middle + high
    return 0.5 * float(low - high) / float(bend) if bend < 0 else 0.0
