"""A world of Dictyostelium cells that relay cAMP waves and climb them into mounds.

The signal lives on a grid (martiel_goldbeter), the cells are points. Cells move only while the
wave rises over them, which is why they travel towards its source and not with it. The fields rho
and b stay on the grid while the cells move.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.nn.functional import grid_sample

from slime.simulate.dictyostelium_spec import DictyosteliumSpec
from slime.simulate.grid import gradient, point_counts, smoothed
from slime.simulate.kernel import Kernel
from slime.simulate.martiel_goldbeter import (
    PULSE_B,
    PULSE_G,
    Signal,
    reacted,
    resting,
    resting_signal,
)


@dataclass(frozen=True)
class DictyosteliumState:
    """All that the next step needs, for every movie `m` of a batch.

    Each movie has its own generator, so that it does not depend on the others in the batch; the
    generators are owned by the newest state and move on with every step.
    """

    minutes: float
    signal: Signal
    cells_mm: Float[Tensor, "m cell 2"]  # x, y
    generators: tuple[Generator, ...]


def initial_state(
    spec: DictyosteliumSpec, seeds: Sequence[int], device: torch.device | str = "cpu"
) -> DictyosteliumState:
    """Cells at random places at rest, patchy receptors, and a few pulses that start waves."""
    generators = tuple(Generator(device).manual_seed(seed) for seed in seeds)
    starts = [_one_start(spec, generator) for generator in generators]
    signals, cells = zip(*starts, strict=True)
    signal = Signal(*(torch.stack(field) for field in zip(*signals, strict=True)))
    return DictyosteliumState(0.0, signal, torch.stack(cells), generators)


def _one_start(
    spec: DictyosteliumSpec, generator: Generator
) -> tuple[Signal, Float[Tensor, "cell 2"]]:
    device = generator.device
    height, width = spec.size_mm
    size = torch.tensor([width, height], device=device)
    cells = torch.rand(spec.n_cells, 2, generator=generator, device=device) * size
    noise = torch.randn((1, *spec.shape), generator=generator, device=device)
    smooth = smoothed(noise, spec.rho_sigma_mm / spec.dx_mm)
    share = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    centres = torch.rand(spec.n_pulses, 2, generator=generator, device=device) * size
    pulsed = _near(centres, spec)
    _, b, g = resting(spec)
    return Signal(
        spec.rho_low + (spec.rho_high - spec.rho_low) * share[0],
        torch.where(pulsed, PULSE_B, b),
        torch.where(pulsed, PULSE_G, g),
    ), cells


def _near(centres: Float[Tensor, "pulse 2"], spec: DictyosteliumSpec) -> Bool[Tensor, "y x"]:
    """True on the grid points that lie within a pulse's radius of a centre."""
    y = (torch.arange(spec.height_px, device=centres.device) + 0.5) * spec.dx_mm
    x = (torch.arange(spec.width_px, device=centres.device) + 0.5) * spec.dx_mm
    squares = (x - centres[:, :1])[:, None, :] ** 2 + (y - centres[:, 1:])[:, :, None] ** 2
    return (squares < spec.pulse_radius_mm**2).any(dim=0)


def field_state(spec: DictyosteliumSpec, n_movies: int = 1) -> DictyosteliumState:
    """The resting field without cells or noise, for waves that are started by hand."""
    signal = resting_signal(spec, (n_movies, *spec.shape))
    generators = tuple(Generator().manual_seed(m) for m in range(n_movies))
    return DictyosteliumState(0.0, signal, torch.zeros(n_movies, 0, 2), generators)


def density(state: DictyosteliumState, spec: DictyosteliumSpec) -> Float[Tensor, "m y x"]:
    """The smoothed density of the cells, relative to its mean; 1 everywhere without cells."""
    if spec.n_cells == 0:
        return torch.ones_like(state.signal.rho)
    mean = spec.n_cells / (spec.height_px * spec.width_px)
    counts = point_counts(state.cells_mm, spec.dx_mm, spec.shape)
    return smoothed(counts / mean, spec.density_sigma_px)


def drift(
    g: Float[Tensor, "m y x"], rise: Float[Tensor, "m y x"], spec: DictyosteliumSpec
) -> Float[Tensor, "m 2 y x"]:
    """Velocity of a cell at every grid point, in mm per minute: up g, on the rising front only."""
    slope = gradient(g, spec.dx_mm)
    steepness = torch.linalg.vector_norm(slope, dim=1)
    on_front = (rise > spec.rise_per_min) & (steepness > spec.slope_per_mm)
    pace = torch.where(on_front, spec.speed_mm_per_min / steepness, 0.0)
    return slope.mul_(pace[:, None])


