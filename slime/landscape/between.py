"""The line from one trained net to another.

Unlike a random direction it moves every parameter, biases and a head's gate too, and statistics of
normalisation layers go along (slime.landscape.norms). Other buffers stay, and must be the same in
all: a net half way between two scales stands for nothing.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from slime.errors import SlimeError
from slime.landscape.differences import State, difference
from slime.landscape.grid import Progress, loss_surface
from slime.landscape.loss import Precision, hold_windows
from slime.landscape.norms import all_between, told
from slime.stepper import Stepper, weights_hash
from slime.stream import Batch


def loss_between(
    one: Stepper,
    other: State,
    batches: Iterable[Batch],
    *,
    n_points: int = 21,
    beyond: float | int = 0.25,
    lead: int = 1,
    micro_batch: int | None = None,
    loss: str = "mse",
    precision: Precision = "float32",
    progress: Progress | None = None,
    keep: Path | str | None = None,
) -> xr.DataArray:
    """The loss at one + alpha (other - one): axis alpha, 0 at the one net and 1 at the other.

    Attributes: `barrier`, by how much the loss between them rises at most above the straight line
    between its two ends (Entezari et al. 2022, arXiv 2110.06296; the ends left out, so that it is
    below 0 where all between them is lower), and `distance`. A horizon has no barrier.

    Args:
        other: the state of a stepper of the same shape and buffers.
        n_points: between the two, both counted; the step goes on `beyond` of the way on each side.

    Raises:
        SlimeError: states that do not fit, fewer than 3 points, or as loss_plane.
    """
    if n_points < 3 or beyond < 0:
        raise SlimeError(f"n_points={n_points} must be at least 3 and beyond={beyond} at least 0")
    held: Any = {"lead": lead, "micro_batch": micro_batch, "loss": loss, "precision": precision}
    windows = hold_windows(batches, one, **held)
    more = round(beyond * (n_points - 1))
    axis = np.arange(-more, n_points + more) / (n_points - 1)
    step = difference(one, other)
    norms = all_between(one, [other])
    line = loss_surface(
        one, windows, {"alpha": (axis, step)}, progress, moving=one, norms=norms, keep=keep
    )
    line.attrs |= {"other_sha256": [weights_hash(other)], **told(norms)}
    line.attrs["distance"] = line.attrs.pop("alpha_norm")
    line.attrs["directions"] = "from one net to another"
    if windows.threshold is None:
        inside = line.values[more : more + n_points]
        share = axis[more : more + n_points]
        rise = inside - ((1 - share) * inside[0] + share * inside[-1])
        line.attrs["barrier"] = float(rise[1:-1].max())
    line["alpha"].attrs["long_name"] = "share of the way from one net to the other"
    return line
