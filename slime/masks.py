"""Where pixels count: masks from a variable of the store, a file or an array."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Bool
from xarray.backends import BackendArray

from slime.axes import AXIS_OF, FRAME_AXES, Axis, stored_names
from slime.contents import member
from slime.errors import SlimeError, StoreError, nearest
from slime.lazy import lazy_variable
from slime.nodes import open_node
from slime.ome import image_of
from slime.places import is_url, local_path
from slime.store import StoredFrames


def read_mask(mask: Any, node: Any, frames: StoredFrames, label: str) -> xr.Variable:
    """A mask as a variable along some of the movie's axes: True where a pixel counts.

    Zarr arrays with a time axis stay lazy. Their axes are what the store calls them, else the
    movie's own where there are as many, else (y, x), (time, y, x) or (time, channel, y, x). Masks
    of all stored channels follow the choice of channels; over z a pixel counts if it counts in
    every slice taken in.

    Raises:
        SlimeError: there is no such mask, or its shape is not the movie's.
    """
    if not isinstance(mask, (str, Path)):
        return _in_memory(mask, None, False, frames, label)
    source, inverted = _found(str(mask).strip(), node, label)
    if isinstance(source, np.ndarray):
        return _in_memory(source, None, inverted, frames, label)
    names = stored_names(source)
    axes: tuple[Axis, ...]
    if names is not None and all(n.lower() in AXIS_OF for n in names):
        axes = tuple(AXIS_OF[n.lower()] for n in names)
    else:
        axes = _axes_by_number(source.ndim, frames.axes, label)
    if not {"time", "y", "x"} <= set(axes) or source.shape[axes.index("time")] == 1:
        return _in_memory(np.asarray(source[:]), axes, inverted, frames, label)
    return _lazy(source, axes, inverted, frames, label)


def _found(word: str, node: Any, label: str) -> tuple[zarr.Array | np.ndarray, bool]:
    """The array that a setting names, and whether it marks the pixels that do not count."""
    said = word
    at_home = word.startswith("~/") and Path(word).expanduser().exists()
    inverted = word.startswith("~") and not at_home
    word = word.removeprefix("~") if inverted else word
    path = Path(word).expanduser() if at_home else local_path(word)
    own = _in_store(word, node, label)
    if own is not None:
        return own, inverted
    held = list(node.array_keys()) if isinstance(node, zarr.Group) else []
    if path is not None and not path.exists():
        raise SlimeError(
            f"data.mask={said}: {label} has no array {word!r} and there is no such file"
            f"{nearest(word, held)}"
        )
    if path is not None and path.suffix == ".npy":
        try:
            return np.load(path, mmap_mode="r"), inverted
        except ValueError as error:
            raise StoreError(f"data.mask={said} is no array of numbers: {error}") from error
    array = open_node(word if path is None else path)
    if not isinstance(array, zarr.Array):
        raise SlimeError(f"data.mask={said} is a group: name the array in it")
    return array, inverted


def _in_store(word: str, node: Any, label: str) -> zarr.Array | None:
    """The array of the movie's own group that a setting names; of an OME label image the finest."""
    if not isinstance(node, zarr.Group) or is_url(word) or set(word.split("/")) & {"", ".", ".."}:
        return None
    found = member(node, word, label)
    if isinstance(found, zarr.Group):
        image = image_of(found, label)
        found = member(found, image.path, label) if image is not None else None
    return found if isinstance(found, zarr.Array) else None


def _axes_by_number(n: int, own: Sequence[Axis], label: str) -> tuple[Axis, ...]:
    if n == len(own):
        return tuple(own)
    known: dict[int, tuple[Axis, ...]] = {
        2: ("y", "x"),
        3: ("time", "y", "x"),
        4: ("time", "channel", "y", "x"),
    }
    if n not in known:
        raise SlimeError(
            f"data.mask of {label} has {n} axes, but (y, x), (time, y, x), (time, channel, y, x) "
            f"or the movie's {', '.join(own)} is right"
        )
    return known[n]


