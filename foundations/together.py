"""Several small nets trained at once, a net a seed: one stack of weights, one matrix product.

Their losses are added, so that no net feels another: each is trained as it would be alone. Tiny
products cost little beside the calls around them. Layers other than linear and pointwise ones go
through torch.func, whose calls cost more.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.optim.lr_scheduler import LRScheduler, StepLR

from foundations.toys import Pairs

Each = Callable[[Tensor, Tensor], Tensor]  # a value a row, of outputs and targets: (n, ...) to n
OPTIMIZERS = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
ENTRY_BY_ENTRY = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Dropout, nn.Identity)
Weights = dict[str, Tensor]


def squared_error(outputs: Tensor, targets: Tensor) -> Float[Tensor, " n"]:
    """The squared error of each row, a mean over its outputs."""
    return (outputs - targets).square().flatten(1).mean(dim=1)


def cross_entropy(outputs: Tensor, targets: Tensor) -> Float[Tensor, " n"]:
    """The cross-entropy of each row's logits and its class."""
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def right_class(outputs: Tensor, targets: Tensor) -> Float[Tensor, " n"]:
    """1 for each row whose largest logit is its class's, else 0; the mean is the accuracy."""
    return (outputs.argmax(dim=1) == targets).float()


class Recipe(NamedTuple):
    """How nets are trained. `schedule` is StepLR's step and factor, None for a constant rate."""

    lr: float
    epochs: int
    batch: int = 64
    weight_decay: float = 0.0
    optimizer: Literal["adam", "sgd"] = "adam"
    schedule: tuple[int, float] | None = None


class Trained(NamedTuple):
    """Nets after training. Curves are by name, after each epoch, without dropout: (epochs, nets).

    Attributes:
        last: the nets with the weights of the last epoch, ready to predict.
        best: those with the weights of the epoch of least validation loss.
    """

    last: list[nn.Module]
    best: list[nn.Module]
    curves: dict[str, Float[Tensor, "epochs nets"]]


