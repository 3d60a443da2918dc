"""Settings of a world that carry their meaning, so that a command line can list them."""

from collections.abc import Iterator, Sequence
from dataclasses import Field, field, fields
from typing import Any, NamedTuple

from slime.errors import SlimeError, nearest


class Setting(NamedTuple):
    """One setting as a user sees it."""

    name: str
    default: Any
    meaning: str


def setting(default: int | float, meaning: str) -> Any:
    """A dataclass field with a default and what it means, its unit included."""
    return field(default=default, metadata={"meaning": meaning})


def list_fields(owners: Sequence[type]) -> Iterator[Setting]:
    """Every setting of some dataclasses, in their order."""
    for owner in owners:
        for one in fields(owner):
            yield Setting(one.name, one.default, one.metadata["meaning"])


def sort_settings(
    settings: dict[str, Any], owners: Sequence[type], *, others: Sequence[str] = ()
) -> list[Any]:
    """One instance of each dataclass, from settings that each belong to one of them.

    Args:
        others: names that the caller knows beside, for the hint on a mistyped one.

    Raises:
        SlimeError: a setting belongs to none, or is not of its default's kind.
    """
    known = {one.name: one for owner in owners for one in fields(owner)}
    typed = {}
    for name, value in settings.items():
        if name not in known:
            raise SlimeError(f"there is no setting {name!r}{nearest(name, [*known, *others])}")
        typed[name] = _typed(known[name], value)
    return [
        owner(**{one.name: typed[one.name] for one in fields(owner) if one.name in typed})
        for owner in owners
    ]


def _typed(one: Field, value: Any) -> int | float:
    """The value as the kind its default has; a whole number will do for a fractional one."""
    kind = int if isinstance(one.default, int) else float
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (kind is int and value % 1 != 0):
        expected = "whole number" if kind is int else "number"
        raise SlimeError(f"{one.name} is {value!r}; it must be a {expected}")
    return kind(value)


def check_range(
    owner: Any,
    names: str,
    *,
    above: int | float | None = None,
    at_least: int | float | None = None,
    below: int | float = float("inf"),
    at_most: int | float | None = None,
) -> None:
    """Refuse a setting outside its range; `names` are separated by spaces.

    Raises:
        SlimeError: names the setting, its value and the range. NaN is in no range.
    """
    for name in names.split():
        value = getattr(owner, name)
        low_is_right = value > above if above is not None else value >= at_least
        high_is_right = value < below if at_most is None else value <= at_most
        if not (low_is_right and high_is_right):
            low = f"above {above}" if above is not None else f"at least {at_least}"
            high = f"below {below}" if at_most is None else f"at most {at_most}"
            raise SlimeError(f"{name} is {value}; it must be a number {low} and {high}")
