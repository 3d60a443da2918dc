"""What the first frames of a movie show, as planes of equal number however many frames there are.

For each channel: the last frame, mean, spread in time and change from the first third of the
frames to the last; and the mean over time of -(dI/dt) grad I, which points where waves travel,
bright or dark ones alike. One more plane holds how much of the time to the truth is left.
"""

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import gaussian_filter

SCALARS = 4  # planes a channel without a direction, before the two of its vector
SLOPE_SIGMA_PX = 1.0  # slopes are taken of frames smoothed by this: noise has the steepest ones


def vector_planes(n_planes: int) -> tuple[list[int], list[int]]:
    """Which planes are y parts of vectors, and which x parts.

    >>> vector_planes(13)
    ([4, 10], [5, 11])
    """
    y_parts = list(range(SCALARS, n_planes - 1, SCALARS + 2))
    return y_parts, [at + 1 for at in y_parts]


def summary_planes(
    frames: Float32[np.ndarray, "t c y x"], time_left: float
) -> Float32[np.ndarray, "plane y x"]:
    """The planes of the frames given, channel after channel, the vectors as y and x components.

    Args:
        frames: in standard units, 0 where a pixel does not count.
        time_left: from the last of them to the truth, as a share of the whole.
    """
    planes: list[Float[np.ndarray, "y x"]] = []
    third = max(len(frames) // 3, 1)
    for channel in np.moveaxis(frames, 1, 0):
        change = channel[-third:].mean(axis=0) - channel[:third].mean(axis=0)
        planes += [channel[-1], channel.mean(axis=0), channel.std(axis=0), change]
        planes += list(wave_flux(channel))
    planes.append(np.full(frames.shape[2:], time_left))
    return np.stack(planes).astype(np.float32)


def wave_flux(frames: Float[np.ndarray, "t y x"]) -> Float[np.ndarray, "2 y x"]:
    """The mean over time of -(dI/dt) grad I per frame and pixel, y and x; 0 of a single frame.

    For I = f(x - v t) it is v f'^2: it points where the wave travels, whatever its sign.
    """
    smooth = gaussian_filter(frames, (0, SLOPE_SIGMA_PX, SLOPE_SIGMA_PX), mode="nearest")
    if len(smooth) == 1:
        return np.zeros((2, *frames.shape[1:]))
    rise = np.diff(smooth, axis=0)
    middle = (smooth[1:] + smooth[:-1]) / 2
    slopes = np.gradient(middle, axis=(1, 2))
    return np.stack([-(rise * slope).mean(axis=0) for slope in slopes])


def turned_planes(
    planes: Float32[np.ndarray, "plane y x"], symmetry: int
) -> Float32[np.ndarray, "plane y x"]:
    """The planes of the movie under one of the 8 symmetries of the square, vectors turned too.

    Bits of `symmetry`: 1 mirrors y, 2 mirrors x, 4 swaps y and x afterwards.
    """
    turned = planes.copy()
    y_parts, x_parts = vector_planes(len(planes))
    if symmetry & 1:
        turned = turned[:, ::-1]
        turned[y_parts] *= -1
    if symmetry & 2:
        turned = turned[:, :, ::-1]
        turned[x_parts] *= -1
    if symmetry & 4:
        turned = turned.transpose(0, 2, 1)
        turned[[*y_parts, *x_parts]] = turned[[*x_parts, *y_parts]]
    return np.ascontiguousarray(turned)
