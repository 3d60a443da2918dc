"""Which array of a store is the movie, and what lies beside it and tells of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import zarr

from slime.axes import check_attributes
from slime.errors import SlimeError, StoreError, nearest, one_line, quoted
from slime.labels import inside_store, store_label
from slime.nodes import open_node
from slime.ome import Image, image_of, members
from slime.places import local_path, parent_place, steps_of
from slime.zipped import ROOTS

MOST_LISTED = 8  # names in a message


class Contents(NamedTuple):
    """The array of a movie and what is known of it.

    Attributes:
        node: the group that it lies in, or itself; its attributes and coordinates tell of it.
        label: the store's name in messages.
        image: what OME-Zarr says, where the store is one.
    """

    array: zarr.Array
    node: zarr.Array | zarr.Group
    label: str
    image: Image | None = None


def find_contents(store: Any, variable: str | None, mask: Any = None) -> Contents:
    """The array that a store, or a path in one, means, or the user names.

    An OME-Zarr gives its finest level; `variable`, or the path behind the store's, names another.

    Raises:
        SlimeError: several arrays or images may be meant, or none is there.
    """
    node = open_node(store)
    label = store_label(store, node)
    check_attributes(node, label)
    if isinstance(node, zarr.Array):
        if variable:
            raise SlimeError(f"{label} is one bare array: data.variable={variable!r} names none")
        return _numeric(_with_parent(store, node, label))
    if variable:
        return _numeric(_named(node, str(variable), label))
    return _numeric(_meant(node, label, mask))


def _meant(group: zarr.Group, label: str, mask: Any) -> Contents:
    """The movie of a group in which the user has named nothing."""
    image = image_of(group, label)
    if image is not None:
        return _level(group, image, label)
    paths = members(group, label)
    found = {} if paths else dict(_arrays(group, label))
    masking = mask.strip().removeprefix("~") if isinstance(mask, str) else None
    movies = [n for n, a in found.items() if a.ndim >= 3 and a.dtype.kind in "uif" and n != masking]
    if len(movies) == 1:
        return Contents(found[movies[0]], group, label)
    if movies:
        raise SlimeError(
            f"{label} has several arrays that may be the movie: choose data.variable="
            f"{_choices(movies)}"
        )
    images = paths or _images(group, label)
    if len(images) == 1:
        return _named(group, images[0], label)
    if images:
        raise SlimeError(
            f"{label} holds {len(images)} images: choose data.variable={_choices(images)}"
        )
    held = ", ".join(f"{n} {a.shape} {a.dtype}" for n, a in found.items())
    raise StoreError(f"{label} has no array of numbers with 3 or more axes ({held or 'no array'})")


def _named(group: zarr.Group, path: str, label: str) -> Contents:
    """The movie at a path in a group: an array, a level of an image, or an image's finest level.

    Levels also go by number.
    """
    found = member(group, path, label)
    if isinstance(found, zarr.Group):
        inner = _meant(found, f"{label}[{path.strip('/')}]", None)
        return inner._replace(label=f"{label}[{path.strip('/')}]")
    image = image_of(group, label) if found is None and path.isdecimal() else None
    if image is not None and int(path) < image.n_levels:  # levels may be called s0, s1, ...
        return _level(group, image._replace(level=int(path)), label)
    if found is None:
        held = [name for name, _ in _arrays(group, label)]
        raise SlimeError(
            f"{label} has no array {path!r}, but {', '.join(held[:MOST_LISTED]) or 'none at all'}"
            f"{nearest(path, held)}"
        )
    above, _, last = path.strip("/").rpartition("/")
    owner = member(group, above, label) if above else group
    if not isinstance(owner, zarr.Group):
        return Contents(found, found, label)
    own = f"{label}[{above}]" if above else label
    image = image_of(owner, own, last)
    return Contents(found, owner, own if image is not None or not above else label, image)


def _level(group: zarr.Group, image: Image, label: str) -> Contents:
    found = member(group, image.path, label)
    if not isinstance(found, zarr.Array):
        raise StoreError(
            f"{label}: the OME metadata name a level {quoted(image.path)}, but there is no such "
            "array"
        )
    return Contents(found, group, label, image)


def _with_parent(store: Any, array: zarr.Array, label: str) -> Contents:
    """A bare array with the group that it lies in, where the path leads into a store."""
    place, parent = array.store_path, None
    above, _, last = place.path.rpartition("/")
    if place.path:
        parent = _group_or_none(zarr.open_group, place.store, path=above, mode="r")
    elif isinstance(store, (str, Path)) and _leads_inside(store):
        last = steps_of(store)[-1]
        parent = _group_or_none(open_node, parent_place(store))
    if parent is None:
        return Contents(array, array, label)
    image = image_of(parent, label, last)
    if image is not None:
        label = label.removesuffix(f"[{last}]").replace(f"/{last}]", "]")
    return Contents(array, parent, label, image)


def _leads_inside(store: str | Path) -> bool:
    path = local_path(store)
    beside = path is not None and any((path.parent / name).exists() for name in ROOTS)
    return beside or inside_store(steps_of(store))


def _group_or_none(opening: Any, *args: Any, **choices: Any) -> zarr.Group | None:
    try:
        found = opening(*args, **choices)
    except Exception:  # no group there that can be read: the array stands alone
        return None
    if not isinstance(found, zarr.Group):
        return None
    check_attributes(found, "the group above the array")
    return found


def member(group: zarr.Group, path: str, label: str) -> zarr.Array | zarr.Group | None:
    """What lies at a path in a group, None for nothing.

    Raises:
        StoreError: the path leads out of the group, or what lies there cannot be read.
    """
    if any(step in (".", "..") for step in path.replace("\\", "/").split("/")):
        raise StoreError(f"{label}: {path!r} leads out of the store")
    try:
        found = group.get(path.strip("/"))
    except Exception as error:
        raise StoreError(f"{label}: {path!r} cannot be read ({one_line(error)})") from error
    if not isinstance(found, (zarr.Array, zarr.Group)):
        return None
    check_attributes(found, f"{label}: {path!r}")
    return found


def _arrays(group: zarr.Group, label: str) -> Iterable[tuple[str, zarr.Array]]:
    try:
        return sorted(group.arrays())
    except Exception as error:
        raise StoreError(
            f"{label}: an array in the store cannot be read ({one_line(error)}): name the movie's "
            "with data.variable"
        ) from error


def _images(group: zarr.Group, label: str) -> list[str]:
    """The names of the groups in a group that hold an image each, as bioformats2raw lays them."""
    try:
        inner = sorted(group.groups())
        for name, group in inner:
            check_attributes(group, f"{label}: {name!r}")
        return [name for name, g in inner if image_of(g, label) is not None]
    except SlimeError:
        raise
    except Exception as error:
        raise StoreError(
            f"{label}: a group in the store cannot be read ({one_line(error)}): name the movie's "
            "with data.variable"
        ) from error


def _choices(names: list[str]) -> str:
    more = f" (or {len(names) - MOST_LISTED} more)" if len(names) > MOST_LISTED else ""
    return " or ".join(names[:MOST_LISTED]) + more


def _numeric(found: Contents) -> Contents:
    array, label = found.array, found.label
    check_attributes(array, label)
    if array.dtype.kind not in "uifb":
        raise StoreError(f"{label} holds {array.dtype}, but pixels must be real numbers")
    return found
