"""Rows of scores.csv: its columns, and how rows are chosen and read."""

from typing import Any, cast

import numpy as np
import pandas as pd
from jaxtyping import Float

COLUMNS = ("model", "seed", "movie", "split", "channel", "lead", "score", "value", "low", "high")
NUMBERS = ("seed", "lead", "value", "low", "high")


def rows_where(table: pd.DataFrame, **equal: Any) -> pd.DataFrame:
    """The rows in which each named column has the given value."""
    kept = np.ones(len(table), bool)
    for column, value in equal.items():
        same: Any = table[column] == value
        kept &= np.asarray(same.fillna(False), dtype=bool)
    return cast(pd.DataFrame, table[kept])


def numbers_of(rows: pd.DataFrame, column: str) -> Float[np.ndarray, " rows"]:
    """A column as floats, NaN where it is empty."""
    return np.asarray(rows[column], dtype=float)
