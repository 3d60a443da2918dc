"""Draws stretched where few units told the spread; percentile intervals of them, and p values."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri, stdtrit

Table = Float[np.ndarray, "lead column"]
Drawn = Float[np.ndarray, "draw lead column"]


def as_student(drawn: Drawn, value: Table, freedom: Table) -> Drawn:
    """Draws about a value, each as much further off as Student's quantile is than the normal's.

    The rank of a draw says which quantile it is: what was normal becomes Student's t, and what was
    askew stays so.
    """
    rank = np.argsort(np.argsort(drawn, axis=0), axis=0)
    each, which = np.unique(freedom, return_inverse=True)
    stretch = np.stack([_stretch(len(drawn), float(one)) for one in each], axis=-1)
    with np.errstate(invalid="ignore"):
        return value + stretch[rank, which.reshape(freedom.shape)] * (drawn - value)


@lru_cache(maxsize=1024)
def _stretch(n: int, freedom: float) -> Float[np.ndarray, " rank"]:
    """Student's quantile over the normal's for each of n ranks; kept, since it is slow."""
    share = (np.arange(n) + 0.5) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(share == 0.5, 1.0, stdtrit(min(freedom, 1e9), share) / ndtri(share))


def ends(ordered: Drawn, alpha: Table | float) -> tuple[Table, Table]:
    """The percentile interval that leaves out `alpha`, half of it at each end."""
    tail = np.broadcast_to(np.asarray(alpha, dtype=float) / 2, ordered.shape[1:])

    def end(share: Table) -> Table:
        place = np.clip(share * len(ordered) - 0.5, 0, len(ordered) - 1)
        below = np.clip(np.floor(place).astype(int), 0, len(ordered) - 2)[None]
        left, right = (np.take_along_axis(ordered, below + i, axis=0)[0] for i in (0, 1))
        return left + (place - below[0]) * (right - left)

    return end(tail), end(1 - tail)


def p_of_zero(ordered: Drawn) -> Table:
    """The smallest alpha whose interval leaves out 0, found by halving."""

    def holds_zero(alpha: Table) -> Bool[np.ndarray, "lead column"]:
        low, high = ends(ordered, alpha)
        return (low <= 0) & (high >= 0)

    least, shape = 2 / (len(ordered) + 1), ordered.shape[1:]
    inside, outside = np.full(shape, least), np.ones(shape)
    never, always = ~holds_zero(inside), holds_zero(outside)
    for _ in range(40):
        middle = (inside + outside) / 2
        holds = holds_zero(middle)
        inside, outside = np.where(holds, middle, inside), np.where(holds, outside, middle)
    p = np.where(never, least, np.where(always, 1.0, outside))
    return np.where(np.isnan(ordered[0]), np.nan, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values for that any of these comparisons errs: Holm 1979, https://www.jstor.org/stable/4615733.

    NaN (no comparison) stays NaN and counts for none.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)[: int(np.isfinite(p).sum())]
    steps = p[order] * (len(order) - np.arange(len(order)))
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.tolist()
