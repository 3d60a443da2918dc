"""The loss along lines and over planes through a trained net's weights, and directions for them.

A picture of a few dimensions out of many: it shows what the loss does along the directions drawn.
Steps are measured in each net's own filters, so between models compare loss over its centre value.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from slime.errors import SlimeError, nearest
from slime.stepper import Stepper
from slime.stream import Batch

Direction = dict[str, Tensor]  # a step for each named parameter of a net
Point = tuple[int, ...]  # a cell's place in the grid
Progress = Callable[[Sequence[Point]], Iterable[Point]]

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


class _Part(NamedTuple):
    """Windows that go through the net together: frames given, and the frame `lead` ahead."""

    past: Float[Tensor, "b t c y x"]
    truth: Float[Tensor, "b c y x"]
    mask: Bool[Tensor, "b c y x"] | None


class _Windows(NamedTuple):
    """What the loss is taken over, and which windows it was."""

    parts: list[_Part]
    lead: int
    movie: list[int]
    start: list[int]
    n_pixels: int


def filter_normalised_direction(module: nn.Module, seed: int | tuple[int, ...]) -> Direction:
    """A Gaussian direction in which each output unit's weights move by their own norm per step.

    A step of 1 then means the same for a layer of large weights and for one of small ones (Li et
    al. 2018, arXiv 1712.09913). Units lie along a weight's first axis; in a transposed convolution
    along the second, group by group. Biases and other 1-D parameters get zeros, units of zero
    weights too. Buffers have no direction. Drawn on the CPU in float64 whatever the module's device
    and dtype, from a generator of its own.

    Args:
        seed: as for np.random.default_rng: 7 and (7, 0) are the same, (7, 1) is another direction.

    Returns:
        A tensor like each of `module.named_parameters()`, in their order.
    """
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state))
    groups = {id(m.weight): m.groups for m in module.modules() if isinstance(m, TRANSPOSED)}
    return {
        name: _filter_normalised(weight.detach(), groups.get(id(weight)), generator)
        for name, weight in module.named_parameters()
    }


def loss_plane(
    stepper: Stepper,
    batches: Iterable[Batch],
    *,
    seed: int = 0,
    n_points: int = 11,
    radius: float = 1.0,
    lead: int = 1,
    directions: tuple[Mapping[str, Tensor], Mapping[str, Tensor]] | None = None,
    micro_batch: int = 32,
    progress: Progress | None = None,
) -> xr.DataArray:
    """Mean squared error at weights + alpha d1 + beta d2: axes alpha and beta, movie units squared.

    Pooled over the counted pixels of all windows and channels, in eval mode: the centre cell is the
    trained net itself and holds the loss that its evaluation gives. A loss that is not finite stays
    NaN, and `n_nonfinite` counts these cells. Only `stepper.net` moves; its weights, and all
    buffers, modes and flags of the stepper, are as before on leaving, after an error or interrupt
    too. Attributes are numbers, strings and lists of ints, fit for zarr and netCDF: seed, norms of
    the directions and the cosine between them (random ones are nearly, not exactly, orthogonal, and
    are left so), windows, lead, hash of the model.

    Args:
        batches: iterated once and held in memory, so that each cell sees the same windows. A cell
            costs one pass over them, and convolutions hold them channels last.
        seed: of two filter-normalised directions; unused where `directions` are given.
        n_points: cells a side, odd, so that the centre is a cell.
        radius: alpha and beta reach from -radius to radius.
        lead: frames ahead; above 1 the loss is that of the last frame of a rollout.
        directions: a step for each parameter of `stepper.net`, by name, biases included.
        micro_batch: windows through the net at once, at most; 8 to 32 suit convolutions on a CPU.
        progress: wraps the sequence of cells while they are computed, as `tqdm` does.

    Raises:
        SlimeError: an even or too small grid, a radius not above 0, batches without windows, counted
            pixels or the lead, or directions that do not fit the net.
    """
    d1, d2 = directions or [filter_normalised_direction(stepper.net, (seed, i)) for i in (0, 1)]
    windows = _load(batches, stepper, lead, micro_batch)
    values = _odd_axis(n_points, radius)
    axes = {"alpha": (values, d1), "beta": (values, d2)}
    return _surface(stepper, windows, axes, None if directions else seed, progress)


def loss_line(
    stepper: Stepper,
    batches: Iterable[Batch],
    *,
    seed: int = 0,
    n_points: int = 21,
    radius: float = 1.0,
    lead: int = 1,
    direction: Mapping[str, Tensor] | None = None,
    micro_batch: int = 32,
    progress: Progress | None = None,
) -> xr.DataArray:
    """Mean squared error at weights + alpha d: axis alpha, movie units squared.

    The middle column (beta = 0) of the `loss_plane` of the same seed, at a fraction of its cost;
    arguments, attributes and errors as there.
    """
    d = direction or filter_normalised_direction(stepper.net, (seed, 0))
    windows = _load(batches, stepper, lead, micro_batch)
    axes = {"alpha": (_odd_axis(n_points, radius), d)}
    return _surface(stepper, windows, axes, None if direction else seed, progress)


# --- directions ---


def _filter_normalised(
    weight: Tensor, transposed_groups: int | None, generator: torch.Generator
) -> Tensor:
    """Noise like the weight, scaled to the weight's norm in each output unit."""
    if weight.ndim < 2:
        return torch.zeros_like(weight)
    if transposed_groups is None:
        return _like_units(weight, generator)
    units = rearrange(weight, "(group i) o ... -> (group o) i ...", group=transposed_groups)
    steps = _like_units(units, generator)
    return rearrange(steps, "(group o) i ... -> (group i) o ...", group=transposed_groups)


