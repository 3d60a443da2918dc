"""Noise by photon transfer: its variance against the level of light, from small differences."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from slime.audit.findings import Finding
from slime.audit.measures import Measures
from slime.texts import number_text

N_LEVELS = 24  # groups of equal count, by level
LEAST_PER_LEVEL = 100  # differences: their variance is then known to 30 %
KEPT = 0.5  # of the differences in a group, the smallest: what moves is among the others
GAUSS_KEPT = 0.142646  # mean square of the smaller half of a unit Gaussian's values
LEAST_VARIANCE = 0.3  # counts squared: below, rounding to whole counts (1/12) shapes the noise
LEAST_SPAN = 1.5  # ratio of the brightest to the dimmest group, for a slope
STILL = 1.03  # the variance of changes over two frames over that over one, where nothing moves
MOST_MOVING = 1.5  # above, the line to no time at all is longer than what it rests on
SURE = 4.0  # standard errors that a slope must be above 0
STRAIGHT = 0.25  # root mean square of the relative distance from the line


@dataclass(frozen=True)
class NoiseFit:
    """Noise of one channel.

    Attributes:
        level, variance: of groups of pixels by level, counts and counts squared.
        moving: the variance of changes over two frames, over that over one; 1 where nothing moves.
        gain: counts an electron; NaN where it cannot be estimated, and `why` says why.
        variance_at_0: of the line at level 0; read noise squared - gain * offset.
        read_noise, read_noise_most: counts; known only where the camera's offset is, the first only
            where it stands out from the error of the line.
        sigma: of the noise at the middle level, counts.
    """

    channel: str
    level: Float[np.ndarray, " n"]
    variance: Float[np.ndarray, " n"]
    gain: float
    gain_error: float
    variance_at_0: float
    read_noise: float
    read_noise_most: float
    sigma: float
    moving: float
    why: str


def noise_fits(measures: Measures, channels: list[str], offset: float | None) -> list[NoiseFit]:
    """Photon transfer of each channel (Janesick 2007, doi 10.1117/3.725073).

    Args:
        offset: counts of a dark pixel, where known; without it the read noise is not.
    """
    whole = measures.maps is not None and measures.maps.high.dtype.kind in "ui"
    samples = list(measures.samples.noise.values())
    if not samples:
        none = np.zeros(0)
        return [
            _unknown(name, "there are no three frames in a row", none, none) for name in channels
        ]
    return [
        _fit(name, np.concatenate([s[:, c] for s in samples], axis=1), offset, whole)
        for c, name in enumerate(channels)
    ]


def _fit(
    channel: str, samples: Float[np.ndarray, "3 samples"], offset: float | None, whole: bool
) -> NoiseFit:
    level, variance, moving, n = level_variances(samples)
    known = partial(_unknown, channel, level=level, variance=variance, moving=moving)
    if level.size < 4:
        return known("too few pixels count")
    below = not (variance > (LEAST_VARIANCE if whole else 0)).all()
    if moving > (STILL if below else MOST_MOVING):
        return known("too much moves from frame to frame")
    if below:
        return known("the noise is below the steps in which pixels are stored, or none")
    if np.ptp(level) <= (LEAST_SPAN - 1) * abs(level[0]):
        return known("all pixels are about as bright")
    line = _line(level, variance, n)
    if line.gain < SURE * line.error:
        return known("it does not grow with light")
    if line.apart > STRAIGHT:
        return known("no straight line of light: pixels were projected, rescaled or compressed")
    at = np.array([1.0, np.nan if offset is None else offset])
    square = float(at @ (line.at_0, line.gain))
    unsure = 2 * float(np.sqrt(at @ line.covariance @ at))
    read = float(np.sqrt(square)) if square > unsure else float("nan")
    most = float(np.sqrt(max(square, 0) + unsure))
    sigma = float(np.sqrt(np.median(variance)))
    return NoiseFit(
        channel, level, variance, line.gain, line.error, line.at_0, read, most, sigma, moving, ""
    )


def _unknown(
    channel: str,
    why: str,
    level: Float[np.ndarray, " n"],
    variance: Float[np.ndarray, " n"],
    moving: float = 1.0,
) -> NoiseFit:
    sigma = float(np.sqrt(np.median(np.maximum(variance, 0)))) if variance.size else np.nan
    nan = float("nan")
    return NoiseFit(channel, level, variance, nan, nan, nan, nan, nan, sigma, moving, why)


class _Line(NamedTuple):
    """A straight line through variances: slope and its error, and how far they lie from it."""

    at_0: float
    gain: float
    error: float
    covariance: Float[np.ndarray, "2 2"]
    apart: float


def _line(
    level: Float[np.ndarray, " n"], variance: Float[np.ndarray, " n"], n: Float[np.ndarray, " n"]
) -> _Line:
    # the variance of a variance is 2 v^2 / n, and of one trimmed to half about 5 times that
    weight = n / (10 * variance**2)
    design = np.stack([np.ones_like(level), level], axis=1)
    covariance = np.linalg.inv(design.T @ (weight[:, None] * design))
    at_0, gain = covariance @ (design.T @ (weight * variance))
    apart = (variance - at_0 - gain * level) / variance
    # where levels mix, points scatter more than counting tells: the larger error holds
    looser = max(np.sqrt((apart**2 * weight * variance**2).sum() / (level.size - 2)), 1)
    covariance = covariance * looser**2
    error, far = float(np.sqrt(covariance[1, 1])), float(np.sqrt(np.mean(apart**2)))
    return _Line(float(at_0), float(gain), error, covariance, far)


def level_variances(
    samples: Float[np.ndarray, "3 samples"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], float, Float[np.ndarray, " n"]]:
    """Mean level, noise variance of one frame, motion, and count, of groups of like level.

    A variance is that of a Gaussian with the same smaller half: what moves in less than half of
    the pixels does not count. Where changes over two frames vary more than over one, the variance
    is that of the straight line through both at no time at all, as of diffusing detail.
    """
    samples = samples[:, np.isfinite(samples).all(axis=0)].astype(np.float64)
    order = np.argsort(samples[0], kind="stable")
    n_groups = min(N_LEVELS, samples.shape[1] // LEAST_PER_LEVEL)
    groups = np.array_split(samples[:, order], n_groups, axis=1) if n_groups else []
    rows = [(g[0].mean(), _half_variance(g[1]), _half_variance(g[2]), len(g[0])) for g in groups]
    level, near, far, n = np.array(rows, float).reshape(-1, 4).T
    ratio = far[near > 0] / near[near > 0]
    moving = float(np.median(ratio)) if ratio.size else 1.0
    variance = 2 * near - far if moving > STILL else near
    return level, variance, moving, n


def _half_variance(detail: Float[np.ndarray, " samples"]) -> float:
    square = np.sort(detail**2)[: int(KEPT * detail.size)]
    return float(square.mean() / GAUSS_KEPT / 2)


def noise_findings(fits: list[NoiseFit]) -> list[Finding]:
    """What is known of the noise, as a note a channel."""
    found = []
    for fit in fits:
        if fit.why:
            about = f"about {number_text(fit.sigma)} counts" if fit.sigma > 0 else "unknown"
            advice = f"channel {fit.channel}: noise {about}; no gain by photon transfer: {fit.why}"
        else:
            advice = (
                f"channel {fit.channel}: noise {number_text(fit.sigma)} counts at middle light, "
                f"gain {number_text(fit.gain)} ± {number_text(fit.gain_error)} counts an electron, "
            )
            advice += _read_noise(fit)
        found.append(Finding("noise", (), "note", advice))
    return found


def _read_noise(fit: NoiseFit) -> str:
    if np.isfinite(fit.read_noise):
        return f"read noise {number_text(fit.read_noise)} counts"
    if np.isfinite(fit.read_noise_most):
        return f"read noise below {number_text(fit.read_noise_most)} counts"
    return "read noise unknown without the camera's offset (offset=COUNTS)"
