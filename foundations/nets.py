"""The nets of the exercises, each also a baseline of slime in its own width."""

from collections.abc import Callable, Sequence

import torch
from torch import nn


def linear_regressor(n_in: int = 1, n_out: int = 1) -> nn.Module:
    """Section 2: y = W x + b."""
    return nn.Linear(n_in, n_out)


def toy_mlp(
    n_in: int = 2, n_out: int = 2, *, widths: Sequence[int] = (64, 64), dropout: float = 0.2
) -> nn.Module:
    """Section 3: hidden layers with ReLU, dropout after the first one."""
    layers: list[nn.Module] = []
    for i, width in enumerate(widths):
        layers += [nn.Linear(n_in, width), nn.ReLU(), *([nn.Dropout(dropout)] if i == 0 else [])]
        n_in = width
    return nn.Sequential(*layers, nn.Linear(n_in, n_out))


def fresh(build: Callable[[], nn.Module], seeds: Sequence[int]) -> list[nn.Module]:
    """A net for each seed, its first weights drawn from it; the random state stays as it was."""
    nets = []
    for seed in seeds:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            nets.append(build())
    return nets
