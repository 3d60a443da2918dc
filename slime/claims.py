"""What the first bytes of a chunk claim that it decodes to, before a decoder believes them."""

import math
import struct
from typing import Any

import zarr

HEAD = 32  # bytes of a chunk that are looked at
MOST = 8  # times the size by the metadata; filters may change a chunk's size a little
SLACK = 64 << 10
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def claimed_nbytes(head: bytes, codec: str) -> int | None:
    """Bytes that a compressed chunk says it decodes to; None where it does not say.

    Args:
        head: the first bytes of the chunk.
        codec: "blosc", "lz4" or "zstd".

    References:
        RFC 8878, 3.1.1 (zstd's frame header); c-blosc README_CHUNK_FORMAT; numcodecs.lz4 writes
        the size as 4 bytes before the block.
    """
    if codec == "blosc" and len(head) >= 16:
        return struct.unpack_from("<I", head, 4)[0]
    if codec == "lz4" and len(head) >= 4:
        return struct.unpack_from("<I", head)[0]
    if codec == "zstd" and head[:4] == ZSTD_MAGIC and len(head) >= 5:
        return _zstd_nbytes(head)
    return None


def _zstd_nbytes(head: bytes) -> int | None:
    flags = head[4]
    single, width = flags >> 5 & 1, flags >> 6
    n = (1 if single else 0, 2, 4, 8)[width]
    at = 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3]
    if not n or len(head) < at + n:
        return None
    return int.from_bytes(head[at : at + n], "little") + (256 if n == 2 else 0)


def outer_codec(array: zarr.Array) -> str | None:
    """The name of the codec that a chunk's first bytes belong to, without the library's prefix.

    None where chunks lie in shards: these are decoded one by one, by their index.
    """
    if array.shards is not None:
        return None
    metadata: Any = array.metadata
    if array.metadata.zarr_format == 2:
        compressor = metadata.compressor
        return None if compressor is None else str(compressor.codec_id)
    for codec in reversed(metadata.codecs):
        name = str(codec.to_dict().get("name", "")).removeprefix("numcodecs.")
        if name != "crc32c":  # which is written behind the rest
            return name
    return None


def too_much(head: bytes, codec: str, array: zarr.Array) -> int | None:
    """The bytes that a chunk claims, where they are far more than the metadata make of one."""
    claimed = claimed_nbytes(head, codec)
    right = math.prod(array.chunks) * array.dtype.itemsize
    return claimed if claimed is not None and claimed > MOST * right + SLACK else None
