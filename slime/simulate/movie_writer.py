"""Movies streamed to zarr chunk by chunk, so that a killed run goes on without a seam.

A store is written aside as NAME.zarr.partial and renamed when it is whole. Beside it lies the state
of the world after the last whole chunk. The writer knows nothing of the world: a state is a dict of
tensors and numbers that the world hands over and gets back.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from jaxtyping import Num

from slime.errors import SlimeError
from slime.folders import make_folder
from slime.layout import (
    create_frames,
    describe_store,
    finish_store,
    lost_chunks,
    open_to_write,
    write_channel_names,
    write_coordinate,
    write_pixel_positions,
)
from slime.lock import HeldLock
from slime.simulate.movie_header import MovieHeader, first_difference, stored_attributes

State = dict[str, Any]


class MovieWriter:
    """One unfinished store: frames are appended in order, `finish` gives it its name.

    A store of the same header that was left unfinished is taken up: `n_written` frames of it
    are kept, and `state` is what the world gave after the last of them (None: from the start).

    Raises:
        SlimeError: the store exists, the unfinished one has another header, or another process
            is writing it.
    """

    dtype = "uint16"  # of the pixels

    def __init__(self, path: Path, header: MovieHeader):
        self.path, self.header = path, header
        self.partial = partial_path(path)
        self.n_written, self.n_saturated = 0, 0
        self.state: State | None = None
        self._waiting: list[Num[np.ndarray, "c y x"]] = []
        make_folder(path.parent)
        self._lock = HeldLock(path.with_name(f"{path.name}.partial.lock"), repr(str(path)))
        try:
            self._take_up()
        except BaseException:
            self.close()
            raise

    def _take_up(self) -> None:
        """Begin the store, or go on with an unfinished one."""
        if self.path.exists():
            raise SlimeError(f"{str(self.path)!r} exists already; give another name or remove it")
        _refuse_other_header(self.partial, self.header)
        saved = state_path(self.path)
        if saved.exists() and self.partial.exists():
            kept = torch.load(saved, weights_only=True)
            self.n_written, self.n_saturated = kept["n_written"], kept["n_saturated"]
            self.state = kept["state"]
        else:
            self._create()
        self._open()

    def _create(self) -> None:
        """An empty store: the pixels, every chunk of which is to be written, and coordinates."""
        header = self.header
        group = zarr.open_group(self.partial, mode="w")
        create_frames(
            group, "movie", header.shape, self.dtype, chunk_frames=header.frames_per_chunk
        )
        seconds = np.arange(header.n_frames) * header.frame_interval_s
        write_coordinate(group, "time", seconds, units="s")
        write_pixel_positions(group, header.height_px, header.width_px, header.pixel_um)
        write_channel_names(group, header.channels)
        describe_store(group, header.attributes())

    def _open(self) -> None:
        self._pixels = open_to_write(self.partial, "movie")

    def _write(self, start: int, frames: list[Num[np.ndarray, "c y x"]]) -> None:
        """Write one chunk of frames."""
        self._pixels[start : start + len(frames)] = np.stack(frames)

    def _finish_store(self) -> None:
        finish_store(self.partial, self.path, {"n_saturated": self.n_saturated})

    @property
    def _n_left_out(self) -> int:
        """Chunks that are not written on purpose."""
        return 0

    def append(
        self,
        frame: Num[np.ndarray, "c y x"],
        state: Callable[[], State],
        n_saturated: int = 0,
    ) -> None:
        """Add the next frame; the last of a chunk writes the chunk and saves the state after it."""
        self._waiting.append(frame)
        self.n_saturated += n_saturated
        stop = self.n_written + len(self._waiting)
        if len(self._waiting) < self.header.frames_per_chunk and stop < self.header.n_frames:
            return
        self._write(self.n_written, self._waiting)
        self.n_written, self._waiting = stop, []
        counts = {"n_written": stop, "n_saturated": self.n_saturated}
        _save_aside(state_path(self.path), {**counts, "state": state()})

    def finish(self) -> Path:
        """Mark the store complete, give it its name and drop the state."""
        missing = lost_chunks(self._pixels) - self._n_left_out
        if self.n_written < self.header.n_frames or missing:
            raise RuntimeError(
                f"{str(self.path)!r} has {self.n_written} of {self.header.n_frames} frames and "
                f"lacks {missing} chunks: it cannot be finished"
            )
        self._finish_store()
        state_path(self.path).unlink(missing_ok=True)
        return self.path

    def close(self) -> None:
        """Let other processes write the store; what is not yet a whole chunk is forgotten."""
        self._lock.release()


def partial_path(path: Path) -> Path:
    """Where a store is written until it is whole."""
    return path.with_name(f"{path.name}.partial")


def state_path(path: Path) -> Path:
    """Where the state of the world that makes this store is kept while it is unfinished."""
    return path.with_name(f"{path.name}.partial.state.pt")


def is_finished(path: Path, header: MovieHeader) -> bool:
    """Whether the store is there already, complete and with this header.

    Raises:
        SlimeError: something else is there.
    """
    if not path.exists():
        return False
    found = stored_attributes(path)
    if not found.get("complete"):
        raise SlimeError(f"{str(path)!r} exists and is no movie of slime; give another name")
    if difference := first_difference(found, header):
        raise SlimeError(
            f"{str(path)!r} exists, made with {difference}; give another name or remove it"
        )
    state_path(path).unlink(missing_ok=True)  # left by a kill just after the store was named
    return True


def _refuse_other_header(partial: Path, header: MovieHeader) -> None:
    found = stored_attributes(partial)
    if found and (difference := first_difference(found, header)):
        raise SlimeError(
            f"{str(partial)!r} was begun with {difference}; go on with that, or remove it"
        )


def _save_aside(path: Path, content: dict[str, Any]) -> None:
    """Write a file that is whole or not there: aside, to the disk, then renamed."""
    aside = path.with_name(f"{path.name}.aside")
    with open(aside, "wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
