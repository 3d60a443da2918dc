"""Directions in the space of a net's parameters, and their lengths and angles."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from slime.errors import SlimeError, nearest

Direction = dict[str, Tensor]  # a step for each named parameter of a net

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def filter_normalised_direction(module: nn.Module, seed: int | tuple[int, ...]) -> Direction:
    """A Gaussian direction, each output unit's part scaled to the norm of that unit's weights.

    A step of 1 so means the same for a layer of large weights as for one of small ones (Li et al.
    2018, arXiv 1712.09913). Units lie along a weight's first axis; in a transposed convolution
    along the second, group by group. Biases and other parameters of one axis get zeros, and so do
    units whose weights are all zero. Buffers have no direction. Drawn on the CPU in float64,
    whatever the module's device and dtype, from a generator of its own.

    Args:
        seed: as in np.random.default_rng: 7 and (7, 0) are one direction, (7, 1) is another.

    Returns:
        For each of `module.named_parameters()`, by name, a tensor of its shape, dtype and device.
    """
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state))
    groups = {id(m.weight): m.groups for m in module.modules() if isinstance(m, TRANSPOSED)}
    return {
        name: _filter_normalised(weight.detach(), groups.get(id(weight)), generator)
        for name, weight in module.named_parameters()
    }


def _filter_normalised(
    weight: Tensor, transposed_groups: int | None, generator: torch.Generator
) -> Tensor:
    if weight.ndim < 2:
        return torch.zeros_like(weight)
    if transposed_groups is None:
        return _like_units(weight, generator)
    units = rearrange(weight, "(group i) o ... -> (group o) i ...", group=transposed_groups)
    steps = _like_units(units, generator)
    return rearrange(steps, "(group o) i ... -> (group i) o ...", group=transposed_groups)


def _like_units(units: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of the same shape, along the first axis of the same norms."""
    exact = in_float64(units).cpu()
    noise = torch.randn(exact.shape, generator=generator, dtype=exact.dtype)
    inner = tuple(range(1, exact.ndim))
    norms, noise_norms = (
        torch.linalg.vector_norm(v, dim=inner, keepdim=True) for v in (exact, noise)
    )
    return (noise * (norms / noise_norms)).to(units.dtype).to(units.device)


def steps_in_order(net: nn.Module, direction: Mapping[str, Tensor]) -> list[Tensor]:
    """A direction's steps in the order of `net.parameters()`, of their dtype and device.

    Raises:
        SlimeError: names or shapes other than the parameters', steps that are not finite, or none
            that is not zero.
    """
    weights = dict(net.named_parameters())
    for name in weights:
        if name not in direction:
            raise SlimeError(
                f"the direction has no step for {name!r}: zeros would keep it in place"
            )
    for name, step in direction.items():
        if name not in weights:
            raise SlimeError(
                f"the direction has a step for {name!r}, which is no parameter of the net"
                f"{nearest(name, weights)}"
            )
        if step.shape != weights[name].shape:
            raise SlimeError(
                f"the direction's step for {name!r} has shape {tuple(step.shape)}, the parameter "
                f"has {tuple(weights[name].shape)}"
            )
        if not torch.isfinite(step).all():
            raise SlimeError(f"the direction's step for {name!r} is not finite")
    if not any(step.any() for step in direction.values()):
        raise SlimeError("the direction is zero in every parameter: nothing would move")
    return [
        direction[name].detach().to(weight.device, weight.dtype) for name, weight in weights.items()
    ]


def inner_product(ones: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """Sum of products over all tensors, in float64; complex numbers count as pairs of real ones."""
    return sum(
        float((in_float64(a) * in_float64(b).conj()).real.sum())
        for a, b in zip(ones, others, strict=True)
    )


def in_float64(tensor: Tensor) -> Tensor:
    """The same numbers in double precision, on the CPU where the device has none."""
    dtype = torch.complex128 if tensor.is_complex() else torch.float64
    return tensor.to("cpu" if tensor.device.type == "mps" else tensor.device, dtype)
