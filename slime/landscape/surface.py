"""Grids of losses about a trained net: planes and lines."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from torch import Tensor

from slime.errors import SlimeError
from slime.landscape.directions import filter_normalised_direction
from slime.landscape.grid import Progress, centred_axis, loss_surface
from slime.landscape.loss import (
    Precision,
    hold_windows,
)
from slime.stepper import Stepper
from slime.stream import Batch


def loss_plane(
    stepper: Stepper,
    batches: Iterable[Batch],
    *,
    seed: int = 0,
    n_points: int = 11,
    radius: float = 1.0,
    lead: int = 1,
    directions: Sequence[Mapping[str, Tensor]] | None = None,
    micro_batch: int | None = None,
    loss: str = "mse",
    precision: Precision = "float32",
    progress: Progress | None = None,
    keep: Path | str | None = None,
) -> xr.DataArray:
    """Mean squared error at weights + alpha d1 + beta d2: axes alpha and beta, movie units squared.

    Pooled over all windows' counted pixels, in eval mode: the centre cell is the trained net itself
    and holds the loss that an evaluation of it gives. Only `stepper.net` moves, and the stepper is
    left bit by bit as it was, after an error or an interrupt too. Where the loss is not finite the
    cell is NaN and counted in `n_nonfinite`. The attributes (numbers, strings, lists of ints: fit
    for zarr and netCDF) say which model, windows, lead and seed it was, and how long the directions
    are and the cosine between them: random ones are nearly orthogonal, and left as drawn.

    Args:
        batches: taken in once and held in memory, so that every cell sees the same windows.
        seed: of two filter-normalised directions; not used where `directions` are given.
        n_points: cells a side, odd, so that the centre is one. Each costs a pass over the windows.
        radius: alpha and beta reach from -radius to radius, in lengths of their directions.
        lead: frames ahead; above 1 the loss is that of the last frame of a rollout.
        directions: two, each a step for every parameter of `stepper.net`, by name, biases too.
        micro_batch: windows that go through the net at once, at most; batches are not joined. By
            default as many as a CPU's cache has room for, and 32 elsewhere.
        loss: "mse", or a horizon such as "horizon_0.8": the median over windows and channels of the
            first lead within `lead` at which the forecast's correlation with the truth falls below
            0.8, in frames; `lead` where it never does.
        precision: "bfloat16" halves a convolution's time on a CPU that has it; `bfloat16_error`
            tells the largest relative error at the centre, the corners and half way between them.
        progress: wraps the sequence of cells to compute, as tqdm does.
        keep: a file that holds cells as they are computed, at least once a second: the same call
            goes on with what it holds, and a call for another grid is refused.

    Raises:
        SlimeError: an even grid or one below 3, a radius not above 0, batches without a window, a
            counted pixel or that lead, or directions that do not fit the net.
    """
    values, drawn = centred_axis(n_points, radius), directions is None
    held: Any = {"lead": lead, "micro_batch": micro_batch, "loss": loss, "precision": precision}
    windows = hold_windows(batches, stepper, **held)
    if directions is None:
        d1, d2 = (filter_normalised_direction(stepper.net, (seed, i)) for i in (0, 1))
    elif len(directions) != 2:
        raise SlimeError(f"a plane has 2 directions, but {len(directions)} were given")
    else:
        d1, d2 = directions
    axes = {"alpha": (values, d1), "beta": (values, d2)}
    surface = loss_surface(stepper, windows, axes, progress, keep=keep)
    return surface.assign_attrs(_origin(seed if drawn else None))


def loss_line(
    stepper: Stepper,
    batches: Iterable[Batch],
    *,
    seed: int = 0,
    n_points: int = 21,
    radius: float = 1.0,
    lead: int = 1,
    direction: Mapping[str, Tensor] | None = None,
    micro_batch: int | None = None,
    loss: str = "mse",
    precision: Precision = "float32",
    progress: Progress | None = None,
    keep: Path | str | None = None,
) -> xr.DataArray:
    """Mean squared error at weights + alpha d: axis alpha, movie units squared.

    Where beta is 0 in the `loss_plane` of the same seed, at a fraction of its cost; arguments,
    attributes and errors are as there.
    """
    values, drawn = centred_axis(n_points, radius), direction is None
    held: Any = {"lead": lead, "micro_batch": micro_batch, "loss": loss, "precision": precision}
    windows = hold_windows(batches, stepper, **held)
    d = filter_normalised_direction(stepper.net, (seed, 0)) if direction is None else direction
    surface = loss_surface(stepper, windows, {"alpha": (values, d)}, progress, keep=keep)
    return surface.assign_attrs(_origin(seed if drawn else None))


def _origin(seed: int | None) -> dict[str, Any]:
    if seed is None:
        return {"directions": "given"}
    return {"directions": "filter-normalised Gaussian", "seed": seed}
