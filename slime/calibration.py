"""Seconds a frame and micrometres a pixel, as a store tells them."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Float

from slime.axes import Axis, coordinate, values_of
from slime.contents import Contents
from slime.errors import SlimeError, TimeAxisError, one_line, quoted
from slime.ome import Image

SECONDS = {
    unit: value
    for units, value in (
        ("s sec second seconds", 1.0),
        ("ns nanosecond nanoseconds", 1e-9),
        ("us µs microsecond microseconds", 1e-6),
        ("ms millisecond milliseconds", 1e-3),
        ("min minute minutes", 60.0),
        ("h hr hour hours", 3600.0),
        ("d day days", 86400.0),
    )
    for unit in units.split()
}
MICROMETRES = {
    unit: value
    for units, value in (
        ("um µm μm micrometer micrometre micrometers micrometres micron microns", 1.0),
        ("nm nanometer nanometre nanometers nanometres", 1e-3),
        ("mm millimeter millimetre millimeters millimetres", 1e3),
        ("angstrom angstroms", 1e-4),
        ("pm picometer picometre", 1e-6),
        ("cm centimeter centimetre", 1e4),
        ("m meter metre meters metres", 1e6),
    )
    for unit in units.split()
}
COUNTERS = ("frame", "frames", "index", "1")  # units of a time axis that only counts frames
UNEVEN = 0.01  # a step this share away from the median is uneven


def frame_times(
    held: Contents, axes: Sequence[str], frame_interval_s: float | int | None
) -> tuple[Float[np.ndarray, " t"] | None, float | None]:
    """Times in s and their interval: by the user, else OME-Zarr, else the time axis, else attrs.

    A time axis without units counts as seconds, unless it only counts frames (0, 1, 2, ...).

    Raises:
        TimeAxisError: times of another length than the movie, in an unknown unit, or uneven.
        SlimeError: an interval that is not above 0.
    """
    node, array, label = held.node, held.array, held.label
    n_frames = array.shape[list(axes).index("time")]
    if frame_interval_s is not None:
        check_positive("data.frame_interval_s", frame_interval_s)
        return np.arange(n_frames) * float(frame_interval_s), float(frame_interval_s)
    if held.image is not None and (stated := _ome_times(held.image, axes, label)) is not None:
        start, interval = stated
        return start + np.arange(n_frames) * interval, interval
    stored = coordinate(node, array, axes, "time")
    if stored is not None and stored.dtype.kind in "uifmM":
        if stored.size != n_frames:
            raise TimeAxisError(
                f"{label} has {n_frames} frames, but {stored.size} times: give "
                "data.frame_interval_s to go by frame numbers instead"
            )
        times = _seconds(stored, label)
        if times is not None:
            check_even(times, label)
            if n_frames > 1:
                return times, float(np.median(np.diff(times)))
            return times, number_attr(held, "frame_interval_s")
    interval = number_attr(held, "frame_interval_s")
    return (None, None) if interval is None else (np.arange(n_frames) * interval, interval)


def _ome_times(image: Image, axes: Sequence[str], label: str) -> tuple[float, float] | None:
    """Start and interval in s by OME-Zarr; None where its time axis only counts frames."""
    place = list(axes).index("time")
    step, unit = image.step(place, len(axes)), image.unit(place)
    if step is None or unit in COUNTERS or (not unit and step == 1):
        return None
    if unit and unit not in SECONDS:
        raise _unknown_unit(unit, label)
    factor = SECONDS.get(unit, 1.0)
    return image.start(place, len(axes)) * factor, step * factor


def _unknown_unit(unit: str, label: str) -> TimeAxisError:
    return TimeAxisError(
        f"{label}: time is in {quoted(unit)}, which is none of {', '.join(SECONDS)}: give "
        "data.frame_interval_s"
    )


def _seconds(stored: zarr.Array, label: str) -> Float[np.ndarray, " t"] | None:
    """A stored time axis in seconds; None where it only counts frames."""
    unit = str(stored.attrs.get("units", "")).strip()
    coord = xr.Variable(("time",), values_of(stored, label), dict(stored.attrs))
    if " since " in unit:
        try:
            coord = xr.decode_cf(xr.Dataset({"time": coord}))["time"].variable
        except Exception as error:  # pandas and cftime refuse in many ways
            raise TimeAxisError(
                f"{label}: time in {quoted(unit)} cannot be understood ({one_line(error)}): give "
                "data.frame_interval_s"
            ) from error
    values = coord.values
    if values.dtype.kind in "mM":
        return (values - values[0]) / np.timedelta64(10**9, "ns")
    times = values.astype(float)
    if unit in COUNTERS or (not unit and np.array_equal(times - times[:1], np.arange(len(times)))):
        return None
    if unit and unit not in SECONDS:
        raise _unknown_unit(unit, label)
    return times * SECONDS.get(unit, 1.0)


def check_positive(name: str, value: Any) -> None:
    """Refuse a size or an interval that is no positive, finite number.

    Raises:
        SlimeError: names it.
    """
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    if not 0 < number < math.inf:
        raise SlimeError(f"{name}={value!r} must be above 0 and finite")


def check_even(times: Float[np.ndarray, " t"], label: str) -> None:
    """Refuse times that do not rise evenly, naming the first place.

    Raises:
        TimeAxisError: a step is not positive, or more than 1 % away from the median step.
    """
    if len(times) < 2:
        return
    steps = np.diff(times)
    known = steps[np.isfinite(steps)]
    usual = np.median(known) if len(known) else np.nan
    odd = ~((np.abs(steps - usual) <= UNEVEN * np.abs(usual)) & (steps > 0))
    if odd.any():
        at = int(np.flatnonzero(odd)[0])
        raise TimeAxisError(
            f"{label}: time is uneven, first from frame {at} to {at + 1} ({times[at]:.10g} to "
            f"{times[at + 1]:.10g} s, where {usual:g} s is usual; {odd.sum()} such steps): "
            "give data.frame_interval_s to go by frame numbers instead"
        )


def number_attr(held: Contents, *names: str) -> float | None:
    """The first of these attributes that is a positive number, the array's before the group's.

    Those of a group of levels tell of the finest one alone.
    """
    coarse = held.image is not None and held.image.level > 0
    for attrs in (held.array.attrs,) if coarse else (held.array.attrs, held.node.attrs):
        for name in names:
            value: Any = attrs.get(name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if is_number and value > 0 and math.isfinite(value):
                return float(value)
    return None


def pixel_size_um(held: Contents, axes: Sequence[str]) -> float | None:
    """Micrometres a pixel by OME-Zarr, attrs, or evenly spaced y and x axes with a unit of length.

    Raises:
        SlimeError: pixels are not square.
    """
    node, array, label = held.node, held.array, held.label
    sides: tuple[Axis, Axis] = ("x", "y")
    spacing = [_ome_um(held.image, axes, axis) if held.image else None for axis in sides]
    if not any(spacing):
        stated = number_attr(held, "pixel_um", "pixel_size_um")
        if stated is not None:
            return stated
        n = dict(zip(axes, array.shape, strict=True))
        positions = {axis: coordinate(node, array, axes, axis) for axis in sides}
        spacing = [_spacing_um(positions[axis], n[axis], label) for axis in sides]
    x_um, y_um = spacing
    if x_um and y_um and abs(x_um - y_um) > UNEVEN * x_um:
        raise SlimeError(
            f"{label}: pixels are not square ({x_um:g} um along x, {y_um:g} along y): give "
            "data.pixel_um to take them as square"
        )
    return x_um or y_um


def _ome_um(image: Image, axes: Sequence[str], axis: Axis) -> float | None:
    place = list(axes).index(axis)
    unit = image.unit(place)
    if unit not in MICROMETRES:
        return None
    step = image.step(place, len(axes))
    return None if step is None else step * MICROMETRES[unit]


def _spacing_um(positions: zarr.Array | None, n: int, label: str) -> float | None:
    if positions is None or positions.size != n or n < 2 or positions.dtype.kind not in "uif":
        return None
    unit = str(positions.attrs.get("units", "")).strip()
    steps = np.diff(values_of(positions, label).astype(float))
    usual = float(np.median(steps))
    if unit not in MICROMETRES or not abs(usual) > 0:
        return None
    even = (np.abs(steps - usual) <= UNEVEN * abs(usual)).all()
    return abs(usual) * MICROMETRES[unit] if even else None
