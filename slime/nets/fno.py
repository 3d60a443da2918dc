"""A Fourier neural operator: each layer weighs the waves of the whole frame.

Li et al. 2021, arXiv 2010.08895.
"""

import math

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from slime.errors import SlimeError
from slime.nets.conv import Edges, stencil

MARGIN = 8  # of frames that are no torus: each side grows by 1 / MARGIN of it


class FNO(nn.Module):
    """A per-pixel layer in, `depth` - 2 Fourier layers, a per-pixel MLP out.

    Every pixel depends on the whole frame. Waves are periodic: frames whose edges are not are
    extended by copies of their rim first. A linear stencil of 5 x 5 stands beside.

    Args:
        modes: waves kept along each axis: those of up to `modes` - 1 periods a frame.
    """

    def __init__(
        self,
        n_in: int,
        channels: int,
        *,
        width: int,
        depth: int,
        modes: int,
        dropout: float,
        edges: Edges,
    ):
        super().__init__()
        if modes < 1:
            raise SlimeError(f"net.modes={modes} must be at least 1")
        self.edges = edges
        self.first = nn.Conv2d(n_in * channels, width, 1)
        self.layers = nn.ModuleList(_Fourier(width, modes) for _ in range(depth - 2))
        self.last = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1),
            nn.GELU(),
            nn.Dropout2d(dropout),
            nn.Conv2d(2 * width, channels, 1),
        )
        self.stencil = stencil(n_in, channels, edges)

    def forward(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """Frames given to the net's output, in standard units."""
        frames = rearrange(past, "b t c y x -> b (t c) y x")
        (height, width), (y, x) = frames.shape[-2:], (0, 0)
        seen = frames
        if self.edges == "replicate":
            y, x = -(-height // MARGIN), -(-width // MARGIN)
            seen = functional.pad(frames, (x, x, y, y), mode="replicate")
        features = self.first(seen)
        for layer in self.layers:
            features = layer(features)
        return self.last(features[..., y : y + height, x : x + width]) + self.stencil(frames)


class _Fourier(nn.Module):
    """Channels mixed wave by wave, and pixel by pixel beside it."""

    def __init__(self, width: int, modes: int):
        super().__init__()
        self.modes = modes
        # real and imaginary parts of a matrix for each wave: y of either sign, x not below 0
        weights = torch.randn(width, width, 2 * modes - 1, modes, 2) / (math.sqrt(2) * width)
        self.weights = nn.Parameter(weights)
        self.beside = nn.Conv2d(width, width, 1)

    def forward(self, features: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        n, (height, width) = self.modes, features.shape[-2:]
        if min(height, width) < 2 * n:
            raise SlimeError(
                f"net.modes={n} needs frames of {2 * n} px at least, these have {height} x "
                f"{width} with their margin"
            )
        with torch.autocast(features.device.type, enabled=False):  # no transform of half precision
            waves = torch.fft.rfft2(features.to(self.weights.dtype), norm="ortho")
            rows = torch.arange(1 - n, n, device=waves.device)  # negative ones count from the end
            kept = waves[:, :, rows, :n]
            mixed = torch.einsum("bcyx,cdyx->bdyx", kept, torch.view_as_complex(self.weights))
            out = torch.zeros_like(waves)
            out[:, :, rows, :n] = mixed
            smooth = torch.fft.irfft2(out, s=(height, width), norm="ortho")
        return functional.gelu(smooth + self.beside(features))
