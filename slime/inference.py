"""How sure a score is: time blocks are drawn again within each movie, and the score with them.

Movies are strata, each kept whole: an interval speaks of other times of these movies, not of other
movies.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from slime.blocks import block_length, effective_blocks, stationary_weights
from slime.errors import SlimeError
from slime.long_run import Spread, spread_of
from slime.score import Sums, Tally
from slime.statistic import losses, pearson_of, pearson_terms
from slime.stretched import Drawn, Table, as_student, ends

MIN_BLOCKS = 10  # effectively independent blocks below which no interval is given
MIN_BLOCKS_OF_MOVIE = 2  # a movie of one block would look free of error
DRAWN_AT_ONCE = 1 << 22  # weights in memory at a time


class Interval(NamedTuple):
    """The lower and upper end for each lead and channel, NaN where there are too few blocks."""

    low: Float[np.ndarray, "lead channel"]
    high: Float[np.ndarray, "lead channel"]


@dataclass(frozen=True)
class Resampling:
    """Blocks of windows drawn again, the same for every tally that is summed over them.

    Attributes:
        movie, start: the windows, by movie and time.
        movies: the movies' numbers; each is resampled for itself.
        mean_block: the mean length of a block in windows, by movie and lead.
        n_draws, seed: the same seed draws the same blocks.
        widening, freedom: by lead, how draws are stretched about a score: see slime.long_run.
    """

    movie: Int[np.ndarray, " windows"]
    start: Int[np.ndarray, " windows"]
    movies: Int[np.ndarray, " movies"]
    mean_block: Float[np.ndarray, "movies lead"]
    n_draws: int
    seed: int
    widening: Float[np.ndarray, " lead"] | float = 1.0
    freedom: Float[np.ndarray, " lead"] | float = math.inf

    @property
    def n_windows(self) -> Int[np.ndarray, " movies"]:
        """Windows of each movie."""
        return (self.movie == self.movies[:, None]).sum(axis=1)

    @property
    def n_blocks(self) -> Float[np.ndarray, " lead"]:
        """Blocks as good as independent, over all movies."""
        return effective_blocks(self.n_windows, self.mean_block)

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """For each lead why there is no interval; empty where there is one."""
        return tuple(self._reason(lead) for lead in range(self.mean_block.shape[1]))

    def _reason(self, lead: int) -> str:
        lengths, n_blocks = self.mean_block[:, lead], self.n_blocks[lead]
        if not np.isfinite(lengths).all():
            return f"no interval at lead {lead + 1}: losses are not finite numbers"
        fewest = (self.n_windows / lengths).min()
        if n_blocks >= MIN_BLOCKS and fewest >= MIN_BLOCKS_OF_MOVIE:
            return ""
        too_few = (
            f"{n_blocks:.1f} effective blocks, {MIN_BLOCKS} are needed"
            if n_blocks < MIN_BLOCKS
            else f"a movie of {fewest:.1f} effective blocks, {MIN_BLOCKS_OF_MOVIE} are needed"
        )
        return (
            f"no interval at lead {lead + 1}: {too_few} ({self.n_windows.sum()} windows in "
            f"{len(self.movies)} movies, mean block of up to {lengths.max():.1f} windows)"
        )

    def sums(self, tally: Tally) -> Sums:
        """The sums of each draw, `draw sum lead channel`, from which any score can be taken.

        Raises:
            SlimeError: the tally holds other windows or leads than those drawn.
        """
        return self.totals(tally, tally.sums)

    def totals(
        self, tally: Tally, terms: Float[np.ndarray, "windows term lead channel"]
    ) -> Float[np.ndarray, "draw term lead channel"]:
        """What each draw adds up of any terms of a tally's windows, in the tally's order.

        Raises:
            SlimeError: the tally holds other windows than those drawn, or the terms other leads.
        """
        self.check_windows(tally, terms.shape[2])
        return self._totals(terms[_rows(tally)])

    def check_windows(self, tally: Tally, n_leads: int) -> None:
        """Refuse a tally of other windows or leads than those drawn."""
        rows = _rows(tally)
        movie, start = tally.movie[rows], tally.start[rows]
        same = np.array_equal(movie, self.movie) and np.array_equal(start, self.start)
        if not same or n_leads != self.mean_block.shape[1]:
            raise SlimeError(
                f"scores can be compared on the same windows only: here are {len(tally)} windows "
                f"of {n_leads} leads, there {len(self.movie)} of {self.mean_block.shape[1]}, "
                "not all of the same movies and starts"
            )

    def pearson(
        self, tally: Tally, *, pool: bool = False
    ) -> Float[np.ndarray, "draw lead channel"]:
        """slime.score.pearson of each draw; it is a mean over frames, not a function of sums."""
        return pearson_of(self.totals(tally, pearson_terms(tally)), pool=pool)

    def interval(
        self, scores: Drawn, value: Table | None = None, *, level: float = 0.95
    ) -> Interval:
        """The interval of each lead and channel: the draws' percentiles, stretched.

        Args:
            scores: of the draws, `draw lead channel`.
            value: of the windows as they are; None takes the middle of the draws for it.
        """
        if not 0 < level < 1:
            raise SlimeError(f"an interval of level {level}: it must lie between 0 and 1")
        given = np.array([not reason for reason in self.reasons])[:, None]
        scores = np.where(given & np.isfinite(scores).all(axis=0), scores, np.nan)
        about = np.median(scores, axis=0) if value is None else value
        return Interval(*ends(np.sort(self.as_sure(scores, about), axis=0), 1 - level))

    def as_sure(self, scores: Drawn, value: Table) -> Drawn:
        """Draws of a score, as far about its value as so short a time can tell: slime.long_run."""
        widening, freedom = (
            np.broadcast_to(np.asarray(told, dtype=float), self.mean_block.shape[1:])[:, None]
            for told in (self.widening, self.freedom)
        )
        with np.errstate(invalid="ignore"):  # a lead of diverged forecasts
            wide = value + widening * (scores - value)
        return as_student(wide, value, np.broadcast_to(freedom, value.shape))

    def _totals(
        self, terms: Float[np.ndarray, "windows term lead channel"]
    ) -> Float[np.ndarray, "draw term lead channel"]:
        """Terms summed over the windows of each draw."""
        n_leads = self.mean_block.shape[1]
        total = np.zeros((self.n_draws, *terms.shape[1:]))
        total[:, :, [bool(reason) for reason in self.reasons]] = np.nan
        for i, movie in enumerate(self.movies):
            of_movie = terms[self.movie == movie]
            for lead in range(n_leads):
                if self.reasons[lead]:
                    continue
                rng = np.random.default_rng((self.seed, int(movie), lead))
                for rows in self._rows(len(of_movie)):
                    weights = stationary_weights(
                        len(of_movie), self.mean_block[i, lead], rows.stop - rows.start, rng
                    )
                    total[rows, :, lead] += np.tensordot(weights, of_movie[:, :, lead], axes=1)
        return total

    def _rows(self, n_windows: int) -> Iterator[slice]:
        n = max(DRAWN_AT_ONCE // n_windows, 1)
        return (slice(a, min(a + n, self.n_draws)) for a in range(0, self.n_draws, n))


def resample_blocks(
    model: Tally, reference: Tally | None = None, *, n_draws: int = 1000, seed: int = 0
) -> Resampling:
    """Draw time blocks for the intervals of a model's scores, or of its skill over a reference.

    The statistic is taken from each draw's sums, so that an interval reads

        draws = resample_blocks(model, persistence)
        low, high = draws.interval(skill(draws.sums(model), draws.sums(persistence)))

    Both are drawn alike: what makes a time hard for both cancels. Block lengths come from what is
    resampled, the squared error of each window, or its difference to the reference's: for each
    movie and lead the longest over channels.

    Raises:
        SlimeError: no window, or a reference on other windows.
    """
    model = in_order(model)
    series = losses(model)
    if reference is not None:
        blocks_of_one(model, model.n_leads).check_windows(reference, reference.n_leads)
        with np.errstate(invalid="ignore"):  # infinite losses are told by name later
            series = series - losses(in_order(reference))
    return resample_series(model, series, n_draws=n_draws, seed=seed)


def resample_series(
    tally: Tally,
    series: Float[np.ndarray, "windows lead channel"],
    *,
    n_draws: int = 1000,
    seed: int = 0,
) -> Resampling:
    """Draw a tally's windows in blocks as long as a series of theirs stays correlated.

    Raises:
        SlimeError: no window.
    """
    if not len(tally):
        raise SlimeError("an interval of a score needs windows, but the tally is empty")
    series = series[_rows(tally)]
    plain = blocks_of_one(tally, series.shape[1], n_draws=n_draws, seed=seed)
    parts = [series[plain.movie == number] for number in plain.movies]
    lengths = np.stack([_longest(part) for part in parts])
    widening, freedom = _spread(parts, lengths)
    return replace(plain, mean_block=lengths, widening=widening, freedom=freedom)


def in_order(tally: Tally) -> Tally:
    """The tally by movie and start."""
    rows = _rows(tally)
    return tally.at(rows)


def blocks_of_one(tally: Tally, n_leads: int, *, n_draws: int = 1000, seed: int = 0) -> Resampling:
    """A tally's windows, each a block of its own: right only where they err independently."""
    rows, movies = _rows(tally), np.unique(tally.movie)
    ones = np.ones((len(movies), n_leads))
    return Resampling(tally.movie[rows], tally.start[rows], movies, ones, n_draws, seed)


def _longest(series: Float[np.ndarray, "t lead channel"]) -> Float[np.ndarray, " lead"]:
    """Block lengths of one movie, the longest over channels; NaN where losses are not finite."""
    finite = np.isfinite(series).all(axis=(0, 2))
    n_leads, n_channels = series.shape[1:]
    lengths = np.full(n_leads, np.nan)
    for lead in np.flatnonzero(finite):
        lengths[lead] = max(block_length(series[:, lead, c]) for c in range(n_channels))
    return lengths


def _spread(
    parts: Sequence[Float[np.ndarray, "_ lead channel"]],
    lengths: Float[np.ndarray, "movies lead"],
) -> Spread:
    """The most that any channel asks for, by lead."""
    n_leads, n_channels = parts[0].shape[1:]
    flat = [part.reshape(len(part), -1) for part in parts]
    found = spread_of(list(zip(flat, np.repeat(lengths, n_channels, axis=1), strict=True)))
    widening, freedom = (of.reshape(n_leads, n_channels) for of in found)
    return Spread(widening.max(axis=1), freedom.min(axis=1))


def _rows(tally: Tally) -> Int[np.ndarray, " windows"]:
    return np.lexsort((tally.start, tally.movie))
