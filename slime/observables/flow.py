"""Flow: how fast and where to what is seen moves, and where it gathers."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Num
from scipy.ndimage import binary_dilation

from slime.errors import SlimeError
from slime.observables.fields import check_positive, counted
from slime.observables.skimage import needed_skimage

RADIUS_PX = 7


class Flow(NamedTuple):
    """Velocity between two frames, and its divergence: below 0 where things gather."""

    y_um_per_s: Float[np.ndarray, "y x"]
    x_um_per_s: Float[np.ndarray, "y x"]
    divergence_per_s: Float[np.ndarray, "y x"]

    @property
    def speed_um_per_s(self) -> Float[np.ndarray, "y x"]:
        """The length of the velocity."""
        return np.hypot(self.y_um_per_s, self.x_um_per_s)


def optical_flow(
    before: Num[np.ndarray, "y x"],
    after: Num[np.ndarray, "h w"],
    *,
    frame_interval_s: float | int,
    pixel_um: float | int,
    mask: Bool[np.ndarray, "y x"] | None = None,
    method: Literal["ilk", "tvl1"] = "ilk",
    radius_px: int = RADIUS_PX,
) -> Flow:
    """The motion that carries one frame into the next, by scikit-image.

    "ilk" (iterative Lucas-Kanade, in squares of `radius_px` to each side) is quick; "tvl1" keeps
    sharp borders between what moves and what does not. Light that changes without motion, such as
    a wave of cAMP, looks like motion; where nothing is to be seen, the flow is near 0. NaN within
    `radius_px` of a pixel that does not count, and everywhere where a frame is flat.

    Raises:
        SlimeError: frames of two shapes, or scikit-image is not installed.
    """
    check_positive(frame_interval_s=frame_interval_s, pixel_um=pixel_um)
    if before.shape != after.shape:
        raise SlimeError(f"flow between frames of {before.shape} and {after.shape}")
    pair = counted(np.stack([before, after]), mask).astype(np.float64)
    known = np.isfinite(pair).all(axis=0)
    nothing = np.full(before.shape, np.nan)
    if not known.any() or (np.ptp(pair[:, known], axis=1) == 0).any():
        return Flow(nothing, nothing.copy(), nothing.copy())
    low, high = pair[:, known].min(), pair[:, known].max()
    # what does not count takes part as the mean, and its surroundings are left out below
    held = (np.where(known, pair, pair[:, known].mean()) - low) / (high - low)
    registration = needed_skimage("registration")
    if method == "ilk":
        shift = registration.optical_flow_ilk(held[0], held[1], radius=radius_px)
    else:
        shift = registration.optical_flow_tvl1(held[0], held[1])
    square = np.ones((2 * radius_px + 1, 2 * radius_px + 1), bool)
    seen = np.logical_not(binary_dilation(~known, square))
    y, x = (np.where(seen, s, np.nan).astype(np.float64) / frame_interval_s for s in shift)
    divergence = np.gradient(y, axis=0) + np.gradient(x, axis=1)
    return Flow(y * pixel_um, x * pixel_um, divergence)


def mass_drift(
    frames: Num[np.ndarray, "t y x"], *, mask: Bool[np.ndarray, "..."] | None = None
) -> Float[np.ndarray, " t"]:
    """The mean of each frame's pixels that count, relative to the first frame's, less 1.

    0 throughout for a conserved density. NaN for frames without a pixel, and where the first
    frame's mean is 0.
    """
    field = counted(frames, mask)
    known = np.isfinite(field)
    n = known.sum(axis=(1, 2))
    mass = np.where(known, field, 0).sum(axis=(1, 2), dtype=np.float64)
    mean = np.where(n > 0, mass / np.maximum(n, 1), np.nan)
    first = mean[0] if mean[0] != 0 else np.nan
    return mean / first - 1
