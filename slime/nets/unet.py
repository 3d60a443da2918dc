"""U-Nets: the frame at several resolutions, from fine to coarse and back.

Ronneberger et al. 2015, arXiv 1505.04597, with two 3 x 3 layers a block, or with the blocks of
ConvNeXt (Liu et al. 2022, arXiv 2201.03545).
"""

from itertools import pairwise

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from slime.errors import SlimeError
from slime.nets.conv import Conv, Edges, stencil


class UNet(nn.Module):
    """`depth` resolutions, each half as fine and twice as wide as the one before.

    Means of 2 x 2 pixels lead down, copies of a pixel lead up, and each resolution hands its
    features across. Frames whose sides are no multiples of 2^(depth - 1) are extended at their last
    rows and columns, and the forecast is cut to their size. A linear stencil of 5 x 5 stands
    beside.

    Args:
        convnext: blocks of ConvNeXt (7 x 7 by channel, then a per-pixel MLP) in place of plain
            ones.
    """

    def __init__(
        self,
        n_in: int,
        channels: int,
        *,
        width: int,
        depth: int,
        dropout: float,
        edges: Edges,
        convnext: bool,
    ):
        super().__init__()
        block = _ConvNeXt if convnext else _Plain
        widths = [width * 2**level for level in range(depth)]
        given = {"dropout": dropout, "edges": edges}
        self.first = Conv(n_in * channels, width, edges=edges)
        self.down = nn.ModuleList(
            block(finer, wide, **given) for finer, wide in pairwise([width, *widths])
        )
        self.up = nn.ModuleList(
            block(wide + coarse, wide, **given) for wide, coarse in reversed(list(pairwise(widths)))
        )
        self.last = Conv(width, channels, 1, edges=edges)
        self.stencil = stencil(n_in, channels, edges)
        self.edges, self.multiple = edges, 2 ** (depth - 1)
        self.receptive_radius = max(2, _reach(depth, block.reach) + 1)

    def forward(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """Frames given to the net's output, in standard units."""
        frames = rearrange(past, "b t c y x -> b (t c) y x")
        height, width = frames.shape[-2:]
        features = self.first(frames if self.edges == "circular" else self._extended(frames))
        if features.shape[-2] % self.multiple or features.shape[-1] % self.multiple:
            raise SlimeError(
                f"net.edges=circular: frames of {height} x {width} do not halve "
                f"{self.multiple.bit_length() - 1} times; a lower net.depth would do"
            )
        across = []
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else functional.avg_pool2d(features, 2))
            across.append(features)
        across.pop()
        for block in self.up:
            finer = functional.interpolate(features, scale_factor=2, mode="nearest")
            features = block(torch.cat([across.pop(), finer], dim=1))
        return self.last(features)[..., :height, :width] + self.stencil(frames)

    def _extended(self, frames: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y2 x2"]:
        height, width = frames.shape[-2:]
        more = (0, -width % self.multiple, 0, -height % self.multiple)
        return functional.pad(frames, more, mode="replicate") if any(more) else frames


class _Plain(nn.Sequential):
    """Two 3 x 3 layers."""

    reach = 2

    def __init__(self, n_in: int, n_out: int, *, dropout: float, edges: Edges):
        layers: list[nn.Module] = [Conv(n_in, n_out, edges=edges), nn.GELU()]
        layers += [nn.Dropout2d(dropout)] if dropout else []
        super().__init__(*layers, Conv(n_out, n_out, edges=edges), nn.GELU())


class _ConvNeXt(nn.Module):
    """7 x 7 within each channel, normalised over channels, a per-pixel MLP, added to its input."""

    reach = 3

    def __init__(self, n_in: int, n_out: int, *, dropout: float, edges: Edges):
        super().__init__()
        self.widen = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        self.spatial = Conv(n_out, n_out, 7, edges=edges, groups=n_out)
        self.norm = nn.LayerNorm(n_out)
        self.mlp = nn.Sequential(
            nn.Linear(n_out, 4 * n_out), nn.GELU(), nn.Linear(4 * n_out, n_out)
        )
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, features: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d y x"]:
        features = self.widen(features)
        pixels = rearrange(self.spatial(features), "b c y x -> b y x c")
        mixed = rearrange(self.mlp(self.norm(pixels)), "b y x c -> b c y x")
        return features + self.dropout(mixed)


def _reach(depth: int, block: int) -> int:
    """Pixels of the first features to one side that an output pixel depends on, at the most.

    Down the levels a block widens what is seen by `block` pixels and a pixel of the finer level
    belongs to one of the coarser; on the way back each pixel is a mean of two.
    """

    def seen(pixel: int) -> int:
        low = high = pixel
        for _ in range(depth - 1):
            low, high = (low - block) // 2, (high + block) // 2
        low, high = low - block, high + block
        for _ in range(depth - 1):
            low, high = 2 * low - block, 2 * high + 1 + block
        return max(pixel - low, high - pixel)

    return max(map(seen, range(2 ** (depth - 1))))
