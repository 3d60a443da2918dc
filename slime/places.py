"""Where a store is: a path on this machine, or the URL of one elsewhere."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]*(?:://|::)")
LOCAL = ("file", "local")


def is_url(store: Any) -> bool:
    """Whether a store's name is a URL of another place than this machine's folders.

    >>> is_url("s3://bucket/dish.zarr"), is_url("file:///data/dish.zarr"), is_url("a b.zarr")
    (True, False, False)
    """
    return isinstance(store, str) and local_path(store) is None


def local_path(store: Any) -> Path | None:
    """The path that a name, a path or a `file://` URL stands for; None for all else.

    >>> local_path("file:///data/a%20dish.zarr").as_posix()
    '/data/a dish.zarr'
    """
    if isinstance(store, os.PathLike):
        return Path(store).expanduser()
    if not isinstance(store, str):
        return None
    word = store.removeprefix("zip::")
    if not URL.match(word):
        return Path(word).expanduser()
    scheme, _, rest = word.partition("://")
    return Path(unquote(rest)).expanduser() if scheme.lower() in LOCAL else None


def same_place(store: Any) -> str:
    """A word that two names of the same store share: the full path, or the URL."""
    path = local_path(store)
    return str(path.resolve()) if path is not None else str(store).rstrip("/")


def steps_of(store: Any) -> list[str]:
    """The folders of a store's path or URL from the outermost on, itself last."""
    path = local_path(store)
    if path is not None:
        return list(path.parts)
    word = str(store).rpartition("::")[2]
    parts = urlsplit(word)
    return [parts.netloc, *(unquote(w) for w in parts.path.split("/") if w)]


def parent_place(store: Any) -> Any | None:
    """The folder or URL above a store's; None at the top."""
    path = local_path(store)
    if path is not None:
        return path.parent if path.parent != path else None
    above, slash, _ = str(store).rstrip("/").rpartition("/")
    return above if slash and not above.endswith(("/", ":")) else None