def _like_units(units: Tensor, generator: torch.Generator) -> Tensor:
    dtype = torch.complex128 if units.is_complex() else torch.float64
    noise = torch.randn(units.shape, generator=generator, dtype=dtype)
    inner = tuple(range(1, units.ndim))
    norm = torch.linalg.vector_norm(units.cpu().to(dtype), dim=inner, keepdim=True)
    step = noise * (norm / torch.linalg.vector_norm(noise, dim=inner, keepdim=True))
    return step.to(units.dtype).to(units.device)


def _checked_direction(net: nn.Module, direction: Mapping[str, Tensor]) -> list[Tensor]:
    """The direction's tensors in the order of the net's parameters."""
    weights = dict(net.named_parameters())
    for name in direction.keys() ^ weights.keys():
        if name in weights:
            raise SlimeError(
                f"the direction has no step for parameter {name!r}: zeros keep it still"
            )
        raise SlimeError(f"the direction moves {name!r}, no parameter{nearest(name, weights)}")
    for name, step in direction.items():
        if step.shape != weights[name].shape:
            raise SlimeError(
                f"the direction of {name!r} has shape {tuple(step.shape)}, but the parameter "
                f"{tuple(weights[name].shape)}"
            )
        if not torch.isfinite(step).all():
            raise SlimeError(f"the direction of {name!r} is not finite")
    if not any(step.any() for step in direction.values()):
        raise SlimeError("the direction is zero everywhere: no weight would move")
    return [direction[name].detach().to(weight) for name, weight in weights.items()]


