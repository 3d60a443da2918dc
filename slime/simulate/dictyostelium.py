"""A world of Dictyostelium cells that relay cAMP waves and climb them into mounds.

The signal lives on a grid (martiel_goldbeter), the cells are points. Cells move only while the
wave rises over them, which is why they travel towards its source and not with it. The fields rho
and b stay on the grid while the cells move.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import grid_sample

from slime.errors import SlimeError
from slime.simulate.martiel_goldbeter import (
    PULSE_B,
    PULSE_G,
    Kinetics,
    Signal,
    gradient,
    react,
    resting,
    resting_signal,
)


@dataclass(frozen=True)
class DictyosteliumSpec(Kinetics):
    """Every constant of the world; those of the reaction are inherited."""

    height_px: int = 128  # grid points along y
    width_px: int = 128  # grid points along x
    dx_mm: float = 0.05  # between grid points
    dt_min: float = 0.008  # the longest step of the reaction
    move_min: float = 0.032  # the longest time between two moves of the cells
    cells_per_mm2: float = 976.5625  # 40,000 on 6.4 mm square; 0 is the field alone, density 1
    density_sigma_px: float = 2.0  # smoothing of the density that secretes
    density_low: float = 0.7  # the density in the reaction is clipped here, relative to its mean
    density_high: float = 1.4  # and here: without it the field breaks into hundreds of clumps
    speed_mm_per_min: float = 0.012  # of a cell on the rising front
    motility_mm2_per_min: float = 1.5e-4  # random motion of every cell, as a diffusion constant
    rise_per_min: float = 0.25  # a front rises when dg/dt is larger than this
    slope_per_mm: float = 1.0  # and is steep when |grad g| is larger than this
    chemotaxis_start_min: float = 30.0  # minutes after the start; later is development
    pulses_per_mm2: float = 0.1953125  # stimuli at the start: 8 on 6.4 mm square, one at least
    pulse_radius_mm: float = 0.15
    rho_low: float = 0.25  # the receptors at the start are smooth noise from here
    rho_high: float = 0.9  # to here
    rho_sigma_mm: float = 0.3  # smoothing of that noise

    def __post_init__(self):
        super().__post_init__()
        if min(self.height_px, self.width_px) < 8:
            raise SlimeError(f"the grid is {self.height_px} x {self.width_px}; 8 x 8 at least")
        for name in ("dx_mm", "dt_min", "move_min", "density_sigma_px", "rho_sigma_mm"):
            if not (value := getattr(self, name)) > 0:
                raise SlimeError(f"{name} is {value}; it must be positive")
        for name in ("cells_per_mm2", "speed_mm_per_min", "motility_mm2_per_min", "pulses_per_mm2"):
            if not (value := getattr(self, name)) >= 0:
                raise SlimeError(f"{name} is {value}; it must be 0 or positive")
        if not 0 <= self.density_low <= 1 <= self.density_high:
            low, high = self.density_low, self.density_high
            raise SlimeError(f"density is clipped to {low} .. {high}; 1 must lie between, from 0")
        if not 0 <= self.rho_low <= self.rho_high <= 1:
            raise SlimeError(f"rho_low, rho_high are {self.rho_low}, {self.rho_high}; 0 <= .. <= 1")
        self._check_stability()

    def _check_stability(self) -> None:
        """An explicit Euler step must damp the shortest wave of the grid."""
        rate = 8 * self.diffusion_mm2_per_min / self.dx_mm**2 + self.k_e_per_min
        if self.dt_min * rate > 2:
            raise SlimeError(
                f"dt_min is {self.dt_min}, but with dx_mm {self.dx_mm} the step is stable only "
                f"up to {2 / rate:.2g}"
            )

    @property
    def n_cells(self) -> int:
        """Cells in a movie."""
        return round(self.cells_per_mm2 * self.height_px * self.width_px * self.dx_mm**2)

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width."""
        return self.height_px * self.dx_mm, self.width_px * self.dx_mm


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
    shape = (1, spec.height_px, spec.width_px)
    cells = torch.rand(spec.n_cells, 2, generator=generator, device=device) * size
    noise = torch.randn(shape, generator=generator, device=device)
    smooth = smoothed(noise, spec.rho_sigma_mm / spec.dx_mm)
    share = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    n_pulses = max(1, round(spec.pulses_per_mm2 * height * width))
    centres = torch.rand(n_pulses, 2, generator=generator, device=device) * size
    pulsed = _near(centres, spec)
    _, b, g = resting(spec)
    return Signal(
        spec.rho_low + (spec.rho_high - spec.rho_low) * share[0],
        torch.where(pulsed, PULSE_B, b),
        torch.where(pulsed, PULSE_G, g),
    ), cells


