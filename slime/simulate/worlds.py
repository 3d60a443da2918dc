"""The worlds that can be filmed: each a set of constants, a camera and an iterator of shots."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from slime.errors import SlimeError, nearest
from slime.simulate.camera import CHANNELS, CameraSpec, Exposure, expected_counts, expose
from slime.simulate.dictyostelium import (
    DictyosteliumSpec,
    DictyosteliumState,
    advanced,
    batched,
    initial_state,
    one_movie,
)
from slime.simulate.movie_writer import State


@dataclass(frozen=True)
class Recording:
    """When frames are taken and how they are stored."""

    n_frames: int = 400
    frame_interval_s: float = 15.0
    warm_up_min: float = 15.0  # simulated before the first frame
    frames_per_chunk: int = 16

    def __post_init__(self):
        for name in ("n_frames", "frames_per_chunk"):
            if (value := getattr(self, name)) < 1:
                raise SlimeError(f"{name} is {value}; it must be 1 or more")
        if not 0 < self.frame_interval_s < float("inf"):
            raise SlimeError(f"frame_interval_s is {self.frame_interval_s}; it must be positive")
        if not 0 <= self.warm_up_min < float("inf"):
            raise SlimeError(f"warm_up_min is {self.warm_up_min}; it must be 0 or positive")


class Shot(NamedTuple):
    """A frame of every movie of a batch, and the state after it, movie by movie, to be saved."""

    exposures: list[Exposure]
    state_of: Callable[[int], State]


class Take(NamedTuple):
    """The movies of one batch: new ones, or `first` frames old and gone on from their states."""

    seeds: list[int]
    first: int = 0
    states: list[State] | None = None
    device: str = "cpu"


class World(NamedTuple):
    """What the recorder must know of a world: its settings, what is seen, and how it is filmed."""

    spec: type
    camera: type
    channels: tuple[str, ...]
    pixel_um: Callable[[Any], float]
    film: Callable[[Any, Any, Recording, Take], Iterator[Shot]]


def film_dictyostelium(
    spec: DictyosteliumSpec, camera: CameraSpec, recording: Recording, take: Take
) -> Iterator[Shot]:
    """The shots from frame `take.first` to the last.

    Raises:
        SlimeError: the world has no cells, which the camera could not see.
    """
    if spec.n_cells == 0:
        raise SlimeError(f"cells_per_mm2 is {spec.cells_per_mm2}: the camera needs cells")
    interval_min = recording.frame_interval_s / 60
    for index in range(take.first, recording.n_frames):
        if index > take.first:
            state = advanced(state, spec, interval_min)
        elif take.states:
            state = advanced(batched(take.states, take.device), spec, interval_min)
        else:
            start = initial_state(spec, take.seeds, take.device)
            state = advanced(start, spec, recording.warm_up_min)
        seconds = index * recording.frame_interval_s
        exposures = [
            expose(
                dictyostelium_counts(state, m, spec, camera, seconds),
                camera,
                np.random.default_rng((seed, index)),
            )
            for m, seed in enumerate(take.seeds)
        ]
        yield Shot(exposures, lambda m, state=state: one_movie(state, m))


def dictyostelium_counts(
    state: DictyosteliumState,
    m: int,
    spec: DictyosteliumSpec,
    camera: CameraSpec,
    seconds: float,
) -> np.ndarray:
    """The mean counts "c y x" of movie `m`: what the camera would read without noise."""
    places_px = (state.cells_mm[m].double() / spec.dx_mm).cpu().numpy()
    b = state.signal.b[m].double().cpu().numpy()
    return expected_counts(places_px, b, camera, seconds=seconds)


WORLDS = {
    "dictyostelium": World(
        spec=DictyosteliumSpec,
        camera=CameraSpec,
        channels=CHANNELS,
        pixel_um=lambda spec: 1000 * spec.dx_mm,
        film=film_dictyostelium,
    ),
}


def find_world(name: str) -> World:
    """The world of this name.

    Raises:
        SlimeError: there is none; names the nearest.
    """
    if name not in WORLDS:
        known = ", ".join(WORLDS)
        raise SlimeError(f"there is no world {name!r} (there are: {known}){nearest(name, WORLDS)}")
    return WORLDS[name]