def _dot(ones: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """Inner product over all tensors, in float64; of complex weights as pairs of real ones."""
    pairs = [[_wide(t) for t in pair] for pair in zip(ones, others, strict=True)]
    return sum(float((a * b.conj()).real.sum()) for a, b in pairs)


# --- windows ---


def _load(batches: Iterable[Batch], stepper: Stepper, lead: int, micro_batch: int) -> _Windows:
    """All windows in memory, as the net reads them fastest."""
    if micro_batch < 1:
        raise SlimeError(f"micro_batch={micro_batch} must be at least 1")
    held = list(batches)
    if not sum(len(batch.start) for batch in held):
        raise SlimeError("no window to take the loss over: batches are empty or were used up")
    n_leads = min(batch.future.shape[1] for batch in held)
    if not 1 <= lead <= n_leads:
        raise SlimeError(
            f"lead={lead} must be between 1 and {n_leads}, the frames ahead in batches"
        )
    parts = [part for batch in held for part in _parts(batch, stepper.net, lead, micro_batch)]
    n_pixels = sum(p.truth.numel() if p.mask is None else int(p.mask.sum()) for p in parts)
    if not n_pixels:
        raise SlimeError(f"no pixel counts at lead {lead}: the mask leaves out all of them")
    movie = [int(i) for batch in held for i in batch.movie]
    start = [int(i) for batch in held for i in batch.start]
    return _Windows(parts, lead, movie, start, n_pixels)


def _parts(batch: Batch, net: nn.Module, lead: int, micro_batch: int) -> Iterator[_Part]:
    weight = next(net.parameters())
    double = weight.dtype == torch.float64
    past = batch.past.to(weight.device, torch.float64 if double else batch.past.dtype)
    truth = batch.future[:, lead - 1].to(weight.device)
    mask = None if batch.mask is None else batch.mask[:, lead - 1].to(weight.device)
    if channels_last := any(isinstance(m, CONVOLUTIONS) for m in net.modules()):
        truth = truth.contiguous(memory_format=torch.channels_last)
    for first in range(0, len(past), micro_batch):
        rows = slice(first, first + micro_batch)
        given = _channels_last(past[rows]) if channels_last else past[rows]
        yield _Part(given, truth[rows], None if mask is None else mask[rows])


def _channels_last(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b t c y x"]:
    """The same frames, laid out so that folding time into channels gives channels last."""
    inside_out = rearrange(past, "b t c y x -> b y x t c").contiguous()
    return rearrange(inside_out, "b y x t c -> b t c y x")


# --- the grid ---


def _odd_axis(n_points: int, radius: float) -> Float[np.ndarray, " points"]:
    """Steps from -radius to radius, exactly mirrored about an exact 0."""
    if n_points < 3 or n_points % 2 == 0:
        raise SlimeError(f"n_points={n_points} must be odd and at least 3, so that 0 is a point")
    if not 0 < radius < math.inf:
        raise SlimeError(f"radius={radius} must be above 0 and finite")
    half = n_points // 2
    return radius * (np.arange(-half, half + 1) / half)


def _surface(
    stepper: Stepper,
    windows: _Windows,
    axes: dict[str, tuple[Float[np.ndarray, " _"], Mapping[str, Tensor]]],
    seed: int | None,
    progress: Progress | None,
) -> xr.DataArray:
    """The loss at each point of the grid that the axes span; seed is None for given directions."""
    steps = [_checked_direction(stepper.net, direction) for _, direction in axes.values()]
    coords = {name: values for name, (values, _) in axes.items()}
    attrs = _attributes(stepper, windows, dict(zip(axes, steps, strict=True)), seed)
    losses = np.full([len(values) for values in coords.values()], np.nan)
    points: list[Point] = list(np.ndindex(*losses.shape))
    with _unchanged(stepper):
        for point in progress(points) if progress else points:
            sizes = [float(v[i]) for v, i in zip(coords.values(), point, strict=True)]
            losses[point] = _loss_at(stepper, windows, sizes, steps)
    losses[~np.isfinite(losses)] = np.nan
    attrs["n_nonfinite"] = int(np.isnan(losses).sum())
    surface = xr.DataArray(losses, coords=coords, dims=list(coords), name="mse", attrs=attrs)
    for name in coords:
        surface[name].attrs["long_name"] = f"step along direction {name}, in lengths of it"
    return surface
