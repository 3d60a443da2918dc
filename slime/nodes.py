"""What lies at a path, opened so that nothing is ever created or changed."""

from pathlib import Path
from typing import Any

import zarr

from slime.errors import MissingStoreError, StoreError, nearest


def open_node(store: Any) -> zarr.Array | zarr.Group:
    """The zarr array or group at a path, always read-only (a plain `zarr.open` creates folders).

    Raises:
        MissingStoreError: nothing is at the path; names a near one.
        StoreError: something is there, but not a readable zarr store.
    """
    if isinstance(store, (zarr.Array, zarr.Group)):
        return store
    if isinstance(store, str) and not store.strip():
        raise MissingStoreError("the name of a store is empty: give the path of a zarr store")
    path = Path(store).expanduser() if isinstance(store, (str, Path)) else None
    if path is not None and not path.exists():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        raise MissingStoreError(
            f"there is no store at {str(path)!r}{nearest(path.name, [p.name for p in beside])}"
        )
    if path is not None and path.is_file() and path.suffix != ".zip":
        kind = f"a {path.suffix} file" if path.suffix else "a file"
        raise StoreError(
            f"{str(path)!r} is {kind} and holds no zarr array or group: a store is a folder"
        )
    if path is not None and path.name.endswith(".partial"):
        raise StoreError(f"{str(path)!r} was not finished: run the command that makes it again")
    try:
        return zarr.open(str(path) if path else store, mode="r")
    except Exception as error:
        raise StoreError(
            f"{str(path or store)!r} holds no zarr array or group that can be read "
            f"({one_line(error)})"
        ) from error


def one_line(error: BaseException) -> str:
    """An error as one short line: its type and what it says."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
