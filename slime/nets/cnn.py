"""A plain convolutional net: 3 x 3 layers, replicate edges, beside one linear 5 x 5 stencil."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


class CNN(nn.Module):
    """`depth` convolutions of 3 x 3 with GELU between, plus a linear stencil of 5 x 5.

    The stencil is the ridge baseline's shape: what a linear neighbourhood can do is learned in the
    first steps, and the layers add what it cannot.
    """

    def __init__(self, n_in: int, channels: int, *, width: int, depth: int, dropout: float):
        super().__init__()
        layers: list[nn.Module] = [_conv(n_in * channels, width), nn.GELU()]
        for _ in range(depth - 2):
            layers += [nn.Dropout2d(dropout)] if dropout else []
            layers += [_conv(width, width), nn.GELU()]
        self.layers = nn.Sequential(*layers, _conv(width, channels))
        self.stencil = nn.Conv2d(n_in * channels, channels, 5, padding=2, padding_mode="replicate")

    @property
    def receptive_radius(self) -> int:
        """Pixels to each side that a predicted pixel depends on."""
        return max(2, sum(isinstance(layer, nn.Conv2d) for layer in self.layers))

    def forward(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """Frames given to the net's output, in standard units."""
        frames = rearrange(past, "b t c y x -> b (t c) y x")
        return self.layers(frames) + self.stencil(frames)


def _conv(n_in: int, n_out: int) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, padding=1, padding_mode="replicate")
