"""What the metadata of a store tell beside its pixels: fallen behind, or without a checksum."""

from collections.abc import Iterable
from typing import Any

import xarray as xr
import zarr

from slime.audit.findings import Finding
from slime.movie import stored_frames


def metadata_findings(movie: xr.DataArray) -> list[Finding]:
    """Signs that the metadata have fallen behind the data, after an append for instance."""
    stored = stored_frames(movie)
    if stored is None:
        return []
    found = []
    if n_outside := stored.chunks.grid.n_outside:
        advice = (
            f"{n_outside} chunk files lie beyond the shape {stored.array.shape}: frames that the "
            "metadata do not know of are not read"
        )
        found.append(Finding("beyond the shape", (), "warning", advice))
    place = stored.array.store_path
    try:
        own = zarr.open_array(place.store, path=place.path, mode="r").shape
    except Exception as error:  # whatever zarr makes of a damaged file
        advice = f"only the consolidated metadata can be read, not the array's own ({error})"
        return [*found, Finding("damaged metadata", (), "warning", advice)]
    if own != stored.array.shape:
        advice = (
            f"the consolidated metadata say {stored.array.shape}, the array itself {own}: "
            "zarr.consolidatemetadata_findings brings them up to date"
        )
        found.append(Finding("stale metadata", (), "warning", advice))
    return found


def checksum_findings(movie: xr.DataArray) -> list[Finding]:
    """A note where a flipped bit in a chunk would change pixels without a word."""
    stored = stored_frames(movie)
    if stored is None or has_checksum(stored.array):
        return []
    advice = (
        "the chunks carry no checksum: a flipped bit may change pixels and nobody can see it; "
        "write with zstd checksum=true or crc32c"
    )
    return [Finding("no checksum", (), "note", advice)]


def has_checksum(array: zarr.Array) -> bool:
    """Whether every chunk is checked when it is decoded, whatever zarr's version."""
    metadata: Any = array.metadata
    if array.metadata.zarr_format == 3:
        return _any_checks(codec.to_dict() for codec in metadata.codecs)
    codecs = [*(metadata.filters or ()), metadata.compressor]
    return _any_checks(codec.get_config() for codec in codecs if codec is not None)


CHECKED = ("crc32c", "crc32", "adler32", "fletcher32", "jenkins_lookup3", "gzip", "zlib", "bz2")


def _any_checks(codecs: Iterable[dict[str, Any]]) -> bool:
    """Whether one of these codecs carries a checksum: its own, or zstd's where it is asked for."""
    for codec in codecs:
        name = str(codec.get("name", codec.get("id", ""))).removeprefix("numcodecs.")
        how = codec.get("configuration", codec)
        if name in CHECKED or (name == "zstd" and how.get("checksum")):
            return True
        # a shard's index has its own checksum; what counts is that of the chunks in it
        if name == "sharding_indexed" and _any_checks(how["codecs"]):
            return True
    return False
