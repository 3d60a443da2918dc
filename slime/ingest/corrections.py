"""Changes of pixels that a user asked for: dark frame, flat field, bleaching, shifts, dtype."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from scipy import ndimage

from slime.errors import SlimeError, StoreError, span_text


@dataclass(frozen=True)
class Corrections:
    """What is done to frames after they are read, in this order; None leaves a step out.

    Attributes:
        dark: subtracted; one value, or a picture for each channel.
        gain: multiplied, a picture for each channel: the mean of the flat field over it.
        bleach: multiplied, one number for each frame and channel.
        shifts: pixels along y and x by which each frame is moved.
        window: rows and columns that are kept of the moved frames.
        dtype: what the result is stored as; None keeps what comes out.
    """

    dark: Float[np.ndarray, "#c #y #x"] | None = None
    gain: Float[np.ndarray, "c y x"] | None = None
    bleach: Float[np.ndarray, "t c"] | None = None
    shifts: Float[np.ndarray, "t 2"] | None = None
    window: tuple[slice, slice] | None = None
    dtype: np.dtype | None = None

    @property
    def moves_between_pixels(self) -> bool:
        """Whether a shift is no whole number of pixels."""
        return self.shifts is not None and bool((self.shifts != np.round(self.shifts)).any())

    def worked_dtype(self, dtype: np.dtype) -> np.dtype:
        """What the steps make of frames of a type: float32 (float64 of wider ones), or the same."""
        changes = [self.dark, self.gain, self.bleach]
        if all(change is None for change in changes) and not self.moves_between_pixels:
            return dtype
        return np.dtype("float64" if dtype.itemsize >= 4 and dtype != np.float32 else "float32")

    def stored_dtype(self, dtype: np.dtype) -> np.dtype:
        """What frames of a type are stored as."""
        return self.dtype or self.worked_dtype(dtype)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what is kept."""
        if self.window is None:
            return height, width
        y, x = self.window
        return y.stop - y.start, x.stop - x.start

    def applied(
        self, frames: Shaped[np.ndarray, "t c y x"], start: int
    ) -> Shaped[np.ndarray, "..."]:
        """The frames after every step but the last; `start` is the number of the first of them."""
        frames = frames.astype(self.worked_dtype(frames.dtype), copy=False)
        if self.dark is not None:
            frames = frames - self.dark.astype(frames.dtype)
        if self.gain is not None:
            frames = frames * self.gain.astype(frames.dtype)
        if self.bleach is not None:
            factor = self.bleach[start : start + len(frames), :, None, None]
            frames = frames * factor.astype(frames.dtype)
        if self.shifts is not None and self.window is not None:
            frames = self._moved(frames, start)
        return frames

    def stored(
        self, frames: Shaped[np.ndarray, "t c y x"], start: int
    ) -> Shaped[np.ndarray, "..."]:
        """The frames as they go into the store."""
        worked = self.applied(frames, start)
        if self.dtype is None or self.dtype == worked.dtype:
            return np.ascontiguousarray(worked)
        return converted(worked, self.dtype, start)

    def _moved(
        self, frames: Shaped[np.ndarray, "t c y x"], start: int
    ) -> Shaped[np.ndarray, "..."]:
        assert self.shifts is not None
        assert self.window is not None
        moved = []
        for t, frame in enumerate(frames):
            shift = self.shifts[start + t]
            if self.moves_between_pixels:
                if not np.isfinite(frame).all():
                    raise StoreError(
                        f"frame {start + t} holds NaN or infinite pixels, which a shift between "
                        "pixels would spread: choose registration_upsample=1"
                    )
                parts = [ndimage.shift(c, shift, order=3, mode="mirror") for c in frame]
                moved.append(np.stack(parts)[:, self.window[0], self.window[1]])
                continue
            places = (
                slice(w.start - int(s), w.stop - int(s))
                for w, s in zip(self.window, shift, strict=True)
            )
            moved.append(frame[(slice(None), *places)])
        return np.stack(moved)


def converted(
    frames: Shaped[np.ndarray, "t c y x"], dtype: np.dtype, start: int
) -> Shaped[np.ndarray, "t c y x"]:
    """Frames in another type, rounded to the nearest value, never clipped.

    Raises:
        SlimeError: a value is beyond the type's range, or NaN where it has none; names the frames.
    """
    if dtype.kind == "b":
        low, high = 0, 1
    elif dtype.kind == "f":
        low, high = np.finfo(dtype).min, np.finfo(dtype).max
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = frames if dtype.kind == "f" or frames.dtype.kind != "f" else np.rint(frames)
    limits: Any = values.astype(np.float64) if values.dtype == np.float16 else values
    beyond = (limits < low) | (limits > high)
    if dtype.kind == "f":
        beyond &= np.isfinite(values) if values.dtype.kind == "f" else True
    elif values.dtype.kind == "f":
        beyond |= ~np.isfinite(values)
        # float32(2**32 - 1) is 2**32, which is beyond uint32 all the same
        beyond |= limits.astype(np.float64) > float(high)
    if beyond.any():
        at = np.flatnonzero(beyond.any(axis=(1, 2, 3))) + start
        worst = values[beyond]
        raise SlimeError(
            f"dtype={dtype} holds {low} to {high}, but {int(beyond.sum())} pixels of frames "
            f"{span_text(at)} are beyond it (such as {worst[0]}): choose a wider one, as float32"
        )
    return values.astype(dtype)


def common_window(shifts: Float[np.ndarray, "t 2"], height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns that every moved frame still shows.

    Raises:
        SlimeError: less than a quarter of a side is left.
    """
    low = np.ceil(np.maximum(shifts.max(axis=0), 0)).astype(int)
    high = np.array([height, width]) + np.floor(np.minimum(shifts.min(axis=0), 0)).astype(int)
    for start, stop, n, axis in zip(low, high, (height, width), "yx", strict=True):
        if stop - start < max(n // 4, 1):
            far = int(np.argmax(np.abs(shifts).max(axis=1)))
            raise SlimeError(
                f"registration leaves {max(stop - start, 0)} of {n} pixels along {axis} (frame "
                f"{far} is moved by {shifts[far].tolist()}): take fewer frames, "
                "registration=previous, or leave it out"
            )
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
