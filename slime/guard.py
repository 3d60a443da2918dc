"""Chunks that a read must not trust: those that claim too much, and those that vanished."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer.core import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from slime.chunks import ChunkGrid
from slime.claims import HEAD, outer_codec, too_much
from slime.errors import StoreError
from slime.remote import RemoteStore

CODECS = ("blosc", "lz4", "zstd")
GIB = 1 << 30


class Runs(NamedTuple):
    """Along one axis: the cells that a selection touches, and its positions in each."""

    cells: list[int]
    bounds: list[int]  # cell i holds the positions bounds[i] to bounds[i + 1] of the selection


def cell_runs(picked: slice | np.ndarray, n: int, cell: int) -> Runs:
    """The cells of an axis of `n` that rising positions lie in, and where each begins.

    >>> cell_runs(slice(3, 9, 2), 10, 4)
    Runs(cells=[0, 1], bounds=[0, 1, 3])
    """
    if isinstance(picked, slice) and (picked.step or 1) == 1:
        first, stop, _ = picked.indices(n)
        cell = min(cell, max(n, 1))
        touched = range(first // cell, -(-stop // cell)) if first < stop else range(0)
        return Runs(
            list(touched), [*(max(i * cell - first, 0) for i in touched), max(stop - first, 0)]
        )
    at = np.arange(n)[picked] if isinstance(picked, slice) else np.asarray(picked)
    cells = at // min(cell, max(n, 1))  # a cell may claim to be longer than numpy can count
    begins = np.flatnonzero(np.diff(cells, prepend=-1))
    return Runs(cells[begins].tolist(), [*begins.tolist(), len(at)])


class ReadGuard:
    """Checks around each read of an array: before, what its chunks claim; after, that they stayed.

    zarr reads a chunk that is gone as the fill value, and decoders allocate what a chunk's header
    claims. Each chunk of a local store is looked at once, in its first bytes.
    """

    def __init__(self, grid: ChunkGrid):
        self.grid, self.array, self.label = grid, grid.array, grid.label

    @cached_property
    def _codec(self) -> str | None:
        codec = outer_codec(self.array)
        remote = isinstance(self.array.store_path.store, RemoteStore)  # a request for each is dear
        return codec if codec in CODECS and not remote else None

    @cached_property
    def _looked_at(self) -> Bool[np.ndarray, "..."]:
        return np.zeros(self.grid.shape, bool)

    def check_memory(self, shape: Sequence[int], dtype: np.dtype, budget: int) -> None:
        """Refuse, before anything is allocated, what cannot be held.

        Raises:
            StoreError: a chunk decodes to more than the budget (bytes), or a block of this shape
                and type takes more than the machine's memory.
        """
        chunk = math.prod(self.array.chunks) * self.array.dtype.itemsize
        if chunk > budget:
            raise StoreError(
                f"{self.label}: a chunk {self.array.chunks} of {self.array.dtype} decodes to "
                f"{chunk / GIB:.3g} GiB, but the memory budget is {budget / GIB:.3g}: raise "
                "data.memory_gib, or write smaller chunks"
            )
        block = math.prod(shape) * dtype.itemsize
        if block > physical_memory():
            raise StoreError(
                f"{self.label}: {shape[0]} frames of {tuple(shape[1:])} take {block / GIB:.3g} "
                "GiB, more than this machine's memory: read fewer at once"
            )

    def check_slices(self, shape: Sequence[int], budget: int) -> None:
        """Refuse, before it is allocated, a stack of slices that is projected at once.

        Raises:
            StoreError: it takes more than the budget (bytes).
        """
        nbytes = math.prod(shape) * self.array.dtype.itemsize
        if nbytes > budget:
            raise StoreError(
                f"{self.label}: a stack of slices {tuple(shape)} takes {nbytes / GIB:.3g} GiB, but "
                f"the memory budget is {budget / GIB:.3g}: raise data.memory_gib, or write chunks "
                "of fewer frames"
            )

    def before(self, key: Sequence[slice | np.ndarray], *, look: bool = True) -> None:
        """Refuse chunks that claim to decode to far more than the metadata make of them.

        The chunks are listed, if they are not yet, so that one that vanishes later is missed.

        Args:
            look: False where the decoder compares each claim itself.

        Raises:
            StoreError: names the chunk and both sizes; or a link that leads out of the store.
        """
        _ = self.grid.present
        if not look or self._codec is None:
            return
        for cell in product(*(r.cells for r in self._runs(key))):
            if not self._looked_at[cell]:
                claimed = too_much(self._head(self.grid.key(cell)), self._codec, self.array)
                if claimed is not None:
                    raise StoreError(
                        f"{self.label}: chunk {self.grid.key(cell)!r} claims {claimed / GIB:.2g} "
                        f"GiB, where the metadata make it {self.array.chunks} of "
                        f"{self.array.dtype}: it is damaged or no chunk of this array; put it back "
                        "from a copy"
                    )
                self._looked_at[cell] = True

    def _head(self, key: str) -> bytes:
        store = self.array.store_path.store
        if isinstance(store, LocalStore):
            try:
                with open(os.path.join(store.root, key), "rb", buffering=0) as file:
                    return file.read(HEAD)
            except OSError:  # missing, or a folder: the decoder's and the listing's affair
                return b""
        found = sync(store.get(key, default_buffer_prototype(), RangeByteRequest(0, HEAD)))
        return b"" if found is None else found.to_bytes()

    def check_gone(self, cells: Iterable[tuple[int, ...]]) -> None:
        """Refuse what was read where a chunk was listed, but is gone now.

        Args:
            cells: the chunks (or shards) that read as nothing but the fill value.

        Raises:
            StoreError: names the chunk.
        """
        for cell in cells:
            if self.grid.present[cell] and self.grid.gone(cell):
                raise StoreError(
                    f"{self.label}: chunk {self.grid.key(cell)!r} was there when the store was "
                    "opened and is gone: put it back from a copy"
                )

    def filled(
        self, key: Sequence[slice | np.ndarray], read: Shaped[np.ndarray, "..."], fill: Any
    ) -> Iterator[tuple[int, ...]]:
        """Cells of which every pixel that was read is the fill value."""
        runs = self._runs(key)
        if not all(r.cells for r in runs):
            return
        corners = read[np.ix_(*(r.bounds[:-1] for r in runs))]
        for at in np.argwhere(_is(corners, fill)).tolist():
            where = zip(at, runs, strict=True)
            part = read[tuple(slice(r.bounds[i], r.bounds[i + 1]) for i, r in where)]
            if _is(part, fill).all():
                yield tuple(r.cells[i] for i, r in zip(at, runs, strict=True))

    def _runs(self, key: Sequence[slice | np.ndarray]) -> list[Runs]:
        sizes = zip(key, self.array.shape, self.grid.cell, strict=True)
        return [cell_runs(picked, n, cell) for picked, n, cell in sizes]


def _is(pixels: Shaped[np.ndarray, "..."], fill: Any) -> Bool[np.ndarray, "..."]:
    return np.isnan(pixels) if fill != fill else pixels == fill


def physical_memory() -> float:
    """Bytes of memory of this machine; infinite where the system does not tell."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return math.inf
