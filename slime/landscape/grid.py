"""The loss at every point of a grid about the weights of a net."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from slime.errors import SlimeError
from slime.landscape.cells import KeptCells, Point
from slime.landscape.directions import steps_in_order
from slime.landscape.facts import facts_of, geometry, identity
from slime.landscape.linear_chain import LinearChain, linear_leaves
from slime.landscape.loss import HeldWindows, left_as_found, loss_now
from slime.landscape.norms import Followed, Steps
from slime.stepper import Stepper, weights_hash

Progress = Callable[[Sequence[Point]], Iterable[Point]]


def centred_axis(n_points: int, radius: float) -> Float[np.ndarray, " points"]:
    """Even steps from -radius to radius, mirrored exactly about an exact 0.

    >>> centred_axis(5, 0.3).tolist()
    [-0.3, -0.15, 0.0, 0.15, 0.3]
    """
    if n_points < 3 or n_points % 2 == 0:
        raise SlimeError(f"n_points={n_points} must be odd and at least 3, so that 0 is a point")
    if not 0 < radius < math.inf:
        raise SlimeError(f"radius={radius} must be above 0 and finite")
    half = n_points // 2
    return radius * (np.arange(-half, half + 1) / half)


def loss_surface(
    stepper: Stepper,
    windows: HeldWindows,
    axes: Mapping[str, tuple[Float[np.ndarray, " _"], Mapping[str, Tensor]]],
    progress: Progress | None = None,
    *,
    moving: nn.Module | None = None,
    norms: Sequence[Steps] | None = None,
    keep: Path | str | None = None,
) -> xr.DataArray:
    """The loss at every point of a grid about the weights of a net.

    Args:
        axes: by name, the values along the axis and the direction that they multiply.
        moving: whose parameters the directions move: `stepper.net` where it is not given.
        norms: for each axis what it adds to the statistics of normalisation layers, if anything.
        keep: a file in which cells are kept as they are computed.
    """
    moving = stepper.net if moving is None else moving
    steps = {name: steps_in_order(moving, d) for name, (_, d) in axes.items()}
    values = {name: v for name, (v, _) in axes.items()}
    attrs = facts_of(stepper, windows) | geometry(steps)
    losses = np.full([len(v) for v in values.values()], np.nan)
    points: list[Point] = list(np.ndindex(losses.shape))
    weights = list(moving.parameters())
    with ExitStack() as stack:
        cells = None
        if keep is not None:
            told = identity(attrs, values, steps)
            told["norms"] = [weights_hash(axis) for axis in norms or []]
            cells = stack.enter_context(KeptCells(Path(keep), told))
            for point, loss in cells.known.items():
                losses[point] = loss
            points = [point for point in points if point not in cells.known]
        kept = stack.enter_context(left_as_found(stepper))
        trained, along = [kept[w] for w in weights], list(steps.values())
        followed = Followed(stepper, norms) if norms is not None else None
        plain = moving is stepper.net and (windows.loss, windows.precision) == ("mse", "float32")
        leaves = linear_leaves(stepper, windows) if plain else None
        last = [*values.values()][-1]
        chain = LinearChain(leaves, stepper, windows, trained, along, last) if leaves else None

        def sizes_at(point: Point) -> list[float]:
            return [float(values[name][i]) for name, i in zip(values, point, strict=True)]

        def loss_at(point: Point, windows: HeldWindows) -> float:
            _place(weights, trained, list(zip(sizes_at(point), along, strict=True)))
            if followed is not None:
                followed.place(sizes_at(point))
            return loss_now(stepper, windows)

        for point in progress(points) if progress else points:
            if chain is not None:
                losses[point] = chain.loss(sizes_at(point)[:-1], point[-1])
            else:
                losses[point] = loss_at(point, windows)
            if cells is not None:
                cells.add(point, losses[point])
        if windows.precision == "bfloat16":
            full = windows._replace(precision="float32")
            exact = {point: loss_at(point, full) for point in _sample(losses.shape)}
            attrs["bfloat16_error"] = max(_apart(losses[p], loss) for p, loss in exact.items())
    finite = np.isfinite(losses)
    attrs["n_nonfinite"] = int((~finite).sum())
    return _surface_array(np.where(finite, losses, np.nan), values, attrs)


def _sample(shape: Sequence[int]) -> list[Point]:
    """The first, middle and last along each axis."""
    return list(product(*({0, n // 2, n - 1} for n in shape)))


def _apart(loss: float, exact: float) -> float:
    """The relative error of a loss; 0 where there is none to speak of."""
    return abs(loss - exact) / abs(exact) if np.isfinite(loss) and exact else 0.0


def _place(
    weights: Sequence[Tensor],
    trained: Sequence[Tensor],
    steps: Sequence[tuple[float, list[Tensor]]],
) -> None:
    """Set the weights, from the trained ones each time: rounding never adds up along the grid."""
    for i, weight in enumerate(weights):
        place = trained[i]
        for size, step in steps:
            place = torch.add(place, step[i], alpha=size, out=weight)


def _surface_array(
    losses: np.ndarray, values: Mapping[str, np.ndarray], attrs: dict[str, Any]
) -> xr.DataArray:
    surface = xr.DataArray(
        losses, coords=dict(values), dims=list(values), name=attrs["loss"], attrs=attrs
    )
    for name in values:
        surface[name].attrs["long_name"] = f"step along {name}, in lengths of that direction"
    return surface
