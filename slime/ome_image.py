"""OME-Zarr 0.5 as slime writes it, one level: https://ngff.openmicroscopy.org/0.5."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Shaped

from slime.errors import SlimeError, nearest
from slime.layout import create_frames

ENDING = ".zarr"


class Frames(NamedTuple):
    """Frames to be written: what they are of, and their pixels block by block.

    Attributes:
        like: a movie (time, channel, y, x) of their shape, channels, times and units; no pixel of
            it is read.
    """

    like: xr.DataArray
    blocks: Iterable[Shaped[np.ndarray, "t c y x"]]


def write_store(path: Path, fill: Callable[[zarr.Group], None]) -> None:
    """Let `fill` write a group under another name, then rename it.

    Raises:
        SlimeError: another ending, the path is taken, or cannot be made.
    """
    if path.suffix != ENDING:
        raise SlimeError(f"out={path} must end in {ENDING}{nearest(path.suffix, [ENDING])}")
    if path.exists():
        raise SlimeError(f"out={path} is already there: name another")
    aside = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        group = zarr.open_group(str(aside), mode="w", zarr_format=3)
    except OSError as error:
        raise SlimeError(f"out={path} cannot be made: {error.strerror}") from error
    fill(group)
    os.replace(aside, path)


def write_image(group: zarr.Group, frames: Frames, **attributes: Any) -> None:
    """Frames as the image of a group; attributes that are None are left out."""
    like = frames.like
    pixels = create_frames(
        group, "0", like.shape, like.dtype, chunk_frames=1, axes=("t", "c", "y", "x")
    )
    start, windows = 0, [(np.inf, -np.inf)] * like.shape[1]
    for block in frames.blocks:
        pixels[start : start + len(block)] = np.ascontiguousarray(block)
        start += len(block)
        for c, (low, high) in enumerate(windows):
            finite = block[:, c][np.isfinite(block[:, c])]
            if finite.size:
                windows[c] = min(low, float(finite.min())), max(high, float(finite.max()))
    assert start == len(like)
    windows = [(low, high) if low <= high else (0.0, 1.0) for low, high in windows]
    known = {name: value for name, value in attributes.items() if value is not None}
    group.attrs.update({**known, "ome": ome_metadata(like, windows)})


def write_images(group: zarr.Group, images: Mapping[str, Frames], **attributes: Any) -> None:
    """Several images of equal shape, each in a group of its name (layout bioformats2raw 3)."""
    for name, frames in images.items():
        write_image(group.create_group(name), frames, **attributes)
    group.create_group("OME").attrs["ome"] = {"version": "0.5", "series": list(images)}
    group.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}


def ome_metadata(movie: xr.DataArray, windows: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """The `ome` attribute for a movie.

    Args:
        windows: for each channel the least and the greatest value to be shown.
    """
    interval, pixel = movie.attrs.get("frame_interval_s"), movie.attrs.get("pixel_um")
    time_unit = {"unit": "second"} if interval is not None else {}
    space_unit = {"unit": "micrometer"} if pixel is not None else {}
    transforms: list[dict[str, Any]] = [
        {"type": "scale", "scale": [interval or 1.0, 1.0, pixel or 1.0, pixel or 1.0]}
    ]
    if "time" in movie.coords:
        start = float(movie["time"].values[0])
        transforms.append({"type": "translation", "translation": [start, 0.0, 0.0, 0.0]})
    return {
        "version": "0.5",
        "multiscales": [
            {
                "name": str(movie.name),
                "axes": [
                    {"name": "t", "type": "time", **time_unit},
                    {"name": "c", "type": "channel"},
                    {"name": "y", "type": "space", **space_unit},
                    {"name": "x", "type": "space", **space_unit},
                ],
                "datasets": [{"path": "0", "coordinateTransformations": transforms}],
            }
        ],
        "omero": {
            "channels": [
                {
                    "label": str(c),
                    "color": "FFFFFF",
                    "active": True,
                    "window": {"min": low, "max": high, "start": low, "end": high},
                }
                for c, (low, high) in zip(movie["channel"].values, windows, strict=True)
            ]
        },
    }
