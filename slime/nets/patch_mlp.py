"""An MLP from the k x k neighbourhood of a pixel to its next value; k = 1 is per pixel."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slime.errors import SlimeError
from slime.nets.conv import Conv, Edges


class PatchMLP(nn.Module):
    """The same MLP at every pixel, written as one k x k and then 1 x 1 convolutions."""

    def __init__(
        self,
        n_in: int,
        channels: int,
        *,
        width: int,
        depth: int,
        kernel: int,
        dropout: float,
        edges: Edges,
    ):
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise SlimeError(f"net.kernel={kernel} must be odd, so that a patch has a middle")
        self.receptive_radius = kernel // 2
        first = Conv(n_in * channels, width, kernel, edges=edges)
        layers: list[nn.Module] = [first, nn.GELU()]
        for _ in range(depth - 2):
            layers += [nn.Dropout(dropout)] if dropout else []
            layers += [nn.Conv2d(width, width, 1), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 1))

    def forward(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """Frames given to the net's output, in standard units."""
        return self.layers(rearrange(past, "b t c y x -> b (t c) y x"))
