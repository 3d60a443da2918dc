"""The movies that are fed: smooth noise whose frames carry their number, in zarr and in HDF5."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Float, Shaped
from scipy.ndimage import gaussian_filter
from zarr.codecs import BloscCodec

from slime.progress import bar

PERIOD = 200  # frames until the noise comes again; longer than any chunk
WRITE_FRAMES = 100  # frames written at once: whole chunks and shards of every layout
TRAJECTORY = "t0_fields/movie"  # where The Well's layout keeps the pixels

Fill = Callable[[int, int], Shaped[np.ndarray, "t y x"]]


@dataclass(frozen=True)
class Layout:
    """How the pixels lie in a store: `frames` and a square `tile` are decoded together."""

    key: str
    label: str
    frames: int
    tile: int | None = None
    shard_frames: int | None = None

    def chunk(self, size: int) -> tuple[int, int, int]:
        """A chunk's frames, height and width."""
        tile = min(self.tile or size, size)
        return self.frames, tile, tile

    def block_frames(self) -> int:
        """Frames that a plain decode reads at once: whole chunks, about 50 frames."""
        return self.frames * max(1, 50 // self.frames)


LAYOUTS = (
    Layout("whole50", "50 whole frames", 50),
    Layout("single", "1 whole frame", 1),
    Layout("tiles", "100 frames of 64 x 64", 100, tile=64),
    Layout("sharded", "10 whole frames in shards of 50", 10, shard_frames=50),
)


@lru_cache(maxsize=1)
def _noise(size: int) -> Float[np.ndarray, "t y x"]:
    white = np.random.default_rng(0).standard_normal((PERIOD, size, size), np.float32)
    smooth = gaussian_filter(white, (0, 2, 2))
    return smooth / smooth.std()


def numbered_noise(start: int, stop: int, size: int) -> Float[np.ndarray, "t y x"]:
    """Frames start to stop: the first pixel is the frame's number, the last one that and a half."""
    number = np.arange(start, stop)
    frames = _noise(size)[number % PERIOD].copy()
    frames[:, 0, 0], frames[:, -1, -1] = number, number + 0.5
    return frames


def numbered_counts(start: int, stop: int, size: int) -> Shaped[np.ndarray, "t y x"]:
    """The same as a camera would count it: uint16, the frame's number in the first pixel."""
    number = np.arange(start, stop)
    frames = (1000 + 100 * _noise(size)[number % PERIOD]).astype(np.uint16)
    frames[:, 0, 0], frames[:, -1, -1] = number, number
    return frames


def write_zarr(
    path: Path,
    layout: Layout,
    n_frames: int,
    size: int,
    fill: Fill,
    dtype: str = "float32",
) -> Path:
    """A store of zstd with shuffle; what is there already is kept."""
    if path.exists():
        return path
    partial = _cleared(path)
    chunk = layout.chunk(size)
    shard = layout.shard_frames
    array: Any = zarr.create_group(partial).create_array(
        "movie",
        shape=(n_frames, size, size),
        dtype=dtype,
        chunks=chunk,
        shards=(shard, *chunk[1:]) if shard else None,
        compressors=[
            BloscCodec(cname="zstd", clevel=5, shuffle="shuffle", typesize=np.dtype(dtype).itemsize)
        ],
        dimension_names=("time", "y", "x"),
    )
    for start in bar(range(0, n_frames, WRITE_FRAMES), None, f"writing {path.name}"):
        stop = min(start + WRITE_FRAMES, n_frames)
        array[start:stop] = fill(start, stop)
    os.rename(partial, path)
    return path


def write_well(folder: Path, layout: Layout, n_frames: int, size: int, fill: Fill) -> Path:
    """The frames in The Well's HDF5 layout, uncompressed: reads are a copy, its best case."""
    import h5py

    if folder.exists():
        return folder
    partial = _cleared(folder)
    partial.mkdir(parents=True)
    with h5py.File(partial / "movie.h5", "w") as file:
        _well_header(file, n_frames, size)
        pixels: Any = file.create_dataset(
            TRAJECTORY,
            shape=(1, n_frames, size, size),
            dtype="float32",
            chunks=(1, *layout.chunk(size)),
        )
        pixels.attrs["dim_varying"] = [True, True]
        pixels.attrs["sample_varying"], pixels.attrs["time_varying"] = True, True
        for start in range(0, n_frames, WRITE_FRAMES):
            stop = min(start + WRITE_FRAMES, n_frames)
            pixels[0, start:stop] = fill(start, stop)
    os.rename(partial, folder)
    return folder


def _well_header(file: Any, n_frames: int, size: int) -> None:
    for name, value in {
        "dataset_name": "movie",
        "grid_type": "cartesian",
        "n_spatial_dims": 2,
        "n_trajectories": 1,
    }.items():
        file.attrs[name] = value
    file.create_group("boundary_conditions")
    axes = file.create_group("dimensions")
    axes.attrs["spatial_dims"] = ["y", "x"]
    for name, n in (("time", n_frames), ("y", size), ("x", size)):
        axes[name] = np.arange(n, dtype=np.float32)
        axes[name].attrs["sample_varying"] = False
    fields = {"scalars": [], "t0_fields": ["movie"], "t1_fields": [], "t2_fields": []}
    for group, names in fields.items():
        file.create_group(group).attrs["field_names"] = names


def _cleared(path: Path) -> Path:
    """The name under which a store is written until it is whole."""
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return partial


def stored_bytes(path: Path) -> int:
    """Bytes of all files under a path."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
