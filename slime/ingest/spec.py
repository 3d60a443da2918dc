"""What a user may choose about a conversion; what is not chosen changes no pixel."""

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from slime.errors import SlimeError
from slime.settings import setting


@dataclass(frozen=True)
class IngestSpec:
    """The choices of one conversion."""

    out: str = setting("", "the store to write, a new folder PATH.zarr")
    variable: str | None = setting(
        None, "array of a file that holds several; fields of The Well as NAME,NAME are channels"
    )
    axes: str | None = setting(
        None, "meaning of the stored axes, TCZYX or time,channel,z,y,x; of one file where several"
    )
    channels: str | None = setting(None, "names or numbers to keep, 0,2; all by default")
    z: str = setting("max", "projection of the z axis: max, mean or the number of a slice")
    movie: int | None = setting(None, "which movie, where a file holds several")
    pattern: str | None = setting(
        None, "files of a folder: '*.tif', or 'a_t{t}_c{c}_z{z}.png' where names tell the axes"
    )
    frames: str | None = setting(None, "which frames, START:STOP or START:STOP:STEP")
    crop: str | None = setting(None, "which pixels, Y0:Y1,X0:X1")
    frame_interval_s: float | None = setting(
        None, "seconds between two frames of the source; replaces what it says"
    )
    pixel_um: float | None = setting(None, "micrometres a pixel; replaces what the source says")
    experiment: str | None = setting(None, "what was filmed; the source's name by default")
    missing: Literal["refuse", "fill"] = setting("refuse", "lost chunks of a zarr source")
    dtype: str | None = setting(
        None, "stored type; the source's by default. Values beyond its range are refused"
    )
    dark: str | None = setting(
        None, "dark frame to subtract: an image, or one number; the result is float32"
    )
    flat: str | None = setting(
        None,
        "flat field to divide by: an image, or estimate (the blurred mean of all frames, later "
        "ones too); the result is float32",
    )
    flat_sigma_px: float | None = setting(
        None, "width of that blur; an eighth of the shorter side by default"
    )
    bleach: Literal["none", "ratio", "exponential"] = setting(
        "none",
        "each frame scaled to the mean of the first: by its own mean, or by a decay fitted over "
        "all frames, which uses later frames; the result is float32",
    )
    registration: Literal["none", "first", "previous"] = setting(
        "none",
        "shift each frame onto the first, or step by step onto the one before; cropped to what "
        "all frames show, which is known only at the end",
    )
    registration_upsample: int = setting(
        1, "1 shifts by whole pixels and changes no value; 20 to a twentieth, in float32"
    )
    registration_method: Literal["correlation", "phase"] = setting(
        "correlation",
        "how shifts are found; phase weighs all scales alike, noise too, for clean pictures in "
        "uneven light",
    )
    registration_channel: str | None = setting(None, "by which channel; the first by default")
    chunk_frames: int | None = setting(None, "whole frames a chunk; 8 to 16 by default")
    shard_frames: int | None = setting(None, "frames a file; about 50 by default")
    hash: Literal["sample", "full"] = setting(
        "sample", "how the source is fingerprinted: parts of large files, or every byte"
    )
    memory_gib: float = setting(2.0, "memory for pixels, GiB; a worker holds one block")

    def __post_init__(self) -> None:
        if not self.out:
            raise SlimeError("say where the store goes: out=PATH.zarr")
        for name in ("frame_interval_s", "pixel_um", "memory_gib", "flat_sigma_px"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SlimeError(f"{name}={value} must be above 0 and finite")
        for name in ("chunk_frames", "shard_frames", "registration_upsample"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SlimeError(f"{name}={value} must be at least 1")
        if self.flat_sigma_px is not None and self.flat != "estimate":
            raise SlimeError("flat_sigma_px is the blur of flat=estimate, which is not chosen")
        if self.dtype is not None:
            checked_dtype(self.dtype)
        self.frame_range(1)
        self.crop_ranges(1, 1)

    @property
    def memory_budget(self) -> int:
        """Bytes."""
        return int(self.memory_gib * (1 << 30))

    def frame_range(self, n_frames: int) -> range:
        """The frames taken of `n_frames`; negative numbers count from the end.

        Raises:
            SlimeError: not START:STOP[:STEP], or a step that is not at least 1.
        """
        if self.frames is None:
            return range(n_frames)
        parts = [_slice_part(p, "frames", self.frames) for p in self.frames.split(":")]
        if not 2 <= len(parts) <= 3 or (len(parts) == 3 and (parts[2] or 1) < 1):
            raise SlimeError(
                f"frames={self.frames} must be START:STOP or START:STOP:STEP, as 0:200"
            )
        return range(n_frames)[slice(*parts)]

    def crop_ranges(self, height: int, width: int) -> tuple[slice, slice]:
        """The rows and columns taken, within the picture.

        Raises:
            SlimeError: not Y0:Y1,X0:X1.
        """
        if self.crop is None:
            return slice(0, height), slice(0, width)
        sides = [s.split(":") for s in self.crop.strip("[]").split(",")]
        if len(sides) != 2 or any(len(s) != 2 for s in sides):
            raise SlimeError(f"crop={self.crop} must be Y0:Y1,X0:X1, as 0:256,100:356")
        (y0, y1), (x0, x1) = ([_slice_part(p, "crop", self.crop) for p in s] for s in sides)
        return slice(*slice(y0, y1).indices(height)[:2]), slice(*slice(x0, x1).indices(width)[:2])

    def choices(self) -> dict[str, Any]:
        """All that decides what is in the store, written there and compared on resuming."""
        free = ("out", "memory_gib")
        return {name: value for name, value in vars(self).items() if name not in free}


def checked_dtype(name: str) -> np.dtype:
    """The dtype of this name, of real numbers.

    Raises:
        SlimeError: no such dtype, or not of real numbers.
    """
    try:
        found = np.dtype(name)
    except TypeError:
        found = None
    if found is None or found.kind not in "uifb":
        raise SlimeError(f"dtype={name} must be a type of real numbers, as uint16 or float32")
    return found


def _slice_part(text: str, key: str, whole: str) -> int | None:
    text = text.strip()
    if text and not re.fullmatch(r"-?\d+", text):
        raise SlimeError(f"{key}={whole}: {text!r} is no whole number")
    return int(text) if text else None
