"""What decodes chunks: slime itself where it can, zarrs where that can, zarr-python else."""

import os
import warnings
from typing import Any

import numpy as np
import zarr
from jaxtyping import Shaped
from zarr.core.buffer import default_buffer_prototype

from slime.direct import AT_ONCE, direct_chunks
from slime.errors import SlimeError

CHOICE = "SLIME_ENGINE"  # environment variable
CHOICES = ("auto", "direct", "zarrs", "zarr")
PIPELINE = "zarrs.ZarrsCodecPipeline"


class Decoder:
    """The fastest decoder that serves an array; the choice is this array's alone.

    In this order: `slime.direct` (local folders, the usual codecs: a quarter of zarrs's CPU time
    where a read takes a part of a shard, less than two thirds for single-frame chunks), zarrs
    (local folders and object stores, all usual codecs), zarr-python (everything). Their pixels are
    equal.

    Attributes:
        name: "direct", "zarrs" or "zarr".
        array: the array as zarrs or zarr-python reads it.

    Raises:
        SlimeError: the environment variable SLIME_ENGINE asks for what is not there.
    """

    def __init__(self, array: zarr.Array):
        choice = os.environ.get(CHOICE, "auto")
        if choice not in CHOICES:
            raise SlimeError(f"{CHOICE}={choice!r} must be one of {', '.join(CHOICES)}")
        self.name, self.array = "zarr", array
        self._direct = direct_chunks(array) if choice in ("auto", "direct") else None
        if choice in ("auto", "zarrs"):
            served = _by_zarrs(array, needed=choice == "zarrs")
            if served is not None:
                self.name, self.array = "zarrs", served
        if self._direct is not None:
            self.name = "direct"

    @property
    def at_once(self) -> int:
        """Chunks that are held decoded beside the result while many are read."""
        if self.name == "direct":
            return AT_ONCE
        return os.cpu_count() or 1 if self.name == "zarrs" else zarr.config.get("async.concurrency")

    def read_into(
        self, key: tuple[slice | np.ndarray, ...], out: Shaped[np.ndarray, "*any"]
    ) -> list[tuple[int, ...]] | None:
        """Decode a selection along each axis into `out`, without a copy in between if it can be.

        Args:
            key: rising slices, or positions in any order.

        Returns:
            The chunk (or shard) files that are not there; None where the decoder does not tell.

        Raises:
            Exception: whatever zarr, the codec or the store raises.
        """
        slices = [k for k in key if isinstance(k, slice)]
        if self._direct is not None and len(slices) == len(key):
            return self._direct.read_into(tuple(slices), out)
        if out.flags.c_contiguous:
            _read_by_zarr(self.array, key, out)
        else:
            out[...] = self.read(key)
        return None

    def read(self, key: tuple[slice | np.ndarray, ...]) -> Shaped[np.ndarray, "*any"]:
        """A selection along each axis, as zarrs or zarr-python reads it.

        Raises:
            Exception: whatever zarr, the codec or the store raises.
        """
        # zarrs fills memory in C order alone; zarr would take it in the order of a zarr 2 store
        shape = [
            len(range(n)[k] if isinstance(k, slice) else k)
            for k, n in zip(key, self.array.shape, strict=True)
        ]
        out = np.empty(shape, self.array.dtype)
        _read_by_zarr(self.array, key, out)
        return out


def _by_zarrs(array: zarr.Array, *, needed: bool) -> zarr.Array | None:
    try:
        import zarrs  # noqa: F401  # the pipeline is looked up by name, once it is imported
    except ImportError as error:
        if needed:
            raise SlimeError(
                f"{CHOICE}=zarrs, but it is not installed: pip install zarrs"
            ) from error
        return None
    return _served(array)


def _served(array: zarr.Array) -> zarr.Array | None:
    """The array with zarrs's pipeline, None where that does not serve its store or codecs."""
    if not array.dtype.isnative:
        return None
    inner = array.async_array
    try:
        with warnings.catch_warnings(), zarr.config.set({"codec_pipeline.path": PIPELINE}):
            warnings.simplefilter("error")  # by which zarrs says that it knows no such codec
            opened = zarr.Array(type(inner)(inner.metadata, inner.store_path, inner.config))
        pipeline: Any = opened.async_array.codec_pipeline
        return opened if getattr(pipeline, "impl", None) is not None else None
    except Exception:  # zarrs refuses by errors of several kinds, of no common class
        return None


def _read_by_zarr(array: zarr.Array, key: tuple[slice | np.ndarray, ...], out: np.ndarray) -> None:
    buffer = default_buffer_prototype().nd_buffer.from_numpy_array(out)
    read: Any = array.get_basic_selection
    if any(isinstance(k, np.ndarray) for k in key):
        read = array.get_orthogonal_selection
    try:
        read(key, out=buffer)
    except Exception:
        raise
    except BaseException as panic:
        if type(panic).__name__ != "PanicException":  # how an error inside zarrs comes out
            raise
        raise RuntimeError(str(panic)) from panic
