"""Bias and coverage over an ensemble of movies whose truth is known."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binomtest
from scipy.stats import t as student

COLUMNS = ("condition", "parameter", "truth", "seed", "value", "low", "high", "uncorrected", "note")
SUMMARY = ("condition", "parameter", "score", "value", "low", "high", "n")


SummaryRow = tuple[str, str, str, float, float, float, int]


class Trial(NamedTuple):
    """One parameter of one movie: what was found of what was put in; NaN where nothing was."""

    condition: str
    parameter: str
    truth: float
    seed: int
    value: float
    low: float
    high: float
    uncorrected: float
    note: str


def summaries(trials: Sequence[Trial]) -> list[SummaryRow]:
    """For each condition and parameter the bias with its 95 % interval, scatter and coverage.

    Bias is the mean of value / truth - 1 over movies, its interval by Student's t; coverage the
    share of intervals that hold the truth, with Clopper and Pearson's interval (1934, doi
    10.1093/biomet/26.4.404). Movies that told nothing count in `silent` and nowhere else.
    """
    rows = []
    for key in dict.fromkeys((one.condition, one.parameter) for one in trials):
        here = [one for one in trials if (one.condition, one.parameter) == key]
        known = [one for one in here if np.isfinite(one.value)]
        off = np.array([one.value / one.truth - 1 for one in known])
        plain = np.array([one.uncorrected / one.truth - 1 for one in known])
        wide = [(one.high - one.low) / 2 / one.truth for one in known]
        middle = float(np.median(wide)) if wide else np.nan, np.nan, np.nan
        held = np.array([one.low <= one.truth <= one.high for one in known], bool)
        rows += [
            (*key, "bias", *mean_interval(off), len(known)),
            (*key, "bias_uncorrected", *mean_interval(plain), len(known)),
            (*key, "scatter", _std(off), np.nan, np.nan, len(known)),
            (*key, "half_width", *middle, len(known)),
            (*key, "coverage", *share_interval(held), len(known)),
            (*key, "silent", 1 - len(known) / len(here), np.nan, np.nan, len(here)),
        ]
    return rows


def mean_interval(values: Float[np.ndarray, " n"]) -> tuple[float, float, float]:
    """A mean and its 95 % interval by Student's t.

    >>> mean_interval(np.array([1.0, 2.0, 3.0]))[0]
    2.0
    """
    if len(values) < 2:
        return (float(values.mean()) if len(values) else np.nan), np.nan, np.nan
    reach = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    mean = float(values.mean())
    return mean, float(mean - reach), float(mean + reach)


def share_interval(held: Bool[np.ndarray, " n"]) -> tuple[float, float, float]:
    """A share and its exact 95 % interval."""
    if not len(held):
        return np.nan, np.nan, np.nan
    interval = binomtest(int(held.sum()), len(held)).proportion_ci()
    return float(held.mean()), float(interval.low), float(interval.high)


def _std(values: Float[np.ndarray, " n"]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else np.nan