def moved(
    cells_mm: Float[Tensor, "m cell 2"],
    velocity: Float[Tensor, "m 2 y x"] | None,
    generators: Sequence[Generator],
    spec: DictyosteliumSpec,
    minutes: float,
) -> Float[Tensor, "m cell 2"]:
    """The cells after their random motion and, with a velocity, their drift; walls reflect."""
    size = cells_mm.new_tensor(spec.size_mm[::-1])
    shape = cells_mm.shape[1:]
    kicks = [torch.randn(shape, generator=one, device=cells_mm.device) for one in generators]
    reach = math.sqrt(2 * spec.motility_mm2_per_min * minutes)
    new = torch.add(cells_mm, torch.stack(kicks), alpha=reach)
    if velocity is not None:
        places = (cells_mm * (2 / size) - 1)[:, :, None, :]
        here = grid_sample(velocity, places, padding_mode="border", align_corners=False)
        new.add_(here[..., 0].mT, alpha=minutes)
    new = new.abs_()
    return (size - (size - new).abs_()).clamp_(min=0)


def step(
    state: DictyosteliumState,
    spec: DictyosteliumSpec,
    minutes: float | None = None,
    kernel: Kernel | None = None,
) -> DictyosteliumState:
    """The state `minutes` later (default `spec.move_min`): the field in short steps, then cells.

    The density is held while the field steps; the cells see the mean rise of g over that time.
    """
    minutes = spec.move_min if minutes is None else minutes
    n_reactions = math.ceil(minutes / spec.dt_min - 1e-9)
    secretion = density(state, spec).clamp_(spec.density_low, spec.density_high)
    secretion *= spec.k_t_per_min / spec.h
    signal = reacted(
        state.signal,
        spec,
        n_steps=n_reactions,
        dt_min=minutes / n_reactions,
        dx_mm=spec.dx_mm,
        secretion=secretion,
        kernel=kernel,
    )
    cells = state.cells_mm
    if spec.n_cells:
        developed = state.minutes >= spec.chemotaxis_start_min
        rise = (signal.g - state.signal.g) / minutes
        velocity = drift(signal.g, rise, spec) if developed else None
        cells = moved(cells, velocity, state.generators, spec, minutes)
    return replace(state, minutes=state.minutes + minutes, signal=signal, cells_mm=cells)


def advanced(
    state: DictyosteliumState,
    spec: DictyosteliumSpec,
    minutes: float,
    kernel: Kernel | None = None,
) -> DictyosteliumState:
    """The state `minutes` later, in equal steps no longer than `move_min` and `dt_min`.

    With a compiled kernel for the field (see `reacted`); the cells are moved by torch.
    """
    n_moves = math.ceil(minutes / spec.move_min - 1e-9)
    for _ in range(n_moves):
        state = step(state, spec, minutes / n_moves, kernel)
    return state


def one_movie(state: DictyosteliumState, m: int) -> dict[str, Any]:
    """The state of movie `m` as plain numbers and tensors on the CPU, for a checkpoint."""
    fields = {name: field[m].cpu().clone() for name, field in state.signal._asdict().items()}
    generator = state.generators[m].get_state().clone()
    cells = state.cells_mm[m].cpu().clone()
    return {"minutes": state.minutes, **fields, "cells_mm": cells, "generator": generator}


def batched(
    movies: Sequence[dict[str, Any]], device: torch.device | str = "cpu"
) -> DictyosteliumState:
    """The state of a batch from those of its movies, which must all stand at one time."""
    if len({movie["minutes"] for movie in movies}) != 1:
        times = [movie["minutes"] for movie in movies]
        raise ValueError(f"the movies stand at {times} min, but a batch has one time")
    rho, b, g, cells = (
        torch.stack([movie[name] for movie in movies]).to(device)
        for name in ("rho", "b", "g", "cells_mm")
    )
    generators = tuple(Generator(device) for _ in movies)
    for generator, movie in zip(generators, movies, strict=True):
        generator.set_state(movie["generator"])
    return DictyosteliumState(movies[0]["minutes"], Signal(rho, b, g), cells, generators)


def simulate(
    spec: DictyosteliumSpec,
    state: DictyosteliumState,
    *,
    n_frames: int,
    frame_interval_s: float,
) -> Iterator[DictyosteliumState]:
    """The states `frame_interval_s`, 2 `frame_interval_s`, ... after the given one."""
    for _ in range(n_frames):
        state = advanced(state, spec, frame_interval_s / 60)
        yield state
