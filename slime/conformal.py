"""Split-conformal intervals: how far truth lay from the forecast on frames held out for that.

The half width of a pixel's interval is a quantile of the absolute errors on the validation split,
for each lead and channel. Were windows exchangeable, intervals would cover new truth at least as
often as they say (Vovk et al. 2005, doi 10.1007/b106715; Lei et al. 2018,
doi 10.1080/01621459.2017.1307116). Times of a movie are not: neighbours err alike, and later ones
may be harder. So the finite-sample rule counts blocks that are as good as independent instead of
windows, the guarantee holds approximately, and the coverage on test is measured beside it.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from slime.errors import SlimeError

BINS = 4096
DECADES = (-8.0, 8.0)  # of an error, in units of the scale: a bin is 0.9 % wide


@dataclass(frozen=True)
class ErrorCounts:
    """How many pixels' absolute errors fell into each of many bins, by lead and channel.

    Attributes:
        scale: a typical size by channel, in movie units, that bins are relative to.
        counts: the first bin holds errors of almost 0, the last those beyond all others and those
            of diverged forecasts.
    """

    scale: Float[np.ndarray, " channel"]
    counts: Float[np.ndarray, "lead channel bin"]

    @classmethod
    def none(cls, scale: Float[np.ndarray, " channel"], n_leads: int) -> "ErrorCounts":
        """No pixel yet."""
        if not ((scale > 0) & np.isfinite(scale)).all():
            raise SlimeError(f"scale={scale.tolist()} of errors must be above 0 and finite")
        return cls(scale, np.zeros((n_leads, len(scale), BINS + 2)))

    def add(
        self,
        forecast: Float[Tensor, "b lead c y x"],
        truth: Float[Tensor, "b lead c y x"],
        mask: Bool[Tensor, "b lead c y x"] | None,
    ) -> None:
        """Count a batch's pixels, those of the mask alone, in place."""
        error = (forecast.double() - truth.double()).abs().cpu().numpy()
        counts = np.ones(error.shape, bool) if mask is None else mask.cpu().numpy()
        for lead in range(error.shape[1]):
            for c, scale in enumerate(self.scale):
                held = error[:, lead, c][counts[:, lead, c]] / scale
                place = np.searchsorted(_edges(), held, side="left")  # NaN comes last
                self.counts[lead, c] += np.bincount(place, minlength=BINS + 2)

    def half_widths(
        self, coverage: float, n_blocks: Float[np.ndarray, " lead"]
    ) -> Float[np.ndarray, "lead channel"]:
        """Half widths of intervals, in movie units, from above by a bin at most (0.9 %).

        Infinite where blocks are too few for such a coverage (9 for 90 %), or errors without end.
        """
        upper = np.append(_edges(), np.inf)
        cumulative = np.cumsum(self.counts, axis=-1)
        total = cumulative[..., -1:]
        share = np.array([finite_sample_share(coverage, n) for n in n_blocks.tolist()])[
            :, None, None
        ]
        place = (cumulative < np.minimum(share, 1) * total * (1 - 1e-12)).sum(axis=-1)
        half = np.where(share[..., 0] > 1, np.inf, upper[np.minimum(place, BINS + 1)])
        return np.where(total[..., 0] > 0, half * self.scale, np.nan)


def finite_sample_share(coverage: float, n: float | int) -> float:
    """The share of `n` errors that a half width must enclose: ceil((n + 1) coverage) / n.

    Above 1 where n is too small for any of them to do.

    >>> finite_sample_share(0.9, 9), finite_sample_share(0.9, 8)
    (1.0, 1.125)
    """
    if not 0 < coverage < 1:
        raise SlimeError(f"coverage={coverage} must be between 0 and 1")
    n = math.floor(n)  # part of a block is none
    return math.inf if n < 1 else math.ceil(round((n + 1) * coverage, 9)) / n


def covered(
    counts: ErrorCounts, half_widths: Float[np.ndarray, "lead channel"]
) -> Float[np.ndarray, "lead channel"]:
    """The share of the counted errors within half widths that a calibration gave."""
    upper = np.append(_edges(), np.inf)
    within = upper * (1 - 1e-9) <= (half_widths / counts.scale)[..., None]
    with np.errstate(invalid="ignore"):
        return (counts.counts * within).sum(axis=-1) / counts.counts.sum(axis=-1)


def _edges() -> Float[np.ndarray, " edge"]:
    return np.logspace(*DECADES, BINS + 1)
