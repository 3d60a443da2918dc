"""Positions along an axis: what a key picks, and how zarr reads them best."""

from typing import Any

import numpy as np

Picked = range | np.ndarray  # positions along one axis, rising


def positions(key: Any, n: int) -> Picked:
    """The positions along an axis of `n` that a key (number, slice, array of numbers) picks."""
    if isinstance(key, (int, np.integer)):
        return range(n)[int(key) : int(key) + 1]
    return range(n)[key] if isinstance(key, slice) else np.asarray(key)


def as_index(picked: Picked) -> slice | np.ndarray:
    """The positions as a slice where their steps are even, which zarr reads best."""
    if not isinstance(picked, range):
        steps = np.diff(picked)
        if not len(picked) or (len(steps) and (steps[0] < 1 or (steps != steps[0]).any())):
            return np.asarray(picked, int)
        step = int(steps[0]) if len(steps) else 1
        picked = range(int(picked[0]), int(picked[-1]) + 1, step)
    return slice(picked.start, picked.stop, picked.step)
