"""What tells one source from another: names, sizes and a hash of contents."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

MIB = 1 << 20
WHOLE = 64 * MIB  # files up to this are hashed whole
N_PARTS = 64  # parts of a MiB taken of larger ones, first and last among them
MOST_FILES = 1000  # of more, this many evenly chosen ones are hashed, and the names of all
N_NAMES = 20  # names kept in the store


class _File(NamedTuple):
    name: str
    path: Path
    size: int
    changed_ns: int


def fingerprint(files: Sequence[Path], mode: str, about: str = "") -> dict[str, Any]:
    """Names, size and sha256 of a source; mode "full" hashes every byte, "sample" parts of much.

    Two sources that differ only in bytes that were not sampled look alike; `hash` says whether any
    were left out. Where there is no file here, as for a URL, what is said `about` it is hashed.
    """
    if not files:
        digest = hashlib.sha256(about.encode()).hexdigest()
        return {"names": [], "n_files": 0, "n_bytes": 0, "sha256": digest, "hash": "description"}
    found = list(_files(files))
    step = 1 if mode == "full" else max(-(-len(found) // MOST_FILES), 1)
    digest, sampled = hashlib.sha256(), step > 1
    for number, file in enumerate(found):
        digest.update(f"{file.name}\0{file.size}\0".encode())
        if number % step == 0:
            sampled |= _add_content(digest, file, whole=mode == "full" or file.size <= WHOLE)
    return {
        "names": [file.name for file in found[:N_NAMES]],
        "n_files": len(found),
        "n_bytes": sum(file.size for file in found),
        "sha256": digest.hexdigest(),
        "hash": "sample" if sampled else "full",
    }


def state_of(files: Sequence[Path]) -> str:
    """A cheap digest of names, sizes and times of change, to see whether anything was touched."""
    digest = hashlib.sha256()
    for file in _files(files):
        digest.update(f"{file.name}\0{file.size}\0{file.changed_ns}\0".encode())
    return digest.hexdigest()


def _add_content(digest: Any, file: _File, *, whole: bool) -> bool:
    """Add a file's content to a digest; True where only parts of it were."""
    with file.path.open("rb") as content:
        if whole:
            while part := content.read(MIB):
                digest.update(part)
            return False
        for number in range(N_PARTS):
            content.seek(number * (file.size - MIB) // (N_PARTS - 1))
            digest.update(content.read(MIB))
    return True


def _files(files: Sequence[Path]) -> Iterator[_File]:
    """Files, and all that is in folders, by names that do not tell where they lie."""
    for path in files:
        if path.is_dir():
            for folder, folders, names in os.walk(path):
                folders.sort()
                for name in sorted(names):
                    file = Path(folder) / name
                    yield _file(file, f"{path.resolve().name}/{file.relative_to(path)}")
        else:
            yield _file(path, path.name)


def _file(path: Path, name: str) -> _File:
    told = path.stat()
    return _File(name, path, told.st_size, told.st_mtime_ns)
