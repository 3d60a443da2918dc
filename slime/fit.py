"""Training as a generator of Records, and the one evaluation that every forecast goes through."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from slime.arithmetic import half_precision, training_step
from slime.averaging import Averaged
from slime.errors import SlimeError
from slime.optim import OptimSpec, learning_rate, weight_groups
from slime.progress import Progress
from slime.score import Tally, mse, skill, tally_windows
from slime.stepper import Step, Stepper, rollout
from slime.stream import Batch, WindowStream
from slime.symmetry import turned


class DivergedError(SlimeError):
    """A loss that is not finite."""


@runtime_checkable
class TrainBatches(Protocol):
    """What is trained on: each iter() is the next epoch; a WindowStream, or what acts like one."""

    @property
    def n_windows(self) -> int:
        """Windows in an epoch, asked for when it has ended."""
        ...

    wait_s: float  # seconds that batches were waited for, so far

    def __len__(self) -> int:
        """Batches in an epoch."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the next epoch."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the end of an epoch."""
        ...


CHECK_EVERY = 50  # steps between looks at the loss: each look waits for the device


@dataclass(frozen=True)
class Record:
    """What one epoch came to; epochs count from 1.

    Losses are squared errors in units of the squared root mean square change, averaged over
    channels, so that forecasting no change costs about 1; `val_mse` is in movie units squared.
    `resume` holds what `fit` needs to go on from here, as plain tensors and numbers.
    """

    epoch: int
    step: int
    train_loss: float
    val_loss: float
    val_mse: float
    val_skill: float
    lr: float
    grad_norm: float
    seconds: float
    windows_per_s: float
    wait_share: float
    best: bool
    epochs_since_best: int
    resume: dict[str, Any] = field(repr=False, compare=False)

    def row(self) -> dict[str, Any]:
        """The record as one line of numbers."""
        return {k: v for k, v in asdict(self).items() if k != "resume"}


def persistence(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
    """The last frame given, the opponent of every forecast."""
    return past[:, -1]


def fit(
    stepper: Stepper,
    train: TrainBatches,
    val: Iterable[Batch],
    optim: OptimSpec,
    *,
    seed: int = 0,
    resume: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Iterator[Record]:
    """Train in place, one Record an epoch; saving, logging and stopping are the caller's.

    The order of windows and their augmentation depend on seed and epoch alone, and dropout on
    torch's own state, which `Record.resume` keeps: a run that goes on from it ends bitwise as one
    that was never stopped (on the CPU, with the same threads). With `optim.ema` the stepper holds
    the mean of its weights whenever a Record is out, and that is what is validated.

    Raises:
        DivergedError: the loss is not finite.
    """
    step = training_step(stepper, optim, next(stepper.parameters()).device)
    optimizer = torch.optim.AdamW(weight_groups(stepper, optim), lr=optim.lr)
    first, best, since_best = 0, math.inf, 0
    if resume is not None:
        optimizer.load_state_dict(resume["optimizer"])
        torch.set_rng_state(resume["rng"])
        train.load_state_dict({"epoch": resume["epoch"] - 1, "batch": len(train)})
        first, best, since_best = resume["epoch"], resume["best"], resume["epochs_since_best"]
    average = None
    if optim.ema:
        trained = None if resume is None else resume["trained"]
        average = Averaged(stepper, optim.ema, trained=trained)
    reference = evaluate(persistence, val)
    for epoch in range(first, optim.epochs):
        if average is not None:
            average.hide()
        trained = _train_epoch(
            stepper,
            step,
            train,
            optimizer,
            optim,
            average,
            epoch=epoch,
            seed=seed,
            progress=progress,
        )
        if average is not None:
            average.show()
        tally = evaluate(stepper, val)
        val_loss = _in_changes(tally, stepper)
        is_best = val_loss < best
        best, since_best = (val_loss, 0) if is_best else (best, since_best + 1)
        yield Record(
            epoch=epoch + 1,
            step=(epoch + 1) * len(train),
            train_loss=trained.loss,
            val_loss=val_loss,
            val_mse=float(mse(tally.total(), pool=True)[0, 0]),
            val_skill=float(skill(tally.total(), reference.total(), pool=True)[0, 0]),
            lr=optimizer.param_groups[0]["lr"],
            grad_norm=trained.grad_norm,
            seconds=trained.seconds,
            windows_per_s=train.n_windows / trained.seconds,
            wait_share=trained.wait_s / trained.seconds,
            best=is_best,
            epochs_since_best=since_best,
            resume={
                "epoch": epoch + 1,
                "best": best,
                "epochs_since_best": since_best,
                "optimizer": optimizer.state_dict(),
                "rng": torch.get_rng_state(),
                **({} if average is None else {"trained": average.trained()}),
            },
        )


class _Trained(NamedTuple):
    """What one pass over the train windows came to: mean loss and gradient norm, and its time."""

    loss: float
    grad_norm: float
    seconds: float
    wait_s: float


def _train_epoch(
    stepper: Stepper,
    step: Step,
    train: TrainBatches,
    optimizer: torch.optim.Optimizer,
    optim: OptimSpec,
    average: Averaged | None,
    *,
    epoch: int,
    seed: int,
    progress: Progress | None,
) -> _Trained:
    """One pass over the train windows, a step a batch; `epoch` counts from 0."""
    device = next(stepper.parameters()).device
    began, waited = time.perf_counter(), train.wait_s
    draw = np.random.default_rng((seed, epoch, 1))
    # summed on the device: .item() would wait for it at every step
    loss_sum, grad_sum = torch.zeros((), device=device), torch.zeros((), device=device)
    noise = _Noise(optim.noise * stepper.scale.delta_std, (seed, epoch, 2))
    stepper.train()
    batches = enumerate(train)
    if progress is not None:
        batches = progress(batches, len(train), f"epoch {epoch + 1} of {optim.epochs}")
    for i, batch in batches:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(epoch * len(train) + i, optim.epochs * len(train), optim)
        if optim.augment:
            batch = turned(batch, int(draw.integers(8)))
        if optim.noise:
            batch = batch._replace(past=batch.past + noise(batch.past))
        loss = training_loss(stepper, batch, optim, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(stepper.parameters(), optim.clip or math.inf)
        optimizer.step()
        if average is not None:
            average.update(epoch * len(train) + i + 1)
        loss_sum += loss.detach() * len(batch.past)
        grad_sum += norm.detach()
        if i % CHECK_EVERY == CHECK_EVERY - 1:
            _check_finite(loss_sum, epoch, i, len(train))
    _check_finite(loss_sum, epoch, len(train) - 1, len(train))
    seconds = time.perf_counter() - began
    return _Trained(
        loss_sum.item() / train.n_windows,
        grad_sum.item() / len(train),
        seconds,
        train.wait_s - waited,
    )


def evaluate(stepper: Step, batches: Iterable[Batch], *, progress: Progress | None = None) -> Tally:
    """Forecast every window as far as its future goes, each step fed with its own forecasts.

    Only future frames are scored, those under a mask left out. A module is put into eval mode and
    back.
    """
    if progress is not None and isinstance(batches, WindowStream):
        batches = progress(batches, len(batches), "scoring")
    training = isinstance(stepper, nn.Module) and stepper.training
    if isinstance(stepper, nn.Module):
        stepper.eval()
    try:
        with torch.inference_mode():
            return Tally.joined(
                tally_windows(
                    rollout(stepper, batch.past, batch.future.shape[1]),
                    batch.future,
                    batch.mask,
                    batch.movie,
                    batch.start,
                )
                for batch in batches
            )
    finally:
        if isinstance(stepper, nn.Module):
            stepper.train(training)


class _Noise:
    """Normal noise of a standard deviation for each channel, of a seed of its own."""

    def __init__(self, std: Float[Tensor, " c"], seed: Sequence[int]):
        self.std = std[:, None, None]
        number = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self._generator = torch.Generator(std.device).manual_seed(number)

    def __call__(self, frames: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b t c y x"]:
        shape, device = frames.shape, frames.device
        return self.std * torch.randn(shape, generator=self._generator, device=device)


def training_loss(
    stepper: Stepper, batch: Batch, optim: OptimSpec, step: Step | None = None
) -> Float[Tensor, ""]:
    """Squared error in units of the squared change, over the pixels that count.

    Args:
        step: what computes the stepper's forecasts (see slime.arithmetic); itself by default.
    """
    device = batch.past.device.type
    with torch.autocast(device, torch.bfloat16, enabled=half_precision(optim, device)):
        forecast = rollout(
            step or stepper, batch.past, batch.future.shape[1], detach=optim.pushforward
        )
    error = (forecast.float() - batch.future) / stepper.scale.delta_std[:, None, None]
    if batch.mask is None:
        return error.square().mean()
    counts = batch.mask.to(error.dtype)
    return (error.square() * counts).sum() / counts.sum().clamp(min=1)


def _in_changes(tally: Tally, stepper: Stepper) -> float:
    """Mean squared error in the units of the training loss."""
    change = stepper.scale.delta_std.detach().cpu().double().numpy()
    return float((mse(tally.total()) / change**2).mean())


def _check_finite(loss_sum: Tensor, epoch: int, i: int, n: int) -> None:
    if not torch.isfinite(loss_sum):
        raise DivergedError(
            f"the loss is not finite by batch {i + 1} of {n} of epoch {epoch + 1}: a smaller "
            "optim.lr would do; the best and last checkpoints stand as they were"
        )
