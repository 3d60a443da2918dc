"""Nets trained on movies at hand, for comparison with one another: notebooks and exploration."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from slime.checkpoint import build_stepper, shape_of
from slime.epoch_sums import TrainBatches
from slime.errors import SlimeError
from slime.fit import fit
from slime.nets import NetSpec
from slime.optim import OptimSpec
from slime.scale import Standardizer
from slime.split import Split
from slime.stepper import Stepper
from slime.stream import GIB, Batch, WindowStream
from slime.windows import WindowSpec

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Trained:
    """A net after its training.

    Attributes:
        stepper: with the weights of its best epoch on validation, in eval mode.
        records: a row an epoch, see slime.fit.Record.
        snapshots: the weights before any step (0) and after each epoch, where they were asked for.
    """

    stepper: Stepper
    records: pd.DataFrame
    snapshots: Mapping[int, State]

    @property
    def n_weights(self) -> int:
        """Numbers that were trained."""
        return sum(weight.numel() for weight in self.stepper.parameters())


def train_net(
    movies: Sequence[xr.DataArray],
    cuts: Sequence[Mapping[str, Split]],
    window: WindowSpec,
    net: NetSpec,
    optim: OptimSpec,
    *,
    seed: int = 0,
    keep_snapshots: bool = False,
    memory_budget: int = 2 * GIB,
) -> Trained:
    """Train a net on the train splits and keep its best epoch on the val splits; writes nothing.

    What scripts/train_slime.py does with folder, controls and report, without these: equal
    arguments give equal weights. Training stops early after `optim.patience` epochs.

    Args:
        cuts: for each movie its splits by name; movies without train or val have no part there.

    Raises:
        SlimeError: no movie has a train split, or none a val split; or as WindowStream and fit.
    """
    train, val = (_with(movies, cuts, name) for name in ("train", "val"))
    size = optim.batch_size
    given: dict[str, Any] = {"batch_size": size, "memory_budget": memory_budget}
    batches = WindowStream(*train, window, seed=seed, **given)
    scale = Standardizer.fit(*train, step=window.step, memory_budget=memory_budget)
    torch.manual_seed(seed)
    stepper = build_stepper(net, shape_of(window, batches), scale)
    held = WindowStream(*val, window, **given)
    return train_on(batches, held, stepper, optim, seed=seed, keep_snapshots=keep_snapshots)


def train_on(
    train: TrainBatches,
    val: Iterable[Batch],
    stepper: Stepper,
    optim: OptimSpec,
    *,
    seed: int = 0,
    keep_snapshots: bool = False,
) -> Trained:
    """Train a stepper, in place, on batches of any making; see train_net."""
    best, rows, snapshots = _weights(stepper), [], {0: _weights(stepper)}
    for record in fit(stepper, train, val, optim, seed=seed):
        rows.append(record.row())
        if record.best:
            best = _weights(stepper)
        if keep_snapshots:
            snapshots[record.epoch] = _weights(stepper)
        if record.epochs_since_best >= optim.patience:
            break
    stepper.load_state_dict(best)
    return Trained(stepper.eval(), pd.DataFrame(rows), snapshots if keep_snapshots else {})


def _with(
    movies: Sequence[xr.DataArray], cuts: Sequence[Mapping[str, Split]], name: str
) -> tuple[list[xr.DataArray], list[Split]]:
    """The movies that have a split of this name, and that split of each."""
    held = [(movie, cut[name]) for movie, cut in zip(movies, cuts, strict=True) if name in cut]
    if not held:
        raise SlimeError(f"no movie has a {name} split: a net needs train and val")
    return [movie for movie, _ in held], [split for _, split in held]


def _weights(stepper: Stepper) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in stepper.state_dict().items()}
