"""Scores that are means over frames, and how they are averaged over windows."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from slime.score import Tally, frame_pearson

Frames = Float[np.ndarray, "windows lead channel"]
Terms = Float[np.ndarray, "windows term lead channel"]
CLIPPED = 1 - 1e-12  # Fisher's z of a perfect correlation is infinite


def nrmse_frames(tally: Tally) -> Frames:
    """Root of the squared error over the truth's square (PDEBench): an offset makes it smaller."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _kept(np.sqrt(tally["square"] / tally["truth2"]), tally["truth2"] > 0)


def vrmse_frames(tally: Tally, noise_variance: Float[np.ndarray, " channel"]) -> Frames:
    """Root of the squared error over the frame's own variance (The Well, arXiv 2412.00568).

    NaN where the variance is not above that of the noise, instead of a small number added to it:
    such frames would rule the mean.
    """
    n = tally["n"]
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (tally["truth2"] - tally["truth"] ** 2 / n) / (n - 1)
        # what rounding leaves of a flat frame is no variance
        least = np.maximum(noise_variance, 1e-12 * tally["truth2"] / n)
        return _kept(np.sqrt(tally["square"] / n / variance), variance > least)


def mass_drift_frames(tally: Tally) -> Frames:
    """Total of the forecast less that of the truth, over the truth's; its absolute value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _kept(np.abs(tally["error"] / tally["truth"]), tally["truth"] != 0)


def correlation_z(tally: Tally) -> Frames:
    """Fisher's z of the correlation over a frame's pixels."""
    return np.arctanh(np.clip(frame_pearson(tally), -CLIPPED, CLIPPED))


def terms_of(values: Frames) -> Terms:
    """Value and count of each frame, of which sums give means; frames that are NaN have neither."""
    return np.stack([np.where(np.isnan(values), 0, values), ~np.isnan(values)], axis=1)


def mean_of(
    sums: Float[np.ndarray, "*draw two lead channel"],
    *,
    pool: bool = False,
    undo: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Float[np.ndarray, "*draw lead channel_or_pool"]:
    """The mean over frames from sums of their terms, over all channels' frames where `pool`.

    Args:
        undo: what gives the score back, where means are taken of a function of it.
    """
    total, n = sums[..., 0, :, :], sums[..., 1, :, :]
    if pool:
        total, n = (v.sum(axis=-1, keepdims=True) for v in (total, n))
    with np.errstate(invalid="ignore", divide="ignore"):  # no frame, no mean: NaN
        return undo(total / n) if undo else total / n


def _kept(values: Frames, kept: Bool[np.ndarray, "windows lead channel"]) -> Frames:
    """The values; NaN where the truth allows none, infinite where the forecast is no number."""
    return np.where(kept, np.where(np.isnan(values), np.inf, values), np.nan)
