"""What the recorder must know of a world, and what a world must know of a recording."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float

from slime.simulate.camera import ChipSpec, Exposure, expose
from slime.simulate.kernel import Kernel
from slime.simulate.movie_writer import MovieWriter, State
from slime.simulate.settings import check_range, setting

S = TypeVar("S")  # the state of a world, of all movies of a batch


@dataclass(frozen=True)
class Recording:
    """When frames are taken and how they are stored."""

    n_frames: int = setting(400, "frames of a movie")
    frame_interval_s: float = setting(15.0, "seconds between frames")
    warm_up_min: float = setting(15.0, "minutes simulated before the first frame")
    frames_per_chunk: int = setting(16, "whole frames in a chunk of the store")

    def __post_init__(self):
        check_range(self, "n_frames frames_per_chunk", at_least=1)
        check_range(self, "frame_interval_s", above=0)
        check_range(self, "warm_up_min", at_least=0)

    @property
    def minutes(self) -> float:
        """Simulated time, up to the last frame."""
        return self.warm_up_min + (self.n_frames - 1) * self.frame_interval_s / 60


class Shot(NamedTuple):
    """A frame of every movie of a batch, and the state after it, movie by movie, to be saved."""

    exposures: list[Exposure]
    state_of: Callable[[int], State]


class Take(NamedTuple):
    """The movies of one batch: new ones, or `first` frames old and gone on from their states."""

    seeds: list[int]
    first: int = 0
    states: Sequence[State] = ()
    device: str = "cpu"
    kernel: Kernel | None = None  # compiled steps, for the worlds that have them


def states_of(
    recording: Recording, take: Take, *, first: S, following: Callable[[S], S]
) -> Iterator[S]:
    """The states of the frames from `take.first` to the last, each one frame after the other.

    Args:
        first: the state of frame `take.first`.
    """
    state = first
    for index in range(take.first, recording.n_frames):
        if index > take.first:
            state = following(state)
        yield state


def states_in_time(
    recording: Recording,
    take: Take,
    *,
    start: Callable[[], S],
    advance: Callable[[S, float], S],
    batched: Callable[[Sequence[State], str], S],
) -> Iterator[S]:
    """The same of a world that runs in minutes: new after a warm-up, or gone on with.

    Args:
        start: the state before the warm-up.
        advance: a state so many minutes later.
        batched: one state of those of all movies.
    """
    minutes = recording.frame_interval_s / 60
    if take.states:
        first = advance(batched(take.states, take.device), minutes)
    else:
        first = advance(start(), recording.warm_up_min)
    return states_of(recording, take, first=first, following=lambda state: advance(state, minutes))


def shots_of(
    states: Iterable[S],
    recording: Recording,
    take: Take,
    camera: ChipSpec,
    *,
    counts: Callable[[S, int, float], Float[np.ndarray, "c y x"]],
    one_movie: Callable[[S, int], State],
) -> Iterator[Shot]:
    """The shots of states; the noise of a frame depends on its movie's seed and its number alone.

    Args:
        states: of the frames from `take.first` on.
        counts: the mean counts of a movie (by its number in the batch) at a time in seconds.
        one_movie: the state of one movie, to be saved.
    """
    for index, state in enumerate(states, start=take.first):
        seconds = index * recording.frame_interval_s
        exposures = [
            expose(counts(state, m, seconds), camera, np.random.default_rng((seed, index)))
            for m, seed in enumerate(take.seeds)
        ]
        yield Shot(exposures, partial(one_movie, state))


def anything_goes(spec: Any, recording: Recording) -> None:
    """The check of a world that can be filmed at any times."""


class World(NamedTuple):
    """What the recorder must know of a world: its settings, what is seen, and how it is filmed."""

    name: str
    spec: type
    camera: type
    channels: Callable[[Any], tuple[str, ...]]  # of its camera
    pixel_um: Callable[[Any], float]
    film: Callable[[Any, Any, Any, Take], Iterator[Shot]]
    check: Callable[[Any, Recording], None] = anything_goes  # refuses before a file is made
    n_updates: Callable[[Any, Recording], int] | None = None  # of cells; None: nothing to compile
    recording: type = Recording
    writer: type[MovieWriter] = MovieWriter
    names: str | None = None  # of the stores in a folder; None for a world whose stores are named
