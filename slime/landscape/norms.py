"""The statistics of normalisation layers between nets: they are fitted, and differ from run to run.

Random directions leave them in place. Between nets the means go along with the weights, and the
variances in their logarithm, so that they stay above 0 beyond the ends too. At each net its own
statistics hold, and its loss is that of its own evaluation; half way they fit no net, and measured
anew there they would give another loss (Jordan et al. 2023, arXiv 2211.08403).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase  # pyright: ignore[reportPrivateUsage]

TOLD = "running means interpolated, running variances in their logarithm"
Steps = dict[str, Tensor]


class Followed:
    """A net's statistics on a grid.

    Args:
        axes: for each axis of the grid, by name, what a step of 1 adds to each.
    """

    def __init__(self, module: nn.Module, axes: Sequence[Steps]):
        self.buffers, self.axes = statistics(module), axes
        self.own = {name: buffer.clone() for name, buffer in self.buffers.items()}

    def place(self, sizes: Sequence[float]) -> None:
        """Set the statistics so far along each axis, from the net's own each time."""
        for name, buffer in self.buffers.items():
            own = self.own[name]
            steps = (size * axis[name] for size, axis in zip(sizes, self.axes, strict=True))
            step = sum(steps, start=torch.zeros_like(own))
            # the factor of a variance: exactly 1 where nothing moves
            buffer.copy_(own * torch.exp(step) if _is_variance(name) else own + step)


def statistics(module: nn.Module) -> dict[str, Tensor]:
    """The running means and variances of a module's normalisation layers, by their full names."""
    return {
        f"{name}.{kind}" if name else kind: buffer
        for name, layer in module.named_modules()
        if isinstance(layer, _NormBase)
        for kind in ("running_mean", "running_var")
        if (buffer := getattr(layer, kind)) is not None
    }


def counts(module: nn.Module) -> set[str]:
    """Names of the layers' counts of batches, which no forecast in eval mode depends on."""
    return {name for name, _ in module.named_buffers() if name.endswith("num_batches_tracked")}


def statistics_between(module: nn.Module, other: Mapping[str, Tensor]) -> Steps:
    """What leads from a module's statistics to another's: of variances, in the logarithm.

    A variance that is 0 in both stays; one that is 0 in one of them is not finite between them.
    """
    return {
        name: _log_ratio(other[name].to(own), own)
        if _is_variance(name)
        else other[name].to(own) - own
        for name, own in statistics(module).items()
    }


def all_between(module: nn.Module, others: Sequence[Mapping[str, Tensor]]) -> list[Steps] | None:
    """What leads to the statistics of each other; None where the module has none."""
    return [statistics_between(module, o) for o in others] if statistics(module) else None


def told(axes: Sequence[Steps] | None) -> dict[str, str]:
    """An attribute that says how statistics went along; none where there are none."""
    return {} if axes is None else {"norm_statistics": TOLD}


def _log_ratio(other: Tensor, own: Tensor) -> Tensor:
    return torch.where(other == own, 0.0, torch.log(other) - torch.log(own))


def _is_variance(name: str) -> bool:
    return name.endswith("running_var")
