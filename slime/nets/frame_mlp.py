"""An MLP over whole flattened frames: the course's first model, for small frames only."""

import math

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slime.errors import SlimeError

MAX_WEIGHTS = 100_000_000


class FrameMLP(nn.Module):
    """Flattens all frames given, `depth` linear layers with GELU between, back to one frame.

    Its weights grow with the square of the frame's pixels, and it knows nothing of neighbourhood:
    refused above 100 million weights.
    """

    def __init__(
        self,
        n_in: int,
        channels: int,
        size: tuple[int, int],
        *,
        width: int,
        depth: int,
        dropout: float,
    ):
        super().__init__()
        pixels = channels * math.prod(size)
        n_weights = (n_in + 1) * pixels * width + (depth - 2) * width**2
        if n_weights > MAX_WEIGHTS:
            raise SlimeError(
                f"net.kind=frame_mlp would have {n_weights / 1e6:.0f} million weights for {n_in} "
                f"frames of {channels} x {size[0]} x {size[1]} pixels, above "
                f"{MAX_WEIGHTS / 1e6:.0f}: use patch_mlp or cnn, or a smaller net.width"
            )
        self.size, self.channels = size, channels
        layers: list[nn.Module] = [nn.Linear(n_in * pixels, width), nn.GELU()]
        for _ in range(depth - 2):
            layers += [nn.Dropout(dropout)] if dropout else []
            layers += [nn.Linear(width, width), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, pixels))

    def forward(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """Frames given to the net's output, in standard units."""
        if past.shape[-2:] != self.size:
            raise SlimeError(
                f"net.kind=frame_mlp was built for frames of {self.size}, not {past.shape[-2:]}: "
                "patch_mlp and cnn take any size"
            )
        flat = self.layers(rearrange(past, "b t c y x -> b (t c y x)"))
        return rearrange(
            flat, "b (c y x) -> b c y x", c=self.channels, y=self.size[0], x=self.size[1]
        )
