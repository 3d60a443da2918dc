"""A store as a lazy, checked movie: axes time, channel, y, x in the stored dtype."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import xarray as xr
import zarr
from xarray.core import indexing

from slime.axes import FRAME_AXES, Axis, stored_axes
from slime.calibration import check_even, check_positive, frame_times, pixel_size_um
from slime.channels import channel_names, picked_channels
from slime.contents import Contents, find_contents
from slime.errors import SlimeError
from slime.labels import experiment_of
from slime.lazy import BlankFrames, lazy_variable
from slime.masks import read_mask
from slime.positions import Picked, positions
from slime.store import MEMORY_BUDGET, StoredFrames


def open_movie(
    store: Any,
    *,
    variable: str | None = None,
    axes: str | Sequence[str] | None = None,
    channels: str | int | Sequence[str | int] | None = None,
    z: str | int = "max",
    mask: Any = None,
    frame_interval_s: float | int | None = None,
    pixel_um: float | int | None = None,
    experiment: str | None = None,
    movie: int | None = None,
    missing: str = "refuse",
    links: str = "refuse",
    memory_budget: int = MEMORY_BUDGET,
) -> xr.DataArray:
    """Open a store as a movie with axes (time, channel, y, x), lazily, in its stored dtype.

    Nothing but metadata and the time axis is read. Pixels come as stored: CF scale factors and
    fill values are not applied.

    Args:
        store: a path, a URL (file, http, https, s3, memory; `zip::` before it, or a name in .zip,
            for a zip file), or an open zarr array or group.
        variable: the array in a group that holds several, or a path to it; of an OME-Zarr the
            level, "0" (the finest) by default.
        axes: the meaning of each stored axis, "TCZYX" or "time,channel,z,y,x"; needed where the
            store does not name them and there are neither 3 (TYX) nor 5 (TCZYX).
        channels: names or numbers of the channels to keep.
        z: how the z axis is projected: "max", "mean" or the number of one slice.
        mask: True where a pixel counts: a variable of the same store ("~name" inverts it), a path
            to a .npy file or another zarr array, or an array; axes (y, x) or (time, y, x), or as
            the store's (see slime.masks).
        frame_interval_s: seconds between frames; replaces what the store says, also uneven times.
        pixel_um: micrometres a pixel; replaces what the store says.
        experiment: what the movie was filmed of; movies of one experiment never train and test
            each other. The file's stem without a subsampling suffix by default.
        movie: which one, where the store has an axis of movies.
        missing: "fill" reads lost chunks as the store's fill value instead of refusing.
        links: "follow" reads chunks that are links out of the store's folder.
        memory_budget: bytes that one chunk may decode to.

    Returns:
        A DataArray with coords `time` (s, where known), `channel`, `blank` (frames without chunks,
        lazy) and `mask` (where given, lazy), and attrs `frame_interval_s`, `pixel_um` (None where
        unknown), `experiment`.

    Raises:
        SlimeError: what is wrong with the store or the choice, and what would be right.
    """
    held = store if isinstance(store, Contents) else find_contents(store, variable, mask)
    array, label = held.array, held.label
    names = movie_axes(held, axes)
    n_movies = dict(zip(names, array.shape, strict=True)).get("movie")
    if n_movies is not None:
        movie = _chosen_movie(movie, n_movies, label)
        label = f"{label}[{movie}]" if n_movies > 1 else label
    known = channel_names(held, names)
    picked = picked_channels(channels, known, label)
    frames = StoredFrames(
        array,
        names,
        label=label,
        z=_checked_z(z, array, names, label),
        movie=movie,
        channels=picked,
        fill_missing=_is_second(missing, "missing", ("refuse", "fill")),
        follow_links=_is_second(links, "links", ("refuse", "follow")),
        memory_budget=memory_budget,
    )
    time_s, interval_s = frame_times(held, names, frame_interval_s)
    if pixel_um is None:
        pixel_um = pixel_size_um(held, names)
    coords: dict[str, Any] = {
        "channel": [known[i] for i in picked],
        "blank": lazy_variable(("time",), BlankFrames(frames)),
    }
    if time_s is not None:
        coords["time"] = ("time", time_s, {"units": "s"})
    if mask is not None:
        coords["mask"] = read_mask(mask, held.node, frames, label)
    opened = xr.DataArray(
        lazy_variable(FRAME_AXES, frames),
        coords=coords,
        name=label,
        attrs={
            "frame_interval_s": interval_s,
            "pixel_um": pixel_um,
            "experiment": experiment or experiment_of(label),
        },
    )
    return check_movie(opened)


def open_movies(store: Any, *, movie: int | None = None, **choices: Any) -> list[xr.DataArray]:
    """All movies of a store: one, or each along its axis of movies (`movie` picks one)."""
    held = find_contents(store, choices.get("variable"), choices.get("mask"))
    names = movie_axes(held, choices.get("axes"))
    n_movies = dict(zip(names, held.array.shape, strict=True)).get("movie", 1)
    wanted = range(n_movies) if movie is None and n_movies > 1 else [movie]
    return [open_movie(held, movie=i, **choices) for i in wanted]


def movie_axes(held: Contents, axes: str | Sequence[str] | None) -> tuple[Axis, ...]:
    """The meaning of the stored axes: by the user, else by OME-Zarr, else by the array's names.

    Raises:
        SlimeError: as slime.axes.stored_axes.
    """
    if axes is None and held.image is not None:
        axes = held.image.axes(held.array.ndim)
    return stored_axes(held.array, axes, held.label)


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
        check_even(movie["time"].values, label)
    for name in ("frame_interval_s", "pixel_um"):
        value = movie.attrs.get(name)
        if value is not None:
            check_positive(f"{label}: {name}", value)
    return movie


def every_nth(movie: xr.DataArray, n: int) -> xr.DataArray:
    """The movie with every n-th frame alone, as a slower camera films it; no pixel is read.

    The frame interval grows with it, where it is known.

    Raises:
        SlimeError: n below 1.
    """
    if n < 1:
        raise SlimeError(f"every {n}th frame: n must be at least 1")
    interval = movie.attrs.get("frame_interval_s")
    slower = {} if interval is None else {"frame_interval_s": n * interval}
    return movie.isel(time=slice(None, None, n)).assign_attrs(slower)


def stored_frames(movie: xr.DataArray) -> StoredFrames | None:
    """What a movie of open_movie reads from; None for arrays in memory, cut or changed movies."""
    source = stored_source(movie)
    return source.frames if source is not None and source.whole else None


class Source(NamedTuple):
    """The store that a movie is read from, and which of its positions along each axis."""

    frames: StoredFrames
    positions: tuple[Picked, ...]

    @property
    def whole(self) -> bool:
        """Whether the movie is all that the store holds."""
        shape = self.frames.shape
        return all(k == range(n) for k, n in zip(self.positions, shape, strict=True))


def stored_source(movie: xr.DataArray) -> Source | None:
    """Where the frames of a movie of open_movie lie, also of one cut along its axes; else None."""
    lazy = movie.variable._data  # xarray has no public way to see lazy data without reading it
    if not isinstance(lazy, indexing.LazilyIndexedArray):
        return None
    keys, frames = lazy.key.tuple, lazy.array
    if not isinstance(frames, StoredFrames) or any(isinstance(k, int) for k in keys):
        return None
    pairs = zip(keys, frames.shape, strict=True)
    return Source(frames, tuple(positions(k, n) for k, n in pairs))


def decoder(movie: xr.DataArray) -> str:
    """What decodes the movie's chunks: "direct", "zarrs" or "zarr" (-python), or "memory"."""
    source = stored_source(movie)
    return "memory" if source is None else source.frames.decoder.name


def _chosen_movie(movie: int | None, n_movies: int, label: str) -> int:
    if movie is None and n_movies > 1:
        raise SlimeError(f"{label} holds {n_movies} movies: choose data.movie=0 to {n_movies - 1}")
    movie = movie or 0
    if not 0 <= movie < n_movies:
        raise SlimeError(f"data.movie={movie}: {label} holds movies 0 to {n_movies - 1}")
    return movie


def _checked_z(z: str | int, array: zarr.Array, axes: Sequence[str], label: str) -> str | int:
    if "z" not in axes:
        if z not in ("max", "mean", 0, "0"):
            raise SlimeError(f"data.z={z!r}: {label} has no z axis")
        return "max"
    n = array.shape[list(axes).index("z")]
    if isinstance(z, str) and z.isdigit():
        z = int(z)
    if z in ("max", "mean") or (isinstance(z, int) and 0 <= z < n):
        return z
    raise SlimeError(f"data.z={z!r}: {label} has z slices 0 to {n - 1}; or max, or mean")


def _is_second(word: str, setting: str, choices: tuple[str, str]) -> bool:
    if word not in choices:
        raise SlimeError(f"data.{setting}={word!r} must be {choices[0]} or {choices[1]}")
    return word == choices[1]
