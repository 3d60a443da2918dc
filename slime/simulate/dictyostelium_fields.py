"""The cAMP signal of the Dictyostelium world as it is, in float32, with no camera before it.

What a camera shows of the signal is hard to undo; here is the truth to try a method on.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from slime.errors import SlimeError
from slime.simulate.camera import Exposure
from slime.simulate.dictyostelium import DictyosteliumState, density, one_movie
from slime.simulate.dictyostelium_film import dictyostelium_states
from slime.simulate.dictyostelium_spec import DictyosteliumSpec
from slime.simulate.filming import Recording, Shot, Take
from slime.simulate.movie_writer import MovieWriter
from slime.simulate.settings import check_range, setting


@dataclass(frozen=True)
class FieldsSpec(DictyosteliumSpec):
    """The Dictyostelium world, by default without cells: the signal alone, of even density."""

    cells_per_mm2: float = setting(0.0, "cells that move and secrete; 0 is density 1 everywhere")


@dataclass(frozen=True)
class ProbeSpec:
    """What is written of the fields."""

    show_hidden: int = setting(0, "1: channels b, rho and density beside g")
    noise_g: float = setting(0.0, "deviation of white noise that is added to g, in K_R")

    def __post_init__(self):
        check_range(self, "noise_g", at_least=0)
        if self.show_hidden not in (0, 1):
            raise SlimeError(f"show_hidden is {self.show_hidden}; it must be 0 or 1")

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels."""
        return ("g", "b", "rho", "density") if self.show_hidden else ("g",)


class FieldsWriter(MovieWriter):
    """An unfinished store of fields: numbers instead of counts."""

    dtype = "float32"


def film_fields(
    spec: FieldsSpec, probe: ProbeSpec, recording: Recording, take: Take
) -> Iterator[Shot]:
    """The shots from frame `take.first` to the last; nothing can be saturated."""
    states = dictyostelium_states(spec, recording, take)
    for index, state in enumerate(states, start=take.first):
        frames = [
            fields(state, m, spec, probe, np.random.default_rng((seed, index)))
            for m, seed in enumerate(take.seeds)
        ]

        def state_of(m: int, state: DictyosteliumState = state) -> dict:
            return one_movie(state, m)

        yield Shot([Exposure(frame, 0) for frame in frames], state_of)


def fields(
    state: DictyosteliumState,
    m: int,
    spec: FieldsSpec,
    probe: ProbeSpec,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "c y x"]:
    """The channels of movie `m`: g with its noise, and what is hidden; density as it secretes."""
    g = state.signal.g[m].cpu().numpy()
    noise: Float[np.ndarray, "y x"] = rng.normal(0, probe.noise_g, g.shape)
    shown = [g + noise if probe.noise_g else g]
    if probe.show_hidden:
        secreting = density(state, spec)[m].clamp(spec.density_low, spec.density_high)
        hidden = (state.signal.b[m], state.signal.rho[m], secreting)
        shown += [field.cpu().numpy() for field in hidden]
    return np.stack(shown).astype(np.float32)
