"""What leads from one net to another: a step for every parameter, biases and a head's gate too."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from slime.errors import SlimeError
from slime.landscape.directions import Direction, inner_product
from slime.landscape.norms import counts, statistics
from slime.stepper import Stepper

State = Mapping[str, Tensor]  # a stepper's state_dict


def difference(one: Stepper, other: State, *, same: bool = False) -> Direction:
    """What leads from a stepper's parameters to another's.

    Args:
        same: whether they may be equal.

    Raises:
        SlimeError: other names, shapes or buffers, or equal parameters where `same` is false.
    """
    own, weights = one.state_dict(), dict(one.named_parameters())
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in other.items()}:
        raise SlimeError("the nets are not of one shape: nothing lies between them")
    free = statistics(one).keys() | counts(one)
    for name in own.keys() - weights.keys() - free:
        if not torch.equal(own[name], other[name].to(own[name])):
            raise SlimeError(
                f"the nets differ in {name}, which is fitted and not trained: they were given "
                "other frames or another scale, and nothing lies between them"
            )
    steps = {name: other[name].to(weight) - weight.detach() for name, weight in weights.items()}
    if not same and not any(step.any() for step in steps.values()):
        raise SlimeError("the two nets are the same: nothing lies between them")
    return steps


def combined(
    steps: Sequence[Direction], shares: Sequence[float] | Float[np.ndarray, " nets"]
) -> Direction:
    """The sum of steps, each times its share."""
    return {
        name: torch.stack(
            [float(share) * step[name] for share, step in zip(shares, steps, strict=True)]
        ).sum(dim=0)
        for name in steps[0]
    }


def inner(one: Direction, other: Direction) -> float:
    """The inner product of two steps, over all parameters."""
    return inner_product(list(one.values()), [other[name] for name in one])


def length(one: Direction) -> float:
    """The length of a step, in weights."""
    return float(np.sqrt(inner(one, one)))
