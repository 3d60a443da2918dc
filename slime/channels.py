"""The channels of a store: what they are called, and which are wanted."""

from collections.abc import Sequence
from typing import Any

from slime.axes import coordinate, values_of
from slime.contents import Contents
from slime.errors import SlimeError, StoreError, nearest

MOST_CHANNELS = 10_000


def channel_names(held: Contents, axes: Sequence[str]) -> list[str]:
    """A name for each stored channel: OME-Zarr's, those of a coordinate, else numbers.

    Raises:
        StoreError: more channels than any movie has.
    """
    n = dict(zip(axes, held.array.shape, strict=True)).get("channel", 1)
    if n > MOST_CHANNELS:
        raise StoreError(
            f"{held.label} of shape {held.array.shape} has {n} channels: above {MOST_CHANNELS} the "
            "axes are named wrongly (data.axes), or the metadata are damaged"
        )
    named = held.image.channels(n) if held.image is not None else None
    if named is not None:
        return named
    names = coordinate(held.node, held.array, axes, "channel") if "channel" in axes else None
    if names is None or names.shape != (n,):
        return [str(i) for i in range(n)]
    values = values_of(names, held.label).tolist()
    return [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values]


def picked_channels(channels: Any, names: list[str], label: str) -> list[int]:
    """The places of the channels that the user names or numbers; all by default.

    Raises:
        SlimeError: no such channel, or one twice.
    """
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
    if len(set(picked)) < len(picked) or not picked:
        raise SlimeError(f"data.channels={wanted} of {label} must name channels, each once")
    return picked
