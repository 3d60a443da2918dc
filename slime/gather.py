"""Windows out of frames in memory: copied into batches whose memory is used again."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

RING = 8  # batch buffers kept for reuse


class Frames(NamedTuple):
    """Consecutive frames in memory, from frame `first` of their movie on, or a part of each.

    Attributes:
        corner: (y, x) of the pixel at which the part begins; (0, 0) for whole frames.
        mask: True where a pixel counts, None where all do.
    """

    first: int
    pixels: Shaped[np.ndarray, "t c y x"]
    mask: Bool[np.ndarray, "t c y x"] | None
    corner: tuple[int, int] = (0, 0)

    @property
    def stop(self) -> int:
        """One past the last frame."""
        return self.first + len(self.pixels)

    def cut(self, first: int, stop: int) -> "Frames":
        """A copy of the frames first to stop, so that the others can be freed."""
        rows = slice(first - self.first, stop - self.first)
        mask = None if self.mask is None else self.mask[rows].copy()
        return Frames(first, self.pixels[rows].copy(), mask, self.corner)


class Held(NamedTuple):
    """Frames that are side by side in a movie but not in memory: a block between two edges."""

    parts: tuple[Frames, ...]

    def copy_window(
        self,
        start: int,
        step: int,
        corner: Sequence[int],
        pixels: Float[np.ndarray, "t c y x"],
        counts: Bool[np.ndarray, "lead c y x"] | None,
    ) -> None:
        """Every `step`-th frame from `start` on into `pixels`, the last masks into `counts`."""
        n, (height, width) = len(pixels), pixels.shape[2:]
        n_given = n if counts is None else n - len(counts)
        for part in self.parts:
            # the window's frames k0 to k1 lie in this part
            k0 = max(-((start - part.first) // step), 0)
            k1 = min(-((start - part.stop) // step), n)
            if k0 >= k1:
                continue
            rows = slice(
                start + k0 * step - part.first, start + (k1 - 1) * step - part.first + 1, step
            )
            y, x = corner[0] - part.corner[0], corner[1] - part.corner[1]
            area = (slice(None), slice(y, y + height), slice(x, x + width))
            np.copyto(pixels[k0:k1], part.pixels[(rows, *area)], casting="unsafe")
            if counts is None or k1 <= n_given:
                continue
            late = max(k0, n_given)
            rows = slice(rows.start + (late - k0) * step, rows.stop, step)
            counts[late - n_given : k1 - n_given] = (
                True if part.mask is None else part.mask[(rows, *area)]
            )


class Ring:
    """Arrays that are used again once nobody refers to them: fresh pages cost more than the copy.

    For a CUDA device they are pinned, so that they are sent while the next one is filled.
    """

    def __init__(self, device: torch.device):
        self.device, self._spares = device, list[_Spare]()

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[np.ndarray, Tensor]:
        """An array to fill, and the tensor that is its memory."""
        for spare in self._spares:
            # The spare's own reference and getrefcount's argument: nobody else's.
            free = sys.getrefcount(spare.array) == 2 and (spare.sent is None or spare.sent.query())
            if free and spare.array.shape == shape and spare.dtype == dtype:
                return spare.array, torch.from_numpy(spare.array)
        return self._fresh(shape, dtype)

    def _fresh(self, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[np.ndarray, Tensor]:
        if self.device.type == "cuda":
            array = torch.empty(shape, dtype=dtype, pin_memory=True).numpy()
        else:
            array = np.empty(shape, torch.empty((), dtype=dtype).numpy().dtype)
        if len(self._spares) < RING:
            self._spares.append(_Spare(array, dtype))
        return array, torch.from_numpy(array)

    def send(self, array: np.ndarray, tensor: Tensor) -> Tensor:
        """The tensor on the device; its array is not filled again before it has got there."""
        if self.device.type == "cpu":
            return tensor
        there = tensor.to(self.device, non_blocking=True)
        if self.device.type == "cuda":
            for spare in self._spares:
                if spare.array is array:
                    spare.sent = torch.cuda.Event()
                    spare.sent.record()
        return there


class _Spare:
    """An array of the ring, and the event after which its copy to the device is complete."""

    def __init__(self, array: np.ndarray, dtype: torch.dtype):
        self.array, self.dtype = array, dtype
        self.sent: torch.cuda.Event | None = None
