"""What lies in a store's folder: its files, their sizes, and links that lead out of it."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from zarr.abc.store import RangeByteRequest, Store
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore

from slime.remote import RemoteStore


class Entry(NamedTuple):
    """A file below a prefix: its key, its bytes where the listing tells, and where it lies."""

    key: str
    n_bytes: int | None
    leads_out: bool  # a link, itself or one above it, leads out of the store's folder


class UnlistedError(LookupError):
    """A server that does not tell what it holds."""


async def listed(store: Store, prefix: str) -> AsyncIterator[Entry]:
    """The files below a prefix.

    Raises:
        UnlistedError: the store's server keeps no lists.
    """
    if isinstance(store, LocalStore):
        for entry in _files(store, prefix):
            yield entry
    elif isinstance(store, RemoteStore):
        sizes = await store.sizes(prefix)
        if sizes is None:
            raise UnlistedError(store.address(prefix))
        for key, size in sizes.items():
            yield Entry(key, size, False)
    else:
        async for key in store.list_prefix(prefix):
            yield Entry(key, None, False)


async def is_empty(store: Store, key: str) -> bool:
    """Whether a file holds nothing; asked for its first byte where the store keeps no sizes."""
    if type(store).getsize is not Store.getsize:  # zarr's own reads the whole file
        return not await store.getsize(key)
    return not await store.get(key, default_buffer_prototype(), RangeByteRequest(0, 1))


def _files(store: LocalStore, prefix: str) -> Iterator[Entry]:
    """The files of a folder, through links too, but through each link's target once."""
    home = os.path.realpath(store.root)
    top = os.path.join(store.root, prefix.rstrip("/"))
    folders = [(top, prefix, _out_of(top, home))]
    linked: set[str] = set()
    while folders:
        folder, key, is_out = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            leads_out = is_out or (entry.is_symlink() and _out_of(entry.path, home))
            if entry.is_dir():
                real = os.path.realpath(entry.path) if entry.is_symlink() else None
                if real is None or real not in linked:
                    linked |= {real} if real else set()
                    folders.append((entry.path, f"{key}{entry.name}/", leads_out))
            elif entry.is_file():
                yield Entry(f"{key}{entry.name}", None, leads_out)


def _out_of(path: str, home: str) -> bool:
    real = os.path.realpath(path)
    return real != home and not real.startswith(home.rstrip(os.sep) + os.sep)
