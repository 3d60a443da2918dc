"""Memory used again, for blocks of frames and for batches: fresh pages cost the time of a copy."""

import math
import sys
import threading
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

RING = 8  # batch buffers kept for reuse


class Memory:
    """Memory that is used again once it is given back; threads may share it."""

    def __init__(self) -> None:
        self._spare, self._lock = list[np.ndarray](), threading.Lock()

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[np.ndarray, "*shape"]:
        """An array to fill; what an earlier one has left, where that is enough."""
        nbytes = math.prod(shape) * dtype.itemsize
        with self._lock:
            memory = self._spare.pop() if self._spare else np.empty(0, np.uint8)
        if memory.nbytes < nbytes:
            memory = np.empty(nbytes, np.uint8)
        return memory[:nbytes].view(dtype).reshape(shape)

    def give(self, array: Shaped[np.ndarray, "*any"]) -> None:
        """Give back what `take` gave."""
        while isinstance(array.base, np.ndarray):
            array = array.base
        with self._lock:
            self._spare.append(array)


class Room(NamedTuple):
    """Memory of a stream's blocks, and of the edges that are kept of them."""

    blocks: Memory
    edges: Memory


class Ring:
    """Arrays that are used again once nobody refers to them: fresh pages cost more than the copy.

    For a CUDA device they are pinned, so that they are sent while the next one is filled.
    """

    def __init__(self, device: torch.device):
        self.device, self._spares = device, list[_Spare]()

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[np.ndarray, Tensor]:
        """An array to fill, and the tensor that is its memory; a smaller batch lies in a larger."""
        n, *rest = shape
        for spare in self._spares:
            # The spare's own reference and getrefcount's argument: nobody else's.
            free = sys.getrefcount(spare.array) == 2 and (spare.sent is None or spare.sent.query())
            fits = spare.dtype == dtype and spare.array.shape[1:] == tuple(rest)
            if free and fits and n <= len(spare.array):
                part = spare.array[:n]
                return part, torch.from_numpy(part)
        return self._fresh(shape, dtype)

    def _fresh(self, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[np.ndarray, Tensor]:
        if self.device.type == "cuda":
            array = torch.empty(shape, dtype=dtype, pin_memory=True).numpy()
        else:
            array = np.empty(shape, torch.empty((), dtype=dtype).numpy().dtype)
        if len(self._spares) < RING:
            self._spares.append(_Spare(array, dtype))
        part = array[:]
        return part, torch.from_numpy(part)

    def send(self, array: np.ndarray, tensor: Tensor) -> Tensor:
        """The tensor on the device; its array is not filled again before it has got there."""
        if self.device.type == "cpu":
            return tensor
        there = tensor.to(self.device, non_blocking=True)
        if self.device.type == "cuda":
            for spare in self._spares:
                if np.shares_memory(spare.array[:1], array[:1]):
                    spare.sent = torch.cuda.Event()
                    spare.sent.record()
        return there


class _Spare:
    """An array of the ring, and the event after which its copy to the device is complete."""

    def __init__(self, array: np.ndarray, dtype: torch.dtype):
        self.array, self.dtype = array, dtype
        self.sent: torch.cuda.Event | None = None
