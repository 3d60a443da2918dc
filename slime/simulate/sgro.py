"""A lattice of noisy excitable cells that signal through a diffusing field, on a torus.

A is the activator (high while a cell fires), R its slow inhibitor, S the cAMP outside:

    dA/dt = A - A^3/3 - R + a ln(1 + S/K_d) + sigma xi
    dR/dt = epsilon (A - gamma R + c0)
    dS/dt = rho alpha0 + rho S0 H(A) - (J + alpha_PDE rho) S + D lap(S)

with xi white noise of each cell and H the step at 0; Euler-Maruyama in time.

Sgro et al. 2015, Mol Syst Biol 11:779, doi 10.15252/msb.20145352.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from slime.simulate.grid import torus_laplacian
from slime.simulate.kernel import Kernel
from slime.simulate.sgro_spec import SgroSpec

FIELDS = ("activator", "inhibitor", "signal")


@dataclass(frozen=True)
class SgroState:
    """All that the next step needs, for every movie `m` of a batch.

    Each movie has its own generator, so that it does not depend on the others in the batch; the
    generators are owned by the newest state and move on with every step.
    """

    minutes: float
    activator: Float[Tensor, "m y x"]
    inhibitor: Float[Tensor, "m y x"]
    signal: Float[Tensor, "m y x"]
    generators: tuple[Generator, ...]


def initial_state(
    spec: SgroSpec,
    seeds: Sequence[int],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> SgroState:
    """Every cell at rest, where noise alone will wake it."""
    values = (*resting_cell(spec, spec.resting_signal), spec.resting_signal)
    shape = (len(seeds), *spec.shape)
    a, r, s = (torch.full(shape, value, dtype=dtype, device=device) for value in values)
    return SgroState(0.0, a, r, s, tuple(Generator(device).manual_seed(seed) for seed in seeds))


def resting_cell(spec: SgroSpec, signal: float) -> tuple[float, float]:
    """A and R where both nullclines of a cell without noise meet in this signal: the lowest root.

    R = A - A^3/3 + I and R = (A + c0) / gamma, so A^3/3 + (1/gamma - 1) A + c0/gamma - I = 0 with
    I = a ln(1 + S/K_d). The state may be unstable.
    """
    drive = spec.gain * math.log1p(signal / spec.k_d)
    roots = np.roots([1 / 3, 0.0, 1 / spec.gamma - 1, spec.c0 / spec.gamma - drive])
    lowest = float(roots.real[np.abs(roots.imag) < 1e-9].min())
    return lowest, (lowest + spec.c0) / spec.gamma


def step(state: SgroState, spec: SgroSpec, dt: float) -> SgroState:
    """The state `dt` units of time later: one Euler-Maruyama step with new noise."""
    a, r, s = state.activator, state.inhibitor, state.signal
    rise = torch.log1p(s / spec.k_d).mul_(spec.gain).sub_(r).add_(a).sub_((a * a).mul_(a / 3))
    kicks = [
        torch.randn(spec.shape, generator=one, device=a.device, dtype=a.dtype)
        for one in state.generators
    ]
    new_a = torch.add(a, rise, alpha=dt).add_(torch.stack(kicks), alpha=spec.noise * math.sqrt(dt))
    recovery = (a + spec.c0).sub_(r, alpha=spec.gamma)
    new_s = (s * (1 - dt * spec.signal_loss)).add_(dt * spec.density * spec.alpha0)
    new_s.add_((a > 0).to(s.dtype), alpha=dt * spec.density * spec.s0)
    new_s.add_(torus_laplacian(s), alpha=dt * spec.diffusion_px2)
    return replace(
        state,
        minutes=state.minutes + dt * spec.time_unit_min,
        activator=new_a,
        inhibitor=torch.add(r, recovery, alpha=dt * spec.epsilon),
        signal=new_s,
    )


def advanced(
    state: SgroState, spec: SgroSpec, minutes: float, kernel: Kernel | None = None
) -> SgroState:
    """The state `minutes` later, in equal steps no longer than `dt`.

    With a compiled kernel the same steps with the same noise, but for rounding.
    """
    units = minutes / spec.time_unit_min
    n_steps = math.ceil(units / spec.dt - 1e-9)
    if kernel is not None and n_steps > 0:
        return _advanced_by(kernel, state, spec, units / n_steps, n_steps)
    for _ in range(n_steps):
        state = step(state, spec, units / n_steps)
    return state


def _advanced_by(
    kernel: Kernel, state: SgroState, spec: SgroSpec, dt: float, n_steps: int
) -> SgroState:
    """The state `n_steps` compiled steps later, each movie by itself."""
    constants = excitation_constants(spec, dt)
    fields = {name: getattr(state, name).clone() for name in FIELDS}
    for *movie, generator in zip(*fields.values(), state.generators, strict=True):
        kicks, rows = torch.empty_like(movie[0]), movie[0].new_empty(3 * (spec.width_px + 2))
        excite = kernel.prepared("excite", (*movie, kicks, rows), spec.shape, constants)
        for _ in range(n_steps):
            kicks.normal_(generator=generator)
            excite()
    minutes = state.minutes
    for _ in range(n_steps):  # summed as by `step`, so that times agree to the last digit
        minutes += dt * spec.time_unit_min
    return replace(state, minutes=minutes, **fields)


def excitation_constants(spec: SgroSpec, dt: float) -> list[float]:
    """The constants of `excite` in lattice.c, in their order."""
    return [
        *(dt, spec.gain, 1 / spec.k_d, spec.noise * math.sqrt(dt), dt * spec.epsilon),
        *(spec.gamma, spec.c0, 1 - dt * spec.signal_loss, dt * spec.density * spec.alpha0),
        *(dt * spec.density * spec.s0, dt * spec.diffusion_px2),
    ]


def forked(state: SgroState, seed: int) -> SgroState:
    """The same cells before another future: the fields as they are, noise that is new."""
    movies = range(len(state.generators))
    seeds = (np.random.SeedSequence((seed, m)).generate_state(1, np.uint64)[0] for m in movies)
    device = state.activator.device
    return replace(
        state, generators=tuple(Generator(device).manual_seed(int(s >> 1)) for s in seeds)
    )


def noise_error(
    state: SgroState,
    spec: SgroSpec,
    *,
    n_leads: int,
    frame_interval_s: float,
    seeds: tuple[int, int] = (0, 1),
    observe: Callable[[SgroState], Float[Tensor, "m y x"]] = lambda state: state.activator,
) -> Float[Tensor, "lead m y x"]:
    """The squared error that no forecast can remove, even one that knows the state and the laws.

    Two continuations of the state with independent noise differ, in the mean of their squares, by
    twice the variance of the future given the present; half that square is given for each pixel,
    to be averaged over pixels, movies and states. The camera's noise comes on top.

    Args:
        n_leads: frames ahead, `frame_interval_s` apart.
        seeds: of the two continuations; two different ones.
        observe: what is forecast of a state; the activator by default.

    Raises:
        ValueError: the two seeds are the same.
    """
    if seeds[0] == seeds[1]:
        raise ValueError(f"the seeds are {seeds}: the two continuations need different ones")
    one, other = (forked(state, seed) for seed in seeds)
    errors = []
    for _ in range(n_leads):
        one, other = (advanced(s, spec, frame_interval_s / 60) for s in (one, other))
        errors.append((observe(one) - observe(other)).square_() / 2)
    return torch.stack(errors)


def one_movie(state: SgroState, m: int) -> dict[str, Any]:
    """The state of movie `m` as plain numbers and tensors on the CPU, for a checkpoint."""
    fields = {name: getattr(state, name)[m].cpu().clone() for name in FIELDS}
    generator = state.generators[m].get_state().clone()
    return {"minutes": state.minutes, **fields, "generator": generator}


def batched(movies: Sequence[dict[str, Any]], device: torch.device | str = "cpu") -> SgroState:
    """The state of a batch from those of its movies, which must all stand at one time."""
    if len({movie["minutes"] for movie in movies}) != 1:
        times = [movie["minutes"] for movie in movies]
        raise ValueError(f"the movies stand at {times} min, but a batch has one time")
    a, r, s = (torch.stack([movie[name] for movie in movies]).to(device) for name in FIELDS)
    generators = tuple(Generator(device) for _ in movies)
    for generator, movie in zip(generators, movies, strict=True):
        generator.set_state(movie["generator"])
    return SgroState(movies[0]["minutes"], a, r, s, generators)
