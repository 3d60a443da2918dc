"""Structure without objects: the structure factor, its mean length, and the correlation length."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Num

from slime.observables.fields import check_positive, counted


class StructureFactor(NamedTuple):
    """Power at each wavenumber, averaged over directions, in rings one independent wave wide.

    Attributes:
        k_per_um: cycles a micrometre: the mean of the ring's; 1 / k is a wavelength.
        power: of the frame less its mean, per pixel: its mean over all waves of the plane is the
            frame's variance. Movie units squared.
    """

    k_per_um: Float[np.ndarray, " k"]
    power: Float[np.ndarray, " k"]

    @property
    def mean_length_um(self) -> float:
        """1 / <k>, with <k> the mean of k weighted by the power; NaN of a flat frame."""
        total = self.power.sum()
        if not total > 0:
            return float("nan")
        return float(total / (self.k_per_um * self.power).sum())


def structure_factor(
    frame: Num[np.ndarray, "y x"],
    *,
    pixel_um: float | int,
    mask: Bool[np.ndarray, "y x"] | None = None,
    periodic: bool = False,
) -> StructureFactor:
    """S(k) of one frame: its mean removed, under a Hann window unless it is `periodic`.

    Masked pixels have weight 0; the edges of a mask cut sharply, and so leak power to high k.
    Waves up to half a cycle a pixel along an axis are taken in.
    """
    check_positive(pixel_um=pixel_um)
    field, weight = _weighted(frame, mask, periodic)
    spectrum = np.abs(np.fft.fft2(field)) ** 2 / max((weight**2).sum(), 1e-300)
    height, width = field.shape
    k = np.hypot(np.fft.fftfreq(height, pixel_um)[:, None], np.fft.fftfreq(width, pixel_um))
    ring = np.rint(k * pixel_um * min(height, width)).astype(int).ravel()
    n_rings = min(height, width) // 2
    n = np.bincount(ring)[1 : n_rings + 1]
    mean_k = np.bincount(ring, k.ravel())[1 : n_rings + 1] / n
    power = np.bincount(ring, spectrum.ravel())[1 : n_rings + 1] / n
    return StructureFactor(mean_k, power)


def correlation_length(
    frame: Num[np.ndarray, "y x"],
    *,
    pixel_um: float | int,
    mask: Bool[np.ndarray, "y x"] | None = None,
    periodic: bool = False,
) -> float:
    """Micrometres at which the frame's correlation with itself has fallen to 1 / e.

    Averaged over directions in rings of one pixel, on the straight line between two rings, over
    all pairs of pixels that count. NaN where the frame is flat, or where it does not fall that far
    within half of the shorter side.
    """
    check_positive(pixel_um=pixel_um)
    field, weight = _weighted(frame, mask, periodic=True)  # no window: pairs are counted instead
    padding = 1 if periodic else 2
    shape = [padding * n for n in field.shape]
    both = _self_overlap(field, shape)
    pairs = _self_overlap(weight, shape)
    y, x = (np.minimum(np.arange(n), n - np.arange(n)) for n in shape)
    distance = np.hypot(y[:, None], x[None])
    n_rings = min(field.shape) // 2 + 1
    ring = np.rint(distance).astype(int).ravel()
    known = pairs.ravel() > 0.5
    sums = (
        np.bincount(ring[known], v.ravel()[known], ring.max() + 1)
        for v in (both, pairs, distance * pairs)
    )
    product, n, reach = (v[:n_rings] for v in sums)
    n_known = np.maximum(n, 1)
    correlation = np.where(n > 0, product / n_known, 0)
    if not correlation[0] > 0:
        return float("nan")
    correlation, reach = correlation / correlation[0], reach / n_known
    low = np.flatnonzero(correlation < 1 / np.e)
    if not len(low):
        return float("nan")
    i = low[0]
    part = (correlation[i - 1] - 1 / np.e) / (correlation[i - 1] - correlation[i])
    return float((reach[i - 1] + part * (reach[i] - reach[i - 1])) * pixel_um)


def _self_overlap(field: Float[np.ndarray, "y x"], shape: list[int]) -> Float[np.ndarray, "h w"]:
    """The sum of products of the field with itself, shifted by each lag, padded to `shape`."""
    return np.fft.ifft2(np.abs(np.fft.fft2(field, shape)) ** 2).real


def _weighted(
    frame: Num[np.ndarray, "y x"], mask: Bool[np.ndarray, "y x"] | None, periodic: bool
) -> tuple[Float[np.ndarray, "y x"], Float[np.ndarray, "y x"]]:
    """The frame less its weighted mean, times its weights; and the weights."""
    field = counted(frame[None], None if mask is None else mask[None])[0].astype(np.float64)
    weight = np.isfinite(field).astype(np.float64)
    if not periodic:
        down, across = (np.hanning(n + 2)[1:-1] for n in field.shape)
        weight *= np.outer(down, across)
    seen = field[weight > 0]
    if not seen.size or seen.min() == seen.max():
        return np.zeros_like(field), weight
    field = np.where(weight > 0, field, 0)
    mean = (weight * field).sum() / weight.sum()
    return weight * (field - mean), weight
