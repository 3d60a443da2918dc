"""Small movies that name themselves: every pixel of frame i is i + 1, so none looks blank."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from hypothesis import settings

torch.set_num_threads(1)
if threading.current_thread() is threading.main_thread():
    # a job in the background of a shell ignores Ctrl-C, and so would all that tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("slime", deadline=None)  # cores are shared: seconds are no verdict
settings.load_profile("slime")

Y, X = 4, 5


@pytest.fixture
def numbered() -> Callable[..., np.ndarray]:
    """Frames (t, y, x), or (t, *lead, y, x), of which each pixel is the frame's number plus 1."""

    def frames(n: int, *lead: int, dtype: str = "uint16") -> np.ndarray:
        pixels = np.arange(1, n + 1).reshape(-1, *[1] * len(lead), 1, 1)
        return np.broadcast_to(pixels, (n, *lead, Y, X)).astype(dtype)

    return frames


@pytest.fixture
def bare(tmp_path: Path) -> Callable[..., Path]:
    """Writes pixels as a bare zarr array, in chunks of the given shape (one frame by default)."""

    def write(
        pixels: Any, name: str = "a dish.zarr", chunks: tuple[int, ...] | None = None, **how: Any
    ) -> Path:
        path = tmp_path / name
        array = zarr.create_array(
            path,
            shape=pixels.shape,
            chunks=chunks or (1, *pixels.shape[1:]),
            dtype=pixels.dtype,
            **how,
        )
        array[:] = pixels
        return path

    return write


@pytest.fixture
def in_memory() -> Callable[..., xr.DataArray]:
    """A movie in memory from pixels (t, y, x) or (t, c, y, x)."""

    def movie(pixels: Any, name: str = "movie", **coords: Any) -> xr.DataArray:
        pixels = np.asarray(pixels)
        pixels = pixels[:, None] if pixels.ndim == 3 else pixels
        return xr.DataArray(
            pixels,
            dims=("time", "channel", "y", "x"),
            name=name,
            coords=coords,
            attrs={"experiment": name},
        )

    return movie


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The chunk files read from local stores since the test began, in order."""
    from zarr.storage import LocalStore

    monkeypatch.setenv("SLIME_ENGINE", "zarr")  # the other decoder opens files by itself

    read: list[str] = []
    get = LocalStore.get

    async def counted(self: Any, key: str, *args: Any, **choices: Any) -> Any:
        if not key.endswith((".json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")):
            read.append(f"{Path(self.root).name}/{key}")
        return await get(self, key, *args, **choices)

    monkeypatch.setattr(LocalStore, "get", counted)
    return read
