"""How much wider an interval must be than its blocks make it: what a short series cannot tell.

Blocks drawn again give too small a variance of a mean, for three reasons, and each is made up for:
correlation that outlasts a block, the mean that is taken off before, and that few blocks tell their
own variance badly. The variance is the larger of two estimates: of blocks twice as long, with what
the mean takes off given back; and of an autoregression (Berk 1974, doi 10.1214/aos/1176342709),
fitted by Burg's recursion, its order by Hurvich & Tsai's criterion (1989, doi
10.1093/biomet/76.2.297), the sum of its coefficients less biased by Kendall's rule (1954, doi
10.1093/biomet/41.3-4.403). Student's t with the freedom of the long blocks takes the normal's
place: longer blocks than the mean squared error wants, and quantiles to match, is what Lazarus,
Lewis, Stock & Watson recommend (2018, doi 10.1080/07350015.2018.1506926).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Each = Float[np.ndarray, " series"]
Block = Float[np.ndarray, "t series"]

LONGER = 2.0  # blocks than those that are drawn
LEAST_LONG_BLOCKS = 4  # that a series is cut into
MAX_ORDER = 10.0  # autoregressions have up to so many coefficients for each tenfold of values


class Spread(NamedTuple):
    """How draws about a score are to be stretched.

    Attributes:
        widening: the standard error over that of the draws.
        freedom: degrees of it, of Student's t.
    """

    widening: Each
    freedom: Each


class LongRun(NamedTuple):
    """Of sums over one stretch of time: the variance of the draws, that to be told, its freedom."""

    drawn: Each
    told: Each
    freedom: Each


def spread_of(parts: Sequence[tuple[Float[np.ndarray, "_ series"], Each]]) -> Spread:
    """The stretch for sums over several movies, of series and mean blocks in windows of each.

    Freedom adds up as Satterthwaite has it (1946, doi 10.2307/3002019). A series that never
    changes is left as it is, and one that is not finite has NaN.
    """
    of = [long_run(series, mean_block) for series, mean_block in parts]
    drawn, told = (np.sum([getattr(one, name) for one in of], axis=0) for name in ("drawn", "told"))
    per_freedom = np.sum([one.told**2 / one.freedom for one in of], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        widening = np.where(drawn == 0, 1.0, np.sqrt(told / drawn))
        freedom = np.where(per_freedom == 0, np.inf, told**2 / per_freedom)
    return Spread(widening, freedom)


def long_run(series: Block, mean_block: Each) -> LongRun:
    """The variance of a sum over a stationary series: as blocks draw it, and as it should be."""
    n = len(series)
    with np.errstate(divide="ignore", invalid="ignore"):
        centred = series - series.mean(axis=0)
        covariance = np.fft.irfft(np.abs(np.fft.rfft(centred, axis=0)) ** 2, n, axis=0) / n
        flat = covariance[0] <= 1e-24 * (series**2).mean(axis=0)
        drawn = n * (covariance * _kept(n, mean_block)).sum(axis=0)
        longest = max(n / LEAST_LONG_BLOCKS, 1.0)
        kept = _kept(n, np.clip(LONGER * mean_block, 1.0, longest))
        blocks = n * (covariance * kept).sum(axis=0) / (1 - kept.sum(axis=0) / n)
        told = np.fmax(np.maximum(blocks, drawn), n * autoregressive_variance(centred))
        freedom = np.maximum(n / (kept**2).sum(axis=0), 1.0)
    return LongRun(np.where(flat, 0.0, drawn), np.where(flat, 0.0, told), freedom)


def _kept(n: int, mean_block: Each) -> Block:
    """The share of the covariance at each lag that circular blocks of geometric length keep.

    Politis & Romano 1994, lemma 1, doi 10.1080/01621459.1994.10476870.
    """
    lag = np.arange(n)[:, None]
    goes_on = 1 - 1 / mean_block
    return (1 - lag / n) * goes_on**lag + lag / n * goes_on ** (n - lag)


def autoregressive_variance(centred: Block) -> Each:
    """The variance of a series' mean times its length, by an autoregression; NaN if too short."""
    n = len(centred)
    orders = range(int(min(MAX_ORDER * math.log10(max(n, 1)), n / 6)) + 1)
    if n < 4:
        return np.full(centred.shape[1], np.nan)
    forward, backward = centred, centred
    rest = (centred**2).mean(axis=0)
    coefficients = np.zeros((0, centred.shape[1]))
    least = np.full_like(rest, np.inf)
    best = rest
    for order in orders:
        if order:
            ahead, behind = forward[1:], backward[:-1]
            k = 2 * (ahead * behind).sum(axis=0) / (ahead**2 + behind**2).sum(axis=0)
            coefficients = np.vstack([coefficients - k * coefficients[::-1], k])
            forward, backward = ahead - k * behind, behind - k * ahead
            rest = rest * (1 - k**2)
        criterion = n * np.log(rest) + 2 * order * n / (n - order - 2)
        total = coefficients.sum(axis=0) if order else np.zeros_like(rest)
        found = rest * n / (n - order - 1) / (1 - _less_biased(total, n, order)) ** 2
        best = np.where(criterion < least, found, best)
        least = np.fmin(criterion, least)
    return best


def _less_biased(total: Each, n: int, order: int) -> Each:
    """Kendall's correction, up to where a series of n values could no more be told from a walk."""
    if not order:
        return total
    return np.minimum(total + (1 + 3 * total) / n, np.maximum(total, 1 - 1 / math.sqrt(n)))
