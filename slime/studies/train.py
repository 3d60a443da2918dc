"""Nets trained on equal shares of a processor: so many CPU-seconds of steps, counted beforehand.

How long a step takes is measured once for each shape of net and kept; the number of steps that a
budget buys is then fixed, and with it the course of the learning rate: a busy machine makes a
training later, not other.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import nn

from slime.errors import SlimeError
from slime.fit import DivergedError, fit
from slime.nets import NetSpec, net_of
from slime.optim import OptimSpec
from slime.stepper import Stepper
from slime.stream import Batch, WindowStream
from slime.studies.cells import Cell, Cells
from slime.studies.worlds import World
from slime.windows import WindowSpec

TIMED_STEPS, WARM_STEPS = 9, 3
MAX_STEPS = 20_000

# a net for frames given, channels and size; what makes it is told apart by a Trial's `net`
Builder = Callable[["Trial", World], nn.Module]


@dataclass(frozen=True)
class Trial:
    """One training of a study.

    Attributes:
        net: the net, its head and width; of a peer `peer` says which.
        n_out, unroll_after: leads learned, and the share of the steps that learn the first alone.
        budget_s: CPU-seconds of training steps.
        rounds: times that validation is looked at; the best is kept.
    """

    net: NetSpec
    lr: float = 3e-3
    n_in: int = 4
    step: int = 1
    n_out: int = 1
    unroll_after: float = 0.0
    batch_size: int = 8
    budget_s: float = 15.0
    rounds: int = 4
    seed: int = 0
    peer: str = ""

    @property
    def name(self) -> str:
        """What trains, in tables."""
        return self.peer or self.net.kind

    @property
    def spec(self) -> WindowSpec:
        """The windows that are trained on."""
        return WindowSpec(n_in=self.n_in, n_out=self.n_out, step=self.step)


class StepBatches:
    """A number of steps as an epoch, dealt from one epoch of a stream after the other.

    Attributes:
        cpu_s: processor seconds between the first batch asked for and the last step's end.
    """

    def __init__(self, stream: Iterable[Batch], n_steps: int):
        self.stream, self.n_steps, self.n_windows = stream, n_steps, 0
        self.cpu_s, self.wait_s = 0.0, 0.0
        self._batches = self._endless()

    def __len__(self) -> int:
        return self.n_steps

    def __iter__(self) -> Iterator[Batch]:
        self.n_windows, began = 0, time.process_time()
        for _ in range(self.n_steps):
            batch = next(self._batches)
            self.n_windows += len(batch.past)
            yield batch
        self.cpu_s += time.process_time() - began

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Refused: a training of a study is done again whole.

        Raises:
            SlimeError: always.
        """
        raise SlimeError("a training of a study cannot go on from its middle")

    def _endless(self) -> Iterator[Batch]:
        while True:
            yield from self.stream


