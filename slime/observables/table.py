"""Results as tidy rows: a value with its unit, its interval, what it was counted over and how."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from slime.blocks import block_length, stationary_weights
from slime.inference import MIN_BLOCKS
from slime.long_run import spread_of
from slime.stretched import as_student, ends
from slime.texts import number_text

N_DRAWS = 1000
SPREAD = (5, 95)  # percentiles


class Row(NamedTuple):
    """One observable; NaN where it could not be measured, and `note` says why or how.

    Attributes:
        low, high: what they span is in the note: an interval of a mean over time, or the spread
            over pixels or mounds.
        n: what `value` was taken over: frames, pixels, mounds.
    """

    observable: str
    value: float
    low: float
    high: float
    unit: str
    n: int
    note: str


def spread_row(
    observable: str, values: Float[np.ndarray, "..."], unit: str, what: str, note: str = ""
) -> Row:
    """The median of the finite values and their 5th to 95th percentile."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Row(observable, np.nan, np.nan, np.nan, unit, 0, _joined(f"no {what}", note))
    low, middle, high = (float(v) for v in np.percentile(finite, (SPREAD[0], 50, SPREAD[1])))
    said = f"median of {what}, low to high: 5th to 95th percentile"
    return Row(observable, middle, low, high, unit, finite.size, _joined(said, note))


def mean_row(
    observable: str, series: Float[np.ndarray, " t"], unit: str, note: str = "", *, seed: int = 0
) -> Row:
    """The mean over frames with its 95 % interval, by the stationary block bootstrap.

    Fewer than 10 effective blocks give no interval (see slime.inference).
    """
    finite = series[np.isfinite(series)]
    if not finite.size:
        return Row(observable, np.nan, np.nan, np.nan, unit, 0, _joined("no frame", note))
    mean_block = block_length(finite)
    n_blocks = finite.size / mean_block
    low = high = np.nan
    said = f"mean of frames, no interval: {n_blocks:.1f} effective blocks, {MIN_BLOCKS} are needed"
    if n_blocks >= MIN_BLOCKS:
        rng = np.random.default_rng(seed)
        means = stationary_weights(finite.size, mean_block, N_DRAWS, rng) @ finite / finite.size
        low, high = _interval(finite, mean_block, means)
        said = "mean of frames, low to high: 95 % interval (block bootstrap)"
    return Row(observable, float(finite.mean()), low, high, unit, finite.size, _joined(said, note))


def _interval(
    series: Float[np.ndarray, " t"], mean_block: float, means: Float[np.ndarray, " draw"]
) -> tuple[float, float]:
    widening, freedom = spread_of([(series[:, None], np.array([mean_block]))])
    value = np.full((1, 1), series.mean())
    wide = value + widening * (means[:, None, None] - value)
    low, high = ends(np.sort(as_student(wide, value, freedom[None]), axis=0), 0.05)
    return low.item(), high.item()


def single_row(observable: str, value: float, unit: str, n: int, note: str) -> Row:
    """One number without an interval."""
    return Row(observable, float(value), np.nan, np.nan, unit, n, note)


def csv_text(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as CSV; NaN is an empty cell."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return lines.getvalue()


def table_text(rows: Sequence[Row]) -> str:
    """A short table for a terminal, aligned."""
    cells = [
        (
            row.observable,
            number_text(row.value) if row.value == row.value else "-",
            _range(row),
            row.unit,
            f"n {row.n}",
            row.note,
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  " + "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _range(row: Row) -> str:
    return "" if row.low != row.low else f"{number_text(row.low)} to {number_text(row.high)}"


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if value != value else repr(float(value))
    return value


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
