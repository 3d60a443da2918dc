"""The loss of a stepper on windows held in memory; and the stepper left as it was found."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from slime.errors import SlimeError
from slime.landscape.directions import in_float64
from slime.score import Tally, horizon, tally_windows
from slime.stepper import Step, Stepper, rollout
from slime.stream import Batch

Precision = Literal["float32", "bfloat16"]
HORIZON = "horizon_"
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
IN_CACHE = 1 << 20  # numbers of the widest layer: twice as fast as with memory that comes and goes
ELSEWHERE = 32  # windows at once where there is no such cache


class Part(NamedTuple):
    """Windows that go through the net together: frames given, and the one `lead` frames ahead.

    For a horizon all frames up to that lead.
    """

    past: Float[Tensor, "b t c y x"]
    truth: Float[Tensor, "b *leads c y x"]
    mask: Bool[Tensor, "b *leads c y x"] | None


class HeldWindows(NamedTuple):
    """The windows that a loss is taken over, in parts; which they are; their pixels that count."""

    parts: list[Part]
    lead: int
    channels_last: bool
    movie: list[int]
    start: list[int]
    n_pixels: int
    loss: str = "mse"
    precision: Precision = "float32"

    @property
    def threshold(self) -> float | None:
        """The correlation that a horizon ends at; None for a mean squared error."""
        return float(self.loss.removeprefix(HORIZON)) if self.loss.startswith(HORIZON) else None


def hold_windows(
    batches: Iterable[Batch],
    stepper: Stepper,
    *,
    lead: int,
    micro_batch: int | None,
    loss: str = "mse",
    precision: Precision = "float32",
) -> HeldWindows:
    """All windows of the batches, on the net's device and in the layout that it reads fastest.

    Channels last for convolutions, about twice as fast on a CPU; in float64 for a float64 net.

    Raises:
        SlimeError: a net without parameters, no window, no counted pixel, no frame at that lead, or
            a loss or precision of another name.
    """
    check_loss(loss, precision)
    weight = next(stepper.net.parameters(), None)
    if weight is None:
        raise SlimeError("the net has no parameters: its loss has no landscape")
    if micro_batch is not None and micro_batch < 1:
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
    n = micro_batch or _fitting(stepper, held[0])
    ahead = slice(lead) if loss.startswith(HORIZON) else lead - 1
    parts = [p for b in held for p in _parts(b, weight, ahead, channels_last, n)]
    n_pixels = sum(p.truth.numel() if p.mask is None else int(p.mask.sum()) for p in parts)
    if not n_pixels:
        raise SlimeError(
            f"the mask leaves out every pixel at lead {lead}: nothing to take a loss of"
        )
    movie = [int(i) for batch in held for i in batch.movie]
    start = [int(i) for batch in held for i in batch.start]
    return HeldWindows(parts, lead, channels_last, movie, start, n_pixels, loss, precision)


def check_loss(loss: str, precision: str) -> None:
    """Refuse a loss or a precision that there is not."""
    try:
        fits = loss == "mse" or -1 < float(loss.removeprefix(HORIZON)) < 1
    except ValueError:
        fits = False
    if not fits:
        raise SlimeError(f"loss={loss!r} is neither mse nor a horizon such as {HORIZON}0.8")
    if precision not in get_args(Precision):
        known = " or ".join(get_args(Precision))
        raise SlimeError(f"precision={precision!r} must be {known}")


def _fitting(stepper: Stepper, batch: Batch) -> int:
    """Windows whose widest layer fits a CPU's cache, by a forecast of one."""
    weight, widest = next(stepper.net.parameters()), 1
    if weight.device.type != "cpu":
        return ELSEWHERE

    def look(_module: nn.Module, _given: object, out: object) -> None:
        nonlocal widest
        widest = max(widest, out.numel() if isinstance(out, Tensor) else 1)

    hooks = [module.register_forward_hook(look) for module in stepper.modules()]
    try:
        with left_as_found(stepper):
            stepper(batch.past[:1].to(weight.device, _dtype(weight, batch)))
    finally:
        for hook in hooks:
            hook.remove()
    return max(IN_CACHE // widest, 1)


def _parts(
    batch: Batch, weight: Tensor, ahead: int | slice, channels_last: bool, micro_batch: int
) -> Iterator[Part]:
    past = batch.past.to(weight.device, _dtype(weight, batch))
    truth = batch.future[:, ahead].to(weight.device)
    mask = None if batch.mask is None else batch.mask[:, ahead].to(weight.device)
    if channels_last:
        past = _channels_last(past)
    if channels_last and truth.ndim == 4:
        truth = truth.contiguous(memory_format=torch.channels_last)
    for first in range(0, len(past), micro_batch):
        rows = slice(first, first + micro_batch)
        yield Part(past[rows], truth[rows], None if mask is None else mask[rows])


def _dtype(weight: Tensor, batch: Batch) -> torch.dtype:
    return torch.float64 if weight.dtype == torch.float64 else batch.past.dtype


def _channels_last(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b t c y x"]:
    """The same frames, laid out in memory so that time folded into channels comes last."""
    inside_out = rearrange(past, "b t c y x -> b y x t c").contiguous()
    return rearrange(inside_out, "b y x t c -> b t c y x")


def loss_now(stepper: Stepper, windows: HeldWindows) -> float:
    """The loss at the stepper's present weights and mode; not finite where a forecast is not."""
    if windows.threshold is not None:
        return median_horizon(stepper, windows, windows.threshold)
    return pooled_mse(stepper, windows)


def pooled_mse(stepper: Stepper, windows: HeldWindows) -> float:
    """Mean squared error over the counted pixels at the stepper's present weights and mode.

    In movie units squared, summed in float64: what `mse(tally.total(), pool=True)` is at the same
    lead. Not finite where a counted pixel of the forecast is not.
    """
    # waits for the GPU: once a call, not once a part
    return float(sum(summed_squares(stepper, windows))) / windows.n_pixels


def median_horizon(stepper: Stepper, windows: HeldWindows, threshold: float) -> float:
    """The median over windows and channels of `horizon` within the windows' leads, in frames.

    What scores.csv tells of as horizon_0.8, on the same windows. A forecast that is not finite has
    no correlation, and ends its horizon.
    """
    step, tallies, n = _step(stepper, windows), [], 0
    for past, truth, mask in windows.parts:
        which = torch.arange(n, n + len(past))
        n += len(past)
        ahead = rollout(step, past, windows.lead).to(torch.float64)
        tallies.append(tally_windows(ahead, truth.to(ahead), mask, which * 0, which))
    return float(np.median(horizon(Tally.joined(tallies), threshold)[0]))


def summed_squares(stepper: Step, windows: HeldWindows) -> Iterator[Float[Tensor, ""]]:
    """For each part the sum of squared errors over its counted pixels, in float64."""
    step = _step(stepper, windows)
    for past, truth, mask in windows.parts:
        near = windows.lead == 1  # spares the rollout's copy of all frames given
        forecast = step(past) if near else rollout(step, past, windows.lead)[:, -1]
        error = in_float64(forecast) - in_float64(truth)
        if mask is not None:
            error = torch.where(mask.to(error.device), error, 0.0)
        yield error.square().sum()


def _step(stepper: Step, windows: HeldWindows) -> Step:
    """The stepper on frames laid out as they were held, in the precision asked for."""

    def step(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        return stepper(_channels_last(past) if windows.channels_last else past)

    def halved(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        # entered for each forecast: what it keeps of the weights must not outlive them
        with torch.autocast(past.device.type, torch.bfloat16):
            return step(past).to(past.dtype)

    return halved if windows.precision == "bfloat16" else step


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
