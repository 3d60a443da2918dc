"""A store as a lazy, checked movie: axes time, channel, y, x in the stored dtype."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Float

from slime.errors import SlimeError, StoreError, nearest, span_text
from slime.store import FRAME_AXES, BlankFrames, StoredFrames, lazy_variable, open_node

ALIASES = {
    "movie": ("movie", "m", "sample", "trajectory", "n"),
    "time": ("time", "t", "frame", "frames"),
    "channel": ("channel", "c", "channels", "ch", "band"),
    "z": ("z", "depth", "plane", "slice"),
    "y": ("y", "row", "rows", "height", "h"),
    "x": ("x", "column", "columns", "col", "width", "w"),
}
AXIS_OF = {alias: axis for axis, aliases in ALIASES.items() for alias in aliases}
UNNAMED = {3: ("time", "y", "x"), 5: ("time", "channel", "z", "y", "x")}
SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "ms": 1e-3, "min": 60.0, "minute": 60.0}
SECONDS |= {"h": 3600.0, "hour": 3600.0, "hr": 3600.0, "seconds": 1.0, "minutes": 60.0}
SECONDS |= {"hours": 3600.0, "millisecond": 1e-3, "milliseconds": 1e-3}
MICROMETRES = {"um": 1.0, "µm": 1.0, "μm": 1.0, "micrometer": 1.0, "micrometre": 1.0}
MICROMETRES |= {"micron": 1.0, "nm": 1e-3, "nanometer": 1e-3, "mm": 1e3, "millimeter": 1e3}
UNEVEN = 0.01  # a frame interval this share away from the median is uneven
SUBSAMPLING = re.compile(
    r"[ _.\-]+\(?(?:sub(?:sampl(?:ed|ing|e))?|subset|every|skip|stride|nth|twin"
    r"|down(?:sampl(?:ed|ing|e))?|ds|decimat(?:ed|ion)|\d+x|x\d+|\d+(?:th|nd|rd))"
    r"[ _.\-]*\d*(?:x|th|nd|rd)?(?:[ _.\-]*frames?)?\)?$",
    re.IGNORECASE,
)


def open_movie(
    store: Any,
    *,
    variable: str | None = None,
    axes: str | Sequence[str] | None = None,
    channels: str | int | Sequence[str | int] | None = None,
    z: str | int = "max",
    mask: Any = None,
    frame_interval_s: float | None = None,
    pixel_um: float | None = None,
    experiment: str | None = None,
    movie: int | None = None,
    missing: str = "refuse",
) -> xr.DataArray:
    """Open a store as a movie with axes (time, channel, y, x), lazily, in its stored dtype.

    Nothing but metadata and the time axis is read. Pixels come as stored: CF scale factors and
    fill values are not applied.

    Args:
        store: a path, or an open zarr array or group.
        variable: the array in a group that holds several.
        axes: the meaning of each stored axis, "TCZYX" or "time,channel,z,y,x"; needed where the
            store does not name them and there are neither 3 (TYX) nor 5 (TCZYX).
        channels: names or numbers of the channels to keep.
        z: how the z axis is projected: "max", "mean" or the number of one slice.
        mask: True where a pixel counts: a variable of the same store ("~name" inverts it), a path
            to a .npy file or another zarr array, or an array; axes (y, x) or (time, y, x), or as
            the store's.
        frame_interval_s: seconds between frames; replaces what the store says, also uneven times.
        pixel_um: micrometres a pixel; replaces what the store says.
        experiment: what the movie was filmed of; movies of one experiment never train and test
            each other. The file's stem without a subsampling suffix by default.
        movie: which one, where the store has an axis of movies.
        missing: "fill" reads lost chunks as the store's fill value instead of refusing.

    Returns:
        A DataArray with coords `time` (s, where known), `channel`, `blank` (frames without chunks,
        lazy) and `mask` (where given, lazy), and attrs `frame_interval_s`, `pixel_um` (None where
        unknown), `experiment`.

    Raises:
        SlimeError: what is wrong with the store or the choice, and what would be right.
    """
    node = open_node(store)
    array = _chosen_array(node, variable, store)
    label = store_label(store, node)
    names = stored_axes(array, axes, label)
    n_movies = dict(zip(names, array.shape, strict=True)).get("movie")
    if n_movies is not None:
        movie = _chosen_movie(movie, n_movies, label)
        label = f"{label}[{movie}]" if n_movies > 1 else label
    channel_names = _channel_names(node, array, names)
    picked = _picked_channels(channels, channel_names, label)
    frames = StoredFrames(
        array,
        names,
        label=label,
        z=_checked_z(z, array, names, label),
        movie=movie,
        channels=picked,
        fill_missing=_is_fill(missing),
    )
    time_s, interval_s = _times(node, array, frames.shape[0], frame_interval_s, label)
    coords: dict[str, Any] = {
        "channel": [channel_names[i] for i in picked],
        "blank": lazy_variable(("time",), BlankFrames(frames)),
    }
    if time_s is not None:
        coords["time"] = ("time", time_s, {"units": "s"})
    if mask is not None:
        coords["mask"] = _mask_variable(mask, node, frames, movie, label)
    opened = xr.DataArray(
        lazy_variable(FRAME_AXES, frames),
        coords=coords,
        name=label,
        attrs={
            "frame_interval_s": interval_s,
            "pixel_um": pixel_um if pixel_um is not None else _pixel_um(node, array),
            "experiment": experiment or experiment_of(label),
        },
    )
    opened.encoding["stored"] = frames
    return check_movie(opened)


def open_movies(store: Any, *, movie: int | None = None, **choices: Any) -> list[xr.DataArray]:
    """All movies of a store: one, or each along its axis of movies (`movie` picks one)."""
    node = open_node(store)
    array = _chosen_array(node, choices.get("variable"), store)
    names = stored_axes(array, choices.get("axes"), store_label(store, node))
    n_movies = dict(zip(names, array.shape, strict=True)).get("movie", 1)
    wanted = range(n_movies) if movie is None and n_movies > 1 else [movie]
    return [open_movie(store, movie=i, **choices) for i in wanted]


def check_movie(movie: xr.DataArray) -> xr.DataArray:
    """The movie itself, once it is seen to be one; no pixel is read.

    Raises:
        SlimeError: wrong axes, no frame or pixel, a dtype that is not real numbers, or times that
            do not rise evenly.
    """
    label = str(movie.name or "the movie")
    if movie.dims != FRAME_AXES:
        raise SlimeError(f"{label} has axes {movie.dims}, but a movie has {FRAME_AXES}")
    if 0 in movie.shape:
        raise SlimeError(f"{label} of shape {movie.shape} is empty: every axis needs a length")
    if movie.dtype.kind not in "uifb":
        raise SlimeError(f"{label} holds {movie.dtype}, but pixels must be real numbers")
    if "time" in movie.coords:
        _check_even(movie["time"].values, label)
    for name in ("frame_interval_s", "pixel_um"):
        value = movie.attrs.get(name)
        if value is not None and not value > 0:
            raise SlimeError(f"{label}: {name}={value} must be above 0")
    return movie


def stored_frames(movie: xr.DataArray) -> StoredFrames | None:
    """What a movie of open_movie reads from; None for arrays in memory and for cut movies."""
    frames = movie.encoding.get("stored")
    return frames if frames is not None and frames.shape == movie.shape else None


def store_label(store: Any, node: Any = None) -> str:
    """The name of a store in tables and messages: its file's stem."""
    if isinstance(store, (str, Path)):
        path = Path(str(store).rstrip("/"))
    else:
        path = Path(str(getattr(node, "store_path", "movie")))
    stem = path.name
    for ending in (".zip", ".zarr", ".ome"):
        stem = stem.removesuffix(ending)
    return stem or "movie"


