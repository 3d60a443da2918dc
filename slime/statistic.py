"""Every score as a function of totals over windows: what a window adds, and what is made of it.

Whatever draws windows again (time blocks, seeds) need only add up the terms of the windows drawn.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from slime.errors import SlimeError, nearest
from slime.score import Tally, frame_pearson, horizon, mae, mse, r2, rmse, skill, vrmse

Terms = Float[np.ndarray, "windows term lead channel"]
Totals = Float[np.ndarray, "*draw term lead channel"]
Columns = Float[np.ndarray, "*draw lead column"]  # a column a channel, then one of all together
Series = Float[np.ndarray, "windows lead channel"]

PLAIN = {"mse": mse, "mae": mae, "rmse": rmse, "r2": r2}
HORIZON = "horizon_"
NAMES = (*PLAIN, "vrmse", "skill", "pearson", "horizon_0.8")


class Statistic(NamedTuple):
    """A score by name.

    Attributes:
        terms: what each window adds to the totals; horizons have no lead, and stand at lead 1.
        score: of the model's totals, and of its reference's where `relative`.
        series: the value of each window whose correlation in time sets the length of blocks.
    """

    name: str
    terms: Callable[[Tally], Terms]
    score: Callable[..., Columns]
    series: Callable[[Tally], Series]
    relative: bool = False

    @property
    def has_leads(self) -> bool:
        """Whether it is a number for each lead; a horizon is one for all of them."""
        return not self.name.startswith(HORIZON)


def statistic(name: str, variance: Float[np.ndarray, " channel"] | None = None) -> Statistic:
    """The score of that name: one of NAMES, horizons at any correlation (horizon_0.9).

    Args:
        variance: of each channel's pixels in the train split, for vrmse.

    Raises:
        SlimeError: there is no such score, or vrmse without a variance.
    """
    if name in PLAIN:
        return Statistic(name, _sums, _with_pooled(PLAIN[name]), losses)
    if name == "skill":
        return Statistic(name, _sums, _with_pooled(skill), losses, relative=True)
    if name == "pearson":
        return Statistic(name, pearson_terms, _with_pooled(pearson_of), losses)
    if name == "vrmse":
        if variance is None:
            raise SlimeError("vrmse needs the variance of the train split's pixels by channel")
        spread = variance
        return Statistic(
            name, _sums, _with_pooled(lambda s, pool=False: vrmse(s, spread, pool=pool)), losses
        )
    threshold = _threshold(name)
    return Statistic(
        name,
        lambda tally: _horizon_terms(tally, threshold),
        _with_pooled(median_of),
        lambda tally: horizon(tally, threshold)[0][:, None],
    )


def losses(tally: Tally) -> Series:
    """Mean squared error of each window; the overall one where all of its pixels are masked."""
    n, square = tally["n"], tally["square"]
    overall = square.sum(axis=0) / np.maximum(n.sum(axis=0), 1)
    return np.where(n > 0, square / np.maximum(n, 1), overall)


def pearson_terms(tally: Tally) -> Terms:
    """Fisher's z of each frame, and 1 where it has one."""
    z = np.arctanh(np.clip(frame_pearson(tally), -1 + 1e-12, 1 - 1e-12))
    return np.stack([np.nan_to_num(z), (~np.isnan(z)).astype(float)], axis=1)


def pearson_of(totals: Totals, *, pool: bool = False) -> Columns:
    """The correlation whose z is the mean over frames."""
    z, n = totals[..., 0, :, :], totals[..., 1, :, :]
    if pool:
        z, n = z.sum(axis=-1, keepdims=True), n.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):  # a lead of flat frames alone has none: NaN
        return np.tanh(z / n)


def median_of(totals: Totals, *, pool: bool = False) -> Columns:
    """The median of values 1, 2, ..., of each of which the totals count how often it was drawn."""
    counts = totals.sum(axis=-1, keepdims=True) if pool else totals
    below = np.cumsum(np.moveaxis(counts, -3, -1), axis=-1)
    n = below[..., -1:]
    lower = (below <= np.floor((n - 1) / 2)).sum(axis=-1)
    upper = (below <= np.floor(n / 2)).sum(axis=-1)
    return np.where(np.isnan(n[..., 0]), np.nan, (lower + upper) / 2 + 1)


def _sums(tally: Tally) -> Terms:
    return tally.sums


def _horizon_terms(tally: Tally, threshold: float) -> Terms:
    first, _ = horizon(tally, threshold)
    leads = np.arange(1, tally.n_leads + 1)
    return (first[:, None, :] == leads[:, None]).astype(float)[:, :, None]


def _threshold(name: str) -> float:
    try:
        threshold = float(name.removeprefix(HORIZON)) if name.startswith(HORIZON) else np.nan
    except ValueError:
        threshold = np.nan
    if not -1 < threshold < 1:
        raise SlimeError(
            f"there is no score {name!r}: {', '.join(NAMES)}, horizons at any correlation"
            f"{nearest(name, NAMES)}"
        )
    return threshold


def _with_pooled(score: Callable[..., Columns]) -> Callable[..., Columns]:
    """A score for each channel and, in one more column, for all together."""

    def columns(*totals: Totals) -> Columns:
        return np.concatenate([score(*totals), score(*totals, pool=True)], axis=-1)

    return columns
