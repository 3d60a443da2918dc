"""Chunks of a local store decoded straight into frames in memory, with nothing in between.

The usual way from a file to an array goes through an event loop, objects for each chunk and fresh
memory for each step; here a thread reads a chunk's bytes into memory that it uses again, and the
codec writes the pixels where they belong.
"""

import math
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from jaxtyping import Shaped
from zarr.codecs import ShardingCodec
from zarr.core.metadata import ArrayV2Metadata
from zarr.storage import LocalStore

from slime.codec_chain import Bytes, Chain, chain_of, chain_of_v2

NOT_THERE = 2**64 - 1  # offset and length of a chunk that a shard does not hold
INDICES = 16  # shards whose index is kept
AT_ONCE = max((os.cpu_count() or 1) // 2, 1)  # chunks of one read decoded at once

READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)  # which Windows wants to be told

Cell = tuple[int, ...]  # the number of a chunk or shard along each axis


class Shards(NamedTuple):
    """How chunks lie in shards."""

    shape: tuple[int, ...]  # chunks along each axis of a shard
    index_chain: Chain
    index_first: bool

    @property
    def index_nbytes(self) -> int:
        """Bytes of a shard's index, with its checksum."""
        return 16 * math.prod(self.shape) + (4 if self.index_chain.checksum else 0)


class Piece(NamedTuple):
    """The part of a read that lies in one chunk."""

    chunk: tuple[int, ...]
    inside: tuple[slice, ...]
    place: tuple[slice, ...]


