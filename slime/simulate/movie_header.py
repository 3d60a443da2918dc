"""What is known of a movie before its first frame, and how it is compared with a store."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import zarr

NOT_COMPARED = ("steps",)  # why its steps are compiled or not
BEFORE = {"compiled": False}  # what stores say nothing of that were written before it was a choice


@dataclass(frozen=True)
class MovieHeader:
    """All that is known of a movie before its first frame; a half-made store must agree with it."""

    n_frames: int
    height_px: int
    width_px: int
    channels: tuple[str, ...]
    frame_interval_s: float
    pixel_um: float
    experiment: str
    seed: int
    parameters: dict[str, Any] = field(default_factory=dict)  # plain JSON
    frames_per_chunk: int = 16

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The lengths of time, channel, y and x."""
        return self.n_frames, len(self.channels), self.height_px, self.width_px

    def attributes(self) -> dict[str, Any]:
        """The header as the attributes of the store's group."""
        return {"written_by": "slime", **json.loads(json.dumps(asdict(self)))}


def stored_attributes(store: Path) -> dict[str, Any]:
    """The attributes of a group of zarr version 3; empty where there is none."""
    if not (store / "zarr.json").exists():
        return {}
    return dict(zarr.open(store, mode="r").attrs)


def first_difference(attributes: dict[str, Any], header: MovieHeader) -> str:
    """The first setting in which a store's attributes differ from a header, or nothing.

    >>> header = MovieHeader(4, 8, 8, ("cells",), 15.0, 50.0, "dish", seed=1)
    >>> first_difference(header.attributes() | {"seed": 2}, header)
    'seed = 2, not 1'
    """
    stored, asked = BEFORE | _flat(attributes), _flat(header.attributes())
    for name, value in asked.items():
        if name not in NOT_COMPARED and stored.get(name) != value:
            return f"{name} = {stored.get(name, 'nothing')}, not {value}"
    return ""


def was_compiled(attributes: dict[str, Any]) -> bool | None:
    """Whether a store was made with compiled steps; None of attributes that are empty."""
    return (BEFORE | _flat(attributes))["compiled"] if attributes else None


def told_steps(store: Path) -> str:
    """How the steps of a movie were computed, and why so, as its attributes tell."""
    return f"steps by {_flat(stored_attributes(store)).get('steps', 'torch')}"


def _flat(attributes: dict[str, Any]) -> dict[str, Any]:
    """Nested attributes in one level; no two settings of a movie share a name."""
    flat: dict[str, Any] = {}
    for name, value in attributes.items():
        flat |= _flat(value) if isinstance(value, dict) else {name: value}
    return flat
