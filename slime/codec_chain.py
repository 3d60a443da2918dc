"""The bytes of a chunk into pixels: no compressor, blosc or zstd, with or without a checksum."""

import struct
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import google_crc32c
import numcodecs
import numpy as np
from jaxtyping import Shaped
from numcodecs import blosc, zstd  # pyright: ignore[reportAttributeAccessIssue]  # compiled
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec
from zarr.core.metadata import ArrayV2Metadata

from slime.claims import HEAD, claimed_nbytes

Bytes = Shaped[np.ndarray, " _"]


class Chain(NamedTuple):
    """How the bytes of a chunk were made: pixels in C order, compressed, a checksum behind."""

    compressor: str  # "", "blosc" or "zstd"
    checksum: bool

    def decode(self, stored: Bytes, pixels: Bytes, label: str) -> None:
        """Decode a chunk into its place.

        Raises:
            ValueError: it is cut short, fails its checksum, or holds another number of bytes.
            RuntimeError: the codec refuses it.
        """
        if self.checksum:
            stored, behind = stored[:-4], stored[-4:].tobytes()
            if google_crc32c.value(stored).to_bytes(4, "little") != behind:
                raise ValueError(f"{label}: the checksum does not match")
        head = stored[:HEAD].tobytes()
        claimed = claimed_nbytes(head, self.compressor) if self.compressor else len(stored)
        if self.compressor == "blosc" and (
            len(head) < blosc.MAX_OVERHEAD or struct.unpack_from("<I", head, 12)[0] != len(stored)
        ):
            raise ValueError(f"{label}: {len(stored)} bytes are not what its header says")
        if claimed is not None and claimed != len(pixels):
            raise ValueError(f"{label}: holds {claimed} bytes of pixels, not {len(pixels)}")
        if not self.compressor:
            pixels[:] = stored
        elif self.compressor == "blosc":
            blosc.decompress(stored, pixels)
        elif claimed is not None:
            zstd.decompress(stored, pixels)
        else:  # written as a stream, of a length that is known only in the end
            decoded = np.frombuffer(zstd.decompress(stored), np.uint8)
            if len(decoded) != len(pixels):
                raise ValueError(f"{label}: holds {len(decoded)} bytes, not {len(pixels)}")
            pixels[:] = decoded


def chain_of(codecs: Sequence[Any]) -> Chain | None:
    """How the codecs of zarr 3 made the bytes, None where one is not known here."""
    known = {BloscCodec: "blosc", ZstdCodec: "zstd", Crc32cCodec: "crc32c"}
    first, *rest = codecs
    if type(first) is not BytesCodec or not all(type(codec) in known for codec in rest):
        return None
    if first.endian is not None and first.endian.value != sys.byteorder:
        return None
    words = [known[type(codec)] for codec in rest]
    checksum = words[-1:] == ["crc32c"]
    compressors = words[:-1] if checksum else words
    if len(compressors) > 1 or "crc32c" in compressors:
        return None
    return Chain("".join(compressors), checksum)


def chain_of_v2(metadata: ArrayV2Metadata) -> Chain | None:
    """How an array of zarr 2 made its bytes, None where a codec or the order is not known here."""
    if metadata.filters or metadata.order != "C":
        return None
    known = {type(None): "", numcodecs.Blosc: "blosc", numcodecs.Zstd: "zstd"}
    word = known.get(type(metadata.compressor))
    return None if word is None else Chain(word, checksum=False)
