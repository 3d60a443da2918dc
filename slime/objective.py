"""What a training makes small: squared errors in units of the squared change, and their weight."""

from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from slime.arithmetic import half_precision
from slime.optim import OptimSpec
from slime.stepper import Step, Stepper, rollout
from slime.stream import Batch


def training_loss(
    stepper: Stepper, batch: Batch, optim: OptimSpec, step: Step | None = None
) -> Float[Tensor, ""]:
    """Squared error in units of the squared change, over the pixels that count.

    Args:
        step: what computes the stepper's forecasts (see slime.arithmetic); itself by default.
    """
    squares, counts = _squares(stepper, batch, optim, step)
    if counts is None:
        return squares.mean()
    return (squares * counts).sum() / counts.sum().clamp(min=1)


def weighed_loss(
    stepper: Stepper, batch: Batch, optim: OptimSpec, step: Step | None = None
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The loss times its weight, and its weight: windows, or parts of them that a mask leaves.

    Sums of both over the parts of a larger batch give its training_loss.
    """
    squares, counts = _squares(stepper, batch, optim, step)
    a_window = squares[0].numel()
    if counts is None:
        total = squares.sum() / a_window
        return total, torch.full_like(total, len(squares), requires_grad=False)
    return (squares * counts).sum() / a_window, counts.sum() / a_window


def _squares(
    stepper: Stepper, batch: Batch, optim: OptimSpec, step: Step | None
) -> tuple[Float[Tensor, "b lead c y x"], Float[Tensor, "b lead c y x"] | None]:
    """Squared errors of all pixels, and 1 where one counts."""
    device = batch.past.device.type
    half = half_precision(optim, device)
    with torch.autocast(device, torch.bfloat16) if half else nullcontext():
        forecast = rollout(
            step or stepper, batch.past, batch.future.shape[1], detach=optim.pushforward
        )
    error = (forecast.float() - batch.future) / stepper.scale.delta_std[:, None, None]
    counts = None if batch.mask is None else batch.mask.to(error.dtype)
    return error.square(), counts
