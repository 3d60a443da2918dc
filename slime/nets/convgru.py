"""A convolutional recurrent net: it walks over the frames given and keeps a state of each pixel.

Ballas et al. 2016, arXiv 1511.06432.
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slime.nets.conv import Conv, Edges, stencil


class ConvGRU(nn.Module):
    """`depth` - 2 recurrent layers of 3 x 3 between a 3 x 3 layer in and one out.

    A linear stencil of 5 x 5 stands beside them. With one frame given nothing recurs: the layers
    that carry the state on are idle then.
    """

    def __init__(
        self, n_in: int, channels: int, *, width: int, depth: int, dropout: float, edges: Edges
    ):
        super().__init__()
        self.first = nn.Sequential(Conv(channels, width, edges=edges), nn.GELU())
        self.cells = nn.ModuleList(_Cell(width, edges) for _ in range(depth - 2))
        self.dropout = nn.Dropout2d(dropout)
        self.last = Conv(width, channels, edges=edges)
        self.stencil = stencil(n_in, channels, edges)
        self.receptive_radius = n_in + depth - 1
        self.idle = ("of_state",) if n_in == 1 else ()  # parts of names of weights without effect

    def forward(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """Frames given to the net's output, in standard units."""
        b, t = past.shape[:2]
        seen = self.first(rearrange(past, "b t c y x -> (b t) c y x"))
        sequence = rearrange(seen, "(b t) c y x -> b t c y x", b=b, t=t)
        for cell in self.cells:
            states = []
            state = torch.zeros_like(sequence[:, 0])
            for frame in sequence.unbind(1):
                state = cell(frame, state)
                states.append(state)
            sequence = torch.stack(states, dim=1)
        newest = self.last(self.dropout(sequence[:, -1]))
        return newest + self.stencil(rearrange(past, "b t c y x -> b (t c) y x"))


class _Cell(nn.Module):
    """One step of a gated recurrent unit; the reset gate acts behind the convolution."""

    def __init__(self, width: int, edges: Edges):
        super().__init__()
        self.of_input = Conv(width, 3 * width, edges=edges)
        self.of_state = Conv(width, 3 * width, edges=edges, bias=False)

    def forward(
        self, frame: Float[Tensor, "b c y x"], state: Float[Tensor, "b c y x"]
    ) -> Float[Tensor, "b c y x"]:
        keep_in, reset_in, new_in = self.of_input(frame).chunk(3, dim=1)
        keep_on, reset_on, new_on = self.of_state(state).chunk(3, dim=1)
        keep = torch.sigmoid(keep_in + keep_on)
        new = torch.tanh(new_in + torch.sigmoid(reset_in + reset_on) * new_on)
        return keep * state + (1 - keep) * new
