"""Convolutions that keep a frame's size, and the linear stencil that stands beside deep nets."""

from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

from slime.errors import SlimeError

Edges = Literal["replicate", "circular"]


class Conv(nn.Conv2d):
    """A convolution of odd size whose output is as large as its input.

    Args:
        edges: what lies beyond a frame: its rim again ("replicate"), or its other side
            ("circular", for worlds on a torus).
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int = 3,
        *,
        edges: Edges = "replicate",
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        self.reach = dilation * (kernel // 2)
        given: dict[str, Any] = {"dilation": dilation, "groups": groups, "bias": bias}
        super().__init__(n_in, n_out, kernel, padding=self.reach, padding_mode=edges, **given)

    def forward(self, input: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d y x"]:
        """The layer's output; a torus smaller than the layer's reach is refused."""
        if self.padding_mode == "circular" and min(input.shape[-2:]) < self.reach:
            raise SlimeError(
                f"net.edges=circular: a layer reaches {self.reach} px, further than around its "
                f"frames of {input.shape[-2]} x {input.shape[-1]}: a net of less depth would do"
            )
        return super().forward(input)


def stencil(n_in: int, channels: int, edges: Edges) -> Conv:
    """One linear 5 x 5 stencil, the ridge baseline's shape.

    What a linear neighbourhood can do is learned here in the first steps, and the layers beside it
    add what it cannot.
    """
    return Conv(n_in * channels, channels, 5, edges=edges)
