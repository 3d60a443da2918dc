"""Tables of a study: tidy CSV, markdown for people, and the part of a page that a command keeps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slime.errors import SlimeError
from slime.files import write_text
from slime.score_rows import rows_where
from slime.studies.rows import T

MINUS = "−"


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Every row, numbers to six digits."""
    write_text(path, table.to_csv(index=False, float_format="%.6g"))


def number(value: float, digits: int = 3, *, sign: bool = True) -> str:
    """A number with its sign, or a dash where there is none."""
    if not np.isfinite(value):
        return "–"
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def with_interval(row: Any, digits: int = 3, *, sign: bool = True) -> str:
    """Value [low to high], the interval left out where there is none."""
    text = number(row["value"], digits, sign=sign)
    if not np.isfinite(row["low"]):
        return text
    low, high = (number(row[end], digits, sign=sign) for end in ("low", "high"))
    return f"{text} [{low} to {high}]"


def one_row(table: pd.DataFrame, **equal: Any) -> Any:
    """The only row where these columns hold these values, else None."""
    rows = rows_where(table, **equal)
    return None if rows.empty else rows.iloc[0]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table, every column but the first to the right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def horizon_text(table: pd.DataFrame, **equal: Any) -> str:
    """'13 [12 to 14]', and '>= 32' where more than half of the rollouts never fell under it."""
    row = one_row(table, score=T, **equal)
    share = one_row(table, score=T.replace("horizon", "censored"), **equal)
    if row is None or share is None:
        return "–"
    if share["value"] > 0.5:
        return f"≥ {number(row['value'], 0, sign=False)} ({share['value']:.0%})"
    return f"{with_interval(row, 1, sign=False)} ({share['value']:.0%})"


def replace_part(page: Path, name: str, text: str) -> None:
    """Put text between the markers of a part: <!-- name --> and <!-- end of name -->.

    Raises:
        SlimeError: the page lacks the markers, or holds them twice.
    """
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    held = page.read_text(encoding="utf-8")
    if held.count(first) != 1 or held.count(last) != 1:
        raise SlimeError(f"{page} must hold {first} and {last} once each")
    before, rest = held.split(first)
    if last not in rest:
        raise SlimeError(f"{page}: {last} stands before {first}")
    after = rest.split(last)[1]
    write_text(page, f"{before}{first}\n{text.strip()}\n{last}{after}")
