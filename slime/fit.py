"""Training as a generator of Records."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from slime.epoch_sums import TrainBatches
from slime.errors import SlimeError
from slime.evaluation import evaluate, persistence
from slime.objective import training_loss
from slime.optim import OptimSpec
from slime.pauses import Pauses
from slime.progress import Progress
from slime.ranks import ALONE, Ranks
from slime.score import Tally, mse, skill
from slime.stepper import Stepper
from slime.stream import Batch
from slime.training import DivergedError, Training

__all__ = [
    "DivergedError",
    "Record",
    "TrainBatches",
    "evaluate",
    "fit",
    "persistence",
    "training_loss",
]


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


def fit(
    stepper: Stepper,
    train: TrainBatches,
    val: Iterable[Batch],
    optim: OptimSpec,
    *,
    seed: int = 0,
    resume: dict[str, Any] | None = None,
    pauses: Pauses | None = None,
    ranks: Ranks = ALONE,
    progress: Progress | None = None,
) -> Iterator[Record]:
    """Train in place, one Record an epoch; saving, logging and stopping are the caller's.

    The order of windows and their augmentation depend on seed and epoch alone, and dropout on
    torch's own state, which `Record.resume` keeps: a run that goes on from it ends bitwise as one
    that was never stopped (on the CPU, with the same threads). With `optim.ema` the stepper holds
    the mean of its weights whenever a Record is out, and that is what is validated.

    Args:
        resume: a Record's, or what `pauses` was given to save; the stepper holds the weights that
            were saved with it.
        pauses: saves within epochs.
        ranks: the processes that train together, each with its part of the windows of `train` and
            `val`, and equal weights at first; they stay equal.

    Raises:
        DivergedError: the loss is not finite.
        LostRankError: another process has ended or hangs.
    """
    first, best, since_best = 0, math.inf, 0
    if resume is not None:
        if "within" not in resume:
            raise SlimeError("the checkpoint was saved by an earlier slime: start a new run")
        first, best, since_best = resume["epoch"], resume["best"], resume["epochs_since_best"]
        ended = {"epoch": first - 1, "batch": len(train)}
        train.load_state_dict(resume["within"]["position"] if resume["within"] else ended)
    training = Training(stepper, optim, seed=seed, ranks=ranks, resume=resume)
    reference = evaluate(persistence, val, ranks=ranks)
    for epoch in range(first, optim.epochs):
        if pauses is not None:
            pauses.end()
        so_far = {"epoch": epoch, "best": best, "epochs_since_best": since_best}
        trained = training.epoch(train, epoch, so_far=so_far, pauses=pauses, progress=progress)
        tally = evaluate(stepper, val, ranks=ranks)
        val_loss = _in_changes(tally, stepper)
        is_best = val_loss < best
        best, since_best = (val_loss, 0) if is_best else (best, since_best + 1)
        yield Record(
            epoch=epoch + 1,
            step=(epoch + 1) * -(-len(train) // optim.accumulate),
            train_loss=trained.loss,
            val_loss=val_loss,
            val_mse=float(mse(tally.total(), pool=True)[0, 0]),
            val_skill=float(skill(tally.total(), reference.total(), pool=True)[0, 0]),
            lr=training.optimizer.param_groups[0]["lr"],
            grad_norm=trained.grad_norm,
            seconds=trained.seconds,
            windows_per_s=trained.windows / trained.seconds,
            wait_share=trained.wait_s / trained.seconds,
            best=is_best,
            epochs_since_best=since_best,
            resume={
                "epoch": epoch + 1,
                "best": best,
                "epochs_since_best": since_best,
                **training.state(),
            },
        )


def _in_changes(tally: Tally, stepper: Stepper) -> float:
    """Mean squared error in the units of the training loss."""
    change = stepper.scale.delta_std.detach().cpu().double().numpy()
    return float((mse(tally.total()) / change**2).mean())
