"""Grids of losses about a trained net: planes and lines."""

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
from slime.landscape.directions import filter_normalised_direction, inner_product, steps_in_order
from slime.landscape.linear_chain import LinearChain, linear_leaves
from slime.landscape.loss import (
    HeldWindows,
    Precision,
    hold_windows,
    left_as_found,
    loss_now,
)
from slime.landscape.norms import Followed, Steps
from slime.stepper import Stepper, weights_hash
from slime.stream import Batch

Progress = Callable[[Sequence[Point]], Iterable[Point]]


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
    attrs = facts_of(stepper, windows) | _geometry(steps)
    losses = np.full([len(v) for v in values.values()], np.nan)
    points: list[Point] = list(np.ndindex(losses.shape))
    weights = list(moving.parameters())
    with ExitStack() as stack:
        cells = None
        if keep is not None:
            told = _identity(attrs, values, steps)
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


def _identity(
    attrs: Mapping[str, Any],
    values: Mapping[str, Float[np.ndarray, " _"]],
    steps: Mapping[str, Sequence[Tensor]],
) -> dict[str, Any]:
    """What makes two grids the same."""
    names = ("model_sha256", "lead", "loss", "precision")
    names += ("window_movie", "window_start", "n_pixels")
    told = {name: attrs[name] for name in names}
    for name in values:
        told[f"{name} axis"] = values[name].tolist()
        told[f"{name} direction"] = weights_hash({str(i): t for i, t in enumerate(steps[name])})
    return told


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
        surface[name].attrs["long_name"] = f"step along the {name} direction, in its lengths"
    return surface


def facts_of(stepper: Stepper, windows: HeldWindows) -> dict[str, Any]:
    """Which model, windows and lead a result is about."""
    named = {
        "long_name": f"mean squared error at lead {windows.lead}",
        "units": "movie units squared",
    }
    if windows.threshold is not None:
        told = f"frames until the correlation falls below {windows.threshold:g}, median"
        named = {"long_name": f"{told}, at most {windows.lead}", "units": "frames"}
    return {
        **named,
        "loss": windows.loss,
        "precision": windows.precision,
        "lead": windows.lead,
        "n_windows": len(windows.start),
        "n_pixels": windows.n_pixels,
        "window_movie": windows.movie,
        "window_start": windows.start,
        "model_sha256": weights_hash(stepper.state_dict()),
        "n_parameters": sum(w.numel() for w in stepper.net.parameters()),
    }


def _geometry(steps: Mapping[str, Sequence[Tensor]]) -> dict[str, Any]:
    """Length of each direction, and the cosine where there are two."""
    norms = {name: math.sqrt(inner_product(d, d)) for name, d in steps.items()}
    lengths: dict[str, Any] = {f"{name}_norm": norm for name, norm in norms.items()}
    if len(steps) == 2:
        lengths["cosine"] = inner_product(*steps.values()) / math.prod(norms.values())
    return lengths


def _origin(seed: int | None) -> dict[str, Any]:
    if seed is None:
        return {"directions": "given"}
    return {"directions": "filter-normalised Gaussian", "seed": seed}
