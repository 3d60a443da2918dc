"""Loss planes by slime, by public tools as each is meant to be used, and by the usual loop."""

import contextlib
import importlib
import importlib.machinery
import io
import sys
import types
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from slime.batch import Batch
from slime.landscape import filter_normalised_direction, loss_plane
from slime.landscape.loss import hold_windows
from slime.stepper import Stepper

RADIUS = 0.5
BATCH = 32  # windows that a tool is given at once, where it takes batches

Plane = Callable[[int], Any]  # points a side -> whatever the tool gives


class Case(NamedTuple):
    """A net, and the windows that its loss is taken over."""

    stepper: Stepper
    past: Tensor
    future: Tensor
    fed: int  # windows at once that serve the tools best

    @property
    def batches(self) -> list[Batch]:
        """As slime's streams give them."""
        which = torch.arange(len(self.past))
        return [Batch(self.past, self.future[:, None], None, which, which)]

    @property
    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """As tools are fed: decoded once, sliced once."""
        both = zip(self.past.split(self.fed), self.future.split(self.fed), strict=True)
        return list(both)


def slime_plane(case: Case) -> Plane:
    """slime's plane along random directions."""
    return lambda n: loss_plane(case.stepper, case.batches, n_points=n, radius=RADIUS)


def slime_bfloat16(case: Case) -> Plane:
    """The same with products in bfloat16."""
    return lambda n: loss_plane(
        case.stepper, case.batches, n_points=n, radius=RADIUS, precision="bfloat16"
    )


def forward_passes(case: Case) -> Plane:
    """The limit: the layers alone on inputs made ready, in slime's layout and parts; no loss."""
    windows = hold_windows(case.batches, case.stepper, lead=1, micro_batch=None)
    net = case.stepper.net.eval()
    with torch.inference_mode():
        ready = [case.stepper.scale(part.past) for part in windows.parts]

    def passes(n: int) -> None:
        with torch.inference_mode():
            for _ in range(n * n):
                for past in ready:
                    net(past)

    return passes


def usual_loop(case: Case) -> Plane:
    """A state dictionary loaded at every point, a DataLoader run through, MSELoss."""
    stepper, loss = case.stepper, nn.MSELoss()
    loader = DataLoader(TensorDataset(case.past, case.future), batch_size=BATCH)
    base = {name: value.clone() for name, value in stepper.state_dict().items()}
    steps = _directions(stepper)

    def plane(n: int) -> np.ndarray:
        axis, losses = np.linspace(-RADIUS, RADIUS, n), np.zeros((n, n))
        stepper.eval()
        with torch.no_grad():
            for i, a in enumerate(axis):
                for j, b in enumerate(axis):
                    moved = {k: v + a * steps[0][k] + b * steps[1][k] for k, v in base.items()}
                    stepper.load_state_dict(moved)
                    total = sum(loss(stepper(x), y).item() * len(x) for x, y in loader)
                    losses[i, j] = total / len(case.past)
        stepper.load_state_dict(base)
        return losses

    return plane


def loss_landscapes(case: Case) -> Plane:
    """loss-landscapes 3.0.6: random_plane with a metric that sums over the batches it was given."""
    tool = importlib.import_module("loss_landscapes")
    metric = importlib.import_module("loss_landscapes.metrics.metric").Metric
    single = importlib.import_module("loss_landscapes.metrics").Loss

    class Batched(metric):
        def __call__(self, wrapped: Any) -> float:
            return _total(wrapped.forward, case.pairs)

    counted = Batched()
    if len(case.pairs) == 1:
        counted = single(nn.functional.mse_loss, *case.pairs[0])
    return lambda n: tool.random_plane(
        case.stepper, counted, distance=1, steps=n, normalization="filter", deepcopy_model=True
    )


def loss_landscape_3d(case: Case) -> Plane:
    """loss-landscape-3d 0.1.3: its calculator, given batches that lie in memory."""
    tool = importlib.import_module("loss_landscape_3d")
    base = {name: value.clone() for name, value in case.stepper.state_dict().items()}
    calculator = tool.LossLandscapeCalculator(case.stepper, case.pairs, nn.MSELoss())
    steps = tool.generate_random_directions(case.stepper)

    def plane(n: int) -> Any:
        axis = np.linspace(-RADIUS, RADIUS, n)
        return calculator.calculate(axis, axis, *steps, base)

    return plane


def landscaper(case: Case) -> Plane:
    """Landscaper 1.3.1: compute_loss_landscape with a function that sums over batches."""
    compute = _landscaper_compute()

    def scalar(model: nn.Module, pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
        return _total(model, pairs)

    moving = list(case.stepper.parameters())
    steps = [[torch.randn_like(p) for p in moving] for _ in range(2)]

    def plane(n: int) -> Any:
        quiet = contextlib.redirect_stdout(io.StringIO())
        with quiet, contextlib.redirect_stderr(io.StringIO()):
            return compute(
                case.stepper, case.pairs, steps, scalar, n, distance=0.1, dim=2, device="cpu"
            )

    return plane


def _landscaper_compute() -> Any:
    """Its module alone: the package imports topology tools that ask for a numpy before 2."""
    found = importlib.machinery.PathFinder.find_spec("landscaper")
    assert found is not None
    bare = types.ModuleType("landscaper")
    bare.__path__ = list(found.submodule_search_locations or [])
    before = sys.modules.get("landscaper")
    sys.modules["landscaper"] = bare
    try:
        return importlib.import_module("landscaper.compute").compute_loss_landscape
    finally:
        if before is None:
            del sys.modules["landscaper"]
        else:
            sys.modules["landscaper"] = before


def _total(model: Callable[[Tensor], Tensor], pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    loss = nn.functional.mse_loss
    squares = sum(loss(model(x), y).item() * len(x) for x, y in pairs)
    return squares / sum(len(x) for x, _ in pairs)


def _directions(stepper: Stepper) -> list[dict[str, Tensor]]:
    zeros = {name: torch.zeros_like(value) for name, value in stepper.state_dict().items()}
    return [
        zeros | {f"net.{k}": v for k, v in filter_normalised_direction(stepper.net, i).items()}
        for i in (0, 1)
    ]


class Contestant(NamedTuple):
    """A way to a plane, and the module that it needs."""

    plane: Callable[[Case], Plane]
    needs: str = "torch"

    @property
    def missing(self) -> bool:
        """Whether what it needs is not installed."""
        return find_spec(self.needs) is None


CONTESTANTS = {
    "slime": Contestant(slime_plane),
    "forward passes alone": Contestant(forward_passes),
    "slime, bfloat16": Contestant(slime_bfloat16),
    "loss-landscapes": Contestant(loss_landscapes, "loss_landscapes"),
    "Landscaper": Contestant(landscaper, "landscaper"),
    "loss-landscape-3d": Contestant(loss_landscape_3d, "loss_landscape_3d"),
    "usual loop": Contestant(usual_loop),
}
PEERS = ("loss-landscapes", "Landscaper", "loss-landscape-3d")
