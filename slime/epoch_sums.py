"""An epoch of training as it adds up, and what its batches must tell."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from slime.batch import Batch

_NOTHING = {"loss": 0.0, "grad": 0.0, "windows": 0}
_COUNTS = ("batches", "seconds", "wait_s")


@runtime_checkable
class TrainBatches(Protocol):
    """What is trained on: each iter() is the next epoch; a WindowStream, or what acts like one."""

    wait_s: float  # seconds that batches were waited for, so far

    def __len__(self) -> int:
        """Batches in an epoch."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the next epoch."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a position."""
        ...


@runtime_checkable
class PlacedBatches(TrainBatches, Protocol):
    """Batches that tell where they stand, so that a training can be saved within an epoch."""

    def state_dict(self) -> dict[str, Any]:
        """The position: batches that were handed out."""
        ...


class Trained(NamedTuple):
    """What one pass over the train windows came to: mean loss and gradient norm, and its time."""

    loss: float
    grad_norm: float
    windows: int
    seconds: float
    wait_s: float


@dataclass
class Sums:
    """An epoch so far. Losses are summed on the device: .item() would wait for it at every step."""

    loss: Tensor
    grad: Tensor
    windows: Tensor
    batches: int = 0
    seconds: float = 0.0
    wait_s: float = 0.0

    @classmethod
    def to_begin(cls, device: torch.device, held: dict[str, Any] | None = None) -> "Sums":
        """Nothing, or what was held of an epoch that is gone on with."""
        held = held or {}
        loss, grad, windows = (
            torch.tensor(held.get(name, none), device=device) for name, none in _NOTHING.items()
        )
        return cls(loss, grad, windows, **{name: held[name] for name in _COUNTS if name in held})

    def numbers(self) -> dict[str, Any]:
        """The same as plain numbers."""
        sums = {name: getattr(self, name).item() for name in _NOTHING}
        return {**sums, **{name: getattr(self, name) for name in _COUNTS}}
