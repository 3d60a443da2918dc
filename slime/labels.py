"""The names of stores in tables and messages, and the experiment that a name tells of."""

import os
import re
from collections.abc import Sequence
from typing import Any

from slime.places import steps_of

STORE = re.compile(r"\.zarr(\.zip)?$", re.IGNORECASE)

SUBSAMPLING = re.compile(
    r"[ _.\-]+\(?(?:sub(?:sampl(?:ed|ing|e))?|subset|every|skip|stride|nth|twin"
    r"|down(?:sampl(?:ed|ing|e))?|ds|decimat(?:ed|ion)|\d+x|x\d+|\d+(?:th|nd|rd))"
    r"[ _.\-]*\d*(?:x|th|nd|rd)?(?:[ _.\-]*frames?)?\)?$",
    re.IGNORECASE,
)


def store_label(store: Any, node: Any = None) -> str:
    """The name of a store in tables and messages: its file's stem, and what is opened inside it.

    >>> store_label("s3://bucket/dish 3.ome.zarr"), store_label("/data/dish 3.zarr/frames")
    ('dish 3', 'dish 3[frames]')
    """
    if not isinstance(store, (str, os.PathLike)):
        store = str(getattr(node, "store_path", "movie"))
    steps = [word for word in steps_of(store) if word not in ("/", ".", "")]
    inside: list[str] = []
    while len(steps) > 1 and inside_store(steps):
        inside.insert(0, steps.pop())
    stem = steps[-1] if steps else ""
    for ending in (".zip", ".zarr", ".ome"):
        stem = stem.removesuffix(ending)
    return (stem or "movie") + (f"[{'/'.join(inside)}]" if inside else "")


def inside_store(steps: Sequence[str]) -> bool:
    """Whether a path leads into a store: a folder above its end is called a zarr."""
    return not STORE.search(steps[-1]) and any(STORE.search(word) for word in steps[:-1])


def experiment_of(label: str) -> str:
    """A movie's label without a suffix that says that frames were left out.

    >>> experiment_of("dish 3_every5th"), experiment_of("dish 3")
    ('dish 3', 'dish 3')
    """
    return SUBSAMPLING.sub("", label) or label
