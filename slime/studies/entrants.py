"""Nets of a study, tuned alike: so many trials on validation, then more seeds of the best."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from slime.nets import NetSpec
from slime.score import Tally
from slime.settings import setting
from slime.stepper import Stepper, weights_hash
from slime.studies.meet import Meeting, tallied
from slime.studies.spec import StudySpec
from slime.studies.train import Builder, Trial, trained
from slime.studies.worlds import World


@dataclass(frozen=True)
class TunedSpec(StudySpec):
    """The settings of a study whose nets are tuned on validation."""

    lrs: list[float] = setting([2e-3, 8e-3], "learning rates that validation chooses from")
    heads: list[str] = setting(["residual", "direct"], "heads that validation chooses from")


@dataclass(frozen=True)
class Contestant:
    """A net by name: ours by its kind (its name where none), or what `build` makes.

    Attributes:
        widths: that are tried.
        n_out, unroll_after: as of a Trial.
    """

    name: str
    widths: tuple[int, ...]
    build: Builder | None = None
    kind: str = ""
    n_out: int = 1
    unroll_after: float = 0.0

    def trials(self, spec: TunedSpec) -> list[Trial]:
        """What is tried, all of the first seed."""
        own: dict[str, Any] = {} if self.build else {"kind": self.kind or self.name}
        return [
            Trial(
                NetSpec(head=head, width=width, **own),  # pyright: ignore[reportArgumentType]
                lr=lr,
                n_in=spec.n_in,
                n_out=self.n_out,
                unroll_after=self.unroll_after,
                batch_size=spec.batch_size,
                budget_s=spec.budget_s,
                rounds=spec.rounds,
                peer=self.name if self.build else "",
            )
            for width, lr, head in product(self.widths, spec.lrs, spec.heads)
        ]


@dataclass(frozen=True)
class Entered:
    """A contestant on a world: the trial chosen, a stepper and facts a seed, all trials' facts."""

    contestant: Contestant
    trial: Trial
    steppers: list[Stepper]
    facts: list[dict[str, Any]]
    tried: list[dict[str, Any]]

    @property
    def name(self) -> str:
        """What trained, in tables."""
        return self.contestant.name

    @property
    def head(self) -> str:
        """The head that validation chose."""
        return self.trial.net.head


def enter(spec: TunedSpec, world: World, one: Contestant, n_seeds: int) -> Entered:
    """A contestant tuned and trained on a world, from cells where they are there."""
    tried, best, least = [], one.trials(spec)[0], float("inf")
    for trial in one.trials(spec):
        _, facts = trained(spec.cells, world, trial, one.build)
        sizes = {"width": trial.net.width, "head": trial.net.head, "lr": trial.lr}
        tried.append({"world": world.name, "model": one.name, **sizes, **facts})
        loss = facts.get("val_loss", float("inf"))
        if loss < least:
            best, least = trial, loss
    runs = [
        trained(spec.cells, world, replace(best, seed=seed), one.build) for seed in range(n_seeds)
    ]
    return Entered(one, best, [run[0] for run in runs], [run[1] for run in runs], tried)


def tallies_of(spec: StudySpec, meeting: Meeting, side: Entered) -> list[Mapping[str, Tally]]:
    """The tallies of every seed where the nets meet."""

    def one(stepper: Stepper) -> Mapping[str, Tally]:
        key = {"weights": weights_hash(stepper.state_dict())}
        return tallied(spec.cells, meeting, side.name, key, lambda _: stepper)

    return [one(stepper) for stepper in side.steppers]
