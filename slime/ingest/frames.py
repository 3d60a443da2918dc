"""From the stored axes of a source to frames (time, channel, y, x) as chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped

from slime.errors import SlimeError, StoreError, nearest
from slime.ingest.source import RawArray, Source
from slime.ingest.spec import IngestSpec
from slime.nodes import one_line


@dataclass(frozen=True)
class Cut:
    """Which frames, channels, slice and pixels of a source are taken, and under which names."""

    source: Source
    frames: range
    channels: tuple[int, ...]
    names: tuple[str, ...]
    z: str | int
    y: slice
    x: slice

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The lengths of time, channel, y and x."""
        height, width = self.y.stop - self.y.start, self.x.stop - self.x.start
        return len(self.frames), len(self.channels), height, width

    @property
    def dtype(self) -> np.dtype:
        """The type of the frames: the source's, float32 for a mean over z."""
        is_mean = self.z == "mean" and "z" in self.source.axes
        return np.dtype("float32") if is_mean else self.source.dtype

    @property
    def raw_frame_nbytes(self) -> int:
        """Bytes that are read for one frame."""
        n_z = 1 if isinstance(self.z, int) else self.source.size("z")
        _, _, height, width = self.shape
        return self.source.size("channel") * n_z * height * width * self.source.dtype.itemsize

    def read(self, array: RawArray, start: int, stop: int) -> Shaped[np.ndarray, "t c y x"]:
        """The frames start to stop of those taken, from the opened source.

        Raises:
            StoreError: a part of the source cannot be read.
        """
        numbers = self.frames[start:stop]
        where: dict[str, Any] = {
            "movie": self.source.movie,
            "time": slice(numbers.start, numbers.stop, numbers.step),
            "channel": slice(min(self.channels), max(self.channels) + 1),
            "z": self.z if isinstance(self.z, int) else slice(None),
            "y": self.y,
            "x": self.x,
        }
        try:
            raw = np.asarray(array[tuple(where[axis] for axis in self.source.axes)])
        except (SlimeError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise StoreError(
                f"{self.source.label}: frames {numbers[0]} to {numbers[-1]} cannot be read "
                f"({one_line(error)}): put back a whole file, or leave them out with frames="
            ) from error
        return self._arranged(raw, len(numbers))

    def _arranged(
        self, raw: Shaped[np.ndarray, "..."], n_frames: int
    ) -> Shaped[np.ndarray, "t c y x"]:
        left: list[str] = [
            axis
            for axis in self.source.axes
            if axis != "movie" and not (axis == "z" and isinstance(self.z, int))
        ]
        for axis in ("channel", "z"):
            if axis not in left:
                raw, left = raw[None], [axis, *left]
        slices = raw.transpose([left.index(a) for a in ("time", "channel", "z", "y", "x")])
        if len(slices) != n_frames:
            raise StoreError(
                f"{self.source.label}: {len(slices)} frames were read where {n_frames} were due"
            )
        first = min(self.channels)
        slices = slices[:, [c - first for c in self.channels]]
        if slices.shape[2] == 1:
            frames = slices[:, :, 0]
        elif self.z == "mean":
            frames = slices.mean(axis=2, dtype=np.float64)
        else:
            frames = slices.max(axis=2)
        return np.ascontiguousarray(frames, self.dtype)


def chosen_cut(source: Source, spec: IngestSpec) -> Cut:
    """What the spec takes of a source.

    Raises:
        SlimeError: a choice takes nothing, or names what is not there.
    """
    if len(set(source.axes)) < len(source.axes) or not {"time", "y", "x"} <= set(source.axes):
        raise SlimeError(
            f"{source.label} has axes {','.join(source.axes)}, but a movie needs time, y and x, "
            "each once: name them with axes="
        )
    if 0 in source.shape:
        raise SlimeError(f"{source.label} of shape {source.shape} is empty")
    if source.dtype.kind not in "uifb":
        raise SlimeError(f"{source.label} holds {source.dtype}, but pixels must be real numbers")
    frames = spec.frame_range(source.size("time"))
    if not len(frames):
        raise SlimeError(
            f"frames={spec.frames} takes none of the {source.size('time')} frames of {source.label}"
        )
    y, x = spec.crop_ranges(source.size("y"), source.size("x"))
    if y.start >= y.stop or x.start >= x.stop:
        raise SlimeError(
            f"crop={spec.crop} takes nothing of {source.size('y')} x {source.size('x')} pixels"
        )
    names = source.facts.channels
    n_channels = source.size("channel")
    names = list(names) if len(names) == n_channels else [str(i) for i in range(n_channels)]
    picked = _picked(spec.channels, names, source.label)
    z = _chosen_z(spec.z, source)
    return Cut(source, frames, picked, tuple(names[i] for i in picked), z, y, x)


def channel_number(word: str, names: Sequence[str], key: str, label: str) -> int:
    """The position of a channel by its name or number.

    Raises:
        SlimeError: there is none of this name.
    """
    if word in names:
        return list(names).index(word)
    if word.isdigit() and int(word) < len(names):
        return int(word)
    raise SlimeError(
        f"{key}: {label} has no channel {word!r}, but {', '.join(names)}{nearest(word, names)}"
    )


def _picked(chosen: str | None, names: Sequence[str], label: str) -> tuple[int, ...]:
    if chosen is None:
        return tuple(range(len(names)))
    words = [w.strip() for w in chosen.strip("[]").split(",")]
    picked = tuple(channel_number(w, names, "channels", label) for w in words)
    if len(set(picked)) < len(picked):
        raise SlimeError(f"channels={chosen} names a channel twice")
    return picked


def _chosen_z(z: str, source: Source) -> str | int:
    n = source.size("z", 0)
    if z in ("max", "mean"):
        return z
    if not n:
        if source.kind == "zarr" or z == "0":  # a store's slice is chosen as it is opened
            return "max"
        raise SlimeError(f"z={z}: {source.label} has no z axis")
    if z.isdigit() and int(z) < n:
        return int(z)
    raise SlimeError(f"z={z}: {source.label} has slices 0 to {n - 1}; or max, or mean")
