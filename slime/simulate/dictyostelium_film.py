"""The Dictyostelium world before its camera."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from slime.errors import SlimeError
from slime.simulate.camera import CameraSpec, expected_counts
from slime.simulate.dictyostelium import (
    DictyosteliumState,
    advanced,
    batched,
    initial_state,
    one_movie,
)
from slime.simulate.dictyostelium_spec import DictyosteliumSpec
from slime.simulate.filming import Recording, Shot, Take, shots_of, states_in_time


def check_cells(spec: DictyosteliumSpec, recording: Recording) -> None:
    """Refuse a world without cells, which the camera could not see.

    Raises:
        SlimeError: names the setting.
    """
    if spec.n_cells == 0:
        raise SlimeError(f"cells_per_mm2 is {spec.cells_per_mm2}: the camera needs cells")


def n_reactions(spec: DictyosteliumSpec, recording: Recording) -> int:
    """Points of the grid times steps of the reaction in a movie, about."""
    return round(spec.height_px * spec.width_px * recording.minutes / spec.dt_min)


def film_dictyostelium(
    spec: DictyosteliumSpec, camera: CameraSpec, recording: Recording, take: Take
) -> Iterator[Shot]:
    """The shots from frame `take.first` to the last; `check_cells` holds of the world."""
    return shots_of(
        dictyostelium_states(spec, recording, take),
        recording,
        take,
        camera,
        counts=lambda state, m, seconds: dictyostelium_counts(state, m, spec, camera, seconds),
        one_movie=one_movie,
    )


def dictyostelium_states(
    spec: DictyosteliumSpec, recording: Recording, take: Take
) -> Iterator[DictyosteliumState]:
    """The states of the frames from `take.first` to the last."""
    return states_in_time(
        recording,
        take,
        start=lambda: initial_state(spec, take.seeds, take.device),
        advance=lambda state, minutes: advanced(state, spec, minutes, take.kernel),
        batched=batched,
    )


def dictyostelium_counts(
    state: DictyosteliumState,
    m: int,
    spec: DictyosteliumSpec,
    camera: CameraSpec,
    seconds: float,
) -> Float[np.ndarray, "c y x"]:
    """The mean counts of movie `m`: what the camera would read without noise."""
    places_px = (state.cells_mm[m].cpu().double() / spec.dx_mm).numpy()
    b = state.signal.b[m].cpu().double().numpy()
    return expected_counts(places_px, b, camera, seconds=seconds)
