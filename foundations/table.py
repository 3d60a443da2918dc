"""The table of exercises as text: our figure, the reference's, the band, the verdict."""

import math
from collections.abc import Iterator

from foundations.exercise import Erratum, Exercise, Outcome, Row

WIDTHS = (5, 50, 19, 15, 18, 7)


def header() -> str:
    """The names of the columns, and a rule."""
    names = ("", "exercise", "ours (± over seeds)", "reference", "band", "verdict")
    return _line(names) + "\n" + "-" * (sum(WIDTHS) + 2 * (len(WIDTHS) - 1))


def lines(exercise: Exercise, outcome: Outcome) -> Iterator[str]:
    """A line for each row of an exercise, its number on the first."""
    for i, row in enumerate(outcome.rows):
        yield _line(
            (
                exercise.id if i == 0 else "",
                row.name,
                figure_text(row),
                row.reference or "–",
                band_text(row),
                "in" if row.passed else "OUT",
            )
        )


def figure_text(row: Row) -> str:
    """The mean and, over several seeds, its spread in the mean's digits.

    >>> figure_text(Row("accuracy", [0.94, 0.95, 0.96], "", 0.0, 1.0))
    '0.9500 ± 0.0100'
    """
    if len(row.ours) == 1:
        return _number(row.figure)
    spread = _number(row.spread) if 0 < row.spread < 1e-3 else f"{row.spread:.4f}"
    return f"{_number(row.figure)} ± {spread}"


def band_text(row: Row) -> str:
    """The band in words.

    >>> band_text(Row("R2", [0.1], "", -math.inf, 0.2))
    'at most 0.2'
    """
    if row.low == row.high:
        return f"exactly {row.low:g}"
    if math.isfinite(row.low) and math.isfinite(row.high):
        return f"{row.low:g} to {row.high:g}"
    if math.isfinite(row.high):
        return f"at most {row.high:g}"
    return f"at least {row.low:g}" if math.isfinite(row.low) else "any"


def erratum_text(erratum: Erratum) -> str:
    """What the reference did, why it is wrong, what is right; two figures."""
    return (
        f"erratum: {erratum.did}: {erratum.got:.4g}\n"
        f"  wrong: {erratum.why}\n"
        f"  right: {erratum.right}: {erratum.gets:.4g}"
    )


def told(outcome: Outcome) -> list[str]:
    """Each erratum of an outcome, and what it says, if anything."""
    return [*map(erratum_text, outcome.errata), *filter(None, [outcome.says])]


def outcome_text(outcome: Outcome) -> str:
    """Rows and errata of one exercise, a line a row, for a page that shows it alone."""
    width = max(len(row.name) for row in outcome.rows)
    told = [
        f"{row.name:{width}}  {figure_text(row)}"
        + (f"  (reference {row.reference})" if row.reference else "")
        + f"  [{band_text(row)}]"
        + ("" if row.passed else "  OUT")
        for row in outcome.rows
    ]
    return "\n".join([*told, *(erratum_text(erratum) for erratum in outcome.errata)])


def count_text(n_out: int, n_rows: int) -> str:
    """The last line: how many rows lie out of their band."""
    return f"{n_out} of {n_rows} rows out of their band"


def _number(value: float) -> str:
    if not math.isfinite(value) or value.is_integer():
        return f"{value:g}"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.5g}"


def _line(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(w) for cell, w in zip(cells, WIDTHS, strict=True)).rstrip()
