"""How sure a score is: the blocks of time that are drawn again for it, and how long they are."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from slime.blocks import block_length
from slime.errors import SlimeError
from slime.long_run import Spread, spread_of
from slime.resampling import MIN_BLOCKS, Interval, Resampling, rows_in_order
from slime.score import Tally
from slime.statistic import losses

__all__ = [
    "MIN_BLOCKS",
    "Interval",
    "Resampling",
    "blocks_of_one",
    "in_order",
    "resample_blocks",
    "resample_series",
]


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
    series = series[rows_in_order(tally)]
    plain = blocks_of_one(tally, series.shape[1], n_draws=n_draws, seed=seed)
    parts = [series[plain.movie == number] for number in plain.movies]
    lengths = np.stack([_longest(part) for part in parts])
    widening, freedom = _spread(parts, lengths)
    return replace(plain, mean_block=lengths, widening=widening, freedom=freedom)


def in_order(tally: Tally) -> Tally:
    """The tally by movie and start."""
    rows = rows_in_order(tally)
    return tally.at(rows)


def blocks_of_one(tally: Tally, n_leads: int, *, n_draws: int = 1000, seed: int = 0) -> Resampling:
    """A tally's windows, each a block of its own: right only where they err independently."""
    rows, movies = rows_in_order(tally), np.unique(tally.movie)
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