def experiment_of(label: str) -> str:
    """A movie's label without a suffix that says that frames were left out.

    >>> experiment_of("dish 3_every5th"), experiment_of("dish 3")
    ('dish 3', 'dish 3')
    """
    return SUBSAMPLING.sub("", label) or label


def _chosen_array(node: Any, variable: str | None, store: Any) -> zarr.Array:
    label = store_label(store, node)
    if isinstance(node, zarr.Array):
        if variable:
            raise SlimeError(f"{label} is one bare array: data.variable={variable!r} names none")
        return _numeric(node, label)
    found = dict(node.arrays())
    if variable:
        if variable not in found:
            raise SlimeError(
                f"{label} has no array {variable!r}, but {', '.join(found) or 'none at all'}"
                f"{nearest(variable, found)}"
            )
        return _numeric(found[variable], f"{label}/{variable}")
    movies = {n: a for n, a in found.items() if a.ndim >= 3 and a.dtype.kind in "uif"}
    if len(movies) == 1:
        return next(iter(movies.values()))
    if movies:
        raise SlimeError(
            f"{label} has several arrays that may be the movie: choose data.variable="
            f"{' or '.join(movies)}"
        )
    held = ", ".join(f"{n} {a.shape} {a.dtype}" for n, a in found.items())
    raise StoreError(f"{label} has no array of numbers with 3 or more axes ({held or 'no array'})")


