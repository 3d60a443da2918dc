"""Blocks of time: how long errors stay correlated, and series drawn again block by block.

Neighbouring windows err alike, so that windows drawn one by one would make every interval too
narrow: blocks are drawn, as long as the losses stay correlated (the stationary bootstrap of
Politis & Romano 1994, doi 10.1080/01621459.1994.10476870).
"""

import math

import numpy as np
from jaxtyping import Float, Int

from slime.errors import SlimeError


def effective_blocks(
    n_windows: Int[np.ndarray, " movies"], mean_block: Float[np.ndarray, "movies lead"]
) -> Float[np.ndarray, " lead"]:
    """Blocks that are as good as independent: windows over block length, added up over movies.

    Windows that overlap (hop below their span) err alike, which the block length, counted in
    windows too, makes up for.
    """
    return (n_windows[:, None] / mean_block).sum(axis=0)


def stationary_weights(
    n: int, mean_block: float, n_draws: int, rng: np.random.Generator
) -> Float[np.ndarray, "draws windows"]:
    """How often each of `n` windows is drawn, in blocks of geometric length that wrap around.

    Every row sums to n. Politis & Romano 1994, doi 10.1080/01621459.1994.10476870.
    """
    here = np.arange(n)
    opens = rng.random((n_draws, n)) < 1 / mean_block
    opens[:, 0] = True
    opened_at = np.maximum.accumulate(np.where(opens, here, 0), axis=1)
    first = np.take_along_axis(rng.integers(0, n, (n_draws, n)), opened_at, axis=1)
    drawn = (first + here - opened_at) % n
    row = np.arange(n_draws)[:, None] * n
    counts = np.bincount((row + drawn).ravel(), minlength=n_draws * n)
    return counts.reshape(n_draws, n).astype(np.float64)


def block_length(series: Float[np.ndarray, " t"]) -> float:
    """The best mean block length for the stationary bootstrap of a series' mean; 1 at least.

    Politis & White 2004 (doi 10.1081/ETC-120028836) with the correction of Patton, Politis & White
    2009 (doi 10.1080/07474930802459016): autocovariances up to twice the lag from which on they
    are insignificant, under a flat-top window.

    Raises:
        SlimeError: values that are not finite numbers.
    """
    n = len(series)
    if not np.isfinite(series).all():
        raise SlimeError("a block length needs losses that are finite numbers")
    n_quiet = max(5, int(math.log10(max(n, 1))))
    n_lags = min(math.ceil(math.sqrt(n)) + n_quiet, n - 1)
    centred = series - series.mean()
    covariance = np.array([centred[k:] @ centred[: n - k] / n for k in range(n_lags + 1)])
    if n < 3 or covariance[0] <= 1e-24 * (series @ series) / n:
        return 1.0
    m = min(2 * max(_first_quiet(covariance / covariance[0], n, n_quiet), 1), n_lags)
    lag = np.arange(1, m + 1)
    flat_top = np.minimum(1.0, 2 * (1 - lag / m))
    g = 2 * (flat_top * lag * covariance[1 : m + 1]).sum()
    long_run = covariance[0] + 2 * (flat_top * covariance[1 : m + 1]).sum()
    longest = math.ceil(min(3 * math.sqrt(n), n / 3))
    if abs(long_run) <= 1e-12 * covariance[0]:
        return float(longest)
    return float(np.clip((g**2 / long_run**2 * n) ** (1 / 3), 1, longest))


def _first_quiet(correlation: Float[np.ndarray, " lag"], n: int, n_quiet: int) -> int:
    """The first lag of a run of `n_quiet` without a significant correlation, else the last lag."""
    quiet = np.abs(correlation) < 2 * math.sqrt(math.log10(n) / n)
    for lag in range(len(quiet) - n_quiet):
        if quiet[lag : lag + n_quiet].all():
            return lag
    return len(correlation) - 1
