"""A movie as it lies in files: an array with named axes, opened anew wherever it is read."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped

from slime.axes import Axis
from slime.errors import SlimeError


@runtime_checkable
class RawArray(Protocol):
    """What is read from: a shape, a dtype, and pixels by whole numbers and slices, one an axis."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each stored axis."""
        ...

    @property
    def dtype(self) -> Any:
        """The stored type."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """Pixels of a tuple of whole numbers and slices."""
        ...


Opener = Callable[[ExitStack], RawArray]  # opens files, which the stack closes


@dataclass(frozen=True)
class Facts:
    """What a source says of itself; None or empty where it says nothing."""

    frame_interval_s: float | None = None
    pixel_um: float | None = None
    times_s: Float[np.ndarray, " t"] | None = None
    channels: Sequence[str] = ()
    notes: Sequence[str] = ()
    attributes: dict[str, Any] = field(default_factory=dict)  # plain JSON, kept in the store


@dataclass(frozen=True)
class Source:
    """Where a movie is read from.

    Attributes:
        label: its name in messages.
        kind: what the files are, in words.
        files: all that is read, for its fingerprint; folders stand for what is in them.
        axes: the meaning of each axis of the opened array; time is among them.
        chunk_frames: frames that are decoded together.
        movie: the position along an axis of movies.
    """

    label: str
    kind: str
    files: Sequence[Path]
    axes: tuple[Axis, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    opener: Opener
    facts: Facts = field(default_factory=Facts)
    chunk_frames: int = 1
    movie: int = 0

    def size(self, axis: Axis, absent: int = 1) -> int:
        """The length of an axis, `absent` where there is none."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else absent


class Reader:
    """The opened array of a source, one for each thread; pickled, it opens the files anew."""

    def __init__(self, opener: Opener, *, far: bool = False):
        self._opener, self._far = opener, far
        self._of_thread = threading.local()
        self._stack, self._lock = ExitStack(), threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _far_reader, (self._opener,)

    @property
    def array(self) -> RawArray:
        """The array of this thread."""
        if not hasattr(self._of_thread, "array"):
            mine = ExitStack()
            array = self._opener(mine)
            with self._lock:
                self._stack.push(mine.pop_all().__exit__)
            self._of_thread.array = array
        return self._of_thread.array

    def close(self) -> None:
        """Close the files of all threads."""
        self._stack.close()
        self._of_thread = threading.local()

    def block_done(self) -> None:
        """Close after a block where the reader came through a pickle: nobody else would."""
        if self._far:
            self.close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _far_reader(opener: Opener) -> Reader:
    return Reader(opener, far=True)


class Stacked:
    """An array of which the first axis counts pictures that are read one by one."""

    def __init__(
        self, read: Callable[[int], Shaped[np.ndarray, "..."]], shape: Sequence[int], dtype: Any
    ):
        self._read, self.shape, self.dtype = read, tuple(shape), np.dtype(dtype)

    def __getitem__(self, key: Any) -> Shaped[np.ndarray, "..."]:
        """Pixels of a tuple of whole numbers and slices, one an axis."""
        first, *rest = key
        if not isinstance(first, slice):
            return self._read(int(first))[tuple(rest)]
        numbers = range(self.shape[0])[first]
        # copied: a part of a picture would keep the whole of it
        return np.stack([self._read(i)[tuple(rest)].copy() for i in numbers])


def checked_movie(movie: int | None, n_movies: int, label: str) -> int:
    """The number of the chosen movie.

    Raises:
        SlimeError: there are several and none is chosen, or there is none of this number.
    """
    if movie is None and n_movies > 1:
        raise SlimeError(f"{label} holds {n_movies} movies: choose movie=0 to {n_movies - 1}")
    if not 0 <= (movie or 0) < n_movies:
        raise SlimeError(f"movie={movie}: {label} holds movies 0 to {n_movies - 1}")
    return movie or 0


def decoded_frames(dataset: Any, axes: Sequence[Axis]) -> int:
    """Frames that a chunk of a dataset holds."""
    return dataset.chunks[list(axes).index("time")] if dataset.chunks else 1