def _numeric(array: zarr.Array, label: str) -> zarr.Array:
    if array.dtype.kind not in "uifb":
        raise StoreError(f"{label} holds {array.dtype}, but pixels must be real numbers")
    return array


def stored_axes(array: zarr.Array, axes: str | Sequence[str] | None, label: str) -> tuple[Any, ...]:
    """The meaning of each stored axis, from the user, the store's names or their number."""
    if axes is not None:
        words = _axis_words(axes)
    else:
        named = getattr(array.metadata, "dimension_names", None) or array.attrs.get(
            "_ARRAY_DIMENSIONS"
        )
        words = [str(w) for w in named] if named and all(named) else None
    if words is None:
        if array.ndim not in UNNAMED:
            example = {4: "time,channel,y,x", 2: "time,y,x"}.get(array.ndim, "time,y,x")
            raise SlimeError(
                f"{label} has {array.ndim} axes {array.shape} without names: say what they are, "
                f"for instance data.axes={example}"
                + (" (a movie needs at least time, y and x)" if array.ndim < 3 else "")
            )
        words = list(UNNAMED[array.ndim])
    if len(words) != array.ndim:
        raise SlimeError(
            f"data.axes={','.join(words)} names {len(words)} axes, but {label} has {array.ndim}: "
            f"{array.shape}"
        )
    names = [AXIS_OF.get(w.lower(), "") for w in words]
    for word, name in zip(words, names, strict=True):
        if not name:
            raise SlimeError(
                f"{label}: axis {word!r} is none of movie, time, channel, z, y, x: name the axes "
                f"with data.axes, one for each of {array.shape}"
            )
    lacking = [a for a in ("time", "y", "x") if a not in names]
    if lacking or len(set(names)) < len(names):
        raise SlimeError(
            f"{label} has axes {','.join(words)}, but a movie needs time, y and x, each axis once: "
            "name them with data.axes"
        )
    return tuple(names)


def _axis_words(axes: str | Sequence[str]) -> list[str]:
    if not isinstance(axes, str):
        return [str(a) for a in axes]
    return [w.strip() for w in axes.split(",")] if "," in axes else list(axes.strip())


def _chosen_movie(movie: int | None, n_movies: int, label: str) -> int:
    if movie is None and n_movies > 1:
        raise SlimeError(f"{label} holds {n_movies} movies: choose data.movie=0 to {n_movies - 1}")
    movie = movie or 0
    if not 0 <= movie < n_movies:
        raise SlimeError(f"data.movie={movie}: {label} holds movies 0 to {n_movies - 1}")
    return movie


def _channel_names(node: Any, array: zarr.Array, axes: Sequence[str]) -> list[str]:
    n = dict(zip(axes, array.shape, strict=True)).get("channel", 1)
    if isinstance(node, zarr.Group) and "channel" in axes:
        dims = getattr(array.metadata, "dimension_names", None) or array.attrs.get(
            "_ARRAY_DIMENSIONS"
        )
        name = dims[list(axes).index("channel")] if dims else "channel"
        if name in node and isinstance(node[name], zarr.Array) and node[name].shape == (n,):
            return [str(v) for v in np.asarray(node[name][:])]
    return [str(i) for i in range(n)]


