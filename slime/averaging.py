"""The running mean of a net's weights over its steps: it forecasts better than the last step's."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Averaged:
    """An exponential moving average of a module's weights, which can stand in for them.

    After step n (from 1) the average moves by 1 - min(decay, (1 + n) / (10 + n)) towards the
    weights, so that it forgets the first ones soon (Polyak & Juditsky 1992, doi 10.1137/0330046,
    in the form of Tensorflow's ExponentialMovingAverage).

    Args:
        module: holds the weights as trained, or (with `trained`) their average so far.
        trained: the weights as trained, where the average is what the module holds.
    """

    def __init__(self, module: nn.Module, decay: float, *, trained: Sequence[Tensor] | None = None):
        self.weights, self.decay = list(module.parameters()), decay
        self._other = self._copies(self.weights if trained is None else trained)
        self._shown = trained is not None

    @torch.no_grad()
    def update(self, n: int) -> None:
        """Move the average after the n-th step, from 1; the module holds the trained weights."""
        kept = min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(self._other, self.weights, 1 - kept)  # pyright: ignore[reportPrivateImportUsage, reportArgumentType, reportCallIssue]

    def show(self) -> None:
        """Let the module hold the average."""
        self._exchange(shown=True)

    def hide(self) -> None:
        """Let the module hold the trained weights."""
        self._exchange(shown=False)

    def trained(self) -> list[Tensor]:
        """Copies of the trained weights, to go on from."""
        return self._copies(self._other if self._shown else self.weights)

    @torch.no_grad()
    def _exchange(self, *, shown: bool) -> None:
        if shown == self._shown:
            return
        for held, other in zip(self.weights, self._other, strict=True):
            now = held.clone()
            held.copy_(other)
            other.copy_(now)
        self._shown = shown

    def _copies(self, weights: Sequence[Tensor]) -> list[Tensor]:
        pairs = zip(weights, self.weights, strict=True)
        return [weight.detach().to(own.device, copy=True) for weight, own in pairs]
