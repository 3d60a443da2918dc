"""A trained stepper on a new movie, and its forecast in files that other programs open."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
import xarray as xr
import zarr
from jaxtyping import Float

from slime.checkpoint import SavedRun
from slime.errors import SlimeError, nearest, span_text
from slime.files import write_aside
from slime.frames import blank_frames, read_frames
from slime.layout import create_frames
from slime.movie import FRAME_AXES, stored_frames
from slime.ome_image import Frames, write_image, write_store
from slime.stepper import rollout

ENDINGS = (".zarr", ".tif", ".tiff")
UNITS = {"frame_interval_s": "s a frame", "pixel_um": "um a pixel"}


def forecast_movie(
    saved: SavedRun, movie: xr.DataArray, *, leads: int, at: int | None = None, mix: bool = False
) -> xr.DataArray:
    """The `leads` frames after frame `at` (the last one by default), in movie units, float32.

    Each is made from those before it, forecasts included; nothing is clipped to the camera's range.
    Times go on from the movie's; lead numbers are the coordinate `lead`.

    Args:
        mix: forecast although the movie's interval or pixel size is not what the model learned.

    Raises:
        SlimeError: other channels, size or units than the model was trained on, too few frames, or
            blank frames among those that it needs.
    """
    if leads < 1:
        raise SlimeError(f"leads={leads} must be at least 1")
    _check_fits(saved, movie, mix=mix)
    shape = saved.shape
    last = movie.sizes["time"] - 1 if at is None else at
    first = last - (shape.n_in - 1) * shape.step
    if not 0 <= last < movie.sizes["time"] or first < 0:
        raise SlimeError(
            f"at={last}: the model reads {shape.n_in} frames, {shape.step} apart, up to that one, "
            f"and {movie.name} has {movie.sizes['time']}"
        )
    used = np.arange(first, last + 1, shape.step)
    frames, _ = read_frames(movie, first, last + 1)
    stored = stored_frames(movie)
    fill = 0 if stored is None else stored.fill_value
    blank = [
        i
        for i in used.tolist()
        if (frames[i - first] == fill).all() or blank_frames(movie, i, i + 1).any()
    ]
    if blank:
        raise SlimeError(
            f"{movie.name}: frames {span_text(blank)}, which the forecast starts from, are blank: "
            "choose another frame with at="
        )
    given = torch.from_numpy(frames[:: shape.step].astype(np.float32))[None]
    device = next(saved.stepper.parameters()).device
    with torch.inference_mode():
        ahead = rollout(saved.stepper, given.to(device), leads)[0].cpu().numpy()
    interval = movie.attrs.get("frame_interval_s")
    coords: dict[str, Any] = {
        "lead": ("time", np.arange(1, leads + 1)),
        "channel": movie["channel"].values,
    }
    if "time" in movie.coords and interval is not None:
        start = float(movie["time"].values[last])
        coords["time"] = start + np.arange(1, leads + 1) * interval * shape.step
    return xr.DataArray(
        ahead,
        dims=FRAME_AXES,
        coords=coords,
        name=f"{movie.name} forecast",
        attrs={
            "frame_interval_s": None if interval is None else interval * shape.step,
            "pixel_um": movie.attrs.get("pixel_um"),
            "experiment": movie.attrs.get("experiment"),
            "last_frame_given": int(last),
            "weights_hash": saved.weights_hash,
        },
    )


def forecast_members(
    members: Mapping[str, SavedRun],
    movie: xr.DataArray,
    *,
    leads: int,
    at: int | None = None,
    mix: bool = False,
) -> tuple[xr.DataArray, Float[np.ndarray, "lead channel y x"]]:
    """The mean of several runs' forecasts, and their spread, both in movie units, float32.

    Each member is fed with its own forecasts and as many frames as it reads; the spread is the
    standard deviation over members, with one fewer than they are in the denominator.

    Args:
        members: at least 2, by name.

    Raises:
        SlimeError: too few members, two that forecast other channels, times or pixels, or as
            `forecast_movie`.
    """
    if len(members) < 2:
        raise SlimeError(f"an ensemble of {len(members)} members: at least 2 are needed")
    _check_alike(members)
    parts = [forecast_movie(one, movie, leads=leads, at=at, mix=mix) for one in members.values()]
    every = np.stack([part.values for part in parts]).astype(np.float64)
    mean = parts[0].copy(data=every.mean(axis=0).astype(np.float32))
    hashes = ", ".join(one.weights_hash for one in members.values())
    mean.attrs |= {"weights_hash": hashes, "n_members": len(members)}
    return mean, every.std(axis=0, ddof=1).astype(np.float32)


def _check_alike(members: Mapping[str, SavedRun]) -> None:
    """Refuse members whose n-th frames ahead are not the same thing."""
    (first, one), *others = members.items()
    for name, other in others:
        for key, what in {"channels": "channels", "step": "frames a step", **UNITS}.items():
            ours, theirs = getattr(one.shape, key), getattr(other.shape, key)
            close = isinstance(ours, float) and theirs and abs(ours - theirs) <= 1e-6 * ours
            if ours != theirs and not close:
                raise SlimeError(
                    f"{first} and {name} cannot be one ensemble: trained on {_plain(ours)} and "
                    f"{_plain(theirs)} {what}"
                )


def _plain(value: Any) -> str:
    if value is None:
        return "unknown"
    return ", ".join(value) if isinstance(value, tuple) else f"{value:g}"


def _check_fits(saved: SavedRun, movie: xr.DataArray, *, mix: bool) -> None:
    shape = saved.shape
    channels = [str(c) for c in movie["channel"].values]
    if len(channels) != len(shape.channels):
        raise SlimeError(
            f"{movie.name} has channels {', '.join(channels)}, but the model was trained on "
            f"{', '.join(shape.channels)}: choose data.channels"
        )
    if channels != list(shape.channels) and not all(c.isdigit() for c in channels):
        raise SlimeError(
            f"{movie.name} has channels {', '.join(channels)} in this order, but the model was "
            f"trained on {', '.join(shape.channels)}: choose data.channels"
        )
    for name, unit in UNITS.items():
        own, learned = movie.attrs.get(name), getattr(shape, name)
        if own and learned and abs(own - learned) > 1e-6 * learned and not mix:
            raise SlimeError(
                f"{movie.name} has {own:g} {unit}, but the model was trained on {learned:g}: "
                "data.mix=true forecasts all the same"
            )
    size = (movie.sizes["y"], movie.sizes["x"])
    if saved.net.kind == "frame_mlp" and size != (shape.height, shape.width):
        raise SlimeError(
            f"{movie.name} is {size[0]} x {size[1]} pixels, but a frame_mlp forecasts only the "
            f"{shape.height} x {shape.width} that it was trained on"
        )


def write_forecast(
    forecast: xr.DataArray,
    path: Path,
    half: Float[np.ndarray, "lead channel"] | None = None,
    *,
    spread: Float[np.ndarray, "lead channel y x"] | None = None,
) -> None:
    """Write a forecast as OME-Zarr 0.5 (.zarr) or OME-TIFF (.tif, .tiff), aside and renamed.

    Args:
        half: half widths of intervals, in movie units: a zarr then holds the arrays `lower` and
            `upper` beside the forecast `0`, NaN at leads that were not calibrated.
        spread: of an ensemble: a zarr then holds the array `spread`; a TIFF leaves it out.

    Raises:
        SlimeError: another ending, or the path is taken.
    """
    if path.suffix not in ENDINGS:
        raise SlimeError(
            f"out={path} must end in {', '.join(ENDINGS)}{nearest(path.suffix, ENDINGS)}"
        )
    if path.exists():
        raise SlimeError(f"out={path} is already there: name another")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SlimeError(f"out={path} cannot be made: {error.strerror}") from error
    if path.suffix == ".zarr":
        _write_ome_zarr(forecast, path, _beside(forecast, half, spread))
    else:
        write_aside(path, lambda aside: _write_ome_tiff(forecast, aside))


def _beside(
    forecast: xr.DataArray,
    half: Float[np.ndarray, "calibrated channel"] | None,
    spread: Float[np.ndarray, "lead channel y x"] | None,
) -> dict[str, Float[np.ndarray, "lead channel y x"]]:
    """The arrays beside a forecast, by name."""
    arrays = {} if spread is None else {"spread": spread}
    if half is None:
        return arrays
    width = np.full(forecast.shape[:2], np.nan)
    width[: len(half)] = np.where(np.isfinite(half), half, np.nan)[: len(width)]
    width = width[:, :, None, None]
    return {**arrays, "lower": forecast.values - width, "upper": forecast.values + width}


def _write_ome_zarr(
    forecast: xr.DataArray, path: Path, beside: Mapping[str, Float[np.ndarray, "lead channel y x"]]
) -> None:
    def fill(group: zarr.Group) -> None:
        write_image(group, Frames(forecast, [forecast.values]), **forecast.attrs)
        for name, values in beside.items():
            array = create_frames(
                group, name, forecast.shape, forecast.dtype, chunk_frames=1, axes=tuple("tcyx")
            )
            array[:] = values.astype(forecast.dtype)

    write_store(path, fill)


def _write_ome_tiff(forecast: xr.DataArray, path: Path) -> None:
    interval, pixel = forecast.attrs.get("frame_interval_s"), forecast.attrs.get("pixel_um")
    metadata: dict[str, Any] = {
        "axes": "TCYX",
        "Channel": {"Name": [str(c) for c in forecast["channel"].values]},
    }
    if interval is not None:
        metadata |= {"TimeIncrement": interval, "TimeIncrementUnit": "s"}
    if pixel is not None:
        metadata |= {"PhysicalSizeX": pixel, "PhysicalSizeXUnit": "µm"}
        metadata |= {"PhysicalSizeY": pixel, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(path, forecast.values, ome=True, metadata=metadata)