def _near(centres: Float[Tensor, "pulse 2"], spec: DictyosteliumSpec) -> Tensor:
    """True on the grid points that lie within a pulse's radius of a centre."""
    y = (torch.arange(spec.height_px, device=centres.device) + 0.5) * spec.dx_mm
    x = (torch.arange(spec.width_px, device=centres.device) + 0.5) * spec.dx_mm
    squares = (x - centres[:, :1])[:, None, :] ** 2 + (y - centres[:, 1:])[:, :, None] ** 2
    return (squares < spec.pulse_radius_mm**2).any(dim=0)


def field_state(spec: DictyosteliumSpec, n_movies: int = 1) -> DictyosteliumState:
    """The resting field without cells or noise, for waves that are started by hand."""
    signal = resting_signal(spec, (n_movies, spec.height_px, spec.width_px))
    generators = tuple(Generator().manual_seed(m) for m in range(n_movies))
    return DictyosteliumState(0.0, signal, torch.zeros(n_movies, 0, 2), generators)


@lru_cache(maxsize=8)
def _mirror(n: int, reach: int, device: torch.device) -> Int[Tensor, " padded"]:
    """Indices of a row of n points continued by its mirror image on both sides."""
    place = torch.arange(-reach, n + reach, device=device) % (2 * n)
    return torch.minimum(place, 2 * n - 1 - place)


def smoothed(field: Float[Tensor, "m y x"], sigma_px: float) -> Float[Tensor, "m y x"]:
    """The field under a Gaussian cut at 4 sigma; mirrored edges keep its sum.

    Written as a sum of shifted fields: every movie is rounded alike, whatever else is in the batch,
    which neither a convolution nor a matrix product promises.
    """
    reach = math.ceil(4 * sigma_px)
    weights = [math.exp(-0.5 * (k / sigma_px) ** 2) for k in range(-reach, reach + 1)]
    total = sum(weights)
    for axis in (1, 2):
        n = field.shape[axis]
        padded = field.index_select(axis, _mirror(n, reach, field.device))
        field = padded.narrow(axis, 0, n) * (weights[0] / total)
        for k, weight in enumerate(weights[1:], start=1):
            field.add_(padded.narrow(axis, k, n), alpha=weight / total)
    return field


def counts_on_grid(
    cells_mm: Float[Tensor, "m cell 2"], spec: DictyosteliumSpec
) -> Float[Tensor, "m y x"]:
    """Cells whose nearest grid point this is; the counts of a movie sum to its cells, exactly."""
    n_movies, shape = cells_mm.shape[0], (spec.height_px, spec.width_px)
    column = (cells_mm[..., 0] / spec.dx_mm).long().clamp_(max=spec.width_px - 1)
    row = (cells_mm[..., 1] / spec.dx_mm).long().clamp_(max=spec.height_px - 1)
    movie = torch.arange(n_movies, device=cells_mm.device)[:, None]
    flat = (movie * shape[0] + row) * shape[1] + column
    counts = torch.bincount(flat.flatten(), minlength=n_movies * shape[0] * shape[1])
    return counts.reshape(n_movies, *shape).float()


def density(state: DictyosteliumState, spec: DictyosteliumSpec) -> Float[Tensor, "m y x"]:
    """The smoothed density of the cells, relative to its mean; 1 everywhere without cells."""
    if spec.n_cells == 0:
        return torch.ones_like(state.signal.rho)
    mean = spec.n_cells / (spec.height_px * spec.width_px)
    return smoothed(counts_on_grid(state.cells_mm, spec) / mean, spec.density_sigma_px)


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
    state: DictyosteliumState, spec: DictyosteliumSpec, minutes: float | None = None
) -> DictyosteliumState:
    """The state `minutes` later (default `spec.move_min`): the field in short steps, then cells.

    The density is held while the field steps; the cells see the mean rise of g over that time.
    """
    minutes = spec.move_min if minutes is None else minutes
    n_reactions = math.ceil(minutes / spec.dt_min - 1e-9)
    secretion = density(state, spec).clamp_(spec.density_low, spec.density_high)
    secretion *= spec.k_t_per_min / spec.h
    signal = state.signal
    for _ in range(n_reactions):
        dt_min = minutes / n_reactions
        signal = react(signal, spec, dt_min=dt_min, dx_mm=spec.dx_mm, secretion=secretion)
    cells = state.cells_mm
    if spec.n_cells:
        developed = state.minutes >= spec.chemotaxis_start_min
        rise = (signal.g - state.signal.g) / minutes
        velocity = drift(signal.g, rise, spec) if developed else None
        cells = moved(cells, velocity, state.generators, spec, minutes)
    return replace(state, minutes=state.minutes + minutes, signal=signal, cells_mm=cells)


def advanced(
    state: DictyosteliumState, spec: DictyosteliumSpec, minutes: float
) -> DictyosteliumState:
    """The state `minutes` later, in equal steps no longer than `move_min` and `dt_min`."""
    n_moves = math.ceil(minutes / spec.move_min - 1e-9)
    for _ in range(n_moves):
        state = step(state, spec, minutes / n_moves)
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
        raise ValueError(f"movies stand at {[movie['minutes'] for movie in movies]} min, not at one")
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
