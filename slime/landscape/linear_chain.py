"""Losses on a grid about a net that is a chain of linear layers, for less than its forecasts cost.

What the first layer gives is affine in the steps: z0 + a z1 + b z2 at weights w + a d1 + b d2, and
three arrays serve the whole grid. Neighbours along the last axis are computed together, each layer
one product of stacked matrices. The last layer gives the error at once, since a head only scales
its output and shifts it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from slime.landscape.loss import HeldWindows, Part
from slime.landscape.shifted import Shifted
from slime.stepper import Stepper

IN_CACHE = 1 << 17  # numbers of a layer at one point
AT_ONCE = 1 << 18  # of a layer, or of its weights, at all points computed together
POINTWISE = (nn.Identity, nn.Dropout, nn.GELU, nn.ReLU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.ELU)


class Layer(NamedTuple):
    """A linear layer (its weight transposed, its bias a row), or what acts on single numbers."""

    act: nn.Module | None
    weight: Shifted | None
    bias: Shifted | None


Here = tuple[nn.Module | None, Tensor | None, Tensor | None]  # a layer at a point


class Windows(NamedTuple):
    """Some windows: what the first layer makes of them, and minus what the last is to give."""

    first: Shifted
    target: Float[Tensor, "b out"]
    weight: Float[Tensor, "b out"] | float  # of each error


class LinearChain:
    """The loss at any point of a grid; what its neighbours share is computed once.

    Args:
        trained, steps: the net's parameters in order, and for each axis the direction's.
        last: the values along the last axis.
    """

    def __init__(
        self,
        leaves: Sequence[nn.Module],
        stepper: Stepper,
        windows: HeldWindows,
        trained: Sequence[Tensor],
        steps: Sequence[Sequence[Tensor]],
        last: Float[np.ndarray, " points"],
    ):
        places = {id(w): i for i, w in enumerate(stepper.net.parameters())}
        columns = [trained, *steps]

        def terms(weight: Tensor | None) -> list[Tensor]:
            if weight is None:
                return []
            return [column[places[id(weight)]] for column in columns]

        self.n_pixels = windows.n_pixels
        first, *rest = leaves
        assert isinstance(first, nn.Linear)
        self.layers = [_layer(leaf, terms) for leaf in rest]
        widest = max(m.out_features for m in leaves if isinstance(m, nn.Linear))
        n = max(IN_CACHE // widest, 1)
        made = partial(_made, stepper, first, terms(first.weight), terms(first.bias))
        self.windows = [made(part) for part in _regrouped(windows.parts, n)]
        bias = self.layers[-1].bias
        if bias is not None and bias.still:
            self.layers[-1] = self.layers[-1]._replace(bias=None)
            for some in self.windows:
                some.target.add_(bias.start)
        numbers = [some.target.shape[0] * widest for some in self.windows]
        numbers += [layer.weight.start.numel() for layer in self.layers if layer.weight]
        n_points = max(AT_ONCE // max(numbers), 1)
        self._blocks = list(
            torch.from_numpy(last).to(trained[0].dtype)[:, None, None].split(n_points)
        )
        self._block_size = n_points
        self._outer: tuple[float, ...] | None = None
        self._row: tuple[list[Layer], list[Windows]] = ([], [])
        self._at: tuple[tuple[float, ...], int] | None = None
        self._losses: list[float] = []

    def loss(self, outer: Sequence[float], place: int) -> float:
        """Mean squared error over the counted pixels.

        Args:
            outer: how far along all directions but the last.
            place: which of the values along the last.
        """
        block, within = divmod(place, self._block_size)
        if self._at != (tuple(outer), block):  # always the whole block: no cell depends on another
            self._losses = self._block(tuple(outer), self._blocks[block])
            self._at = tuple(outer), block
        return self._losses[within]

    def _block(self, outer: tuple[float, ...], last: Float[Tensor, "points 1 1"]) -> list[float]:
        if self._outer != outer:
            self._outer = outer
            self._row = (
                [Layer(k.act, _along(k.weight, outer), _along(k.bias, outer)) for k in self.layers],
                [w._replace(first=w.first.along(outer)) for w in self.windows],
            )
        layers, windows = self._row
        here = [(k.act, k.weight and k.weight.at(last), k.bias and k.bias.at(last)) for k in layers]
        squares = torch.stack([_squares(some, here, last) for some in windows])
        return (squares.sum(dim=0) / self.n_pixels).tolist()


def linear_leaves(stepper: Stepper, windows: HeldWindows) -> list[nn.Module] | None:
    """The layers of a net in order, where it is a chain of linear ones and pointwise functions.

    None where it is not, and for a rollout, whose later steps read what the first layer made of
    other weights. Looked at in one forecast: each layer must be given the very tensor that the one
    before gave, and the net must give the last one's, in another shape at most.
    """
    weights = list(stepper.net.parameters())
    if windows.lead != 1 or any(w.device.type != "cpu" for w in weights):
        return None
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []

    def note(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        calls.append((module, given[0], out))

    known = (nn.Linear, *POINTWISE)
    leaves = [m for m in stepper.net.modules() if next(m.children(), None) is None]
    if not all(type(m) in known for m in leaves):
        return None
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    try:
        out = stepper.net(stepper.scale(windows.parts[0].past[:1, -stepper.n_in :]))
    finally:
        for hook in hooks:
            hook.remove()
    linear = [m for m, _, _ in calls if isinstance(m, nn.Linear)]
    own = [id(w) for m in linear for w in m.parameters()]
    chained = (
        len(linear) > 1
        and calls[0][0] is linear[0]
        and calls[-1][0] is linear[-1]
        and all(a is b for (_, _, a), (_, b, _) in pairwise(calls))
        and calls[0][1].ndim == 2
        and out.data_ptr() == calls[-1][2].data_ptr()
        and out.is_contiguous()
        and sorted(own) == sorted(map(id, weights))
    )
    return [m for m, _, _ in calls] if chained else None


def _layer(leaf: nn.Module, terms: Callable[[Tensor | None], list[Tensor]]) -> Layer:
    if not isinstance(leaf, nn.Linear):
        return Layer(leaf, None, None)
    weight, bias = terms(leaf.weight), terms(leaf.bias)
    rows = Shifted.of([t[None] for t in bias]) if bias else None
    return Layer(None, Shifted.of([t.T.contiguous() for t in weight]), rows)


def _along(one: Shifted | None, sizes: Sequence[float]) -> Shifted | None:
    return None if one is None else one.along(sizes)


def _regrouped(parts: Sequence[Part], n: int) -> list[Part]:
    """The same windows in groups of n."""
    past, truth = torch.cat([p.past for p in parts]), torch.cat([p.truth for p in parts])
    masks = [part.mask for part in parts if part.mask is not None]
    mask = torch.cat(masks) if masks else None
    rows = [slice(i, i + n) for i in range(0, len(past), n)]
    return [Part(past[r], truth[r], None if mask is None else mask[r]) for r in rows]


def _made(
    stepper: Stepper,
    first: nn.Linear,
    weights: list[Tensor],
    biases: list[Tensor],
    part: Part,
) -> Windows:
    """What does not depend on the point."""
    seen: list[Tensor] = []
    hook = first.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        out = stepper.net(stepper.scale(part.past[:, -stepper.n_in :]))
    finally:
        hook.remove()
    made = [
        functional.linear(seen[0], w, biases[i] if biases else None) for i, w in enumerate(weights)
    ]
    # a head gives shift + unit * output, with the same unit for all pixels of a channel
    shift = stepper.headed(torch.zeros_like(out), part.past)
    unit = stepper.headed(torch.ones_like(out[:1]), torch.zeros_like(part.past[:1]))
    unit = unit - stepper.headed(torch.zeros_like(out[:1]), torch.zeros_like(part.past[:1]))
    target = ((shift - part.truth) / unit).flatten(1)
    if part.mask is None and bool((unit == unit.flatten()[0]).all()):
        return Windows(Shifted.of(made), target, float(unit.flatten()[0]))
    weight = unit.expand_as(out).flatten(1)
    if part.mask is not None:
        counted = part.mask.flatten(1)
        weight, target = (torch.where(counted, column, 0.0) for column in (weight, target))
    return Windows(Shifted.of(made), target, weight)


def _squares(
    some: Windows, layers: Sequence[Here], last: Float[Tensor, "points 1 1"]
) -> Float[Tensor, " points"]:
    """Sums of squared errors, in float64; within a group of windows squares are summed in pairs."""
    now = some.first.at(last)
    if some.first.terms[-1] is None:
        now = now.clone()  # what follows may work in place
    for act, weight, bias in layers[:-1]:
        if act is not None:
            now = torch.relu_(now) if type(act) is nn.ReLU else act(now)
        else:
            assert weight is not None
            now = torch.bmm(now, weight) if bias is None else torch.baddbmm(bias, now, weight)
    _, weight, bias = layers[-1]
    assert weight is not None
    error = torch.baddbmm(some.target, now, weight)
    if bias is not None:
        error += bias
    if not isinstance(some.weight, float):
        error *= some.weight
    squares = error.square_().sum(dim=(1, 2)).double()
    return squares * some.weight**2 if isinstance(some.weight, float) else squares
