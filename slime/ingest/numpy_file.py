"""NumPy files, mapped into memory rather than read."""

import struct
import zipfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from slime.axes import axis_words, named_axes
from slime.errors import SlimeError, StoreError, nearest
from slime.ingest.source import RawArray, Source, checked_movie

ENDINGS = (".npy", ".npz")


def numpy_source(
    path: Path, *, variable: str | None, axes: str | None, movie: int | None, memory_budget: int
) -> Source:
    """An array of a .npy file, or one of a .npz archive.

    Raises:
        SlimeError: a damaged file, objects, several arrays of which none is chosen, or a packed one
            that does not fit into memory.
    """
    member = _member(path, variable) if path.suffix == ".npz" else None
    with ExitStack() as stack:
        array = open_numpy(path, member, memory_budget, stack)
        if array.dtype.kind not in "uifb":
            raise StoreError(f"{path.name!r} holds {array.dtype}, but pixels must be real numbers")
        names = named_axes(None if axes is None else axis_words(axes), array.shape, path.name)
        n_movies = array.shape[names.index("movie")] if "movie" in names else 1
        return Source(
            label=path.stem,
            kind="NumPy" if member is None else f"NumPy ({member.removesuffix('.npy')})",
            files=[path],
            axes=names,
            shape=array.shape,
            dtype=np.dtype(array.dtype).newbyteorder("="),
            opener=partial(open_numpy, path, member, memory_budget),
            movie=checked_movie(movie, n_movies, path.name),
        )


def open_numpy(path: Path, member: str | None, memory_budget: int, stack: ExitStack) -> RawArray:
    """The array, mapped; a packed one of an archive is unpacked into memory."""
    try:
        if member is None:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        return _from_archive(path, member, memory_budget)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, SlimeError):
            raise
        raise StoreError(
            f"{path.name!r} cannot be read as NumPy ({error}): put back a whole file"
        ) from error


def _member(path: Path, variable: str | None) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    except zipfile.BadZipFile as error:
        raise StoreError(f"{path.name!r} is no whole .npz archive ({error})") from error
    if variable is None and len(names) != 1:
        raise SlimeError(
            f"{path.name} holds the arrays {', '.join(names)}: choose variable={names[0]}"
        )
    if variable is not None and variable not in names:
        raise SlimeError(
            f"{path.name} has no array {variable!r}, but {', '.join(names)}"
            f"{nearest(variable, names)}"
        )
    return f"{variable or names[0]}.npy"


def _from_archive(path: Path, member: str, memory_budget: int) -> Any:
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(member)
        with archive.open(entry) as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                version, np.lib.format.read_array_header_2_0
            )
            shape, fortran, dtype = read(file)
            n_header = file.tell()
        if entry.compress_type == zipfile.ZIP_STORED and dtype.kind in "uifb":
            return np.memmap(
                path,
                dtype,
                "r",
                offset=_data_offset(path, entry) + n_header,
                shape=shape,
                order="F" if fortran else "C",
            )
        if entry.file_size > memory_budget:
            raise SlimeError(
                f"{path.name} holds {member} packed, {entry.file_size / 2**30:.2g} GiB unpacked, "
                f"above memory_gib={memory_budget / 2**30:.2g}: save it with numpy.save"
            )
        with archive.open(entry) as file:
            return np.lib.format.read_array(file, allow_pickle=False)


def _data_offset(path: Path, entry: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: after its own header, whose name and extra field vary."""
    with path.open("rb") as file:
        file.seek(entry.header_offset + 26)
        n_name, n_extra = struct.unpack("<HH", file.read(4))
    return entry.header_offset + 30 + n_name + n_extra
