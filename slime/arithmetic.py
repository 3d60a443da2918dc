"""How the steps of a training are computed: the order of features in memory, precision, compiled.

Nothing of it is part of a net: weights are saved as plain tensors of float32, and forecasts and
scores are computed plainly.
"""

import importlib.util
import os
import shutil
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from slime.errors import SlimeError, one_line
from slime.optim import OptimSpec
from slime.stepper import Step

COMPILERS = ("c++", "g++", "clang++", "cl")


def check_arithmetic(optim: OptimSpec, device: torch.device) -> None:
    """Refuse what the device or this machine cannot do.

    Raises:
        SlimeError: names the setting.
    """
    if optim.precision == "bfloat16" and device.type not in ("cpu", "cuda"):
        raise SlimeError(f"optim.precision=bfloat16 is for cpu and cuda, not {device.type}")
    if not optim.compile:
        return
    if optim.memory_format == "channels_last":
        raise SlimeError(
            "optim.compile=true with optim.memory_format=channels_last: compiled steps want the "
            "other order, contiguous"
        )
    if device.type not in ("cpu", "cuda"):
        raise SlimeError(f"optim.compile=true is for cpu and cuda, not {device.type}")
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise SlimeError("optim.compile=true needs the package triton on cuda: install it")
    if not any(shutil.which(name) for name in (os.environ.get("CXX", ""), *COMPILERS) if name):
        raise SlimeError(
            f"optim.compile=true needs a C++ compiler, and none of {', '.join(COMPILERS)} is on "
            "the path: install one, or set CXX"
        )


def training_step(stepper: nn.Module, optim: OptimSpec, device: torch.device) -> Step:
    """What a step of a training calls in the stepper's place; it shares the stepper's weights.

    With `optim.memory_format=channels_last` the stepper's kernels are laid out anew, in place.

    Raises:
        SlimeError: as check_arithmetic; while running, that the compiler failed.
    """
    check_arithmetic(optim, device)
    if optim.memory_format == "channels_last":
        # one by one, since stepper.to(memory_format=...) refuses weights of five axes
        for kernel in (weight for weight in stepper.parameters() if weight.ndim == 4):
            kernel.data = kernel.data.contiguous(memory_format=torch.channels_last)
    return _compiled(stepper) if optim.compile else stepper


def _compiled(stepper: nn.Module) -> Step:
    # with a layout of its own torch 2.13 fails at the gradient of padding by the rim
    compiled: Callable[[Tensor], Tensor] = torch.compile(
        stepper, options={"layout_optimization": False}
    )

    def step(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        try:
            # windows that were turned have other strides, and each would be compiled for itself
            return compiled(past.contiguous())
        except TorchDynamoException as error:
            told = one_line(error)[:200]
            raise SlimeError(f"optim.compile=true: the net cannot be compiled: {told}") from error

    return step


def half_precision(optim: OptimSpec, device: torch.device | str) -> bool:
    """Whether products are taken in bfloat16: where asked, and by default on cuda."""
    kind = torch.device(device).type
    if optim.precision == "auto":
        return optim.autocast and kind == "cuda"
    return optim.precision == "bfloat16"
