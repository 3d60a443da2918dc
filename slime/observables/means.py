"""Means over movies, or over starts, of what could be measured."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd


def means(table: pd.DataFrame, keys: Sequence[str], what: str) -> Iterator[dict[str, Any]]:
    """A row a group: the mean of what could be measured, its range, and why others could not."""
    for group, rows in table.groupby(list(keys), sort=False):
        values = rows["value"].to_numpy(float)
        known = np.isfinite(values)
        why = list(dict.fromkeys(rows["note"][~known]))
        units = list(dict.fromkeys(unit for unit in rows["unit"] if unit))
        if len(units) > 1:
            known[:], why = False, [f"no mean of values in {' and '.join(units)}"]
        said = f"mean of {known.sum()} {what}, low to high: the least and the most of them"
        if not known.any():
            said, ends = "; ".join(why), (np.nan, np.nan, np.nan)
        else:
            of = values[known]
            ends = (float(of.mean()), float(of.min()), float(of.max()))
            said += f"; {len(values) - known.sum()} without: {'; '.join(why)}" if why else ""
        named = dict(zip(keys, group if isinstance(group, tuple) else (group,), strict=True))
        yield {
            **named,
            **dict(zip(("value", "low", "high"), ends, strict=True)),
            "unit": units[0] if len(units) == 1 else "",
            "note": said,
        }
