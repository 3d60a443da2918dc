"""Errors by wave number: power of forecast, truth and error in rings and bands, and its scores.

A frame that does not wrap around is taken less its mean and under a Hann window, since its edges
would else pour power into all waves; a mask is part of the window, and powers are divided by the
window's own, so that they add up to a mean square whatever was left out.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

BANDS = ("low", "mid", "high")
POWERS = ("error", "forecast", "truth", "both")
MOST_RINGS = 64
FOURIER_EDGES = (4, 12)  # waves a frame: k < 4, 4 <= k < 12, 12 <= k
TINY = 1e-300


@dataclass(frozen=True)
class Waves:
    """Which waves are counted together; wave numbers in cycles a pixel.

    Rings are one wave of the shortest side wide, of 64 at most, up to half a cycle a pixel. `low`,
    `mid` and `high` are of equal width in log k between one wave along the longest side and the
    corner of the plane, as in The Well (arXiv 2412.00568).

    Attributes:
        side_px: the shortest side of all frames that are scored together.
        periodic: frames wrap around, and need no window.
    """

    side_px: int
    periodic: bool = False

    @property
    def n_rings(self) -> int:
        """Rings from k = 1 / (2 n) on, n of them up to half a cycle a pixel."""
        return min(self.side_px // 2, MOST_RINGS)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sums, all bins of one power after those of another."""
        rings = [str(i) for i in range(1, self.n_rings + 1)]
        bins = ["mean", *rings, *BANDS, *(f"fourier_{band}" for band in BANDS)]
        return ("frames", *(f"{power}_{name}" for power in POWERS for name in bins))

    @cached_property
    def ring_k(self) -> Float[np.ndarray, " ring"]:
        """Middle of each ring, cycles a pixel."""
        return np.arange(1, self.n_rings + 1) / (2 * self.n_rings)

    def bins(self, height: int, width: int) -> list[tuple[np.ndarray, int]]:
        """For rings, bands and Fourier bands: each wave's bin, and the number of bins.

        The last bin, beyond these, takes what is not counted. Of the half plane of rfft2.
        """
        fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
        k = np.hypot(fy, fx)
        ring = np.rint(k * 2 * self.n_rings).astype(int)
        ring = np.where((ring >= 1) & (ring <= self.n_rings), ring - 1, self.n_rings)
        longest, corner = 1 / max(height, width), math.sqrt(0.5)
        edges = longest * (corner / longest) ** np.array([1 / 3, 2 / 3])
        fourier = np.floor(k * min(height, width) + 1e-9)
        band, fourier = (np.digitize(*at) for at in ((k, edges), (fourier, FOURIER_EDGES)))
        return [(ring, self.n_rings), (band, 3), (fourier, 3)]

    def window(self, height: int, width: int) -> Float[Tensor, "y x"]:
        """What a frame is multiplied by."""
        if self.periodic:
            return torch.ones(height, width, dtype=torch.float64)
        down, across = (np.hanning(n + 2)[1:-1] for n in (height, width))
        return torch.from_numpy(np.outer(down, across))

    def sums(
        self,
        forecast: Float[Tensor, "n c y x"],
        truth: Float[Tensor, "n c y x"],
        mask: Bool[Tensor, "n c y x"] | None = None,
    ) -> Float[Tensor, "n sum c"]:
        """`names` of each frame: mean squares of what each bin holds, movie units squared.

        The squared mean of a frame stands by itself, as k = 0, so that the error's mean and its
        three bands add up to the mean squared error (Parseval; under a window, to the windowed).
        """
        height, width = truth.shape[-2:]
        window = self.window(height, width).to(truth.device)
        weight = window.expand(truth.shape) if mask is None else window * mask
        mass = weight.sum((-2, -1)).clamp(min=TINY)
        norm = weight.square().sum((-2, -1)).clamp(min=TINY) * (height * width)
        mean, wave = [], []
        for frames in (forecast, truth):
            seen = frames.double() if mask is None else torch.where(mask, frames.double(), 0.0)
            mean.append((weight * seen).sum((-2, -1)) / mass)
            wave.append(torch.fft.rfft2(weight * (seen - mean[-1][..., None, None])))
        twice = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64, device=truth.device)
        twice[0] = 1  # rfft2 leaves out what mirrors the rest
        if width % 2 == 0:
            twice[-1] = 1
        (p, y), (mean_p, mean_y) = wave, mean
        share = twice / norm[..., None, None]
        powers = [_power(p - y), _power(p), _power(y), p.real * y.real + p.imag * y.imag]
        means = [(mean_p - mean_y) ** 2, mean_p**2, mean_y**2, mean_p * mean_y]
        first = (weight.amax((-2, -1)) > 0).double()[:, None]
        binned = _binned(torch.stack(powers, 1) * share[:, None], self.bins(height, width))
        of_means = torch.stack(means, 1)[:, :, None]
        columns = torch.cat([of_means, binned], dim=2).flatten(1, 2)
        return torch.cat([first, columns], dim=1)


def _power(wave: Tensor) -> Tensor:
    return wave.real**2 + wave.imag**2


def _binned(
    power: Float[Tensor, "n power c ky kx"], bins: list[tuple[np.ndarray, int]]
) -> Float[Tensor, "n power bin c"]:
    """Powers summed over each bin, the bins of all kinds one after another."""
    n, n_powers, c = power.shape[:3]
    rows = power.flatten(3).permute(3, 0, 1, 2).reshape(-1, n * n_powers * c)
    found = []
    for place, n_bins in bins:
        total = rows.new_zeros(n_bins + 1, rows.shape[1])
        total.index_add_(0, torch.from_numpy(place.ravel()).to(rows.device), rows)
        found.append(total[:n_bins])
    return rearrange(torch.cat(found), "bin (n power c) -> n power bin c", power=n_powers, c=c)