class DirectChunks:
    """The chunks of an array in a local folder. Threads may read at the same time."""

    def __init__(self, array: zarr.Array, chain: Chain, shards: Shards | None):
        self.array, self.chain, self.shards = array, chain, shards
        store: Any = array.store_path.store
        self._root = str(Path(store.root) / array.store_path.path)
        self._chunks, self._dtype = array.chunks, array.dtype
        self._nbytes = math.prod(array.chunks) * array.dtype.itemsize
        self._fill = 0 if array.fill_value is None else array.fill_value
        self._name_of = array.metadata.encode_chunk_key
        self._own, self._lock = threading.local(), threading.Lock()
        self._indices: dict[str, tuple[tuple[int, ...], np.ndarray]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return DirectChunks, (self.array, self.chain, self.shards)  # memory stays with its threads

    def read_into(self, key: Sequence[slice], out: Shaped[np.ndarray, "*any"]) -> list[Cell]:
        """Decode a selection of rising slices, one an axis, into `out` of its shape.

        Returns:
            The chunk (or shard) files that are not there, by their number along each axis: their
            pixels are the fill value.

        Raises:
            OSError: a file cannot be read.
            ValueError, RuntimeError: a chunk is damaged; names its file.
        """
        pieces = pieces_of(key, self.array.shape, self._chunks)
        run = map if AT_ONCE == 1 else _pool().map
        missing = run(lambda piece: self._read(piece, out[piece.place]), pieces)
        return [cell for cell in missing if cell is not None]

    def _read(self, piece: Piece, target: Shaped[np.ndarray, "*any"]) -> Cell | None:
        """Decode a piece; gives its file's number where that is not there."""
        cell = piece.chunk
        if self.shards is not None:
            cell = tuple(i // n for i, n in zip(cell, self.shards.shape, strict=True))
        name = self._name_of(cell)
        try:
            file = os.open(f"{self._root}/{name}", READ)
        except FileNotFoundError:
            target[...] = self._fill
            return cell
        try:
            stored = self._stored(file, name, piece.chunk)
        finally:
            os.close(file)
        if stored is None:
            target[...] = self._fill
        elif target.shape == self._chunks and target.flags.c_contiguous:
            self.chain.decode(stored, target.reshape(-1).view(np.uint8), name)
        else:
            scratch = self._memory("pixels", self._nbytes)
            self.chain.decode(stored, scratch, name)
            target[...] = scratch.view(self._dtype).reshape(self._chunks)[piece.inside]
        return None

    def _stored(self, file: int, name: str, chunk: tuple[int, ...]) -> Bytes | None:
        """The bytes of a chunk, None where its shard does not hold it."""
        if self.shards is None:
            memory = self._memory("stored", self._nbytes + self._nbytes // 64 + 1024)
            n = read_at(file, memory, 0)
            if n < len(memory):
                return memory[:n]
            size = os.fstat(file).st_size
            return self._whole(file, name, 0, size)
        index, size = self._index(file, name)
        inner = tuple(i % n for i, n in zip(chunk, self.shards.shape, strict=True))
        offset, nbytes = map(int, index[inner])
        if offset == nbytes == NOT_THERE:
            return None
        if offset + nbytes > size:
            raise ValueError(f"{name}: the index points to byte {offset + nbytes} of {size}")
        return self._whole(file, name, offset, nbytes)

    def _whole(self, file: int, name: str, offset: int, nbytes: int) -> Bytes:
        memory = self._memory("stored", nbytes)
        n = read_at(file, memory, offset)
        if n < nbytes:
            raise ValueError(f"{name}: ends after {n} of {nbytes} bytes")
        return memory

    def _index(self, file: int, name: str) -> tuple[Shaped[np.ndarray, "*inner 2"], int]:
        """Offset and length of each chunk of a shard, and its size; kept while the file stays."""
        assert self.shards is not None
        found = os.fstat(file)
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        kept = self._indices.get(name)
        if kept is not None and kept[0] == stamp:
            return kept[1], found.st_size
        nbytes = self.shards.index_nbytes
        if found.st_size < nbytes:
            raise ValueError(f"{name}: {found.st_size} bytes are fewer than the index of a shard")
        first = 0 if self.shards.index_first else found.st_size - nbytes
        index = np.empty((*self.shards.shape, 2), "<u8")
        stored = self._whole(file, name, first, nbytes)
        self.shards.index_chain.decode(stored, index.reshape(-1).view(np.uint8), f"{name}, index")
        with self._lock:
            while len(self._indices) >= INDICES:
                del self._indices[next(iter(self._indices))]
            self._indices[name] = stamp, index
        return index, found.st_size

    def _memory(self, use: str, nbytes: int) -> Bytes:
        """Memory of this thread, used again: fresh pages cost as much as decoding."""
        held = getattr(self._own, use, None)
        if held is None or len(held) < nbytes:
            held = np.empty(nbytes, np.uint8)
            setattr(self._own, use, held)
        return held[:nbytes]


def direct_chunks(array: zarr.Array) -> DirectChunks | None:
    """The chunks of an array, None where the store or a codec is not one of the few known here.

    Known are local folders of zarr 2 and 3, numbers in C order and this machine's byte order,
    uncompressed or with blosc or zstd, with or without crc32c and shards.
    """
    store = array.store_path.store
    known = type(store) is LocalStore and array.dtype.isnative and array.dtype.kind in "uifb"
    if not known:
        return None
    if isinstance(array.metadata, ArrayV2Metadata):
        chain = chain_of_v2(array.metadata)
        return None if chain is None else DirectChunks(array, chain, None)
    codecs = tuple(array.metadata.codecs)
    if len(codecs) == 1 and isinstance(codecs[0], ShardingCodec):
        sharding = codecs[0]
        chain, index_chain = chain_of(sharding.codecs), chain_of(sharding.index_codecs)
        if chain is None or index_chain is None or index_chain.compressor or not array.shards:
            return None
        shape = tuple(s // c for s, c in zip(array.shards, array.chunks, strict=True))
        first = sharding.index_location.value == "start"
        return DirectChunks(array, chain, Shards(shape, index_chain, first))
    chain = chain_of(codecs)
    return None if chain is None else DirectChunks(array, chain, None)


def pieces_of(key: Sequence[slice], shape: Sequence[int], chunks: Sequence[int]) -> Iterator[Piece]:
    """The chunks that a selection touches, in C order, with what is taken of each and its place.

    >>> [piece.inside for piece in pieces_of([slice(1, 8, 3)], [9], [4])]
    [(slice(1, 2, 3),), (slice(0, 4, 3),)]
    """
    axes = [_along(*k.indices(n), c) for k, n, c in zip(key, shape, chunks, strict=True)]
    for parts in product(*axes):
        chunk, inside, place = zip(*parts, strict=True)
        yield Piece(chunk, inside, place)


def _along(start: int, stop: int, step: int, chunk: int) -> list[tuple[int, slice, slice]]:
    """Along one axis: each chunk touched, the slice of it, and where that goes."""
    at, parts = 0, []
    n = len(range(start, stop, step))
    while at < n:
        first = start + at * step
        number, offset = divmod(first, chunk)
        taken = min(-((offset - chunk) // step), n - at)
        inside = slice(offset, offset + (taken - 1) * step + 1, step)
        parts.append((number, inside, slice(at, at + taken)))
        at += taken
    return parts


def read_at(file: int, memory: Bytes, offset: int) -> int:
    """Read a file from an offset on until the memory is full or the file ends; gives the bytes."""
    done = 0
    while done < len(memory):
        if hasattr(os, "preadv"):
            n = os.preadv(file, [memory[done:].data], offset + done)
        else:  # Windows
            os.lseek(file, offset + done, os.SEEK_SET)
            some = os.read(file, len(memory) - done)
            n = len(some)
            memory[done : done + n] = np.frombuffer(some, np.uint8)
        if not n:
            break
        done += n
    return done


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="slime-decode")
