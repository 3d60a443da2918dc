"""Movies that live on a GPU: each frame is sent there once, and windows are gathered there."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from slime.gather import Frames
from slime.plan import Windows
from slime.windows import WindowSpec

SHARE = 0.5  # of the device's free memory that frames may take; the rest is the training's
SIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}


def fits_on(device: torch.device, nbytes: int) -> bool:
    """Whether frames of that many bytes can stay on the device; never on a CPU, where they are."""
    if device.type != "cuda":
        return False
    return nbytes <= SHARE * torch.cuda.mem_get_info(device)[0]


class DeviceFrames:
    """The frames of several movies on one device, in their stored type.

    Args:
        held: for each movie the run of frames that its windows are taken from.
    """

    def __init__(self, held: Sequence[Frames], device: torch.device):
        self.device, self._first = device, [frames.first for frames in held]
        self._corner = [np.array(frames.corner) for frames in held]
        self._pixels = [_sent(frames.pixels, device) for frames in held]
        self._masks = [None if f.mask is None else _sent(f.mask, device)[0] for f in held]

    def gathered(
        self, windows: Windows, spec: WindowSpec, size: tuple[int, int]
    ) -> tuple[Float[Tensor, "b t c y x"], Bool[Tensor, "b lead c y x"] | None]:
        """The windows, cut at their corners to `size`, and their masks."""
        movie, start, corner = windows
        channels = self._pixels[0][0].shape[1]
        pixels = torch.empty((len(start), spec.n_frames, channels, *size), device=self.device)
        counts = None
        if any(mask is not None for mask in self._masks):
            shape = (len(start), spec.n_out, channels, *size)
            counts = torch.ones(shape, dtype=torch.bool, device=self.device)
        for m in np.unique(movie):
            rows = np.flatnonzero(movie == m)
            times = start[rows, None] - self._first[m] + np.arange(spec.n_frames) * spec.step
            there = self._sent_index(rows)
            frames, dtype = self._pixels[m]
            place = self._sent_index(corner[rows] - self._corner[m])
            picked = _cut(frames, self._sent_index(times), place, size)
            pixels[there] = picked.view(dtype).to(torch.float32)
            if counts is not None and (mask := self._masks[m]) is not None:
                late = self._sent_index(times[:, spec.n_in :])
                counts[there] = _cut(mask, late, place, size)
        return pixels, counts

    def _sent_index(self, index: Int[np.ndarray, "*any"]) -> Int[Tensor, "*any"]:
        return torch.from_numpy(np.ascontiguousarray(index)).to(self.device, non_blocking=True)


def _sent(array: np.ndarray, device: torch.device) -> tuple[Tensor, torch.dtype]:
    """The array on the device, as a type that every device can index, and its own type."""
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    tensor = torch.from_numpy(native)
    return tensor.view(SIGNED.get(tensor.dtype, tensor.dtype)).to(device), tensor.dtype


def _cut(
    frames: Tensor, times: Int[Tensor, "b t"], corner: Int[Tensor, "b 2"], size: tuple[int, int]
) -> Tensor:
    """Frames `b t c y x` at these times, cut at each window's corner."""
    if tuple(frames.shape[2:]) == size:
        return frames[times]
    y = corner[:, :1] + torch.arange(size[0], device=frames.device)
    x = corner[:, 1:] + torch.arange(size[1], device=frames.device)
    channel = torch.arange(frames.shape[1], device=frames.device)
    return frames[
        times[:, :, None, None, None],
        channel[:, None, None],
        y[:, None, None, :, None],
        x[:, None, None, None, :],
    ]
