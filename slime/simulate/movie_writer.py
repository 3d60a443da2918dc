"""Movies streamed to zarr chunk by chunk, so that a killed run goes on without a seam.

A store is written aside as NAME.zarr.partial and renamed when it is whole. Beside it lies the state
of the world after the last whole chunk. The writer knows nothing of the world: a state is a dict of
tensors and numbers that the world hands over and gets back.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from jaxtyping import UInt16
from zarr.codecs import ZstdCodec

import slime
from slime.errors import SlimeError
from slime.lock import HeldLock
from slime.simulate.movie_header import MovieHeader, first_difference, stored_attributes

AXES = ("time", "channel", "y", "x")
State = dict[str, Any]


class MovieWriter:
    """One unfinished store: frames are appended in order, `finish` gives it its name.

    A store of the same header that was left unfinished is taken up: `n_written` frames of it
    are kept, and `state` is what the world gave after the last of them (None: from the start).

    Raises:
        SlimeError: the store exists, the unfinished one has another header, or another process
            is writing it.
    """

    def __init__(self, path: Path, header: MovieHeader):
        self.path, self.header = path, header
        self.partial = path.with_name(f"{path.name}.partial")
        self.n_written, self.n_saturated = 0, 0
        self.state: State | None = None
        self._waiting: list[UInt16[np.ndarray, "c y x"]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
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
            _create(self.partial, self.header)
        # chunks of zeros would else be left out, as if lost; `open_array` ignores its own `config`
        with zarr.config.set({"array.write_empty_chunks": True}):
            self._pixels = zarr.open_array(self.partial / "movie", mode="r+")

    def append(
        self,
        frame: UInt16[np.ndarray, "c y x"],
        state: Callable[[], State],
        n_saturated: int = 0,
    ) -> None:
        """Add the next frame; the last of a chunk writes the chunk and saves the state after it."""
        self._waiting.append(frame)
        self.n_saturated += n_saturated
        stop = self.n_written + len(self._waiting)
        if len(self._waiting) < self.header.frames_per_chunk and stop < self.header.n_frames:
            return
        self._pixels[self.n_written : stop] = np.stack(self._waiting)
        self.n_written, self._waiting = stop, []
        counts = {"n_written": stop, "n_saturated": self.n_saturated}
        _save_aside(state_path(self.path), {**counts, "state": state()})

    def finish(self) -> Path:
        """Mark the store complete, give it its name and drop the state.

        Metadata are consolidated, since xarray warns at every opening of a store without.
        """
        missing = self._pixels.nchunks - self._pixels.nchunks_initialized
        if self.n_written < self.header.n_frames or missing:
            raise RuntimeError(
                f"{str(self.path)!r} has {self.n_written} of {self.header.n_frames} frames and "
                f"lacks {missing} chunks: it cannot be finished"
            )
        group = zarr.open_group(self.partial, mode="r+")
        group.attrs.update({"n_saturated": self.n_saturated, "complete": True})
        with warnings.catch_warnings():
            # zarr 3.1 warns that other readers may not know consolidated metadata; they ignore it
            warnings.simplefilter("ignore", UserWarning)
            zarr.consolidate_metadata(group.store)
        os.rename(self.partial, self.path)
        state_path(self.path).unlink(missing_ok=True)
        return self.path

    def close(self) -> None:
        """Let other processes write the store; what is not yet a whole chunk is forgotten."""
        self._lock.release()


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


def _create(partial: Path, header: MovieHeader) -> None:
    """An empty store: the pixels, every chunk of which is to be written, and the coordinates."""
    group = zarr.open_group(partial, mode="w")
    pixels = group.create_array(
        "movie",
        shape=header.shape,
        chunks=(header.frames_per_chunk, *header.shape[1:]),
        dtype="uint16",
        fill_value=0,
        dimension_names=AXES,
        compressors=[ZstdCodec(level=3, checksum=True)],
        attributes={"written_by": "slime"},
    )
    assert pixels.shape == header.shape
    pixel_um = header.pixel_um
    _coordinate(group, "time", np.arange(header.n_frames) * header.frame_interval_s, "s")
    _coordinate(group, "y", (np.arange(header.height_px) + 0.5) * pixel_um, "um")
    _coordinate(group, "x", (np.arange(header.width_px) + 0.5) * pixel_um, "um")
    channels: Any = group.create_array(
        "channel", shape=(len(header.channels),), dtype=str, dimension_names=("channel",)
    )
    channels[:] = np.array(header.channels, dtype=np.dtypes.StringDType())
    # last: only a store with all its arrays says what it is
    group.attrs.update({**header.attributes(), "slime_version": slime.__version__})


def _coordinate(group: zarr.Group, name: str, values: np.ndarray, units: str) -> None:
    group.create_array(name, data=values, dimension_names=(name,), attributes={"units": units})


def _save_aside(path: Path, content: dict[str, Any]) -> None:
    """Write a file that is whole or not there: aside, to the disk, then renamed."""
    aside = path.with_name(f"{path.name}.aside")
    with open(aside, "wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
