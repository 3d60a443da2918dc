"""Percentile intervals of draws, stretched where few units told the spread, and their p values."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri, stdtrit

Table = Float[np.ndarray, "lead column"]


def ends(
    ordered: Float[np.ndarray, "draw lead column"],
    value: Table,
    freedom: Table,
    alpha: Table | float,
) -> tuple[Table, Table]:
    """The percentile interval that leaves out `alpha`, stretched about the value by t over z."""
    tail = np.broadcast_to(np.asarray(alpha, dtype=float) / 2, value.shape)
    with np.errstate(invalid="ignore"):
        student = np.where(np.isinf(freedom), ndtri(tail), stdtrit(np.minimum(freedom, 1e9), tail))
        stretch = np.where(tail < 0.5, student / ndtri(tail), 1.0)

    def end(share: Table) -> Table:
        place = share * (len(ordered) - 1)
        below = np.clip(np.floor(place).astype(int), 0, len(ordered) - 2)[None]
        left, right = (np.take_along_axis(ordered, below + i, axis=0)[0] for i in (0, 1))
        return value + stretch * (left + (place - below[0]) * (right - left) - value)

    return end(tail), end(1 - tail)


def p_of_zero(
    ordered: Float[np.ndarray, "draw lead column"], value: Table, freedom: Table
) -> Table:
    """The smallest alpha whose interval leaves out 0, found by halving."""

    def holds_zero(alpha: Table) -> Bool[np.ndarray, "lead column"]:
        low, high = ends(ordered, value, freedom, alpha)
        return (low <= 0) & (high >= 0)

    least = 2 / (len(ordered) + 1)
    inside, outside = np.full(value.shape, least), np.ones(value.shape)
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
