"""Noise put on the frames given in training, which goes on where it was stopped."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


class Noise:
    """Normal noise of a standard deviation for each channel, of a seed of its own."""

    def __init__(self, std: Float[Tensor, " c"], seed: Sequence[int]):
        self.std = std[:, None, None]
        number = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self._generator = torch.Generator(std.device).manual_seed(number)

    def __call__(self, frames: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b t c y x"]:
        """The noise of some frames, on their device."""
        shape, device = frames.shape, frames.device
        return self.std * torch.randn(shape, generator=self._generator, device=device)

    def state(self) -> Tensor:
        """Where its draws stand."""
        return self._generator.get_state()

    def load(self, state: Tensor) -> None:
        """Draw on from there."""
        self._generator.set_state(state)
