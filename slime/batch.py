"""Batches of windows, gathered from frames in memory or on the device."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from slime.gather import Copies, Held
from slime.on_device import DeviceFrames
from slime.plan import Windows
from slime.reuse import Ring
from slime.windows import WindowSpec


class Batch(NamedTuple):
    """Windows in movie units, float32; `mask` is True where a target pixel counts."""

    past: Float[Tensor, "b t c y x"]
    future: Float[Tensor, "b lead c y x"]
    mask: Bool[Tensor, "b lead c y x"] | None
    movie: Int[Tensor, " b"]
    start: Int[Tensor, " b"]


class Batches:
    """Makes batches of one spec and size, in memory that is used again once nobody refers to it.

    Args:
        shape: channels, rows and columns of a frame in a batch.
        masked: whether some movie has a mask; the windows of one without count everywhere.
    """

    def __init__(
        self, spec: WindowSpec, shape: tuple[int, int, int], *, masked: bool, device: torch.device
    ):
        self.spec, self.shape, self.masked, self.device = spec, shape, masked, device
        self._ring = Ring(device)

    def gathered(self, windows: Windows, held: Iterable[Sequence[Held]]) -> Batch:
        """The windows as a batch, each copied out of the frames that hold it.

        Args:
            held: for the windows in order, by some at a time, frames that hold each; copied before
                the next are asked for.
        """
        n, spec = len(windows.start), self.spec
        array, pixels = self._ring.take((n, spec.n_frames, *self.shape), torch.float32)
        counts, mask = None, None
        if self.masked:
            counts, mask = self._ring.take((n, spec.n_out, *self.shape), torch.bool)
        starts, corners = windows.start.tolist(), windows.corner.tolist()
        windows_left = zip(
            starts,
            corners,
            pixels.unbind(),
            [None] * n if mask is None else mask.unbind(),
            strict=True,
        )
        copies = Copies()
        for some in held:
            for block in some:
                start, corner, target, counted = next(windows_left)
                block.copy_window(start, spec.step, corner, target, counted, copies)
            copies.make()
        pixels = self._ring.send(array, pixels)
        if counts is not None and mask is not None:
            mask = self._ring.send(counts, mask)
        return self._batch(windows, pixels, mask)

    def on_device(self, windows: Windows, frames: DeviceFrames) -> Batch:
        """The windows as a batch, gathered where the frames are."""
        return self._batch(windows, *frames.gathered(windows, self.spec, self.shape[1:]))

    def _batch(
        self,
        windows: Windows,
        pixels: Float[Tensor, "b t c y x"],
        mask: Bool[Tensor, "b lead c y x"] | None,
    ) -> Batch:
        movie, start = (
            torch.from_numpy(column.copy()).to(self.device, non_blocking=True)
            for column in (windows.movie, windows.start)
        )
        return Batch(pixels[:, : self.spec.n_in], pixels[:, self.spec.n_in :], mask, movie, start)
