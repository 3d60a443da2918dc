"""The names of stores in tables and messages, and the experiment that a name tells of."""

import re
from pathlib import Path
from typing import Any

SUBSAMPLING = re.compile(
    r"[ _.\-]+\(?(?:sub(?:sampl(?:ed|ing|e))?|subset|every|skip|stride|nth|twin"
    r"|down(?:sampl(?:ed|ing|e))?|ds|decimat(?:ed|ion)|\d+x|x\d+|\d+(?:th|nd|rd))"
    r"[ _.\-]*\d*(?:x|th|nd|rd)?(?:[ _.\-]*frames?)?\)?$",
    re.IGNORECASE,
)


def store_label(store: Any, node: Any = None) -> str:
    """The name of a store in tables and messages: its file's stem."""
    if isinstance(store, (str, Path)):
        path = Path(str(store).rstrip("/"))
    else:
        path = Path(str(getattr(node, "store_path", "movie")))
    stem = path.name
    for ending in (".zip", ".zarr", ".ome"):
        stem = stem.removesuffix(ending)
    return stem or "movie"


def experiment_of(label: str) -> str:
    """A movie's label without a suffix that says that frames were left out.

    >>> experiment_of("dish 3_every5th"), experiment_of("dish 3")
    ('dish 3', 'dish 3')
    """
    return SUBSAMPLING.sub("", label) or label