def _lazy(
    source: zarr.Array, axes: Sequence[Axis], inverted: bool, frames: StoredFrames, label: str
) -> xr.Variable:
    size = dict(zip(axes, source.shape, strict=True))
    _check_sizes(size, frames, label)
    stored = StoredFrames(
        source,
        axes,
        label=f"{label} (mask)",
        z=frames.z if isinstance(frames.z, int) else "max" if inverted else "all",
        movie=(frames.movie or 0) % size.get("movie", 1),
        channels=_mask_channels(size.get("channel", 1), frames),
        fill_missing=True,  # chunks without a True are often not written
        follow_links=frames.chunks.grid.follow_links,
        memory_budget=frames.memory_budget,
    )
    whole = lazy_variable(FRAME_AXES, _Truth(stored, inverted))
    single = {a: 0 for a, n in whole.sizes.items() if n == 1 and a != "time"}
    return whole.isel(single)


def _mask_channels(n_held: int, frames: StoredFrames) -> list[int]:
    """Positions in a mask of the movie's channels; a mask of as many as were chosen fits as is."""
    n_stored = dict(zip(frames.axes, frames.array.shape, strict=True)).get("channel", 1)
    return frames.channels if n_held == n_stored else list(range(n_held))


def _in_memory(
    mask: Any, axes: Sequence[Axis] | None, inverted: bool, frames: StoredFrames, label: str
) -> xr.Variable:
    if isinstance(mask, xr.DataArray) and all(str(d).lower() in AXIS_OF for d in mask.dims):
        axes = [AXIS_OF[str(d).lower()] for d in mask.dims]
    truth = _truth(np.asarray(mask), label) ^ inverted
    axes = _axes_by_number(truth.ndim, frames.axes, label) if axes is None else axes
    size = dict(zip(axes, truth.shape, strict=True))
    _check_sizes(size, frames, label)
    held = xr.Variable(list(axes), truth)
    if "movie" in size:
        held = held.isel(movie=(frames.movie or 0) % size["movie"])
    if "channel" in size:
        held = held.isel(channel=_mask_channels(size["channel"], frames))
    if "z" in size:
        held = held.isel(z=frames.z) if isinstance(frames.z, int) else held.all("z")
    single = {a: 0 for a, n in held.sizes.items() if n == 1 != frames_size(frames)[str(a)]}
    held = held.isel(single)
    return held.transpose(*(a for a in FRAME_AXES if a in held.dims))


def frames_size(frames: StoredFrames) -> dict[str, int]:
    """Lengths of the movie's axes by name."""
    return dict(zip(FRAME_AXES, frames.shape, strict=True))


def _check_sizes(size: dict[Axis, int], frames: StoredFrames, label: str) -> None:
    stored = dict(zip(frames.axes, frames.array.shape, strict=True))
    lacking = [a for a in ("y", "x") if a not in size]
    chosen = {"channel": len(frames.channels)}
    odd = [
        f"{a} {n} (the movie's: {stored.get(a, 1)})"
        for a, n in size.items()
        if n not in (1, stored.get(a, 1), chosen.get(a, 1))
    ]
    if lacking or odd:
        raise SlimeError(
            f"data.mask of {label} has shape {dict(size)}, but must fit the movie: "
            + ", ".join([f"no {a}" for a in lacking] + odd)
        )


def _truth(values: np.ndarray, label: str) -> Bool[np.ndarray, "..."]:
    if values.dtype.kind not in "uifb":
        raise SlimeError(f"data.mask of {label} holds {values.dtype}, but needs true or false")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise StoreError(f"data.mask of {label} holds NaN, which is neither true nor false")
    return values != 0


class _Truth(BackendArray):
    """Frames read as True where they are not 0, or the other way round."""

    def __init__(self, frames: StoredFrames, inverted: bool):
        self.frames, self.inverted = frames, inverted
        self.shape, self.dtype = frames.shape, np.dtype(bool)

    def __getitem__(self, key: Any) -> np.ndarray:
        return _truth(self.frames[key], self.frames.label) ^ self.inverted
