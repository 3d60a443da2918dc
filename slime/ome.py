"""What OME-Zarr says of an image: its levels, axes, steps, units and channels.

Versions 0.1 to 0.5 (https://ngff.openmicroscopy.org): the metadata lie in the attributes of the
group, since 0.5 under the key `ome`.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import zarr

from slime.axes import AXIS_OF
from slime.errors import StoreError

UNNAMED = ("t", "c", "z", "y", "x")  # the axes of versions before 0.3, always five


class Image(NamedTuple):
    """One level of an OME image: its metadata as stored, not yet trusted.

    Attributes:
        name: of the store, for messages.
        multiscale: the entry of `multiscales` that lists the level.
        level: its place in the list, 0 the finest.
        omero: what the store says of channels.
    """

    name: str
    multiscale: dict[str, Any]
    level: int
    omero: Any

    @property
    def path(self) -> str:
        """Where the level's array lies in the group."""
        return self.multiscale["datasets"][self.level]["path"]

    @property
    def n_levels(self) -> int:
        """Levels of the image."""
        return len(self.multiscale["datasets"])

    def axes(self, n_axes: int) -> list[str] | None:
        """The names of the stored axes; None where the store, of an early version, has none.

        Raises:
            StoreError: another number of axes than the array has, or no names.
        """
        held = self.multiscale.get("axes")
        if held is None:
            return list(UNNAMED) if n_axes == len(UNNAMED) else None
        words = [_axis_name(a) for a in held] if isinstance(held, list) else []
        if len(words) != n_axes or not all(words):
            raise StoreError(
                f"{self.name}: the OME metadata name the axes {_short(held)}, but the array has "
                f"{n_axes}: name them with data.axes"
            )
        return words

    def step(self, place: int, n_axes: int) -> float | None:
        """Units between two positions along an axis; None where the store does not say.

        Raises:
            StoreError: a scale that is not a positive number an axis.
        """
        scales = [s for _, s in self._transforms("scale", n_axes)]
        return math.prod((s[place] for s in scales), start=1.0) if scales else None

    def start(self, place: int, n_axes: int) -> float:
        """Where an axis begins, in its unit: each translation under the scales after it."""
        scales = self._transforms("scale", n_axes)
        moved = 0.0
        for turn, shift in self._transforms("translation", n_axes):
            moved += shift[place] * math.prod(s[place] for at, s in scales if at > turn)
        return moved

    def unit(self, place: int) -> str:
        """The unit of an axis, "" where there is none."""
        held = self.multiscale.get("axes")
        axis = held[place] if isinstance(held, list) and place < len(held) else None
        unit = axis.get("unit") if isinstance(axis, dict) else None
        return unit.strip().lower() if isinstance(unit, str) else ""

    def channels(self, n: int) -> list[str] | None:
        """The names of the channels, where there is one for each and no two are alike."""
        held = self.omero.get("channels") if isinstance(self.omero, dict) else None
        if not isinstance(held, list) or len(held) != n:
            return None
        names = [c.get("label") if isinstance(c, dict) else None for c in held]
        words = [name.strip() for name in names if isinstance(name, str)]
        return words if len(set(words)) == n and all(words) else None

    def _transforms(self, kind: str, n_axes: int) -> list[tuple[int, list[float]]]:
        """All transformations of a kind, the level's own first, each with its turn."""
        found = []
        own = self.multiscale["datasets"][self.level].get("coordinateTransformations")
        after = self.multiscale.get("coordinateTransformations")
        held = [
            *(own if isinstance(own, list) else ()),
            *(after if isinstance(after, list) else ()),
        ]
        for turn, transform in enumerate(held):
            if not isinstance(transform, dict) or transform.get("type") != kind:
                continue
            values: Any = transform.get(kind)
            if not _are_numbers(values, n_axes, above=0.0 if kind == "scale" else -math.inf):
                raise StoreError(
                    f"{self.name}: the OME metadata give the {kind} {_short(values or transform)}, "
                    f"but {n_axes} numbers are right: give data.frame_interval_s and data.pixel_um"
                )
            found.append((turn, [float(v) for v in values]))
        return found


def ome_attributes(group: zarr.Group) -> dict[str, Any]:
    """The attributes of a group that OME-Zarr defines, wherever its version keeps them."""
    attributes = dict(group.attrs)
    inner = attributes.get("ome")
    return inner if isinstance(inner, dict) else attributes


def image_of(group: zarr.Group, name: str, path: str | None = None) -> Image | None:
    """The image of a group at its finest level, or at that of this path; None where it has none.

    Raises:
        StoreError: the store says that it holds an image, but not where.
    """
    held = ome_attributes(group)
    scales = held.get("multiscales")
    if scales is None:
        return None
    if not isinstance(scales, list) or not scales or not all(_lists_levels(s) for s in scales):
        raise StoreError(
            f"{name}: the OME metadata list no levels ({_short(scales)}): choose an array with "
            "data.variable"
        )
    for scale in scales:
        for level, dataset in enumerate(scale["datasets"]):
            if path is None or dataset["path"].strip("/") == path.strip("/"):
                return Image(name, scale, level, held.get("omero"))
    return None


def members(group: zarr.Group, name: str) -> list[str]:
    """The paths of the images that a plate, a well or a bioformats2raw layout says it holds.

    Raises:
        StoreError: a plate, of which one image must be named.
    """
    held = ome_attributes(group)
    plate, well = held.get("plate"), held.get("well")
    if isinstance(plate, dict):
        wells = _paths(plate.get("wells"))
        first = wells[0] if wells else "A/1"
        raise StoreError(
            f"{name} is a plate of {len(wells)} wells: name one image, for instance "
            f"data.variable={first}/0, or this path after the store's"
        )
    return _paths(well.get("images")) if isinstance(well, dict) else []


def _paths(held: Any) -> list[str]:
    entries = held if isinstance(held, list) else []
    paths = [e.get("path") for e in entries if isinstance(e, dict)]
    return [p for p in paths if isinstance(p, str) and p]


def _lists_levels(scale: Any) -> bool:
    datasets = scale.get("datasets") if isinstance(scale, dict) else None
    return (
        isinstance(datasets, list)
        and bool(datasets)
        and all(isinstance(d, dict) and isinstance(d.get("path"), str) for d in datasets)
    )


def _axis_name(axis: Any) -> str:
    """An axis's own name, or its type where only that is known."""
    if isinstance(axis, str):
        return axis
    name = axis.get("name") if isinstance(axis, dict) else None
    if not isinstance(name, str):
        return ""
    kind = axis.get("type")
    return kind if name.lower() not in AXIS_OF and kind in ("time", "channel") else name


def _are_numbers(values: Any, n: int, *, above: float) -> bool:
    return (
        isinstance(values, Sequence)
        and not isinstance(values, str)
        and len(values) == n
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        and all(abs(v) < 1e300 and v > above for v in values)
    )


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
