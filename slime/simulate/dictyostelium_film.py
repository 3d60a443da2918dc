"""The Dictyostelium world before its camera."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from slime.errors import SlimeError
from slime.simulate.camera import CameraSpec, expected_counts, expose
from slime.simulate.dictyostelium import (
    DictyosteliumState,
    advanced,
    batched,
    initial_state,
    one_movie,
)
from slime.simulate.dictyostelium_spec import DictyosteliumSpec
from slime.simulate.filming import Recording, Shot, Take


def film_dictyostelium(
    spec: DictyosteliumSpec, camera: CameraSpec, recording: Recording, take: Take
) -> Iterator[Shot]:
    """The shots from frame `take.first` to the last; errors as of `dictyostelium_states`."""
    states = dictyostelium_states(spec, recording, take)
    for index, state in enumerate(states, start=take.first):
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


def dictyostelium_states(
    spec: DictyosteliumSpec, recording: Recording, take: Take
) -> Iterator[DictyosteliumState]:
    """The states of the frames from `take.first` to the last.

    Raises:
        SlimeError: the world has no cells, which the camera could not see.
    """
    if spec.n_cells == 0:
        raise SlimeError(f"cells_per_mm2 is {spec.cells_per_mm2}: the camera needs cells")
    state = _first_state(spec, recording, take)
    for index in range(take.first, recording.n_frames):
        if index > take.first:
            state = advanced(state, spec, recording.frame_interval_s / 60)
        yield state


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
