"""A dilated residual net: each block looks near, far and near again.

Stachenfeld et al. 2021, arXiv 2112.15275.
"""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slime.nets.conv import Conv, Edges, stencil

DILATIONS = (1, 2, 4, 8, 4, 2, 1)  # of the layers of a block


class DilatedResNet(nn.Module):
    """A 3 x 3 layer in, `depth` - 2 blocks of seven dilated layers, a 3 x 3 layer out.

    A linear stencil of 5 x 5 stands beside them.
    """

    def __init__(
        self, n_in: int, channels: int, *, width: int, depth: int, dropout: float, edges: Edges
    ):
        super().__init__()
        self.first = Conv(n_in * channels, width, edges=edges)
        self.blocks = nn.ModuleList(_block(width, dropout, edges) for _ in range(depth - 2))
        self.last = Conv(width, channels, edges=edges)
        self.stencil = stencil(n_in, channels, edges)
        self.receptive_radius = 2 + (depth - 2) * sum(DILATIONS)

    def forward(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """Frames given to the net's output, in standard units."""
        frames = rearrange(past, "b t c y x -> b (t c) y x")
        features = self.first(frames)
        for block in self.blocks:
            features = features + block(features)
        return self.last(features) + self.stencil(frames)


def _block(width: int, dropout: float, edges: Edges) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Dropout2d(dropout)] if dropout else []
    for dilation in DILATIONS:
        layers += [nn.GELU(), Conv(width, width, edges=edges, dilation=dilation)]
    return nn.Sequential(*layers)
