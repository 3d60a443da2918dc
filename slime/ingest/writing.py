"""A store written aside, shard by shard, with a journal of what is whole; then read again."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from jaxtyping import Shaped

from slime.errors import SlimeError, StoreError
from slime.files import append_line, read_lines, write_text
from slime.frames import not_finite
from slime.ingest.chunking import Chunking
from slime.ingest.corrections import Corrections
from slime.ingest.frames import Cut
from slime.ingest.source import Reader
from slime.layout import open_to_write
from slime.nodes import one_line

NAME = "frames"


class Written(NamedTuple):
    """A shard that is on disk: its number, a digest of each of its frames, frames with NaN."""

    shard: int
    digests: list[str]
    not_finite: list[int]


@dataclass(frozen=True)
class Job:
    """What a worker needs to turn a block of the source into shards of the store."""

    reader: Reader
    cut: Cut
    corrections: Corrections
    partial: str
    chunking: Chunking

    def write(self, shards: Sequence[int]) -> list[Written]:
        """Read the frames of a run of shards once, and write each shard to the disk."""
        n_frames, length = len(self.cut.frames), self.chunking.shard
        try:
            pixels = open_to_write(Path(self.partial), NAME)
            start, stop = shards[0] * length, min((shards[-1] + 1) * length, n_frames)
            frames = self._frames(start, stop)
            written = []
            for shard in shards:
                a, b = shard * length, min((shard + 1) * length, n_frames)
                part = frames[a - start : b - start]
                pixels[a:b] = part
                _to_disk(pixels, shard, Path(self.partial))
                bad = (
                    not_finite(part).any(axis=(1, 2, 3)) if part.dtype.kind == "f" else np.zeros(0)
                )
                odd = (np.flatnonzero(bad) + a).tolist()
                written.append(Written(shard, [frame_digest(f) for f in part], odd))
            return written
        finally:
            self.reader.block_done()

    def _frames(self, start: int, stop: int) -> Shaped[np.ndarray, "t c y x"]:
        """Frames as they are to be stored, read a few at a time."""
        block = None
        for a in range(start, stop, self.chunking.read):
            b = min(a + self.chunking.read, stop)
            part = self.corrections.stored(self.cut.read(self.reader.array, a, b), a)
            if b - a == stop - start:
                return part
            if block is None:
                block = np.empty((stop - start, *part.shape[1:]), part.dtype)
            block[a - start : b - start] = part
        assert block is not None
        return block


def _to_disk(pixels: zarr.Array, shard: int, partial: Path) -> None:
    """Wait until a shard's file is on the disk, so that the journal never runs ahead of it."""
    file = partial / NAME / pixels.metadata.encode_chunk_key((shard, 0, 0, 0))
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def frame_digest(frame: Shaped[np.ndarray, "c y x"]) -> str:
    """A hash of a frame's type, shape and stored values, as 16 hexadecimal digits."""
    pixels = np.ascontiguousarray(frame, frame.dtype.newbyteorder("<"))
    head = f"{pixels.dtype.str}{pixels.shape}".encode()
    return hashlib.blake2b(head + pixels.tobytes(), digest_size=8).hexdigest()


class Check(NamedTuple):
    """What reading a shard again showed: its frames that differ, or why it cannot be read."""

    shard: int
    frames: list[int]
    error: str


def check_shard(partial: str, shard: int, length: int, digests: Sequence[str]) -> Check:
    """Read a shard again and compare each frame with what was read from the source."""
    start = shard * length
    frames = list(range(start, start + len(digests)))
    try:
        pixels = zarr.open_array(Path(partial) / NAME, mode="r")
        read = np.asarray(pixels[start : start + len(digests)])
    except Exception as error:
        return Check(shard, frames, one_line(error))
    if not (Path(partial) / NAME / pixels.metadata.encode_chunk_key((shard, 0, 0, 0))).exists():
        return Check(shard, frames, "its file is gone")
    differ = [f for f, d in zip(frames, digests, strict=True) if frame_digest(read[f - start]) != d]
    return Check(shard, differ, "")


class Journal:
    """What was begun and which shards are whole, a line each, beside the unfinished store.

    Raises:
        SlimeError: the unfinished store was begun from another source or with other choices, or
            is none of this kind.
    """

    def __init__(self, path: Path, partial: Path, header: dict[str, Any]):
        self.path, header = path, json.loads(json.dumps(header))
        rows = read_lines(path)
        self.is_new = not rows
        if rows:
            _refuse_other(rows[0].get("begun", {}), header, partial)
        elif partial.exists():
            raise SlimeError(
                f"{str(partial)!r} is there and is no conversion that could go on: remove it"
            )
        else:
            append_line(path, {"begun": header})
        self.written = {row["shard"]: Written(**row) for row in rows[1:]}

    def add(self, written: Written) -> None:
        """Note a shard that is on disk."""
        append_line(self.path, written._asdict())
        self.written[written.shard] = written

    def drop(self, shards: Sequence[int]) -> None:
        """Forget shards, so that the next run writes them again."""
        self.written = {n: w for n, w in self.written.items() if n not in shards}
        first = read_lines(self.path)[0]
        rows = [first, *(w._asdict() for w in self.written.values())]
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in rows))


def _refuse_other(begun: dict[str, Any], asked: dict[str, Any], partial: Path) -> None:
    for group, values in asked.items():
        before = begun.get(group, {})
        for key, value in values.items():
            if before.get(key) != value:
                what = (
                    f"{key}={before.get(key)}, not {value}"
                    if group == "choices"
                    else (f"another {group} ({key} {before.get(key)}, not {value})")
                )
                raise SlimeError(
                    f"{str(partial)!r} was begun with {what}: go on with that, remove it, or give "
                    "another out="
                )


def verification_error(path: Path, failed: Sequence[Check]) -> StoreError:
    """The refusal of a store that does not hold what was read from the source."""
    frames = [f for check in failed for f in check.frames]
    why = next((f" ({check.error})" for check in failed if check.error), "")
    return StoreError(
        f"{str(path)!r}: {len(frames)} frames of {len(failed)} files are not what was written{why}"
        f", first frame {frames[0]}: check the disk, and run the same command again, which writes "
        "them anew"
    )