def fit_together(
    nets: Sequence[nn.Module],
    train: Sequence[Pairs],
    val: Sequence[Pairs],
    recipe: Recipe,
    *,
    loss: Each,
    scores: Mapping[str, Each] | None = None,
    seed: int = 0,
) -> Trained:
    """Train each net on its own pairs; the nets given stay as they are.

    Nets must be of one shape, and so must their sets. The curves are "train loss" and "val loss",
    and "train NAME" and "val NAME" for each of `scores`.

    Args:
        loss, scores: values a row, of which the mean is taken: `squared_error`, `cross_entropy`,
            `right_class`, or a function of one's own.
        seed: of dropout and of the order of batches, which differ from net to net.
    """
    on = {"train": _stacked(train), "val": _stacked(val)}
    bodies = deepcopy(nets[0]).train(), deepcopy(nets[0]).eval()
    weights, buffers = stack_module_state(list(nets))
    measured = {"loss": loss, **(scores or {})}
    curves: dict[str, list[Tensor]] = {f"{p} {name}": [] for p in on for name in measured}
    best, least = dict(weights), torch.full((len(nets),), torch.inf)
    optimizer, schedule = _optimizer(weights, recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(recipe.epochs):
            _epoch(bodies[0], weights, buffers, on["train"], recipe, optimizer, loss)
            if schedule:
                schedule.step()
            for name, values in _measured(bodies[1], weights, buffers, on, measured).items():
                curves[name].append(values)
            best, least = _kept(best, least, weights, curves["val loss"][-1])
    return Trained(
        _unstacked(nets, weights, buffers),
        _unstacked(nets, best, buffers),
        {name: torch.stack(values) for name, values in curves.items()},
    )


def _optimizer(
    weights: Weights, recipe: Recipe
) -> tuple[torch.optim.Optimizer, LRScheduler | None]:
    kind = OPTIMIZERS[recipe.optimizer]
    made = kind(weights.values(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    return made, StepLR(made, *recipe.schedule) if recipe.schedule else None


def _epoch(
    body: nn.Module,
    weights: Weights,
    buffers: Weights,
    pairs: Pairs,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    loss: Each,
) -> None:
    """One pass over all pairs in a new order for each net; the weights are changed in place."""
    n_nets, n = pairs.x.shape[:2]
    order = torch.stack([torch.randperm(n) for _ in range(n_nets)])
    nets = torch.arange(n_nets)[:, None]
    for rows in order.split(recipe.batch, dim=1):
        outputs = _outputs(body, weights, buffers, pairs.x[nets, rows])
        optimizer.zero_grad()
        _means(loss, outputs, pairs.y[nets, rows]).sum().backward()
        optimizer.step()


def _outputs(body: nn.Module, weights: Weights, buffers: Weights, x: Tensor) -> Tensor:
    """Each net's outputs for its own inputs, (nets, n, ...) to (nets, n, ...)."""
    if isinstance(body, nn.Linear) and x.ndim == 3:
        product = x @ weights["weight"].mT
        return product + weights["bias"][:, None] if "bias" in weights else product
    if isinstance(body, ENTRY_BY_ENTRY):
        return body(x)
    if not isinstance(body, nn.Sequential):
        return _by_func(body, {**weights, **buffers}, x)
    for name, layer in body.named_children():
        x = _outputs(layer, _of(layer, name, weights), _of(layer, name, buffers), x)
    return x


def _of(layer: nn.Module, name: str, tensors: Weights) -> Weights:
    """A layer's own weights or buffers among those of the net."""
    return {k: tensors[f"{name}.{k}"] for k in layer.state_dict() if f"{name}.{k}" in tensors}


def _by_func(layer: nn.Module, weights: Weights, x: Tensor) -> Tensor:
    def one(weights: Weights, x: Tensor) -> Tensor:
        return functional_call(layer, weights, (x,))

    if len(x) == 1:  # a net alone needs none of vmap, whose first call takes a second
        return one({name: w[0] for name, w in weights.items()}, x[0])[None]
    return vmap(one, randomness="different")(weights, x)


def _means(of: Each, outputs: Tensor, targets: Tensor) -> Float[Tensor, " nets"]:
    """The mean over the rows of each net."""
    return of(outputs.flatten(0, 1), targets.flatten(0, 1)).reshape(len(outputs), -1).mean(dim=1)


def _measured(
    body: nn.Module,
    weights: Weights,
    buffers: Weights,
    on: Mapping[str, Pairs],
    measured: Mapping[str, Each],
) -> dict[str, Tensor]:
    with torch.no_grad():
        said = {part: _outputs(body, weights, buffers, pairs.x) for part, pairs in on.items()}
        return {
            f"{part} {name}": _means(measure, said[part], pairs.y)
            for name, measure in measured.items()
            for part, pairs in on.items()
        }


def _kept(best: Weights, least: Tensor, now: Weights, val: Tensor) -> tuple[Weights, Tensor]:
    """The better weights of each net, and their validation losses."""
    better = val < least
    if not better.any():
        return best, least
    kept = {
        name: torch.where(better.reshape(-1, *[1] * (w.ndim - 1)), w, best[name]).detach()
        for name, w in now.items()
    }
    return kept, torch.minimum(val, least)


def _stacked(pairs: Sequence[Pairs]) -> Pairs:
    return Pairs(torch.stack([p.x for p in pairs]), torch.stack([p.y for p in pairs]))


def _unstacked(nets: Sequence[nn.Module], weights: Weights, buffers: Weights) -> list[nn.Module]:
    made = []
    for i, net in enumerate(nets):
        copy = deepcopy(net).eval()
        copy.load_state_dict({name: w[i].detach() for name, w in {**weights, **buffers}.items()})
        made.append(copy)
    return made
