"""The cAMP signal followed through a movie of g alone: what is hidden is rebuilt from what is seen.

rho obeys a linear equation driven by g, and b one driven by both, so that both forget where they
started, within a minute or two (rho at k1 (1 + L1) per minute at rest, b at k_i + k_t). A
simulation whose g is put right at every frame therefore has the right rho and b after a while, and
what it then foretells of the next frame tells right rates from wrong ones.
"""

import copy
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from slime.simulate.dictyostelium_spec import DictyosteliumSpec
from slime.simulate.grid import smoothed
from slime.simulate.martiel_goldbeter import Kinetics, Signal, react, receptor_rates

NAMES = ("sigma", "k_e", "gain", "offset")  # the columns of a table of parameters, 2 or all 4
SMOOTH_PX = 1.0  # of what is put right at a frame
LEAST = 1e-4  # g and b stay above 0 where noise would take them below
SHARE_B = 0.5  # of what b lacks, if it balances what g lacks: false waves die out at once


class Setup(NamedTuple):
    """What is known of all movies of a batch.

    Attributes:
        n_steps: of the reaction between two frames.
        warm_up: frames after which the hidden fields are taken as known.
        margin_px: left out of the comparison along each edge, where the frames were cut out.
    """

    spec: DictyosteliumSpec
    interval_min: float
    n_steps: int
    warm_up: int
    margin_px: int = 0


class Seen(NamedTuple):
    """Movies of the signal, each in `n_copies` copies that differ by noise added to them.

    Attributes:
        frames: gain (g + offset); g in K_R where the gain is 1 and the offset 0.
        density: of cells, as the reaction takes it; None for 1 everywhere.
        noise: standard deviation of the measurement, in the units of the frames.
        added: the same of what is added to each copy; 0 for frames that carry noise.
    """

    frames: Float[Tensor, "m t y x"]
    density: Float[Tensor, "m t y x"] | None
    noise: Float[Tensor, " m"]
    added: Float[Tensor, " m"]
    n_copies: int = 1
    seed: int = 0

    def frame(self, t: int) -> Float[Tensor, "n y x"]:
        """Frame t of every copy of every movie, the copies of a movie side by side."""
        clean = self.frames[:, t].repeat_interleave(self.n_copies, 0)
        if not self.added.any():
            return clean
        generator = Generator().manual_seed(self.seed * 1_000_003 + t)
        draws = torch.randn(clean.shape, generator=generator)
        return clean + self.added.repeat_interleave(self.n_copies)[:, None, None] * draws

    def secretion(self, t: int, kinetics: Kinetics) -> Float[Tensor, "n y x"] | float:
        """n k_t / h per minute at frame t, of every copy."""
        rate = kinetics.k_t_per_min / kinetics.h
        if self.density is None:
            return rate
        return rate * self.density[:, t].repeat_interleave(self.n_copies, 0)


def steps_between(spec: DictyosteliumSpec, minutes: float) -> int:
    """Reaction steps that the world takes in `minutes`: those of each move of its cells."""
    n_moves = math.ceil(minutes / spec.move_min - 1e-9)
    return n_moves * math.ceil(minutes / n_moves / spec.dt_min - 1e-9)


def with_rates(kinetics: Kinetics, parameters: Float[Tensor, "n p"]) -> Kinetics:
    """The kinetics with a sigma and a k_e for each movie, as tensors that can be differentiated."""
    changed = copy.copy(kinetics)
    for name, column in (("sigma_per_min", 0), ("k_e_per_min", 1)):
        # the step is written for numbers and runs on tensors "n 1 1" as it is
        object.__setattr__(changed, name, parameters[:, column].exp()[:, None, None])
    return changed


def response(parameters: Float[Tensor, "n p"]) -> tuple[Tensor, Tensor]:
    """Gain and offset of each movie as "n 1 1"; 1 and 0 where they are not among the parameters."""
    if parameters.shape[1] == 2:
        one = parameters.new_ones(len(parameters), 1, 1)
        return one, torch.zeros_like(one)
    return parameters[:, 2].exp()[:, None, None], parameters[:, 3][:, None, None]


