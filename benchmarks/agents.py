"""Agents moved a second by the Physarum world, beside a loop over agents that numba compiles."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from slime.simulate.movies import one_thread
from slime.simulate.physarum import advanced, initial_state
from slime.simulate.physarum_spec import PhysarumSpec


def torch_dish(spec: PhysarumSpec) -> Callable[[int], None]:
    """Agents of this package, all at once, in torch on one thread."""
    state = initial_state(spec, [0])

    def go(n_steps: int) -> None:
        nonlocal state
        with one_thread():
            state = advanced(state, spec, n_steps)

    return go


def compiled_dish(spec: PhysarumSpec) -> Callable[[int], None]:
    """The same rule agent by agent, compiled by numba for one core; its trail in 32 bits too."""
    import numba

    step = numba.njit(step_in_turn)
    draw = np.random.default_rng(0)
    y, x = np.divmod(
        draw.permutation(spec.height_px * spec.width_px)[: spec.n_agents], spec.width_px
    )
    places, heading = np.stack([x, y], axis=1) + 0.5, draw.uniform(0, 2 * np.pi, spec.n_agents)
    trail, taken = np.zeros(spec.shape, np.float32), np.zeros(spec.shape, bool)
    taken[y, x] = True
    order = np.arange(spec.n_agents)
    constants = constants_of(spec)

    def go(n_steps: int) -> None:
        for _ in range(n_steps):
            step(trail, taken, places, heading, order, constants)

    return go


def constants_of(spec: PhysarumSpec) -> tuple[float, ...]:
    """What `step_in_turn` needs of a spec."""
    angle, turn = math.radians(spec.sensor_angle_deg), math.radians(spec.rotation_deg)
    return angle, turn, spec.sensor_offset_px, spec.step_px, spec.deposit, 1 - spec.decay


def step_in_turn(
    trail: Any, taken: Any, places: Any, heading: Any, order: Any, constants: Any
) -> None:
    """One step of the rule, agents going in a random order; changes the first five in place.

    Args:
        trail: "y x"; taken: "y x", true under agents; places: "agent 2", x and y; heading: "agent".
        order: the numbers of the agents, in any order.
        constants: sensor angle, rotation, sensor offset, step, deposit and what is kept of a trail.
    """
    angle, turn, offset, pace, deposit, kept = constants
    height, width = trail.shape
    np.random.shuffle(order)  # noqa: NPY002 - numba compiles no other in place
    for a in order:
        x = (places[a, 0] + pace * math.cos(heading[a])) % width
        y = (places[a, 1] + pace * math.sin(heading[a])) % height
        row, column = int(places[a, 1]), int(places[a, 0])
        taken[row, column] = False
        if taken[int(y), int(x)]:
            taken[row, column] = True
            heading[a] = np.random.random() * 2 * math.pi  # noqa: NPY002
        else:
            taken[int(y), int(x)] = True
            places[a, 0], places[a, 1] = x, y
            trail[int(y), int(x)] += deposit
    for a in range(len(heading)):
        smelt = [0.0, 0.0, 0.0]
        for i in range(3):
            way = heading[a] + (i - 1) * angle
            column = math.floor(places[a, 0] + offset * math.cos(way)) % width
            smelt[i] = trail[math.floor(places[a, 1] + offset * math.sin(way)) % height, column]
        less, ahead, more = smelt
        if ahead < less and ahead < more:
            heading[a] += turn if np.random.random() < 0.5 else -turn  # noqa: NPY002
        elif not (ahead > less and ahead > more):
            heading[a] += turn * np.sign(more - less)
    around = trail.copy()
    for i in range(height):
        for j in range(width):
            near = 0.0
            for k in (i - 1, i, (i + 1) % height):
                near += around[k, j - 1] + around[k, j] + around[k, (j + 1) % width]
            trail[i, j] = kept * near / 9
