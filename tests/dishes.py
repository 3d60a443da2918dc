"""Hand-made movies of a dish in which nothing is wrong, to plant faults in.

A rough floor that stays, under uneven light, with cells that wander over it; electrons come as
they please (Poisson), the camera adds its own noise and an offset.
"""

import numpy as np
import xarray as xr
from scipy.ndimage import fourier_shift, gaussian_filter

OFFSET, GAIN, READ_NOISE = 100.0, 2.0, 3.0  # counts, counts an electron, counts


def light(
    n_frames=60, y=96, x=128, *, n_cells=25, seed=0, step_px=0.7, shift=(0.0, 0.0), electrons=400.0
):
    """Electrons expected of each pixel (t, y, x), on average 400; `shift` moves all, px a frame."""
    rng = np.random.default_rng(seed)
    floor = gaussian_filter(rng.standard_normal((y, x)), 1.5, mode="wrap")
    floor = 1 + 0.15 * floor / floor.std()
    places = rng.random((n_cells, 2)) * (y, x)
    rows, columns = np.linspace(-1, 1, y)[:, None], np.linspace(-1, 1, x)[None]
    lamp = 1 - 0.2 * (rows**2 + columns**2)
    frames = np.empty((n_frames, y, x))
    for t in range(n_frames):
        spots = np.zeros((y, x))
        at = np.floor(places).astype(int) % (y, x)
        np.add.at(spots, (at[:, 0], at[:, 1]), 1.0)
        dish = floor + 60 * gaussian_filter(spots, 2.5, mode="wrap")
        if any(shift):
            dish = np.fft.ifft2(fourier_shift(np.fft.fft2(dish), np.multiply(shift, t))).real
        frames[t] = electrons * np.maximum(dish, 0.05) * lamp
        places = places + rng.normal(0, step_px, places.shape)
    return frames


def film(expected, *, seed=0, gain=GAIN, read_noise=READ_NOISE, offset=OFFSET):
    """What a 16-bit camera stores of these electrons."""
    rng = np.random.default_rng((seed, 1))
    counts = gain * rng.poisson(expected) + rng.normal(0, read_noise, expected.shape) + offset
    return np.clip(np.round(counts), 0, 65535).astype("uint16")


def dish(seed=0, **how):
    """A clean movie (t, y, x), uint16."""
    return film(light(seed=seed, **how), seed=seed)


def movie(pixels, name="dish"):
    """Pixels (t, y, x) or (t, c, y, x) as a movie in memory."""
    pixels = np.asarray(pixels)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels
    return xr.DataArray(
        pixels, dims=("time", "channel", "y", "x"), name=name, attrs={"experiment": name}
    )