def innovations(
    seen: Seen, setup: Setup, parameters: Float[Tensor, "n p"]
) -> Iterator[tuple[Signal, Float[Tensor, "n y x"]]]:
    """The state put right at each frame after the warm-up, and seen less foretold before that.

    Args:
        parameters: log sigma, log k_e (and log gain, offset) of each copy, or of several sets of
            all copies one after the other.
    """
    n_sets = len(parameters) // (len(seen.frames) * seen.n_copies)
    kinetics = with_rates(setup.spec, parameters)
    gain, offset = response(parameters)
    noise = seen.noise.repeat_interleave(seen.n_copies).repeat(n_sets)[:, None, None]
    # white noise under a Gaussian keeps 1 / (4 pi sigma^2) of its variance
    doubt = (noise / gain) ** 2 / (4 * math.pi * SMOOTH_PX**2) + 1e-12
    signal = _start(seen.frame(0).repeat(n_sets, 1, 1) / gain - offset, kinetics)
    for t in range(1, seen.frames.shape[1]):
        secretion = seen.secretion(t - 1, setup.spec)
        if isinstance(secretion, Tensor):
            secretion = secretion.repeat(n_sets, 1, 1)
        signal = run(signal, setup, kinetics, secretion)
        frame = seen.frame(t).repeat(n_sets, 1, 1)
        missed = frame - gain * (signal.g + offset)
        signal = _put_right(signal, missed / gain, doubt, kinetics)
        if t >= setup.warm_up:
            yield signal, missed


def run(
    signal: Signal,
    setup: Setup,
    kinetics: Kinetics,
    secretion: Float[Tensor, "n y x"] | float,
) -> Signal:
    """The fields one frame later."""
    dt_min = setup.interval_min / setup.n_steps
    for _ in range(setup.n_steps):
        signal = react(signal, kinetics, dt_min=dt_min, dx_mm=setup.spec.dx_mm, secretion=secretion)
    return signal


def free_run(
    seen: Seen, setup: Setup, parameters: Float[Tensor, "m p"], n_frames: int
) -> Float[Tensor, "m t y x"]:
    """Movies without noise that go on by themselves from the state after the warm-up."""
    kinetics = with_rates(setup.spec, parameters)
    gain, offset = response(parameters)
    signal, _ = next(innovations(seen, setup, parameters))
    last = seen.frames.shape[1] - 1
    frames = [gain * (signal.g + offset)]
    for t in range(setup.warm_up, setup.warm_up + n_frames - 1):
        signal = run(signal, setup, kinetics, seen.secretion(min(t, last), setup.spec))
        frames.append(gain * (signal.g + offset))
    return torch.stack(frames, dim=1)


def inner(field: Float[Tensor, "*n y x"], margin_px: int) -> Float[Tensor, "*n ry rx"]:
    """The field without its margin."""
    if not margin_px:
        return field
    return field[..., margin_px:-margin_px, margin_px:-margin_px]


def _start(g: Float[Tensor, "n y x"], kinetics: Kinetics) -> Signal:
    """A state to begin with, soon forgotten: receptors and b at their balance with g."""
    g = smoothed(g, SMOOTH_PX).clamp(min=LEAST)
    recovery, exchange, _ = receptor_rates(g, kinetics)
    return Signal(recovery / exchange, g * _balance(kinetics), g)


def _put_right(
    signal: Signal,
    missed: Float[Tensor, "n y x"],
    doubt: Float[Tensor, "n 1 1"],
    kinetics: Kinetics,
) -> Signal:
    """The state with g as seen, as far as g stands above the noise of what is seen, and b after it.

    Args:
        missed: g as seen less g.
        doubt: variance of the noise in what is put right.
    """
    square = signal.g.square()
    lacks = square / (square + doubt) * smoothed(missed, SMOOTH_PX)
    g = (signal.g + lacks).clamp(min=LEAST)
    b = (signal.b + SHARE_B * _balance(kinetics) * lacks).clamp(min=LEAST)
    return Signal(signal.rho, b, g)


def _balance(kinetics: Kinetics) -> Tensor:
    """b over g where as much is secreted as decays."""
    return torch.as_tensor(kinetics.k_e_per_min) * (kinetics.h / kinetics.k_t_per_min)
