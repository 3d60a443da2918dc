"""Blocks of time drawn again within each movie, and scores with them.

Movies are strata, each kept whole: an interval speaks of other times of these movies, not of other
movies.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from slime.blocks import effective_blocks, stationary_weights
from slime.errors import SlimeError
from slime.score import Sums, Tally
from slime.statistic import pearson_of, pearson_terms
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
        return self._totals(terms[rows_in_order(tally)])

    def check_windows(self, tally: Tally, n_leads: int) -> None:
        """Refuse a tally of other windows or leads than those drawn."""
        rows = rows_in_order(tally)
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


def rows_in_order(tally: Tally) -> Int[np.ndarray, " windows"]:
    """A tally's windows by movie and start."""
    return np.lexsort((tally.start, tally.movie))
