"""The noise of simulated movies, as the settings of their camera tell it."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Float

from slime.movie import stored_source
from slime.sensor_noise import SensorNoise
from slime.simulate.camera import ChipSpec, noise_variance


def known_noise(movie: xr.DataArray) -> SensorNoise | None:
    """The noise that the camera of a movie simulated by slime put in; None of any other movie.

    Photons, read noise and rounding make a straight line over the level (noise_variance of
    slime.simulate.camera); a movie with pixels at the camera's largest count has none, and neither
    has a projection along z.
    """
    source = stored_source(movie)
    if source is None or source.frames.n_z > 1:
        return None
    camera, n = _camera(_told(source.frames.array)), movie.sizes["channel"]
    if set(camera) == {"show_hidden", "noise_g"}:
        shown = [str(name) == "g" for name in movie["channel"].values]
        variance = float(camera["noise_g"]) ** 2 * np.array(shown, float)
        return _straight(np.zeros(n), variance, np.zeros(n))
    names = {f.name for f in fields(ChipSpec)}
    if not names <= set(camera):
        return None
    chip = ChipSpec(**{name: camera[name] for name in names})
    levels = np.array([[[chip.offset_counts, chip.offset_counts + 1]]])
    dark, one_more = noise_variance(levels, chip)[0, 0]
    return _straight(np.full(n, chip.offset_counts), np.full(n, dark), np.full(n, one_more - dark))


def _straight(
    level: Float[np.ndarray, " c"],
    variance: Float[np.ndarray, " c"],
    slope: Float[np.ndarray, " c"],
) -> SensorNoise:
    ends = np.full(len(level), -np.inf), np.full(len(level), np.inf)
    return SensorNoise(level, variance, slope, *ends)


def _camera(told: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of the camera in a store's attributes; none where pixels are saturated."""
    parameters = told.get("parameters")
    camera = parameters.get("camera") if isinstance(parameters, dict) else None
    if told.get("written_by") != "slime" or told.get("n_saturated") or not isinstance(camera, dict):
        return {}
    return {k: v for k, v in camera.items() if isinstance(v, (int, float))}


def _told(array: zarr.Array) -> Mapping[str, Any]:
    """The attributes that stand beside the pixels of a store, with how many are saturated."""
    own = array.attrs.asdict()
    simulated = own.get("simulated")
    if isinstance(simulated, dict):
        return {**simulated, "n_saturated": own.get("n_saturated")}
    above = array.path.rpartition("/")[0]
    try:
        return zarr.open_group(array.store, path=above, mode="r").attrs.asdict()
    except (OSError, KeyError, ValueError):  # there is no group; zarr's own errors are ValueErrors
        return {}
