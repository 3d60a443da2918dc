"""A zarr inside a zip file, read in place: nothing is ever extracted."""

import asyncio
import weakref
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import ZipStore

from slime.errors import StoreError, one_line

ROOTS = ("zarr.json", ".zarray", ".zgroup")
LOCAL_HEADER = 30  # bytes before the name, whose length and that of an extra field stand at 26
ENCRYPTED = 1  # a flag of a member
JUNK = "__MACOSX"  # what a Mac adds to every zip


class ZippedStore(ZipStore):
    """The members of a zip file as a read-only store, for several threads at once.

    Members are read in threads of their own, and a part of one that is not compressed (an inner
    chunk of a shard) without the rest.

    Args:
        source: opens the file for reading bytes; called in every process that the store is sent to.
        name: what messages call it.

    Raises:
        StoreError: not a zip file, a truncated one, or one with members outside of itself.
    """

    def __init__(self, source: Callable[[], Any], name: str):
        super().__init__(Path(name), mode="r")
        self._source, self._name = source, name
        self._sync_open()

    def _sync_open(self) -> None:
        self._lock = RLock()
        self._file, self._parts = self._source(), self._source()
        for file in (self._file, self._parts):
            weakref.finalize(self, file.close)
        try:
            self._zf = zipfile.ZipFile(self._file)
        except Exception as error:
            raise self._unreadable(error) from error
        for member in self._zf.namelist():
            if member.startswith(("/", "\\")) or ".." in member.replace("\\", "/").split("/"):
                raise StoreError(
                    f"{self._name!r} has a member {member!r}, which leads out of the zip: "
                    "a store's members lie inside it"
                )
        self._is_open = True

    def _unreadable(self, error: Exception) -> StoreError:
        if not isinstance(error, zipfile.BadZipFile):
            return StoreError(f"{self._name!r} cannot be read as a zip file ({one_line(error)})")
        self._file.seek(0)
        if self._file.read(2) == b"PK":
            return StoreError(
                f"{self._name!r} is a truncated zip file: the list of its members, at its end, is "
                f"missing or damaged; copy it again ({one_line(error)})"
            )
        return StoreError(f"{self._name!r} is no zip file ({one_line(error)})")

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {k: v for k, v in state.items() if k not in ("_file", "_parts")}

    def with_read_only(self, read_only: bool = False) -> "ZippedStore":
        """Itself: it is never written."""
        return self

    async def get(
        self,
        key: str,
        prototype: BufferPrototype,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """A member's bytes, or a part of them; None where there is no such member."""
        return await asyncio.to_thread(self._read, key, prototype, byte_range)

    def _read(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None
    ) -> Buffer | None:
        try:
            member = self._zf.getinfo(key)
        except KeyError:
            return None
        start, stop = _bounds(byte_range, member.file_size)
        plain = member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & ENCRYPTED
        if byte_range is not None and plain:
            return prototype.buffer.from_bytes(self._part(member, start, stop))
        with self._zf.open(member) as opened:  # checks the member's crc where it is read whole
            opened.seek(start)
            return prototype.buffer.from_bytes(opened.read(stop - start))

    def _part(self, member: zipfile.ZipInfo, start: int, stop: int) -> bytes:
        with self._lock:
            self._parts.seek(member.header_offset + 26)
            lengths = self._parts.read(4)
            skipped = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
            self._parts.seek(member.header_offset + LOCAL_HEADER + skipped + start)
            return self._parts.read(stop - start)

    async def getsize(self, key: str) -> int:
        """Bytes of a member, by the zip's own list."""
        return self._zf.getinfo(key).file_size

    def root(self) -> str:
        """The folder of the zip in which its zarr lies, "" for the zip itself.

        Raises:
            StoreError: there is no zarr at its root, nor in the one folder inside it.
        """
        members = [m for m in self._zf.namelist() if m.split("/")[0] != JUNK]
        held, folder = set(members), ""
        while not any(folder + name in held for name in ROOTS):
            inside = {m.removeprefix(folder).split("/")[0] for m in members if m != folder}
            inner = next(iter(inside)) if len(inside) == 1 else ""
            if not inner or f"{folder}{inner}" in held:
                listed = ", ".join(sorted(inside)[:6]) or "nothing"
                raise StoreError(
                    f"{self._name!r} holds no zarr array or group, at its root or in one folder "
                    f"({listed})"
                )
            folder += f"{inner}/"
        return folder.rstrip("/")


def _bounds(byte_range: ByteRequest | None, size: int) -> tuple[int, int]:
    """First byte and the one after the last, of a value of this size."""
    if isinstance(byte_range, RangeByteRequest):
        return min(byte_range.start, size), min(byte_range.end, size)
    if isinstance(byte_range, OffsetByteRequest):
        return min(byte_range.offset, size), size
    if isinstance(byte_range, SuffixByteRequest):
        return max(size - byte_range.suffix, 0), size
    return 0, size
