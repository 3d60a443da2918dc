"""Losses on a grid about a net that is a chain of linear layers, for less than its forecasts cost.

What the first layer gives is affine in the steps: z0 + a z1 + b z2 at weights w + a d1 + b d2, and
three arrays serve the whole grid. The last layer gives the error at once, since a head only scales
its output and shifts it.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from slime.landscape.loss import HeldWindows, Part
from slime.stepper import Stepper

IN_CACHE = 1 << 17  # numbers of a layer at once
POINTWISE = (nn.Identity, nn.Dropout, nn.GELU, nn.ReLU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.ELU)


class Shifted(NamedTuple):
    """A tensor at weights + a d1 + b d2 ..., affine in the steps' sizes."""

    terms: list[Tensor | None]  # what does not move, then what each size multiplies; None for 0
    place: Tensor

    @classmethod
    def of(cls, terms: Iterable[Tensor | None]) -> "Shifted":
        """With memory of its own for the sum."""
        still, *steps = terms
        assert still is not None
        moved = [term if term is not None and term.any() else None for term in steps]
        return cls([still, *moved], torch.empty_like(still))

    @property
    def still(self) -> bool:
        """Whether it is the same everywhere."""
        return not any(term is not None for term in self.terms[1:])

    def at(self, sizes: Sequence[float]) -> Tensor:
        """The sum, in memory that the next call uses again."""
        total = self.terms[0]
        assert total is not None
        for size, term in zip(sizes, self.terms[1:], strict=True):
            if term is not None:
                total = torch.add(total, term, alpha=size, out=self.place)
        return total

    def along(self, sizes: Sequence[float]) -> "Shifted":
        """The same where all sizes but the last are given."""
        start = Shifted.of(self.terms[:-1]).at(sizes)
        return Shifted.of([start, self.terms[-1]])


class Layer(NamedTuple):
    """A linear layer (its weight transposed), or what acts on single numbers."""

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
    """The loss at any point of a grid; the same sizes of all axes but the last are computed once.

    Args:
        trained, steps: the net's parameters in order, and for each axis the direction's.
    """

    def __init__(
        self,
        leaves: Sequence[nn.Module],
        stepper: Stepper,
        windows: HeldWindows,
        trained: Sequence[Tensor],
        steps: Sequence[Sequence[Tensor]],
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
                some.target.add_(bias.at([0.0] * len(steps)))
        self._sizes: tuple[float, ...] | None = None
        self._row: tuple[list[Layer], list[Windows]] = ([], [])

    def loss(self, sizes: Sequence[float]) -> float:
        """Mean squared error over the counted pixels, so far along each direction."""
        *outer, last = sizes
        if self._sizes != tuple(outer):
            self._sizes = tuple(outer)
            self._row = (
                [Layer(k.act, _along(k.weight, outer), _along(k.bias, outer)) for k in self.layers],
                [w._replace(first=w.first.along(outer)) for w in self.windows],
            )
        layers, windows = self._row
        here = [
            (k.act, k.weight and k.weight.at([last]), k.bias and k.bias.at([last])) for k in layers
        ]
        return sum(_squares(some, here, last) for some in windows) / self.n_pixels


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
    return Layer(None, Shifted.of([t.T for t in weight]), Shifted.of(bias) if bias else None)


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


def _squares(some: Windows, layers: Sequence[Here], last: float) -> float:
    """Sum of squared errors; squares are summed in pairs, so to rounding."""
    now = some.first.at([last])
    if now is some.first.terms[0]:
        now = now.clone()  # what follows may work in place
    for act, weight, bias in layers[:-1]:
        if act is not None:
            now = torch.relu_(now) if type(act) is nn.ReLU else act(now)
        else:
            assert weight is not None
            now = now @ weight if bias is None else torch.addmm(bias, now, weight)
    _, weight, bias = layers[-1]
    assert weight is not None
    error = torch.addmm(some.target, now, weight)
    if bias is not None:
        error += bias
    if isinstance(some.weight, float):
        return float(error.square_().sum()) * some.weight**2
    error *= some.weight
    return float(error.square_().sum())
