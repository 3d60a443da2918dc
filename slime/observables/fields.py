"""What all observables share: which pixels count, smoothing that respects them, slabs of rows."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Num
from scipy.ndimage import gaussian_filter

from slime.errors import SlimeError

SLAB_BYTES = 64 << 20  # of one temporary array


def counted(
    frames: Num[np.ndarray, "t y x"], mask: Bool[np.ndarray, "..."] | None = None
) -> Float[np.ndarray, "t y x"]:
    """Frames as floats, NaN where a pixel does not count; `mask` (True counts) is y x or t y x.

    Raises:
        SlimeError: a mask of another shape.
    """
    field = frames if frames.dtype in (np.float32, np.float64) else frames.astype(np.float64)
    if mask is None:
        return field
    if mask.shape not in (frames.shape, frames.shape[1:]):
        raise SlimeError(f"a mask of shape {mask.shape} does not fit frames of {frames.shape}")
    return np.where(mask, field, field.dtype.type(np.nan))


def check_positive(**values: float | int) -> None:
    """Refuse a unit or a length that is not above 0.

    Raises:
        SlimeError: names the value.
    """
    for name, value in values.items():
        if not value > 0 or not np.isfinite(value):
            raise SlimeError(f"{name} is {value}; it must be a number above 0")


def smoothed(
    frame: Float[np.ndarray, "y x"], sigma_px: float | int, *, periodic: bool = False
) -> Float[np.ndarray, "y x"]:
    """A Gaussian mean over the pixels that count; NaN stays NaN, and edges draw in nothing."""
    if sigma_px == 0:
        return frame
    mode = "wrap" if periodic else "constant"
    weight = np.isfinite(frame).astype(frame.dtype)
    total = gaussian_filter(np.where(weight > 0, frame, 0), sigma_px, mode=mode)
    share = gaussian_filter(weight, sigma_px, mode=mode)
    return np.where(weight > 0, total / np.where(share > 0, share, 1), np.nan).astype(frame.dtype)


def row_slabs(shape: tuple[int, ...], bytes_per_row: int) -> Iterator[slice]:
    """Runs of rows of which one temporary array stays within SLAB_BYTES."""
    height = shape[1]
    n = max(SLAB_BYTES // max(bytes_per_row, 1), 1)
    return (slice(a, min(a + n, height)) for a in range(0, height, n))
