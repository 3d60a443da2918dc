"""Scores over several trainings: blocks of time are drawn again, and seeds, for one interval.

    net, still = [r.of["cnn"] for r in runs], [runs[0].of["persistence"]]
    found = combined(net, statistic("skill"), still)                      # value, low, high
    wins = difference(net, rivals, statistic("skill"), still)             # ..., p
    # slime.stretched.holm corrects the p values of a table; slime.contest makes such tables

Seeds share their windows, and every draw takes the same blocks for all of them: a time that is hard
for one is hard for all, and drawn for each apart it would be averaged away. The draws are stretched
as slime.long_run has it. To each is added what few seeds leave open: the standard error of their
mean times a draw from Student's t, of S - 1 degrees of freedom, or Welch's for two models (1947,
doi 10.1093/biomet/34.1-2.28). Adding the two parts so is Behrens' and Fisher's answer for what few
units told (Fisher 1935, doi 10.1111/j.1469-1809.1935.tb02120.x), and errs on the wide side. Seeds
drawn again would not do: three make ten sets, whose percentiles are no more than the seeds. An
interval of one seed is that of slime.inference and speaks of these weights alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from slime.errors import SlimeError
from slime.inference import Resampling, blocks_of_one, in_order, resample_series
from slime.score import Tally
from slime.statistic import Columns, Series, Statistic
from slime.stretched import Drawn, Table, ends, p_of_zero

MIN_SEEDS = 3  # of two seeds nothing is known about their spread; one is taken as it is


class Combined(NamedTuple):
    """A score over seeds, by lead and column: one a channel, then all channels together.

    Attributes:
        value: the mean over seeds of each seed's score.
        low, high: NaN where `reasons` says why.
        p: two-sided, of a value of 0: the level at which the interval begins to hold 0, and never
            under 2 / (draws + 1). NaN for scores whose 0 is no comparison.
        by_seed: each seed's score; both models' one after the other in a difference.
        reasons: for each lead why there is no interval, '' where there is one.
    """

    value: Table
    low: Table
    high: Table
    p: Table
    by_seed: Float[np.ndarray, "seed lead column"]
    reasons: tuple[str, ...]


class _Scored(NamedTuple):
    """One model's scores: as they are, and of every draw."""

    plain: Float[np.ndarray, "seed lead column"]
    drawn: Float[np.ndarray, "seed draw lead column"]


