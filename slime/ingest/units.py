"""Units as microscopes' files write them."""

from typing import Any

from slime.calibration import MICROMETRES, SECONDS, UNEVEN
from slime.errors import SlimeError

MORE_LENGTHS = {"cm": 1e4, "m": 1e6, "pm": 1e-6}


def seconds(value: Any, unit: str | None = "s") -> float | None:
    """A duration in s; None where it is no positive number or its unit is unknown."""
    return _scaled(value, SECONDS.get(_plain(unit) or "s"))


def micrometres(value: Any, unit: str | None = "um") -> float | None:
    """A length in um; None where it is no positive number or its unit is unknown."""
    word = _plain(unit) or "um"
    return _scaled(value, MICROMETRES.get(word, MORE_LENGTHS.get(word)))


def square_pixel_um(x_um: float | None, y_um: float | None, label: str) -> float | None:
    """The side of a pixel.

    Raises:
        SlimeError: pixels are not square.
    """
    if x_um and y_um and abs(x_um - y_um) > UNEVEN * x_um:
        raise SlimeError(
            f"{label}: pixels are not square ({x_um:g} um along x, {y_um:g} along y): give "
            "pixel_um to take them as square"
        )
    return x_um or y_um


def _plain(unit: str | None) -> str:
    return (unit or "").replace("\\u00B5", "µ").strip()


def _scaled(value: Any, factor: float | None) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number * factor if factor and 0 < number < float("inf") else None
