"""A movie that drifts: what comes next depends on when, which only the brightness tells."""

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Float
from zarr.storage import MemoryStore

from slime.movie import open_movie


def drifting_frames(
    n: int,
    size: int,
    *,
    seed: int,
    speed: float = 1.0,
    renewal: float = 0.1,
    turn: float = 2 * np.pi,
) -> Float[np.ndarray, "t y x"]:
    """A smooth pattern that moves while its direction turns and its brightness rises.

    A net that sees one frame must learn every direction, and the brightness that goes with it: one
    that has lately seen a part of the movie only has forgotten the others.

    Args:
        speed: pixels a frame.
        renewal: share of the pattern that is new in each frame: what no net can foresee.
        turn: radians by which the direction turns from the first frame to the last.
    """
    draw = np.random.default_rng((seed, 17))
    ky, kx = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    envelope = np.exp(-((ky**2 + kx**2) * 2 * size**2) / (size / 4) ** 2)

    def pattern() -> np.ndarray:
        return envelope * np.fft.rfft2(draw.standard_normal((size, size)))

    spectrum, frames = pattern(), np.empty((n, size, size), np.float32)
    scale = np.fft.irfft2(spectrum, (size, size)).std()
    for i, late in enumerate(np.linspace(0, 1, n)):
        angle = turn * late
        shift = speed * (ky * np.sin(angle) + kx * np.cos(angle))
        spectrum = np.exp(-2j * np.pi * shift) * spectrum
        spectrum = np.sqrt(1 - renewal**2) * spectrum + renewal * pattern()
        frames[i] = np.fft.irfft2(spectrum, (size, size)) / scale + 4 * late
    return frames


def drifting_movie(frames: Float[np.ndarray, "t y x"], name: str, chunk: int) -> xr.DataArray:
    """The frames as a movie whose chunks hold `chunk` whole frames, stored in memory."""
    group = zarr.create_group(MemoryStore())
    array = group.create_array(
        "movie", shape=frames.shape, dtype="float32", chunks=(chunk, *frames.shape[1:])
    )
    array[:] = frames
    return open_movie(group).rename(name)
