"""A stack of z slices as one frame."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

PROJECTION_BYTES = 16 << 20  # decoded at once while projecting; more would only cost memory


def project(
    slices: Shaped[np.ndarray, "t c z y x"], how: str, fill: Any
) -> tuple[Shaped[np.ndarray, "t c y x"], Bool[np.ndarray, "t c z"]]:
    """The "max", "mean" or "all" over z, and which slices hold anything but the fill value.

    Slices that are all fill were never written; they are left out of maximum and mean, so that a
    mean does not darken where one is lost. A frame without any slice is all fill. "all" is True
    where a pixel is not 0 in every slice.
    """
    unlike = ~np.isnan(slices) if fill != fill else slices != fill
    there: np.ndarray = np.logical_or.reduce(unlike, axis=(3, 4))
    if how == "all":
        return (slices != 0).all(axis=2), there
    counts = there[..., None, None]
    if how == "mean":
        total = slices.sum(axis=2, where=counts, dtype=np.float64)
        frames = (total / np.maximum(counts.sum(axis=2), 1)).astype(np.float32)
    elif there.all():
        return slices.max(axis=2), there
    else:
        frames = slices.max(axis=2, where=counts, initial=_lowest(slices.dtype))
    frames[~np.logical_or.reduce(there, axis=2)] = fill
    return frames, there


def projected_together(n_frames: int, chunk_frames: int, frame_nbytes: int) -> int:
    """Frames to project at once, of `n_frames`: whole chunks of about PROJECTION_BYTES.

    Args:
        frame_nbytes: of all slices of a frame, decoded.
    """
    n = max(PROJECTION_BYTES // max(frame_nbytes, 1) // chunk_frames, 1) * chunk_frames
    return min(n, -(-n_frames // chunk_frames) * chunk_frames) or 1


def _lowest(dtype: np.dtype) -> Any:
    if dtype.kind == "b":
        return False
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
