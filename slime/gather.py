"""Windows out of frames in memory, copied together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Frames:
    """Consecutive frames in memory, from frame `first` of their movie on, or a part of each.

    Attributes:
        corner: (y, x) of the pixel at which the part begins; (0, 0) for whole frames.
        mask: True where a pixel counts, None where all do.
    """

    first: int
    pixels: Shaped[np.ndarray, "t c y x"]
    mask: Bool[np.ndarray, "t c y x"] | None
    corner: tuple[int, int] = (0, 0)

    @cached_property
    def stop(self) -> int:
        """One past the last frame."""
        return self.first + len(self.pixels)

    @cached_property
    def tensor(self) -> Shaped[Tensor, "t c y x"]:
        """The pixels in the same memory, unless their byte order is not the machine's."""
        return torch.from_numpy(np.asarray(self.pixels, self.pixels.dtype.newbyteorder("=")))

    @cached_property
    def mask_tensor(self) -> Bool[Tensor, "t c y x"] | None:
        """The mask, in the same memory where it may be written; what repeats is held once."""
        if self.mask is None or self.mask.flags.writeable:
            return None if self.mask is None else torch.from_numpy(self.mask)
        once = self.mask[tuple(slice(None, 1 if step == 0 else None) for step in self.mask.strides)]
        return torch.from_numpy(once.copy()).expand(self.mask.shape)

    def cut(
        self, first: int, stop: int, out: Shaped[np.ndarray, "t c y x"] | None = None
    ) -> "Frames":
        """A copy (into `out`) of the frames first to stop, so that the others can be freed."""
        rows = slice(first - self.first, stop - self.first)
        mask = None if self.mask is None else self.mask[rows].copy()
        pixels = np.empty_like(self.pixels[rows]) if out is None else out
        pixels[...] = self.pixels[rows]
        return Frames(first, pixels, mask, self.corner)


class Copies:
    """Copies that are made by one call, in which other threads may run.

    Copied one by one, each copy would end with a wait for the threads that decode.
    """

    def __init__(self) -> None:
        self._targets, self._sources = list[Tensor](), list[Tensor]()

    def add(self, target: Shaped[Tensor, "*any"], source: Shaped[Tensor, "*any"]) -> None:
        """Have `source` copied into `target`, in the target's type."""
        self._targets.append(target)
        self._sources.append(source)

    def make(self) -> None:
        """Copy all that was added, in this thread alone: more would wait for one another."""
        if self._targets:
            n_threads = torch.get_num_threads()
            if n_threads > 1:
                torch.set_num_threads(1)
            try:
                torch._foreach_copy_(self._targets, self._sources)  # pyright: ignore[reportPrivateImportUsage]
            finally:
                if n_threads > 1:
                    torch.set_num_threads(n_threads)
        self._targets, self._sources = [], []


class Held(NamedTuple):
    """Frames that are side by side in a movie but not in memory: a block between two edges."""

    parts: tuple[Frames, ...]

    def copy_window(
        self,
        start: int,
        step: int,
        corner: Sequence[int],
        pixels: Float[Tensor, "t c y x"],
        counts: Bool[Tensor, "lead c y x"] | None,
        copies: Copies,
    ) -> None:
        """Have every `step`-th frame from `start` on copied, and the last masks into `counts`."""
        n, _, height, width = pixels.shape
        n_given = n if counts is None else n - len(counts)
        for part in self.parts:
            # the window's frames k0 to k1 lie in this part
            k0 = max(-((start - part.first) // step), 0)
            k1 = min(-((start - part.stop) // step), n)
            if k0 >= k1:
                continue
            first = start + k0 * step - part.first
            rows = slice(first, first + (k1 - k0 - 1) * step + 1, step)
            area: tuple[slice, ...] = ()
            if part.pixels.shape[2:] != (height, width):
                y, x = corner[0] - part.corner[0], corner[1] - part.corner[1]
                area = (slice(None), slice(y, y + height), slice(x, x + width))
            whole = k1 - k0 == n
            copies.add(pixels if whole else pixels[k0:k1], part.tensor[(rows, *area)])
            if counts is None or k1 <= n_given:
                continue
            late = max(k0, n_given)
            target = counts[late - n_given : k1 - n_given]
            if part.mask_tensor is None:
                target.fill_(True)
            else:
                rows = slice(rows.start + (late - k0) * step, rows.stop, step)
                copies.add(target, part.mask_tensor[(rows, *area)])
