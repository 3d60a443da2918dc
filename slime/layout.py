"""The zarr layout that slime writes: whole frames, a checksum in every chunk, all chunks stored."""

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import zarr
from jaxtyping import Shaped
from zarr.codecs import ZstdCodec

import slime

AXES = ("time", "channel", "y", "x")
_FILTERS = Lock()  # filters of warnings are shared by all threads, and put back one after the other


def create_frames(
    group: zarr.Group,
    name: str,
    shape: Sequence[int],
    dtype: Any,
    *,
    chunk_frames: int,
    shard_frames: int | None = None,
    axes: Sequence[str] = AXES,
) -> zarr.Array:
    """An array of frames (time, channel, y, x) to be written, in chunks of whole frames.

    Every chunk is compressed by zstd with a checksum of its content, so that a flipped bit is an
    error at reading; and every chunk is stored, also one of zeros, so that a lost chunk is known
    from an empty one. `shard_frames`, a multiple of `chunk_frames`, puts that many into a file.
    """
    pixels = group.create_array(
        name,
        shape=tuple(shape),
        chunks=(chunk_frames, *shape[1:]),
        shards=None if shard_frames is None else (shard_frames, *shape[1:]),
        dtype=dtype,
        fill_value=0,
        dimension_names=axes,
        compressors=[ZstdCodec(level=3, checksum=True)],
        attributes={"written_by": "slime"},
        config={"write_empty_chunks": True},
    )
    assert pixels.shape == tuple(shape)
    return pixels


def open_to_write(path: Path, name: str) -> zarr.Array:
    """The array of frames in an unfinished store; chunks of zeros are stored too."""
    # `open_array` ignores its own `config`, and `zarr.config` is shared by all threads
    return zarr.open_array(path / name, mode="r+").with_config({"write_empty_chunks": True})


def write_coordinate(
    group: zarr.Group,
    name: str,
    values: Shaped[np.ndarray, "..."],
    axes: Sequence[str] | None = None,
    **attributes: Any,
) -> None:
    """Positions along an axis, or what is known of each of them; `units` among the attributes.

    One that is there is written anew: a kill may have left it without its values.
    """
    group.create_array(
        name,
        data=values,
        overwrite=True,
        dimension_names=tuple(axes) if axes is not None else (name,),
        attributes=attributes,
    )


def write_channel_names(group: zarr.Group, names: Sequence[str]) -> None:
    """The names of the channels as the coordinate `channel`."""
    channels: Any = group.create_array(
        "channel", shape=(len(names),), dtype=str, dimension_names=("channel",)
    )
    channels[:] = np.array(names, dtype=np.dtypes.StringDType())


def write_pixel_positions(group: zarr.Group, height: int, width: int, pixel_um: float) -> None:
    """The centres of the pixels in um as the coordinates `y` and `x`."""
    write_coordinate(group, "y", (np.arange(height) + 0.5) * pixel_um, units="um")
    write_coordinate(group, "x", (np.arange(width) + 0.5) * pixel_um, units="um")


def describe_store(group: zarr.Group, attributes: Mapping[str, Any]) -> None:
    """Say what an unfinished store is to hold; last, so that only one with its arrays does."""
    group.attrs.update({"written_by": "slime", **attributes, "slime_version": slime.__version__})


def lost_chunks(pixels: zarr.Array) -> int:
    """Chunks that are not there; those of the last shard beyond the last frame count too."""
    cells = pixels.shards or pixels.chunks
    n_files = math.prod(-(-n // cell) for n, cell in zip(pixels.shape, cells, strict=True))
    per_file = math.prod(c // chunk for c, chunk in zip(cells, pixels.chunks, strict=True))
    return n_files * per_file - pixels.nchunks_initialized


def drop_cut_writes(partial: Path) -> None:
    """Remove the files that a kill in the middle of a write left in an unfinished store.

    zarr writes NAME.<32 hexadecimal digits>.partial and renames it; no other file ends so.
    """
    for file in partial.rglob("*.partial"):
        if len(file.suffixes) > 1 and len(file.suffixes[-2]) == 33:
            file.unlink()


def finish_store(partial: Path, path: Path, attributes: Mapping[str, Any]) -> None:
    """Mark a store complete, consolidate its metadata, and give it its name.

    Metadata are consolidated, since xarray warns at every opening of a store without.
    """
    drop_cut_writes(partial)
    group = zarr.open_group(partial, mode="r+")
    group.attrs.update({**attributes, "complete": True})
    with _FILTERS, warnings.catch_warnings():
        # zarr 3.1 warns that other readers may not know consolidated metadata; they ignore it
        warnings.simplefilter("ignore", UserWarning)
        zarr.consolidate_metadata(group.store)
    os.rename(partial, path)
