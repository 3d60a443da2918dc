"""The loss of a stepper on windows held in memory; and the stepper left as it was found."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from slime.errors import SlimeError
from slime.landscape.directions import in_float64
from slime.stepper import Step, Stepper, rollout
from slime.stream import Batch

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


class Part(NamedTuple):
    """Windows that go through the net together: frames given, and the one `lead` frames ahead."""

    past: Float[Tensor, "b t c y x"]
    truth: Float[Tensor, "b c y x"]
    mask: Bool[Tensor, "b c y x"] | None


class HeldWindows(NamedTuple):
    """The windows that a loss is taken over, in parts; which they are; their pixels that count."""

    parts: list[Part]
    lead: int
    channels_last: bool
    movie: list[int]
    start: list[int]
    n_pixels: int


def hold_windows(
    batches: Iterable[Batch], stepper: Stepper, *, lead: int, micro_batch: int
) -> HeldWindows:
    """All windows of the batches, on the net's device and in the layout that it reads fastest.

    Channels last for convolutions, about twice as fast on a CPU; in float64 for a float64 net.

    Raises:
        SlimeError: a net without parameters, no window, no counted pixel, or no frame at that lead.
    """
    weight = next(stepper.net.parameters(), None)
    if weight is None:
        raise SlimeError("the net has no parameters: its loss has no landscape")
    if micro_batch < 1:
        raise SlimeError(f"micro_batch={micro_batch} must be at least 1")
    held = list(batches)
    if not sum(len(batch.start) for batch in held):
        raise SlimeError("no window to take the loss over: the batches are empty or were used up")
    n_leads = min(batch.future.shape[1] for batch in held)
    if not 1 <= lead <= n_leads:
        raise SlimeError(
            f"lead={lead} must be from 1 to {n_leads}, the frames ahead in the batches"
        )
    channels_last = any(isinstance(m, CONVOLUTIONS) for m in stepper.net.modules())
    parts = [p for b in held for p in _parts(b, weight, lead, channels_last, micro_batch)]
    n_pixels = sum(p.truth.numel() if p.mask is None else int(p.mask.sum()) for p in parts)
    if not n_pixels:
        raise SlimeError(
            f"the mask leaves out every pixel at lead {lead}: nothing to take a loss of"
        )
    movie = [int(i) for batch in held for i in batch.movie]
    start = [int(i) for batch in held for i in batch.start]
    return HeldWindows(parts, lead, channels_last, movie, start, n_pixels)


def _parts(
    batch: Batch, weight: Tensor, lead: int, channels_last: bool, micro_batch: int
) -> Iterator[Part]:
    double = weight.dtype == torch.float64
    past = batch.past.to(weight.device, torch.float64 if double else batch.past.dtype)
    truth = batch.future[:, lead - 1].to(weight.device)
    mask = None if batch.mask is None else batch.mask[:, lead - 1].to(weight.device)
    if channels_last:
        past = _channels_last(past)
        truth = truth.contiguous(memory_format=torch.channels_last)
    for first in range(0, len(past), micro_batch):
        rows = slice(first, first + micro_batch)
        yield Part(past[rows], truth[rows], None if mask is None else mask[rows])


def _channels_last(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b t c y x"]:
    """The same frames, laid out in memory so that time folded into channels comes last."""
    inside_out = rearrange(past, "b t c y x -> b y x t c").contiguous()
    return rearrange(inside_out, "b y x t c -> b t c y x")


def pooled_mse(stepper: Stepper, windows: HeldWindows) -> float:
    """Mean squared error over the counted pixels at the stepper's present weights and mode.

    In movie units squared, summed in float64: what `mse(tally.total(), pool=True)` is at the same
    lead. Not finite where a counted pixel of the forecast is not.
    """
    # waits for the GPU: once a call, not once a part
    return float(sum(summed_squares(stepper, windows))) / windows.n_pixels


def summed_squares(stepper: Step, windows: HeldWindows) -> Iterator[Float[Tensor, ""]]:
    """For each part the sum of squared errors over its counted pixels, in float64."""

    def step(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        return stepper(_channels_last(past) if windows.channels_last else past)

    for past, truth, mask in windows.parts:
        near = windows.lead == 1  # spares the rollout's copy of all frames given
        forecast = step(past) if near else rollout(step, past, windows.lead)[:, -1]
        error = in_float64(forecast) - in_float64(truth)
        if mask is not None:
            error = torch.where(mask.to(error.device), error, 0.0)
        yield error.square().sum()


@contextmanager
def left_as_found(stepper: Stepper) -> Iterator[dict[Tensor, Tensor]]:
    """The stepper in eval mode without gradients; on leaving, as it was, bit by bit.

    Whatever ends the block, parameters, buffers and each module's mode are put back, in their own
    memory; `requires_grad` is never touched. Gives the copies it keeps, by the tensor copied.
    """
    modes = {module: module.training for module in stepper.modules()}
    buffers = [(m, name, b) for m in modes for name, b in m.named_buffers(recurse=False)]
    with torch.no_grad():
        kept = {t: t.clone() for t in [*stepper.parameters(), *stepper.buffers()]}
        try:
            stepper.eval()
            yield kept
        finally:
            for module, training in modes.items():
                module.training = training
            for module, name, buffer in buffers:
                setattr(module, name, buffer)  # a net may have put another tensor in its place
            for tensor, copy in kept.items():
                tensor.copy_(copy)
