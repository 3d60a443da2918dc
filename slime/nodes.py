"""What lies at a path or URL, opened so that nothing is ever created or changed."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import zarr
from zarr.abc.store import Store
from zarr.core.sync import sync
from zarr.storage import StorePath

from slime.errors import MissingStoreError, StoreError, nearest, one_line
from slime.places import is_url, local_path
from slime.remote import RemoteStore, UnreachableError, remote_file, remote_store
from slime.zipped import ZippedStore


def open_node(store: Any) -> zarr.Array | zarr.Group:
    """The zarr array or group at a path or URL, always read-only.

    A plain `zarr.open` creates folders. Names that end in `.zip` are read in place.

    Raises:
        MissingStoreError: nothing is at the path or URL; names a near one.
        StoreError: something is there, but not a readable zarr store.
    """
    if isinstance(store, (zarr.Array, zarr.Group)):
        return store
    if isinstance(store, str) and not store.strip():
        raise MissingStoreError("the name of a store is empty: give the path of a zarr store")
    if isinstance(store, (Store, StorePath, Mapping)):
        return _opened(store, "", str(store))
    if not isinstance(store, (str, os.PathLike)):
        raise StoreError(
            f"a movie is opened from a path, a URL, or an open zarr array or group, not from "
            f"{type(store).__name__}: an array in memory is a movie once check_movie takes it"
        )
    path = local_path(store)
    if path is not None:
        return _opened(*_local(path), str(path))
    url = str(store)
    if ".partial" in url:
        raise StoreError(f"{url!r} was not finished: run the command that makes it again")
    if is_zip(url):
        address = url.removeprefix("zip::")
        zipped = ZippedStore(partial(remote_file, address), address)
        return _opened(zipped, zipped.root(), url)
    return _opened(remote_store(url), "", url)


def is_zip(store: Any) -> bool:
    """Whether a store's name says that it is a zip file."""
    word = str(store).lower()
    return word.endswith(".zip") or (is_url(store) and word.startswith("zip::"))


def _local(path: Path) -> tuple[Any, str]:
    """What zarr opens for a path, and the path inside of that."""
    if not path.exists():
        for unfinished in (f"{path.name}.partial", f".{path.name}.partial"):
            if path.with_name(unfinished).exists():
                raise MissingStoreError(
                    f"{str(path)!r} was not finished, {unfinished} is what there is of it: run the "
                    "command that makes it again"
                )
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        raise MissingStoreError(
            f"there is no store at {str(path)!r}{nearest(path.name, [p.name for p in beside])}"
        )
    if any(word.endswith(".partial") for word in (path.name, path.resolve().name)):
        raise StoreError(f"{str(path)!r} was not finished: run the command that makes it again")
    if path.is_dir():
        return str(path), ""
    if not is_zip(path):
        kind = f"a {path.suffix} file" if path.suffix else "a file"
        raise StoreError(
            f"{str(path)!r} is {kind} and holds no zarr array or group: a store is a folder, or "
            "a zip of one"
        )
    zipped = ZippedStore(partial(_read_file, path.resolve()), str(path))
    return zipped, zipped.root()


def _read_file(path: Path) -> BinaryIO:
    return path.open("rb")


def _opened(place: Any, inside: str, name: str) -> zarr.Array | zarr.Group:
    try:
        if isinstance(place, Store):
            return zarr.open(place, path=inside, mode="r")
        return zarr.open(place, mode="r")
    except Exception as error:
        if isinstance(place, RemoteStore):
            sync(place.settled())
        raise _refusal(name, error) from error


def _refusal(name: str, error: Exception) -> StoreError:
    if isinstance(error, UnreachableError):
        return StoreError(f"{name!r} cannot be reached: {error}")
    if isinstance(error, FileNotFoundError) and is_url(name):
        return MissingStoreError(f"there is no zarr array or group at {name!r}")
    return StoreError(f"{name!r} holds no zarr array or group that can be read ({one_line(error)})")
