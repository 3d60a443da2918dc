"""What is added up over windows to tell how a forecast fails: spectra, changes, scatter, means."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

LEAD_AXES = (0, 0, 1, 1, 1, 1, 0)  # of the parts of FailureSums


@dataclass(frozen=True)
class FailureSums:
    """Sums over windows by lead and channel, in movie units squared but the means.

    Attributes:
        n: pixels that count; n_changes those that count in a frame and the one before.
        mean: sums of pixels, of forecast and truth.
        scatter: squared distance from the frame's own mean.
        change: squared change from the frame before, the last one given before lead 1.
        power: of the frames less their mean, under a Hann window, by radial bin.
        flat: the power that a variance of 1, independent from pixel to pixel, would have.
    """

    n: Float[np.ndarray, "lead c"]
    n_changes: Float[np.ndarray, "lead c"]
    mean: Float[np.ndarray, "2 lead c"]
    scatter: Float[np.ndarray, "2 lead c"]
    change: Float[np.ndarray, "2 lead c"]
    power: Float[np.ndarray, "2 lead c bin"]
    flat: Float[np.ndarray, "lead c bin"]

    def __add__(self, other: "FailureSums") -> "FailureSums":
        """The sums over the windows of both."""
        return FailureSums(*(a + b for a, b in zip(self.parts, other.parts, strict=True)))

    def up_to(self, n_leads: int) -> "FailureSums":
        """The same, with no pixel at the leads that follow, up to `n_leads`."""
        n_more = n_leads - len(self.n)
        return FailureSums(
            *(
                np.pad(part, [(0, n_more if axis == along else 0) for axis in range(part.ndim)])
                for part, along in zip(self.parts, LEAD_AXES, strict=True)
            )
        )

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        """The arrays in order."""
        return tuple(self.__dict__.values())


def failure_sums(
    forecast: Float[Tensor, "b lead c y x"],
    truth: Float[Tensor, "b lead c y x"],
    last: Float[Tensor, "b c y x"],
    mask: Bool[Tensor, "b lead c y x"] | None,
) -> FailureSums:
    """The sums of a batch; pixels under the mask (True counts) alone."""
    given = torch.stack([last, last])[:, :, None]
    both = torch.stack([forecast, truth])
    marks = torch.ones_like(truth, dtype=torch.bool) if mask is None else mask
    leads = [
        _sums_at(
            both[:, :, lead : lead + 1],
            both[:, :, lead - 1 : lead] if lead else given,
            marks[:, lead : lead + 1],
            marks[:, max(lead - 1, 0)][:, None],
        )
        for lead in range(forecast.shape[1])
    ]  # of all at once the spectra would take gigabytes where frames are large
    columns = zip(zip(*leads, strict=True), LEAD_AXES, strict=True)
    return FailureSums(*(np.concatenate(parts, axis=axis) for parts, axis in columns))


def _sums_at(
    frames: Float[Tensor, "2 b lead c y x"],
    earlier: Float[Tensor, "2 b lead c y x"],
    mask: Bool[Tensor, "b lead c y x"],
    mask_earlier: Bool[Tensor, "b lead c y x"],
) -> tuple[np.ndarray, ...]:
    """The parts of FailureSums for frames of forecast and truth and those before them."""
    counts, counts_earlier = (m.to("cpu", torch.float64) for m in (mask, mask_earlier))
    both = torch.where(counts > 0, frames.to("cpu", torch.float64), 0.0)
    pairs = counts * counts_earlier
    before = torch.where(pairs > 0, earlier.to("cpu", torch.float64), 0.0)
    n = counts.sum(dim=(-2, -1))
    total = both.sum(dim=(-2, -1))
    centred = counts * (both - (total / n.clamp(min=1))[..., None, None])
    window = _hann(*both.shape[-2:])
    bins = radial_bins(*both.shape[-2:])
    power = torch.fft.fft2(centred * window).abs().square().sum(dim=1).numpy()
    flat = (counts * window**2).sum(dim=(0, -2, -1)).numpy()[..., None] * np.bincount(
        bins[bins >= 0]
    )
    return (
        n.sum(dim=0).numpy(),
        pairs.sum(dim=(0, -2, -1)).numpy(),
        total.sum(dim=1).numpy(),
        centred.square().sum(dim=(1, -2, -1)).numpy(),
        (pairs * (both - before).square()).sum(dim=(1, -2, -1)).numpy(),
        _binned(power, bins),
        flat,
    )


def _hann(height: int, width: int) -> Float[Tensor, "y x"]:
    """A Hann window that is 0 just outside of the frame."""
    sides = (
        torch.hann_window(size + 2, periodic=False, dtype=torch.float64)[1:-1]
        for size in (height, width)
    )
    y, x = sides
    return y[:, None] * x


def radial_bins(height: int, width: int) -> Int[np.ndarray, "y x"]:
    """The bin of each wave: rings from 0 (excluded) to half a cycle a pixel; -1 lies in none.

    As many bins as waves of whole periods fit along the shorter side.
    """
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    n_bins = max(1, min(height, width) // 2)
    ring = np.ceil(frequency * 2 * n_bins - 1e-9).astype(int) - 1
    return np.where((ring >= 0) & (ring < n_bins), ring, -1)


def _binned(
    power: Float[np.ndarray, "*any y x"], bins: Int[np.ndarray, "y x"]
) -> Float[np.ndarray, "*any bin"]:
    held = bins >= 0
    n_bins = int(bins.max()) + 1
    flat = power[..., held].reshape(-1, int(held.sum()))
    rows = [np.bincount(bins[held], weights=row, minlength=n_bins) for row in flat]
    return np.stack(rows).reshape(*power.shape[:-2], n_bins)
