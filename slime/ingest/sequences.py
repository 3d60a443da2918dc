"""Files that each hold a part of a movie: pictures of a folder, or runs of frames."""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from slime.axes import Axis
from slime.errors import SlimeError, StoreError
from slime.ingest.source import Facts, RawArray, Source, Stacked

PLACES: dict[str, Axis] = {"t": "time", "c": "channel", "z": "z"}


def natural_order(paths: Sequence[Path]) -> list[Path]:
    """Paths in the order in which a person counts: 2 before 10.

    >>> [p.name for p in natural_order([Path("f10.png"), Path("f2.png")])]
    ['f2.png', 'f10.png']
    """
    return sorted(paths, key=lambda path: _counted(str(path)))


def _counted(text: str) -> list[tuple[int, int, str]]:
    words = re.split(r"(\d+)", text)
    return [(0, int(w), w) if w.isdigit() else (1, 0, w) for w in words if w]


def folder_files(folder: Path, pattern: str | None, endings: Sequence[str]) -> list[Path]:
    """The pictures of a folder in natural order.

    Raises:
        SlimeError: none, or of several kinds.
    """
    wildcard = re.sub(r"\{[tcz]\}", "*", pattern) if pattern else "*"
    files = [p for p in folder.iterdir() if fnmatch(p.name, wildcard) and p.name[0] != "."]
    files = [p for p in files if p.suffix.lower() in endings and p.is_file()]
    kinds = sorted({p.suffix.lower() for p in files})
    if not files:
        raise SlimeError(
            f"{str(folder)!r} holds no {pattern or 'picture'} ({', '.join(endings)}), and is no "
            "zarr store"
        )
    if len({k.replace("tiff", "tif").replace("jpeg", "jpg") for k in kinds}) > 1:
        raise SlimeError(
            f"{str(folder)!r} holds pictures of several kinds ({', '.join(kinds)}): choose "
            f"pattern='*{kinds[0]}'"
        )
    return natural_order(files)


class Grid:
    """Files by the numbers in their names: an axis for each of time, channel and z they tell."""

    def __init__(self, files: Sequence[Path], pattern: str):
        letters = re.findall(r"\{([tcz])\}", pattern)
        text = re.escape(pattern)
        for letter in letters:
            text = text.replace(rf"\{{{letter}\}}", f"(?P<{letter}>[^_./ ]+?)", 1)
        matcher = re.compile(text.replace(r"\*", ".*?").replace(r"\?", "."))
        if len(set(letters)) < len(letters) or "t" not in letters:
            raise SlimeError(
                f"pattern={pattern} must have {{t}} once; {{c}} and {{z}} at most once"
            )
        self.axes: tuple[Axis, ...] = tuple(PLACES[w] for w in ("t", "c", "z") if w in letters)
        found = {}
        for file in files:
            match = matcher.fullmatch(file.name)
            if match is None:
                raise SlimeError(f"{file.name!r} does not look like pattern={pattern}")
            place = tuple(match[w] for w in ("t", "c", "z") if w in letters)
            if place in found:
                raise SlimeError(
                    f"{file.name!r} and {found[place].name!r} are one place of {pattern}"
                )
            found[place] = file
        self.names = [sorted({p[i] for p in found}, key=_counted) for i in range(len(self.axes))]
        missing = [p for p in product(*self.names) if p not in found]
        if missing:
            raise SlimeError(
                f"{len(missing)} pictures of pattern={pattern} are not there, first "
                f"{dict(zip(letters, missing[0], strict=True))}: put them back, or leave the rest "
                "out"
            )
        self.files = [found[p] for p in product(*self.names)]