def trained(
    cells: Cells, world: World, trial: Trial, build: Builder | None = None
) -> tuple[Stepper, dict[str, Any]]:
    """The stepper of the best validation of a trial and what its training came to, from its cell.

    Facts: steps, cpu_s (of training), step_s, weights, val_skill, val_loss, and `diverged` where
    the loss was not finite, in which case the weights are those before any step.
    """
    seconds = mean_step_seconds(cells, world, trial, build)
    n_rounds = max(1, min(trial.rounds, int(trial.budget_s / seconds)))
    a_round = max(1, min(MAX_STEPS, int(trial.budget_s / seconds)) // n_rounds)
    key = {**_key(trial, world), "steps": a_round * n_rounds}
    cell = cells.get("train", key, lambda: _train(world, trial, n_rounds, a_round, build))
    stepper = new_stepper(world, trial, build)
    stepper.load_state_dict({k: torch.from_numpy(v) for k, v in cell.arrays.items()})
    return stepper.eval(), {**cell.facts, "step_s": seconds}


def mean_step_seconds(
    cells: Cells, world: World, trial: Trial, build: Builder | None = None
) -> float:
    """CPU-seconds of a step of the trial, over its two stages where it has two."""
    share, last = trial.unroll_after, replace(trial, unroll_after=0.0)
    seconds = (1 - share) * step_seconds(cells, world, last, build)
    if share:
        seconds += share * step_seconds(cells, world, replace(last, n_out=1), build)
    return seconds


def step_seconds(cells: Cells, world: World, trial: Trial, build: Builder | None = None) -> float:
    """CPU-seconds of a training step of the trial's shape on this machine, measured once."""
    alike = replace(trial, lr=1e-3, seed=0, budget_s=0.0, rounds=0)

    def measure() -> Cell:
        return Cell({"step_s": _timed(world, alike, build)}, {})

    return float(cells.get("step", _key(alike, world), measure).facts["step_s"])


def new_stepper(world: World, trial: Trial, build: Builder | None = None) -> Stepper:
    """A fresh stepper of the trial's seed."""
    torch.manual_seed(trial.seed)
    net = build(trial, world) if build else own_net(trial, world)
    return Stepper(world.scale, net, trial.net.head, trial.n_in)


def own_net(trial: Trial, world: World) -> nn.Module:
    """One of slime's own nets, with the edges of the world."""
    spec = replace(trial.net, edges=world.edges)
    return net_of(spec, n_in=trial.n_in, channels=len(world.channels), size=world.size)


def windows(world: World, split: str, spec: WindowSpec, **given: Any) -> WindowStream:
    """The windows of a split of all movies."""
    movies, splits = world.of(split)
    return WindowStream(movies, splits, spec, **given)


def _train_windows(world: World, trial: Trial) -> WindowStream:
    """Shuffled windows to train on; frame_mlp is built for whole frames, others take crops."""
    whole = trial.net.kind == "frame_mlp" and not trial.peer
    given: dict[str, Any] = {"batch_size": trial.batch_size, "seed": trial.seed}
    return windows(world, "train", trial.spec, crop=None if whole else world.crop, **given)


def _key(trial: Trial, world: World) -> Mapping[str, Any]:
    """What a training depends on; settings at their defaults are left out, so that one may come."""
    plain = asdict(Trial(trial.net))
    own = {name: value for name, value in asdict(trial).items() if value != plain[name]}
    return {
        "identity": world.identity,
        "edges": world.edges,
        "crop": world.crop,
        "net": asdict(trial.net),
        **own,
    }


def _train(world: World, trial: Trial, n_rounds: int, a_round: int, build: Builder | None) -> Cell:
    train = StepBatches(_train_windows(world, trial), a_round)
    val = windows(world, "val", trial.spec, batch_size=32)
    return train_on(new_stepper(world, trial, build), train, val, trial, n_rounds)


def train_on(
    stepper: Stepper, train: StepBatches, val: Iterable[Batch], trial: Trial, n_rounds: int
) -> Cell:
    """Train in place, a round a look at validation: the best weights, and what it came to."""
    optim = OptimSpec(
        lr=trial.lr,
        epochs=n_rounds,
        batch_size=trial.batch_size,
        unroll_after=trial.unroll_after,
    )
    best = _weights(stepper)
    facts: dict[str, Any] = {
        "steps": 0,
        "diverged": False,
        "weights": sum(p.numel() for p in stepper.parameters()),
    }
    try:
        for record in fit(stepper, train, val, optim, seed=trial.seed):
            facts["steps"] = record.step
            if record.best:
                best = _weights(stepper)
                facts |= {"val_skill": record.val_skill, "val_loss": record.val_loss}
    except DivergedError:
        facts["diverged"] = True
    return Cell({**facts, "cpu_s": train.cpu_s}, best)


def _weights(stepper: nn.Module) -> dict[str, Any]:
    return {k: v.detach().cpu().numpy().copy() for k, v in stepper.state_dict().items()}


def _timed(world: World, trial: Trial, build: Builder | None) -> float:
    """The median of some steps, after others that warm up."""
    stepper = new_stepper(world, trial, build)
    times = []
    optim = OptimSpec(lr=1e-5, epochs=WARM_STEPS + TIMED_STEPS, batch_size=trial.batch_size)
    batches = StepBatches(_train_windows(world, trial), 1)
    nothing = [next(iter(windows(world, "val", trial.spec, batch_size=1)))]
    for _ in fit(stepper, batches, nothing, optim, seed=0):
        times.append(batches.cpu_s)
        batches.cpu_s = 0.0
    return median(times[WARM_STEPS:])