def _picked_channels(channels: Any, names: list[str], label: str) -> list[int]:
    if channels is None:
        return list(range(len(names)))
    wanted = [channels] if isinstance(channels, (str, int)) else list(channels)
    picked = []
    for word in wanted:
        if str(word) in names:
            picked.append(names.index(str(word)))
        elif str(word).isdigit() and int(word) < len(names):
            picked.append(int(word))
        else:
            raise SlimeError(
                f"data.channels: {label} has no channel {word!r}, but {', '.join(names)}"
                f"{nearest(str(word), names)}"
            )
    return picked


def _checked_z(z: str | int, array: zarr.Array, axes: Sequence[str], label: str) -> str | int:
    if "z" not in axes:
        return "max"
    n = array.shape[list(axes).index("z")]
    if isinstance(z, str) and z.isdigit():
        z = int(z)
    if z in ("max", "mean") or (isinstance(z, int) and 0 <= z < n):
        return z
    raise SlimeError(f"data.z={z!r}: {label} has z slices 0 to {n - 1}; or max, or mean")


def _is_fill(missing: str) -> bool:
    if missing not in ("refuse", "fill"):
        raise SlimeError(f"data.missing={missing!r} must be refuse or fill")
    return missing == "fill"


def _times(
    node: Any, array: zarr.Array, n_frames: int, frame_interval_s: float | None, label: str
) -> tuple[Float[np.ndarray, " t"] | None, float | None]:
    """Times in s and their interval: the user's word, else the store's time axis, else its attrs.

    A time axis without units counts as seconds, unless it only counts frames (0, 1, 2, ...).
    """
    if frame_interval_s is not None:
        if not frame_interval_s > 0:
            raise SlimeError(f"data.frame_interval_s={frame_interval_s} must be above 0")
        return np.arange(n_frames) * float(frame_interval_s), float(frame_interval_s)
    times = _stored_times(node, n_frames, label)
    if times is not None:
        _check_even(times, label)
        return times, float(np.median(np.diff(times))) if n_frames > 1 else None
    interval = _number_attr(node, array, "frame_interval_s")
    if interval is None:
        return None, None
    return np.arange(n_frames) * interval, interval


def _stored_times(node: Any, n_frames: int, label: str) -> Float[np.ndarray, " t"] | None:
    if not isinstance(node, zarr.Group) or "time" not in node:
        return None
    stored = node["time"]
    if not isinstance(stored, zarr.Array) or stored.shape != (n_frames,):
        return None
    if stored.dtype.kind not in "uifmM":
        return None
    unit = str(stored.attrs.get("units", ""))
    coord = xr.Variable(("time",), np.asarray(stored[:]), dict(stored.attrs))
    if " since " in unit:
        coord = xr.decode_cf(xr.Dataset({"time": coord}))["time"].variable
    values = coord.values
    if values.dtype.kind in "mM":
        return (values - values[0]) / np.timedelta64(1, "ns") * 1e-9
    times = values.astype(float)
    if unit:
        if unit not in SECONDS:
            raise SlimeError(
                f"{label}: time is in {unit!r}, which is none of {', '.join(SECONDS)}: give "
                "data.frame_interval_s"
            )
        return times * SECONDS[unit]
    return None if np.array_equal(times, np.arange(n_frames)) else times


def _check_even(times: Float[np.ndarray, " t"], label: str) -> None:
    if len(times) < 2:
        return
    steps = np.diff(times)
    odd = ~(np.abs(steps - np.median(steps)) <= UNEVEN * np.abs(np.median(steps)))
    odd |= ~(steps > 0)
    if odd.any():
        at = int(np.flatnonzero(odd)[0])
        raise SlimeError(
            f"{label}: time is uneven, first from frame {at} to {at + 1} ({times[at]:g} to "
            f"{times[at + 1]:g} s, where {np.median(steps):g} s is usual; {odd.sum()} such steps): "
            "give data.frame_interval_s to go by frame numbers instead"
        )


def _number_attr(node: Any, array: zarr.Array, *names: str) -> float | None:
    for attrs in (array.attrs, node.attrs):
        for name in names:
            value = attrs.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
                return float(value)
    return None


