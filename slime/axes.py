"""The meaning of a store's axes: from the user, the store's names, or their number."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import zarr

from slime.errors import SlimeError, StoreError, one_line, quoted

Axis = Literal["movie", "time", "channel", "z", "y", "x"]
FRAME_AXES = ("time", "channel", "y", "x")
ALIASES: dict[Axis, tuple[str, ...]] = {
    "movie": ("movie", "m", "sample", "trajectory", "n"),
    "time": ("time", "t", "frame", "frames"),
    "channel": ("channel", "c", "channels", "ch", "band"),
    "z": ("z", "depth", "plane", "slice"),
    "y": ("y", "row", "rows", "height", "h"),
    "x": ("x", "column", "columns", "col", "width", "w"),
}
AXIS_OF: dict[str, Axis] = {alias: axis for axis, aliases in ALIASES.items() for alias in aliases}
MOST_BYTES = 512 << 20  # of the positions along an axis
EXAMPLES = {  # for 3 axes: time,y,x
    4: "time,channel,y,x",
    5: "time,channel,z,y,x",
    6: "movie,time,channel,z,y,x",
}
UNNAMED: dict[int, tuple[Axis, ...]] = {
    3: ("time", "y", "x"),
    5: ("time", "channel", "z", "y", "x"),
}


def stored_axes(
    array: zarr.Array, axes: str | Sequence[str] | None, label: str
) -> tuple[Axis, ...]:
    """The meaning of each stored axis.

    Raises:
        SlimeError: the axes are unnamed and neither 3 nor 5, or the names are not a movie's.
    """
    words = axis_words(axes) if axes is not None else stored_names(array)
    return named_axes(words, array.shape, label)


def named_axes(words: Sequence[str] | None, shape: Sequence[int], label: str) -> tuple[Axis, ...]:
    """The axes that these words mean, one a stored axis; None goes by the number of axes.

    Raises:
        SlimeError: as `stored_axes`.
    """
    if words is None:
        if len(shape) not in UNNAMED:
            raise SlimeError(
                f"{label} has {len(shape)} axes {tuple(shape)} without names: say what they are, "
                f"for instance data.axes={EXAMPLES.get(len(shape), 'time,y,x')}"
                + (" (a movie needs at least time, y and x)" if len(shape) < 3 else "")
            )
        return UNNAMED[len(shape)]
    if len(words) != len(shape):
        raise SlimeError(
            f"data.axes={','.join(words)} names {len(words)} axes, but {label} has {len(shape)}: "
            f"{tuple(shape)}"
        )
    names = [AXIS_OF.get(w.lower()) for w in words]
    for word, name in zip(words, names, strict=True):
        if name is None:
            raise SlimeError(
                f"{label}: axis {quoted(word)} is none of movie, time, channel, z, y, x: name the "
                f"axes with these words in data.axes, one for each of {tuple(shape)}, for instance "
                f"data.axes={EXAMPLES.get(len(shape), 'time,y,x')}"
            )
    if not {"time", "y", "x"} <= set(names) or len(set(names)) < len(names):
        raise SlimeError(
            f"{label} has axes {','.join(words)}, but a movie needs time, y and x, each axis once: "
            "name them with data.axes"
        )
    return cast("tuple[Axis, ...]", tuple(names))


def stored_names(array: zarr.Array) -> list[str] | None:
    """The store's own names of an array's axes, where it gives one to each."""
    named: Any = getattr(array.metadata, "dimension_names", None)
    named = named or array.attrs.get("_ARRAY_DIMENSIONS")
    if not isinstance(named, (list, tuple)) or not named or not all(named):
        return None
    return [str(w) for w in named]


def check_attributes(node: Any, label: str) -> None:
    """Refuse attributes that are no mapping of names.

    Raises:
        StoreError: names what they are.
    """
    held = node.metadata.attributes
    if not isinstance(held, Mapping):
        raise StoreError(
            f"{label}: the attributes are {type(held).__name__}, but must be names with values: "
            "the metadata are damaged"
        )


def coordinate(node: Any, array: zarr.Array, axes: Sequence[str], axis: Axis) -> zarr.Array | None:
    """The array of a group that holds the positions along an axis, under the axis's own name.

    Raises:
        StoreError: there is one, but its metadata cannot be read.
    """
    if not isinstance(node, zarr.Group):
        return None
    names = stored_names(array)
    if names is None or len(names) != len(axes) or axis not in axes:
        names = [str(a) for a in axes]
    name = names[list(axes).index(axis)] if axis in axes else axis
    for word in dict.fromkeys((name, axis)):
        if set(word.split("/")) & {"", ".", ".."}:
            continue
        try:
            found = node.get(word)
        except Exception as error:
            raise StoreError(f"{axis} axis {word!r} cannot be read ({one_line(error)})") from error
        if found is not None:
            check_attributes(found, f"{axis} axis {word!r}")
            return found if isinstance(found, zarr.Array) and found.ndim == 1 else None
    return None


def values_of(array: zarr.Array, label: str) -> np.ndarray:
    """All values of a small array, such as the positions along an axis.

    Raises:
        StoreError: it is not small, cannot be read, or would run code that it holds (pickles).
    """
    nbytes = array.size * max(array.dtype.itemsize, 1)
    metadata: Any = array.metadata
    codecs = [*(getattr(metadata, "filters", None) or ()), getattr(metadata, "compressor", None)]
    if any(getattr(codec, "codec_id", None) == "pickle" for codec in codecs):
        raise StoreError(f"{label}: {array.path!r} holds pickled objects, which are never loaded")
    if nbytes > MOST_BYTES:
        raise StoreError(
            f"{label}: {array.path!r} claims {array.shape} of {array.dtype}, more than an axis of "
            "any movie holds: its metadata are damaged"
        )
    try:
        return np.asarray(array[:])
    except Exception as error:
        raise StoreError(f"{label}: {array.path!r} cannot be read ({one_line(error)})") from error


def axis_words(axes: str | Sequence[str]) -> list[str]:
    """The words of a user's "TCZYX" or "time,channel,y,x"."""
    if not isinstance(axes, str):
        return [str(a) for a in axes]
    words = axes.replace(",", " ").split()
    return words if len(words) > 1 else list(axes.strip())
