"""A camera over a dish of cells: two fluorescence channels, from places and cAMP to pixel counts.

What is expected of a pixel and what is read from it are two functions, so that a movie without
noise, and with it the error that no forecast can remove, can be had from the same world.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num
from scipy.ndimage import gaussian_filter

from slime.errors import SlimeError
from slime.simulate.settings import check_range, setting

CHANNELS = ("cells", "camp")


@dataclass(frozen=True)
class ChipSpec:
    """The light and the chip, whatever stands before them."""

    background_electrons: float = setting(200.0, "light of the medium on a pixel")
    falloff: float = setting(0.25, "light lost in the corners, as a share of the centre's")
    bleach_per_hour: float = setting(0.05, "share of the label lost in the first hour")
    read_noise_electrons: float = setting(3.0, "standard deviation of a reading")
    electrons_per_count: float = setting(1.0, "electrons for one count")
    offset_counts: float = setting(100.0, "count of a dark pixel")
    bits: int = setting(16, "of a count, 12 or 16; higher counts are held at the largest")

    def __post_init__(self):
        check_range(self, "electrons_per_count", above=0)
        check_range(self, "background_electrons read_noise_electrons offset_counts", at_least=0)
        check_range(self, "falloff bleach_per_hour", at_least=0, below=1)
        if self.bits not in (12, 16):
            raise SlimeError(f"bits is {self.bits}; a camera here has 12 or 16")

    @property
    def full_count(self) -> int:
        """The largest count that a pixel can hold."""
        return 2**self.bits - 1


@dataclass(frozen=True)
class CameraSpec(ChipSpec):
    """The stain of cells, beside the light and the chip."""

    spot_sigma_px: float = setting(1.0, "width of the image of one cell")
    labelled_fraction: float = setting(0.5, "cells that carry the marker; all carry the reporter")
    marker_electrons: float = setting(2000.0, "light of the marker of one cell in one exposure")
    reporter_electrons: float = setting(2000.0, "light of the reporter of a cell without cAMP")
    reporter_half_b: float = setting(30.0, "cAMP inside, in K_R, that halves the reporter's light")

    def __post_init__(self):
        super().__post_init__()
        check_range(self, "spot_sigma_px reporter_half_b", above=0)
        check_range(self, "marker_electrons reporter_electrons", at_least=0)
        check_range(self, "labelled_fraction", above=0, at_most=1)


class Exposure(NamedTuple):
    """One frame as it is stored, and how many of its pixels are at the camera's largest count."""

    frame: Num[np.ndarray, "c y x"]
    n_saturated: int


def spots(
    places_px: Float[np.ndarray, "cell 2"],
    brightness: Float[np.ndarray, " cell"],
    shape: tuple[int, int],
    sigma_px: float,
) -> Float[np.ndarray, "y x"]:
    """The image of points at (x, y), each a Gaussian that carries its brightness.

    A point is shared among the four pixels around it before the blur, so that its image moves
    with it by less than a pixel. What would fall outside is mirrored in: the sum is kept.
    """
    height, width = shape
    corner = np.floor(places_px - 0.5).astype(int)
    share = places_px - 0.5 - corner
    image = np.zeros(height * width)
    for right in (0, 1):
        for down in (0, 1):
            x = np.clip(corner[:, 0] + right, 0, width - 1)
            y = np.clip(corner[:, 1] + down, 0, height - 1)
            along_x = share[:, 0] if right else 1 - share[:, 0]
            along_y = share[:, 1] if down else 1 - share[:, 1]
            weights = brightness * along_x * along_y
            image += np.bincount(y * width + x, weights, minlength=height * width)
    return gaussian_filter(image.reshape(shape), sigma_px, mode="reflect")


def reporter_light(b: Float[np.ndarray, " *b"], camera: CameraSpec) -> Float[np.ndarray, " *b"]:
    """Light of a cell's reporter relative to a cell without cAMP: dark where b is high."""
    return 1 / (1 + b / camera.reporter_half_b)


def illumination(shape: tuple[int, int], falloff: float) -> Float[np.ndarray, "y x"]:
    """Light on each pixel relative to the centre, a parabola down to 1 - falloff in the corners."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    return 1 - falloff * (y[:, None] ** 2 + x[None, :] ** 2) / 2


def expected_counts(
    places_px: Float[np.ndarray, "cell 2"],
    b: Float[np.ndarray, "y x"],
    camera: CameraSpec,
    *,
    seconds: float,
) -> Float[np.ndarray, "c y x"]:
    """The mean count of every pixel, offset and background included, with no noise and no limit.

    `seconds` is the time under the light, by which the label has bleached. The first cells of the
    list are the labelled ones: the order of the cells must mean nothing else.
    """
    shape = b.shape
    n_labelled = round(camera.labelled_fraction * len(places_px))
    column = np.clip(places_px[:, 0].astype(int), 0, shape[1] - 1)
    row = np.clip(places_px[:, 1].astype(int), 0, shape[0] - 1)
    marker = np.full(n_labelled, camera.marker_electrons)
    reporter = camera.reporter_electrons * reporter_light(b[row, column], camera)
    label = np.stack(
        [
            spots(places_px[:n_labelled], marker, shape, camera.spot_sigma_px),
            spots(places_px, reporter, shape, camera.spot_sigma_px),
        ]
    )
    return label_counts(label, camera, seconds=seconds)


def label_counts(
    label: Float[np.ndarray, "c y x"], camera: ChipSpec, *, seconds: float
) -> Float[np.ndarray, "c y x"]:
    """The mean count of every pixel for a label of so many electrons in even light, unbleached."""
    unbleached = math.exp(math.log1p(-camera.bleach_per_hour) * seconds / 3600)
    light = illumination(label.shape[1:], camera.falloff)
    electrons = light * (unbleached * label + camera.background_electrons)
    return electrons / camera.electrons_per_count + camera.offset_counts


def expose(
    expected: Float[np.ndarray, "c y x"], camera: ChipSpec, rng: np.random.Generator
) -> Exposure:
    """One reading of the chip: Poisson electrons, Gaussian read noise, whole counts from 0.

    Counts above the largest are held there and counted, never wrapped.
    """
    electrons = (expected - camera.offset_counts) * camera.electrons_per_count
    caught = rng.poisson(electrons) + rng.normal(0, camera.read_noise_electrons, expected.shape)
    counts = np.rint(caught / camera.electrons_per_count + camera.offset_counts)
    n_saturated = int((counts >= camera.full_count).sum())
    return Exposure(np.clip(counts, 0, camera.full_count).astype(np.uint16), n_saturated)


def noise_variance(
    expected: Float[np.ndarray, "c y x"], camera: ChipSpec
) -> Float[np.ndarray, "c y x"]:
    """Variance of a pixel's count: Poisson, read noise and rounding (1/12); not near the limits."""
    electrons = (expected - camera.offset_counts) * camera.electrons_per_count
    variance = (electrons + camera.read_noise_electrons**2) / camera.electrons_per_count**2
    return variance + 1 / 12
