"""Several processes that train one net together: which of them this is, and what they agree on.

`torchrun --nproc-per-node=N scripts/train_slime.py ...` starts them. Each computes its part of a
step; sums over all of them make the step that one process would have made.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from slime.errors import SlimeError

Made = TypeVar("Made")
PREPARATION = timedelta(days=7)  # one rank reads and fits while the others wait


class LostRankError(SlimeError):
    """Another process of the training has ended, or has not answered in time."""


class Ranks:
    """This process among those that train together; alone, every exchange is what it was given.

    Attributes:
        rank: from 0; rank 0 alone writes, tracks and prints.
        local: number among the processes of this machine.
    """

    def __init__(self, rank: int = 0, world_size: int = 1, local: int = 0):
        self.rank, self.world_size, self.local = rank, world_size, local
        self._steps: dist.ProcessGroup | None = None
        self._words: dist.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def text(self) -> str:
        """How many train together, where it is more than one."""
        return f", by {self.world_size} processes" if self.world_size > 1 else ""

    def device(self, device: torch.device) -> torch.device:
        """The device of this rank: of several GPUs each takes its own.

        Raises:
            SlimeError: fewer GPUs than processes on this machine, or a device that cannot sum.
        """
        if self.world_size == 1 or device.type == "cpu":
            return device
        if device.type != "cuda":
            raise SlimeError(f"several processes train on cuda or cpu, not on device={device}")
        n = torch.cuda.device_count()
        if self.local >= n:
            raise SlimeError(
                f"torchrun starts process {self.local + 1} on a machine of {n} GPUs: give "
                f"--nproc-per-node={n}, or device=cpu"
            )
        torch.cuda.set_device(self.local)
        return torch.device("cuda", self.local)

    def draw_apart(self, seed: int) -> None:
        """Let torch draw otherwise on every rank but the first, for dropout of its own."""
        if self.rank:
            torch.manual_seed(int(np.random.SeedSequence((seed, self.rank)).generate_state(1)[0]))

    def begin_steps(self, device: torch.device, timeout_s: float) -> None:
        """Wait for all; from here on a rank that does not answer in time ends the training."""
        if self.world_size == 1:
            return
        self.shared(lambda: None)
        patience = timedelta(seconds=timeout_s)
        with _together():
            self._words = _group("gloo", patience)
            self._steps = _group("nccl", patience) if device.type == "cuda" else self._words

    def shared(self, make: Callable[[], Made]) -> Made:
        """What rank 0 makes, for all of them; the others wait."""
        if self.world_size == 1:
            return make()
        held: list[Any] = [make() if self.first else None]
        with _together():
            dist.broadcast_object_list(held, src=0)
        return held[0]

    def add_up(self, values: Tensor) -> None:
        """Replace a tensor by its sum over the ranks, the same bits on each."""
        if self.world_size > 1:
            with _together():
                dist.all_reduce(values, group=self._steps)

    def highest(self, values: Sequence[float]) -> list[float]:
        """The highest of each number over the ranks; nothing on a device is waited for."""
        if self.world_size == 1:
            return list(values)
        numbers = torch.tensor(values, dtype=torch.float64)
        with _together():
            dist.all_reduce(numbers, dist.ReduceOp.MAX, group=self._words)
        return numbers.tolist()

    def gathered(self, value: Made) -> list[Made]:
        """The values of all ranks in order, on each of them."""
        if self.world_size == 1:
            return [value]
        held: list[Any] = [None] * self.world_size
        with _together():
            dist.all_gather_object(held, value, group=self._words)
        return held


ALONE = Ranks()


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """The processes that torchrun started, joined; ALONE where it did not. Rank 0 alone prints."""
    n = n_ranks()
    if n == 1:
        yield ALONE
        return
    ranks = Ranks(int(os.environ["RANK"]), n, int(os.environ.get("LOCAL_RANK", "0")))
    with _together():
        dist.init_process_group("gloo", timeout=PREPARATION)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, ExitStack() as stack:
        if not ranks.first:
            stack.enter_context(redirect_stdout(nowhere))
        yield ranks
    # not after an error: another rank may be gone, and this would wait for it
    dist.destroy_process_group()


def refuse_ranks(what: str) -> None:
    """Refuse to do in several processes what one has to do.

    Raises:
        SlimeError: torchrun has started several.
    """
    if n_ranks() > 1:
        raise SlimeError(f"{what}: leave out torchrun, or its --nproc-per-node")


def n_ranks() -> int:
    """The processes that torchrun has started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _group(backend: str, patience: timedelta) -> dist.ProcessGroup:
    made = dist.new_group(backend=backend, timeout=patience)
    assert isinstance(made, dist.ProcessGroup)
    return made


@contextmanager
def _together() -> Iterator[None]:
    """An exchange; torch tells of a lost process by a RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        told = " ".join(str(error).split())[:160]
        who = os.environ.get("RANK", "0")
        raise LostRankError(
            f"rank {who} lost touch with another, which has ended or hung ({told}); the last "
            "checkpoint stands, and resume=true goes on from it"
        ) from error
