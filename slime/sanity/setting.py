"""A run as its controls see it: its windows in small numbers, and its net made anew."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch

from slime.checkpoint import Shape, build_stepper
from slime.config import RunConfig
from slime.errors import SlimeError
from slime.prepare import Prepared, without_gap
from slime.probes import probe_windows
from slime.scale import Standardizer
from slime.stepper import Stepper
from slime.stream import Batch
from slime.windows import WindowSpec

SIDES = (8, 16, 32, 64, 128)  # pixels, height and width of a control's windows


@dataclass(frozen=True)
class Setting:
    """What a run was told and opened, and how its net is built."""

    config: RunConfig
    prepared: Prepared
    shape: Shape
    scale: Standardizer
    device: torch.device

    def fresh(self) -> Stepper:
        """The net as training finds it at its first step."""
        torch.manual_seed(self.config.seed)
        return build_stepper(self.config.net, self.shape, self.scale).to(self.device)

    def windows(
        self, name: str, spec: WindowSpec, *, n_places: int, n_each: int, side: int = 32
    ) -> Batch:
        """Some windows of a split, cut to about `side` pixels or as few as the net can do with."""
        movies, splits = self.prepared.of(name)
        return probe_windows(
            movies,
            [without_gap(split) for split in splits],
            spec,
            n_places=n_places,
            n_each=n_each,
            side=None if self._least is None else max(side, self._least),
            memory_budget=self.config.data.memory_budget,
            device=self.device,
        )

    @cached_property
    def _least(self) -> int | None:
        """The smallest side of SIDES that the net takes; None where it needs whole frames."""
        with random_state_kept(), torch.no_grad():
            net = self.fresh().eval()
            for side in SIDES if self.config.net.kind != "frame_mlp" else ():
                frames = torch.zeros(
                    (1, self.shape.n_in, len(self.shape.channels), side, side), device=self.device
                )
                try:
                    net(frames)
                except SlimeError:  # too few pixels for its waves or its halvings
                    continue
                return side
        return None


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Whatever is drawn inside, torch's random state is outside as if nothing were."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield
