"""Sums that cost more than a pass over pixels: structure, waves, gradients, values in order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from slime.score import SUMS, Tally, frame_pearson, tally_windows
from slime.spectra import Waves
from slime.ssim import ssim_frames
from slime.yardstick import Yardstick

OF_FRAMES = ("ssim", "w1", "acc")  # a number a frame, NaN where it has none
GRADIENTS = ("gradient", "truth_gradient")


@dataclass(frozen=True)
class Details:
    """What is summed of the frames at some leads.

    Attributes:
        leads: the frames ahead that are looked at, counted from 1.
    """

    leads: Sequence[int]
    yardstick: Yardstick
    waves: Waves

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sums: SUMS, then `ssim`, `w1`, `acc`, gradients, and the powers of waves."""
        return (*SUMS, *OF_FRAMES, *GRADIENTS, *self.waves.names)

    def tally(
        self,
        forecast: Float[Tensor, "b lead c y x"],
        truth: Float[Tensor, "b lead c y x"],
        mask: Bool[Tensor, "b lead c y x"] | None,
        movie: Int[Tensor, " b"],
        start: Int[Tensor, " b"],
        climate: Float[Tensor, "b c y x"] | None,
    ) -> Tally:
        """The tally of one batch at `leads`, of all leads given.

        Args:
            climate: the train split's mean frame, from which anomalies are taken; without it `acc`
                is NaN.
        """
        at = [lead - 1 for lead in self.leads]
        mask = None if mask is None else mask[:, at]
        p, y = forecast[:, at], truth[:, at]
        plain = tally_windows(p, y, mask, movie, start)
        acc = torch.full(p.shape[:3], torch.nan, dtype=torch.float64)
        if climate is not None:
            mean = climate[:, None]
            anomalies = tally_windows(p - mean, y - mean, mask, movie, start)
            acc = torch.from_numpy(frame_pearson(anomalies))
        device = "cpu" if p.device.type == "mps" else p.device  # which has no float64
        p, y = (rearrange(v, "b lead c y x -> (b lead) c y x").to(device) for v in (p, y))
        seen = None
        if mask is not None:
            seen = rearrange(mask, "b lead c y x -> (b lead) c y x").to(device)
        data_range = torch.from_numpy(self.yardstick.data_range).to(p)
        columns = [
            ssim_frames(p, y, data_range, seen)[:, None],
            wasserstein_frames(p, y, seen)[:, None],
            rearrange(acc, "b lead c -> (b lead) 1 c").to(device),
            gradient_sums(p, y, seen, periodic=self.waves.periodic),
            self.waves.sums(p, y, seen),
        ]
        more = torch.cat([column.double() for column in columns], dim=1)
        more = rearrange(more, "(b lead) sum c -> b sum lead c", lead=len(at))
        sums = torch.cat([torch.from_numpy(plain.sums), more.cpu()], dim=1)
        return Tally(plain.movie, plain.start, sums.numpy(), self.names)


def wasserstein_frames(
    forecast: Float[Tensor, "n c y x"],
    truth: Float[Tensor, "n c y x"],
    mask: Bool[Tensor, "n c y x"] | None = None,
) -> Float[Tensor, "n c"]:
    """Distance W1 between the pixel values of forecast and truth, movie units, wherever they lie.

    The mean difference of values in order; exact, without the bins of a histogram. NaN where no
    pixel counts, infinite where the forecast is not finite.
    """
    last = torch.finfo(truth.dtype).max  # masked pixels stand last in both
    columns = (v if mask is None else torch.where(mask, v, last) for v in (forecast, truth))
    # NumPy sorts frames ten times as fast as torch does
    p, y = (np.sort(v.flatten(2).cpu().numpy(), axis=2).astype(np.float64) for v in columns)
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.where(p == y, 0.0, p - y)).sum(axis=2)
    total = torch.from_numpy(np.where(np.isnan(apart), np.inf, apart)).to(truth.device)
    return total / (truth[0, 0].numel() if mask is None else mask.sum((-2, -1)).double())


def gradient_sums(
    forecast: Float[Tensor, "n c y x"],
    truth: Float[Tensor, "n c y x"],
    mask: Bool[Tensor, "n c y x"] | None = None,
    *,
    periodic: bool = False,
) -> Float[Tensor, "n 2 c"]:
    """Squared differences of neighbours, summed over both axes, of the error and of the truth.

    Movie units squared, per pixel squared. Only pairs of pixels that both count; the first and the
    last pixel are neighbours where frames are `periodic`.
    """
    found = []
    for frames in (forecast.double() - truth, truth.double()):
        total = frames.new_zeros(frames.shape[:2])
        for axis in (-2, -1):
            step = frames.roll(-1, axis) - frames
            counts = torch.ones_like(step, dtype=torch.bool)
            if mask is not None:
                counts = mask & mask.roll(-1, axis)
            if not periodic:
                counts.select(axis, -1).fill_(False)
            total = total + torch.where(counts, step, 0.0).square().sum((-2, -1))
        found.append(total)
    return torch.stack(found, dim=1)