def missing_numbers(files: Sequence[Path]) -> str:
    """The first gap in the numbers that the files are counted by, in words; nothing without."""
    numbers = [re.findall(r"\d+", path.stem) for path in files]
    if any(not n for n in numbers):
        return ""
    steps = [(int(b[-1]) - int(a[-1]), i) for i, (a, b) in enumerate(pairwise(numbers))]
    usual = sorted(s for s, _ in steps)[len(steps) // 2] if steps else 1
    odd = [i for step, i in steps if step != usual]
    if not odd:
        return ""
    first = odd[0]
    return (
        f"the numbers in the names are uneven, first from {files[first].name!r} to "
        f"{files[first + 1].name!r} ({len(odd)} such steps): is a picture missing?"
    )


def sequence_source(
    first: Source,
    files: Sequence[Path],
    open_one: Callable[[Path], Source],
    *,
    label: str,
    grid: Grid | None = None,
) -> Source:
    """Files that each hold one picture (or stack in z) of a movie; `first` is that of files[0]."""
    leading: tuple[Axis, ...] = ("time",) if grid is None else grid.axes
    if set(leading) & set(first.axes):
        twice = ", ".join(set(leading) & set(first.axes))
        raise SlimeError(f"{twice} is in the names of the files and an axis of each file too")
    lengths = [len(files)] if grid is None else [len(names) for names in grid.names]
    note = missing_numbers(files) if grid is None else ""
    channels = first.facts.channels
    if grid is not None and "channel" in grid.axes:
        channels = grid.names[grid.axes.index("channel")]
    return Source(
        label=label,
        kind=f"{len(files)} files of {first.kind}",
        files=list(files),
        axes=(*leading, *first.axes),
        shape=(*lengths, *first.shape),
        dtype=first.dtype,
        opener=partial(_open_files, list(files), first, open_one, lengths),
        facts=Facts(
            pixel_um=first.facts.pixel_um,
            frame_interval_s=first.facts.frame_interval_s,
            channels=channels,
            notes=[note] if note else [],
        ),
    )


def _open_files(
    files: Sequence[Path],
    first: Source,
    open_one: Callable[[Path], Source],
    lengths: Sequence[int],
    stack: ExitStack,
) -> RawArray:
    def read(number: int) -> Shaped[np.ndarray, "..."]:
        one = open_one(files[number])
        if (one.shape, one.dtype) != (first.shape, first.dtype):
            raise StoreError(
                f"{files[number].name!r} is {one.shape} {one.dtype}, but {files[0].name!r} is "
                f"{first.shape} {first.dtype}: a movie's pictures are all alike"
            )
        with ExitStack() as of_file:
            array = one.opener(of_file)
            return np.asarray(array[(slice(None),) * len(one.shape)]).astype(one.dtype, copy=False)

    def read_time(t: int) -> Shaped[np.ndarray, "..."]:
        per_time = len(files) // lengths[0]
        parts = [read(t * per_time + i) for i in range(per_time)]
        return np.stack(parts).reshape(*lengths[1:], *first.shape) if lengths[1:] else parts[0]

    return Stacked(read_time, (*lengths, *first.shape), first.dtype)


def joined_source(parts: Sequence[Source], *, label: str) -> Source:
    """Files that each hold a run of frames, one after the other.

    Raises:
        SlimeError: they are not alike but for their length.
    """
    parts = [_as_run(part) for part in parts]
    first = parts[0]
    at = first.axes.index("time")
    for part in parts[1:]:
        same = part.axes == first.axes and part.dtype == first.dtype
        if (
            not same
            or part.shape[:at] + part.shape[at + 1 :] != first.shape[:at] + first.shape[at + 1 :]
        ):
            raise SlimeError(
                f"{part.label!r} is {part.shape} {part.dtype}, but {first.label!r} is "
                f"{first.shape} {first.dtype}: files of one movie differ in their length alone"
            )
    lengths = [part.shape[at] for part in parts]
    return Source(
        label=label,
        kind=f"{len(parts)} files of {first.kind}",
        files=[file for part in parts for file in part.files],
        axes=("time", *(a for a in first.axes if a != "time")),
        shape=(sum(lengths), *first.shape[:at], *first.shape[at + 1 :]),
        dtype=first.dtype,
        opener=partial(
            _open_joined, [(p.opener, n) for p, n in zip(parts, lengths, strict=True)], at
        ),
        facts=Facts(
            first.facts.frame_interval_s, first.facts.pixel_um, channels=first.facts.channels
        ),
    )


def _as_run(part: Source) -> Source:
    """A single picture as a run of one frame."""
    if "time" in part.axes:
        return part
    shape = (1, *part.shape)
    opener = partial(_open_single, part.opener, part.dtype, shape)
    return replace(part, axes=("time", *part.axes), shape=shape, opener=opener)


def _open_single(
    opener: Callable[[ExitStack], RawArray], dtype: np.dtype, shape: Sequence[int], stack: ExitStack
) -> RawArray:
    array = opener(stack)
    return Stacked(lambda _: np.asarray(array[(slice(None),) * len(array.shape)]), shape, dtype)


def _open_joined(parts: Sequence[tuple[Any, int]], at: int, stack: ExitStack) -> RawArray:
    starts = np.cumsum([0, *(n for _, n in parts)])
    opened: dict[int, tuple[ExitStack, RawArray]] = {}

    def close() -> None:
        for own, _ in opened.values():
            own.close()
        opened.clear()

    def read(t: int) -> Shaped[np.ndarray, "..."]:
        number = int(np.searchsorted(starts, t, side="right")) - 1
        if number not in opened:  # one file at a time
            close()
            own = ExitStack()
            opened[number] = own, parts[number][0](own)
        array = opened[number][1]
        key: list[Any] = [slice(None)] * len(array.shape)
        key[at] = t - int(starts[number])
        return np.asarray(array[tuple(key)])

    stack.callback(close)
    own = ExitStack()
    opened[0] = own, parts[0][0](own)
    shape = opened[0][1].shape
    return Stacked(read, (int(starts[-1]), *shape[:at], *shape[at + 1 :]), opened[0][1].dtype)