def _pixel_um(node: Any, array: zarr.Array) -> float | None:
    """Micrometres a pixel from attrs, or from an evenly spaced x axis with a unit of length."""
    stated = _number_attr(node, array, "pixel_um", "pixel_size_um")
    if stated is not None or not isinstance(node, zarr.Group) or "x" not in node:
        return stated
    x = node["x"]
    unit = str(x.attrs.get("units", ""))
    if not isinstance(x, zarr.Array) or x.ndim != 1 or len(x) < 2 or unit not in MICROMETRES:
        return None
    return float(abs(np.asarray(x[:2], float) @ [-1, 1])) * MICROMETRES[unit]


class _Truth(xr.backends.BackendArray):
    """Frames read as True where they are not 0, or the other way round."""

    def __init__(self, frames: StoredFrames, inverted: bool):
        self.frames, self.inverted = frames, inverted
        self.shape, self.dtype = frames.shape, np.dtype(bool)

    def __getitem__(self, key: Any) -> np.ndarray:
        return (self.frames[key] != 0) ^ self.inverted


def _mask_variable(
    mask: Any, node: Any, frames: StoredFrames, movie: int | None, label: str
) -> xr.Variable:
    if isinstance(mask, (str, Path)):
        word = str(mask).strip()
        inverted, word = word.startswith("~"), word.removeprefix("~")
        if isinstance(node, zarr.Group) and word in node:
            array = node[word]
        elif word.endswith(".npy") and Path(word).exists():
            return _mask_in_memory(np.load(word, mmap_mode="r") != 0, inverted, frames, label)
        elif Path(word).exists():
            array = open_node(word)
        else:
            held = list(node.array_keys()) if isinstance(node, zarr.Group) else []
            raise SlimeError(
                f"data.mask={mask}: {label} has no array {word!r} and there is no such file"
                f"{nearest(word, held)}"
            )
        if not isinstance(array, zarr.Array):
            raise SlimeError(f"data.mask={mask} is a group: name the array in it")
        if array.ndim == len(frames.axes):
            stored = StoredFrames(
                array, frames.axes, label=f"{label} (mask)", movie=movie, fill_missing=True
            )
            _check_mask_shape(stored.shape, frames, label)
            return lazy_variable(FRAME_AXES, _Truth(stored, inverted))
        return _mask_in_memory(np.asarray(array[:]) != 0, inverted, frames, label)
    return _mask_in_memory(np.asarray(mask) != 0, False, frames, label)


def _mask_in_memory(
    mask: np.ndarray, inverted: bool, frames: StoredFrames, label: str
) -> xr.Variable:
    dims = {2: ("y", "x"), 3: ("time", "y", "x"), 4: FRAME_AXES}.get(mask.ndim)
    if dims is None:
        raise SlimeError(
            f"data.mask of {label} has {mask.ndim} axes, but (y, x), (time, y, x) or "
            "(time, channel, y, x) is right"
        )
    size = dict(zip(FRAME_AXES, frames.shape, strict=True))
    _check_mask_shape(
        tuple(n if d in dims else size[d] for d, n in _sizes(dims, mask.shape)), frames, label
    )
    return xr.Variable(dims, np.asarray(mask, bool) ^ inverted)


def _sizes(dims: Sequence[str], shape: Sequence[int]) -> list[tuple[str, int]]:
    held = dict(zip(dims, shape, strict=True))
    return [(d, held.get(d, -1)) for d in FRAME_AXES]


def _check_mask_shape(shape: Sequence[int], frames: StoredFrames, label: str) -> None:
    if any(m not in (1, n) for m, n in zip(shape, frames.shape, strict=True)):
        raise SlimeError(
            f"data.mask of {label} has shape {tuple(shape)} where the movie has {frames.shape}"
        )


def nonfinite_error(movie: xr.DataArray, frames: Sequence[int], n_pixels: int) -> StoreError:
    """The refusal of NaN or infinite pixels in the given frames."""
    return StoreError(
        f"{movie.name}: {n_pixels} pixels are NaN or infinite, in {len(frames)} frames "
        f"({span_text(frames)}): mask them (data.mask), or write a store without them"
    )