def combined(
    model: Sequence[Tally],
    score: Statistic,
    reference: Sequence[Tally] = (),
    *,
    n_draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Combined:
    """A model's score over its seeds, one tally each, and its interval over seeds and times.

    That of a horizon, which no window puts before lead 1 or after the last, ends there too.

    Args:
        reference: what a relative score (skill) is against: one tally a seed, or one for all.

    Raises:
        SlimeError: no tally, tallies of different windows, a relative score without a reference,
            or a level outside 0 to 1.
    """
    references = _references(score, reference, len(model))
    draws = _draws(score, [model], reference if score.relative else (), n_draws, seed)
    ours = _scored(score, model, references, draws)
    found = _estimate([ours], [1.0], draws, level, comparison=score.relative)
    if score.has_leads:
        return found
    low, high = np.maximum(found.low, 1.0), np.minimum(found.high, float(model[0].n_leads))
    return found._replace(low=low, high=high)


def difference(
    ours: Sequence[Tally],
    theirs: Sequence[Tally],
    score: Statistic,
    reference: Sequence[Tally] = (),
    *,
    n_draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Combined:
    """Our score less theirs on the same windows, blocks drawn alike and each side's seeds apart.

    A baseline without seeds is one tally.

    Raises:
        SlimeError: as `combined`.
    """
    draws = _draws(score, [ours, theirs], (), n_draws, seed)
    sides = [
        _scored(score, tallies, _references(score, reference, len(tallies)), draws)
        for tallies in (ours, theirs)
    ]
    return _estimate(sides, [1.0, -1.0], draws, level, comparison=True)


def _references(
    score: Statistic, reference: Sequence[Tally], n_seeds: int
) -> Sequence[Tally | None]:
    if not score.relative:
        return [None] * n_seeds
    if len(reference) not in (1, n_seeds):
        raise SlimeError(
            f"{score.name} of {n_seeds} seeds needs a reference for each or one for all, not "
            f"{len(reference)}"
        )
    return [*reference] * n_seeds if len(reference) == 1 else [*reference]


def _draws(
    score: Statistic,
    sides: Sequence[Sequence[Tally]],
    reference: Sequence[Tally],
    n_draws: int,
    seed: int,
) -> Resampling:
    """Blocks as long as the first side's mean over seeds, less the others', stays correlated."""
    if not all(sides):
        raise SlimeError("a score over seeds needs a tally of each, but there is none")
    first = in_order(sides[0][0])
    n_leads = score.terms(first).shape[2]
    plain = blocks_of_one(first, n_leads)
    means = []
    for tallies in (*sides, reference):
        for tally in tallies:
            plain.check_windows(tally, score.terms(tally).shape[2])
        if tallies:
            means.append(_mean([score.series(in_order(tally)) for tally in tallies]))
    with np.errstate(invalid="ignore"):  # infinite losses are told by name later
        series = means[0] - sum(means[1:])
    return resample_series(first, series, n_draws=n_draws, seed=seed)


def _mean(parts: Sequence[Series]) -> Series:
    return np.stack(parts).mean(axis=0)


def plain_score(score: Statistic, tally: Tally, reference: Tally | None) -> Table:
    """The score of one tally, nothing drawn."""
    both = [tally] if reference is None or not score.relative else [tally, reference]
    return score.score(*(score.terms(one).sum(axis=0) for one in both))


def _scored(
    score: Statistic,
    tallies: Sequence[Tally],
    references: Sequence[Tally | None],
    draws: Resampling,
) -> _Scored:
    plain, drawn = [], []
    held: dict[int, Columns] = {}
    for tally, reference in zip(tallies, references, strict=True):
        both = [tally] if reference is None else [tally, reference]
        terms = [score.terms(one) for one in both]
        plain.append(plain_score(score, tally, reference))
        totals = [draws.totals(tally, terms[0])]
        if reference is not None:
            if id(reference) not in held:
                held[id(reference)] = draws.totals(reference, terms[1])
            totals.append(held[id(reference)])
        drawn.append(score.score(*totals))
    return _Scored(np.stack(plain), np.stack(drawn))


def _estimate(
    sides: Sequence[_Scored],
    signs: Sequence[float],
    draws: Resampling,
    level: float,
    *,
    comparison: bool,
) -> Combined:
    if not 0 < level < 1:
        raise SlimeError(f"an interval of level {level}: it must lie between 0 and 1")
    by_seed = np.concatenate([side.plain for side in sides])
    signed = list(zip(signs, sides, strict=True))
    with np.errstate(invalid="ignore"):
        value = sum(sign * side.plain.mean(axis=0) for sign, side in signed)
    value = np.asarray(value)
    few = [len(s.plain) for s in sides if 1 < len(s.plain) < MIN_SEEDS]
    too_few = f"{few[0]} seeds, {MIN_SEEDS} are needed" if few else ""
    reasons = tuple(reason.partition(": ")[2] or too_few for reason in draws.reasons)
    rng = np.random.default_rng((draws.seed, len(by_seed)))
    of_seeds = _noise_of_seeds([side.plain for side in sides], draws.n_draws, rng)
    given = np.array([not reason for reason in reasons])[:, None] & np.isfinite(value)
    with np.errstate(invalid="ignore"):  # a lead of diverged forecasts has no interval
        blocks = sum(s * one.drawn.mean(axis=0) for s, one in signed)
        total = draws.as_sure(np.asarray(blocks), value) + of_seeds
    ordered = np.sort(np.where(given, total, np.nan), axis=0)
    low, high = ends(ordered, 1 - level)
    p = p_of_zero(ordered) if comparison else np.full_like(value, np.nan)
    return Combined(value, low, high, p, by_seed, reasons)


def _noise_of_seeds(
    sides: Sequence[Float[np.ndarray, "_ lead column"]], n_draws: int, rng: np.random.Generator
) -> Drawn:
    """What means over seeds may be off by, since seeds are few; nothing of one seed a side."""
    errors, per_freedom = np.zeros(sides[0].shape[1:]), np.zeros(sides[0].shape[1:])
    even = (np.arange(n_draws)[:, None, None] + 0.5) / n_draws  # no luck in the draws' spread
    with np.errstate(divide="ignore", invalid="ignore"):  # a diverged seed, or none that differs
        for plain in sides:
            if len(plain) > 1:
                own = plain.var(axis=0, ddof=1) / len(plain)
                errors, per_freedom = errors + own, per_freedom + own**2 / (len(plain) - 1)
        freedom = np.where(per_freedom > 0, errors**2 / per_freedom, 1.0)
        return rng.permutation(stdtrit(freedom, even)) * np.sqrt(errors)
