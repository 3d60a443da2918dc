"""The lattice of Sgro et al. before its camera: a reporter of the cAMP in the cells."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from slime.simulate.camera import ChipSpec, label_counts
from slime.simulate.filming import Recording, Shot, Take, shots_of, states_in_time
from slime.simulate.settings import check_range, setting
from slime.simulate.sgro import SgroState, advanced, batched, initial_state, one_movie
from slime.simulate.sgro_spec import SgroSpec


@dataclass(frozen=True)
class ReporterSpec(ChipSpec):
    """A reporter on every lattice point, beside the light and the chip."""

    reporter_electrons: float = setting(4000.0, "light of the reporter of a cell without cAMP")

    def __post_init__(self):
        super().__post_init__()
        check_range(self, "reporter_electrons", at_least=0)


def reporter_share(activator: Float[Tensor, "*m"]) -> Float[Tensor, "*m"]:
    """Light of a cell's reporter relative to a cell without cAMP: half at A = 0, dark above."""
    return torch.sigmoid(-activator)


def sgro_counts(
    state: SgroState, m: int, camera: ReporterSpec, seconds: float
) -> Float[np.ndarray, "c y x"]:
    """The mean counts of movie `m`: what the camera would read without noise."""
    share = reporter_share(state.activator[m].cpu().double()).numpy()
    return label_counts(camera.reporter_electrons * share[None], camera, seconds=seconds)


def n_excitations(spec: SgroSpec, recording: Recording) -> int:
    """Lattice points times steps in a movie, about."""
    n_steps = recording.minutes / (spec.dt * spec.time_unit_min)
    return round(spec.height_px * spec.width_px * n_steps)


def film_sgro(
    spec: SgroSpec, camera: ReporterSpec, recording: Recording, take: Take
) -> Iterator[Shot]:
    """The shots from frame `take.first` to the last."""

    states = states_in_time(
        recording,
        take,
        start=lambda: initial_state(spec, take.seeds, take.device),
        advance=lambda state, minutes: advanced(state, spec, minutes, take.kernel),
        batched=batched,
    )
    return shots_of(
        states,
        recording,
        take,
        camera,
        counts=lambda state, m, seconds: sgro_counts(state, m, camera, seconds),
        one_movie=one_movie,
    )
