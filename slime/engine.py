"""What decodes chunks: zarrs where it is installed and serves the store, zarr-python else."""

import os
import warnings
from typing import Any

import numpy as np
import zarr
from jaxtyping import Shaped
from zarr.core.buffer import default_buffer_prototype

from slime.errors import SlimeError

CHOICE = "SLIME_ENGINE"  # environment variable: auto, zarr or zarrs
PIPELINE = "zarrs.ZarrsCodecPipeline"


def with_engine(array: zarr.Array) -> tuple[zarr.Array, str]:
    """The same array, read by the fastest decoder that serves it, and that decoder's name.

    The choice is this array's alone: zarr's global settings stay as they are. zarrs serves local
    folders and object stores; it decodes single-frame chunks and shards two to three times as fast
    as zarr-python, with equal pixels.

    Raises:
        SlimeError: the environment variable SLIME_ENGINE asks for what is not there.
    """
    choice = os.environ.get(CHOICE, "auto")
    if choice not in ("auto", "zarr", "zarrs"):
        raise SlimeError(f"{CHOICE}={choice!r} must be auto, zarr or zarrs")
    if choice == "zarr":
        return array, "zarr"
    try:
        import zarrs  # noqa: F401  # the pipeline is looked up by name, once it is imported
    except ImportError as error:
        if choice == "zarrs":
            raise SlimeError(
                f"{CHOICE}=zarrs, but it is not installed: pip install zarrs"
            ) from error
        return array, "zarr"
    served = _served(array)
    return (array, "zarr") if served is None else (served, "zarrs")


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


def read_into(array: zarr.Array, key: tuple[Any, ...], out: Shaped[np.ndarray, "*any"]) -> None:
    """Decode a basic selection (slices and numbers) into `out`, without a copy in between.

    Raises:
        Exception: whatever zarr, the codec or the store raises.
    """
    buffer = default_buffer_prototype().nd_buffer.from_numpy_array(out)
    try:
        array.get_basic_selection(key, out=buffer)
    except Exception:
        raise
    except BaseException as panic:
        if type(panic).__name__ != "PanicException":  # how an error inside zarrs comes out
            raise
        raise RuntimeError(str(panic)) from panic


def chunks_at_once(engine: str) -> int:
    """Chunks that the decoder holds decoded beside its result while it reads many."""
    return os.cpu_count() or 1 if engine == "zarrs" else zarr.config.get("async.concurrency")
