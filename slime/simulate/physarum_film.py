"""The Physarum world before its camera: the trail is seen, the agents only if told to."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from slime.errors import SlimeError
from slime.simulate.camera import ChipSpec, label_counts
from slime.simulate.filming import Recording, Shot, Take, shots_of, states_in_time
from slime.simulate.physarum import (
    PhysarumState,
    advanced,
    batched,
    initial_state,
    occupancy,
    one_movie,
)
from slime.simulate.physarum_spec import PhysarumSpec
from slime.simulate.settings import check_range, setting


@dataclass(frozen=True)
class PhysarumCameraSpec(ChipSpec):
    """What shines, beside the light and the chip."""

    show_agents: int = setting(0, "1: a second channel shows the agents, which are hidden else")
    trail_electrons: float = setting(100.0, "light of one unit of trail in one exposure")
    agent_electrons: float = setting(1000.0, "light of an agent in the second channel")

    def __post_init__(self):
        super().__post_init__()
        check_range(self, "trail_electrons agent_electrons", above=0)
        if self.show_agents not in (0, 1):
            raise SlimeError(f"show_agents is {self.show_agents}; it must be 0 or 1")

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels."""
        return ("trail", "agents") if self.show_agents else ("trail",)


def check_times(spec: PhysarumSpec, recording: Recording) -> None:
    """Refuse a recording whose times are not whole steps.

    Raises:
        SlimeError: names the setting, its value and the nearest that would do.
    """
    _check_whole("frame_interval_s", recording.frame_interval_s, spec.step_s, at_least=1)
    _check_whole("warm_up_min", recording.warm_up_min, spec.step_s / 60, at_least=0)


def _check_whole(name: str, value: float, step: float, *, at_least: int) -> None:
    n_steps = max(at_least, round(value / step))
    if abs(value / step - n_steps) > 1e-6:
        raise SlimeError(
            f"{name} is {value:g}, no whole number of steps: a step (step_s) is {step:g} here, so "
            f"the nearest is {n_steps * step:g}"
        )


def film_physarum(
    spec: PhysarumSpec, camera: PhysarumCameraSpec, recording: Recording, take: Take
) -> Iterator[Shot]:
    """The shots from frame `take.first` to the last; `check_times` holds of the recording."""

    def advance(state: PhysarumState, minutes: float) -> PhysarumState:
        return advanced(state, spec, round(60 * minutes / spec.step_s))

    states = states_in_time(
        recording,
        take,
        start=lambda: initial_state(spec, take.seeds, take.device),
        advance=advance,
        batched=batched,
    )
    return shots_of(
        states,
        recording,
        take,
        camera,
        counts=lambda state, m, seconds: physarum_counts(state, m, spec, camera, seconds),
        one_movie=one_movie,
    )


def physarum_counts(
    state: PhysarumState, m: int, spec: PhysarumSpec, camera: PhysarumCameraSpec, seconds: float
) -> Float[np.ndarray, "c y x"]:
    """The mean counts of movie `m`: what the camera would read without noise."""
    label = [camera.trail_electrons * state.trail[m].cpu().double().numpy()]
    if camera.show_agents:
        agents = occupancy(state, spec)[m].cpu().double().numpy()
        label.append(camera.agent_electrons * agents)
    return label_counts(np.stack(label), camera, seconds=seconds)
