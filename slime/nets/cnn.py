"""A plain convolutional net: 3 x 3 layers beside one linear 5 x 5 stencil."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slime.nets.conv import Conv, Edges, stencil


class CNN(nn.Module):
    """`depth` convolutions of 3 x 3 with GELU between, plus a linear stencil of 5 x 5."""

    def __init__(
        self, n_in: int, channels: int, *, width: int, depth: int, dropout: float, edges: Edges
    ):
        super().__init__()
        layers: list[nn.Module] = [Conv(n_in * channels, width, edges=edges), nn.GELU()]
        for _ in range(depth - 2):
            layers += [nn.Dropout2d(dropout)] if dropout else []
            layers += [Conv(width, width, edges=edges), nn.GELU()]
        self.layers = nn.Sequential(*layers, Conv(width, channels, edges=edges))
        self.stencil = stencil(n_in, channels, edges)
        self.receptive_radius = max(2, depth)  # pixels to each side that a predicted one depends on

    def forward(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """Frames given to the net's output, in standard units."""
        frames = rearrange(past, "b t c y x -> b (t c) y x")
        return self.layers(frames) + self.stencil(frames)
