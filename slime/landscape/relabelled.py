"""The same net under other weights: hidden units in another order, which no forecast can tell."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from slime.errors import SlimeError
from slime.landscape.linear_chain import POINTWISE
from slime.stepper import Stepper


def relabelled(stepper: Stepper, *, seed: int = 0) -> dict[str, Tensor]:
    """The state of a stepper whose hidden units are numbered anew at random, layer by layer.

    It forecasts what the stepper does, up to rounding, from another point in weight space: a
    barrier between the two tells of labels and not of functions (Entezari et al. 2022, arXiv
    2110.06296).

    Raises:
        SlimeError: the net's `layers` are no chain of convolutions or linear layers.
    """
    layers = getattr(stepper.net, "layers", None)
    chain = [
        (f"net.layers.{i}", layer)
        for i, layer in enumerate(layers if isinstance(layers, nn.Sequential) else [])
        if not isinstance(layer, (*POINTWISE, nn.Dropout2d))
    ]
    if len(chain) < 2 or not all(isinstance(one, (nn.Conv2d, nn.Linear)) for _, one in chain):
        raise SlimeError(
            f"{type(stepper.net).__name__} is no chain of layers whose hidden units have an order "
            "of their own: cnn, patch_mlp and frame_mlp are"
        )
    state = {name: value.detach().clone() for name, value in stepper.state_dict().items()}
    draw = torch.Generator().manual_seed(seed)
    for (before, _), (after, _) in pairwise(chain):
        order = torch.randperm(len(state[f"{before}.weight"]), generator=draw)
        for part in ("weight", "bias"):
            if f"{before}.{part}" in state:
                state[f"{before}.{part}"] = state[f"{before}.{part}"][order]
        state[f"{after}.weight"] = state[f"{after}.weight"][:, order]
    return state
