"""The worlds that can be filmed: each a set of constants, a camera and an iterator of shots."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from slime.errors import SlimeError, nearest
from slime.simulate.camera import CHANNELS, CameraSpec, Exposure, expected_counts, expose
from slime.simulate.dictyostelium import (
    DictyosteliumState,
    advanced,
    batched,
    initial_state,
    one_movie,
)
from slime.simulate.dictyostelium_spec import DictyosteliumSpec
from slime.simulate.movie_writer import State
from slime.simulate.settings import check_range, setting


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


class World(NamedTuple):
    """What the recorder must know of a world: its settings, what is seen, and how it is filmed."""

    name: str
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
    state = _first_state(spec, recording, take)
    for index in range(take.first, recording.n_frames):
        if index > take.first:
            state = advanced(state, spec, recording.frame_interval_s / 60)
        seconds = index * recording.frame_interval_s
        exposures = [
            expose(
                dictyostelium_counts(state, m, spec, camera, seconds),
                camera,
                np.random.default_rng((seed, index)),
            )
            for m, seed in enumerate(take.seeds)
        ]
        yield Shot(exposures, partial(one_movie, state))


def _first_state(spec: DictyosteliumSpec, recording: Recording, take: Take) -> DictyosteliumState:
    """The state at frame `take.first`: after the warm-up, or one frame after the saved ones."""
    if take.states:
        saved = batched(take.states, take.device)
        return advanced(saved, spec, recording.frame_interval_s / 60)
    start = initial_state(spec, take.seeds, take.device)
    return advanced(start, spec, recording.warm_up_min)


def dictyostelium_counts(
    state: DictyosteliumState,
    m: int,
    spec: DictyosteliumSpec,
    camera: CameraSpec,
    seconds: float,
) -> np.ndarray:
    """The mean counts "c y x" of movie `m`: what the camera would read without noise."""
    places_px = (state.cells_mm[m].cpu().double() / spec.dx_mm).numpy()
    b = state.signal.b[m].cpu().double().numpy()
    return expected_counts(places_px, b, camera, seconds=seconds)


_DICTYOSTELIUM = World(
    name="dictyostelium",
    spec=DictyosteliumSpec,
    camera=CameraSpec,
    channels=CHANNELS,
    pixel_um=lambda spec: round(1000 * spec.dx_mm, 9),
    film=film_dictyostelium,
)
WORLDS = {world.name: world for world in (_DICTYOSTELIUM,)}


def find_world(name: str) -> World:
    """The world of this name.

    Raises:
        SlimeError: there is none; names the nearest.
    """
    if name not in WORLDS:
        known = ", ".join(WORLDS)
        raise SlimeError(f"there is no world {name!r} (there are: {known}){nearest(name, WORLDS)}")
    return WORLDS[name]
