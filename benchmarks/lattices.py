"""The steps of the lattice worlds: torch's, the compiled ones, and kernels by hand for numba.

The kernels are what one would write with care: all sums of a cell in one loop that becomes vectors,
one division for three, constants in 32 bits, fields in two places in turn, fastmath, one core.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from slime.simulate.compiled import checked_kernel
from slime.simulate.kernel import Kernel
from slime.simulate.martiel_goldbeter import (
    Kinetics,
    Signal,
    kernel_constants,
    reacted,
    resting_signal,
    strip_pulse,
)
from slime.simulate.movies import one_thread
from slime.simulate.sgro import advanced, excitation_constants, initial_state
from slime.simulate.sgro_spec import SgroSpec

DT_MIN, DX_MM = 0.004, 0.04
SEED = np.uint64(88172645463325252)
F = np.float32
Go = Callable[[int], Any]  # so many steps; gives the fields


def wave(size: int) -> tuple[Signal, torch.Tensor]:
    """A dish with a wave under way and an uneven density of cells."""
    signal = strip_pulse(resting_signal(Kinetics(), (1, size, size)), n_columns=size // 10)
    rough = torch.rand(1, size, size, generator=torch.Generator().manual_seed(0))
    return signal, 0.13 + 0.1 * rough


def reactions(size: int, kernel: Kernel | None) -> Go:
    """Steps of this package for the Martiel-Goldbeter fields."""
    signal, secretion = wave(size)

    def go(n_steps: int) -> Signal:
        nonlocal signal
        how = {"dt_min": DT_MIN, "dx_mm": DX_MM, "secretion": secretion, "kernel": kernel}
        with one_thread():
            signal = reacted(signal, Kinetics(), n_steps=n_steps, **how)
        return signal

    return go


def reactions_by_hand(size: int, compile: Callable[[Any], Any]) -> Go:
    """The same reaction and diffusion with `react_cell`; an even number of steps."""
    cell = compile(react_cell)

    @compile
    def step(rho, b, g, new_rho, new_b, new_g, secretion, k):
        height, width = rho.shape
        for y in range(height):
            above, here, below = g[max(y - 1, 0)], g[y], g[min(y + 1, height - 1)]
            fields = rho[y], b[y], secretion[y]
            out_rho, out_b, out_g = new_rho[y], new_b[y], new_g[y]
            for x in range(1, width - 1):
                around = (above[x] + below[x]) + (here[x - 1] + here[x + 1])
                out_rho[x], out_b[x], out_g[x] = cell(
                    here[x], fields[0][x], fields[1][x], fields[2][x], around, k
                )
            for x in (0, width - 1):
                around = (above[x] + below[x]) + (here[max(x - 1, 0)] + here[min(x + 1, width - 1)])
                out_rho[x], out_b[x], out_g[x] = cell(
                    here[x], fields[0][x], fields[1][x], fields[2][x], around, k
                )

    signal, secretion = wave(size)
    old, new = ([field[0].numpy().copy() for field in signal] for _ in range(2))
    given = secretion[0].numpy()
    constants = tuple(F(k) for k in kernel_constants(Kinetics(), DT_MIN, DX_MM))

    def go(n_steps: int) -> list[np.ndarray]:
        for _ in range(n_steps // 2):
            step(*old, *new, given, constants)
            step(*new, *old, given, constants)
        return old

    return go


def react_cell(now: Any, rho: Any, b: Any, secretion: Any, around: Any, k: Any) -> Any:
    """rho, b and g of a cell a step later; `now` is its g, `around` the sum of its neighbours'."""
    k1, k2, r1, r2_c, c, active, idle, active_total, idle_total, dt, kept_b, kept_g, spread = k
    one, four = F(1), F(4)
    high, low, bound = now + one, c * now + one, rho * now
    rates, squared, bound = high * low, high * high, bound * bound
    total = idle_total * squared + active_total * bound
    inverse = one / (rates * total)
    recovery = (r2_c * now + r1) * high
    exchange = (k2 * now + k1) * low + recovery
    made = (idle * squared + active * bound) * (inverse * rates)
    new_rho = rho + dt * (inverse * total) * (recovery - exchange * rho)
    new_g = kept_g * now + dt * (b * secretion) + spread * (around - four * now)
    return new_rho, kept_b * b + dt * made, new_g


def excitations(spec: SgroSpec, kernel: Kernel | None) -> Go:
    """Steps of this package for the lattice of Sgro et al., noise included."""
    state = initial_state(spec, [0])

    def go(n_steps: int) -> Any:
        nonlocal state
        with one_thread():
            state = advanced(state, spec, n_steps * spec.dt * spec.time_unit_min, kernel)
        return state

    return go


def excitations_by_hand(spec: SgroSpec, compile: Callable[[Any], Any]) -> Go:
    """The same lattice with `excite_cell`; an even number of steps."""
    cell, draw, to_drive = compile(excite_cell), compile(normal_row), compile(logarithm_row)

    @compile
    def step(a, r, s, new_a, new_r, new_s, kicks, level, bits, drive, k, seed):
        height, width = a.shape
        for y in range(height):
            if k[3] > 0:
                seed = draw(kicks, seed)
            above, here, below = s[y - 1], s[y], s[(y + 1) % height]
            row_a, row_r = a[y], r[y]
            out_a, out_r, out_s = new_a[y], new_r[y], new_s[y]
            for x in range(width):
                level[x] = F(1) + here[x] * k[2]
            to_drive(level, bits, drive)
            for x in range(1, width - 1):
                around = (above[x] + below[x]) + (here[x - 1] + here[x + 1])
                out_a[x], out_r[x], out_s[x] = cell(
                    row_a[x], row_r[x], here[x], kicks[x], drive[x], around, k
                )
            for x in (0, width - 1):
                around = (above[x] + below[x]) + (here[x - 1] + here[(x + 1) % width])
                out_a[x], out_r[x], out_s[x] = cell(
                    row_a[x], row_r[x], here[x], kicks[x], drive[x], around, k
                )
        return seed

    state = initial_state(spec, [0])
    start = (state.activator, state.inhibitor, state.signal)
    old, new = ([field[0].numpy().copy() for field in start] for _ in range(2))
    kicks, level, drive = (np.zeros(spec.width_px, F) for _ in range(3))
    rows = kicks, level, level.view(np.int32), drive
    constants, seed = tuple(F(k) for k in excitation_constants(spec, spec.dt)), SEED

    def go(n_steps: int) -> list[np.ndarray]:
        nonlocal seed
        for _ in range(n_steps // 2):
            seed = step(*old, *new, *rows, constants, seed)
            seed = step(*new, *old, *rows, constants, seed)
        return old

    return go


def normal_row(kicks: Any, seed: Any) -> Any:
    """Fill a row with normal numbers, by Box and Muller from a xorshift; gives its next state."""
    turn = F(2 * math.pi / 2**24)
    for x in range(0, len(kicks) - 1, 2):
        seed ^= seed << np.uint64(13)
        seed ^= seed >> np.uint64(7)
        seed ^= seed << np.uint64(17)
        share = F((seed >> np.uint64(40)) + np.uint64(1)) * F(2**-24)
        angle = F((seed >> np.uint64(8)) & np.uint64(0xFFFFFF)) * turn
        radius = np.sqrt(F(-2) * np.log(share))
        kicks[x], kicks[x + 1] = radius * np.cos(angle), radius * np.sin(angle)
    return seed


def logarithm_row(level: Any, bits: Any, out: Any) -> None:
    """ln of a row by exponent and series, since numba alone makes no vectors of log.

    `bits` is the memory of `level` as int32; both are used up.
    """
    root_half, mantissa = np.int32(0x3F3504F3), np.int32(0x7FFFFF)
    for x in range(len(level)):
        out[x] = F((bits[x] - root_half) >> np.int32(23)) * F(0.69314718)
        bits[x] = ((bits[x] - root_half) & mantissa) + root_half
    for x in range(len(level)):
        t = (level[x] - F(1)) / (level[x] + F(1))
        q = t * t
        series = F(1) + q * (F(1 / 3) + q * (F(1 / 5) + q * (F(1 / 7) + q * F(1 / 9))))
        out[x] += F(2) * t * series


def excite_cell(
    a: Any, r: Any, now: Any, kicked: Any, logarithm: Any, around: Any, k: Any
) -> tuple[Any, Any, Any]:
    """A, R and S of a cell a step later; `now` is its S, `around` the sum of its neighbours'."""
    dt, gain, _, kick, slow, gamma, c0, kept, leak, fired, spread = k
    rise = a - a * a * a * F(1 / 3) - r + gain * logarithm
    flash = fired if a > F(0) else F(0)
    new_s = kept * now + leak + flash + spread * (around - F(4) * now)
    return a + dt * rise + kick * kicked, r + slow * (a + c0 - gamma * r), new_s


def by_numba(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function compiled for one core."""
    import numba

    return numba.njit(fastmath=True, error_model="numpy")(function)


def contestants(world: str, size: int) -> dict[str, Callable[[], Go]]:
    """Who steps a lattice of this size, by name: "Martiel-Goldbeter" or "Sgro"."""
    if world == "Sgro":
        spec = SgroSpec(height_px=size, width_px=size)
        ours, by_hand = (
            (lambda k: excitations(spec, k)),
            lambda: excitations_by_hand(spec, by_numba),
        )
    else:
        ours, by_hand = (lambda k: reactions(size, k)), lambda: reactions_by_hand(size, by_numba)
    return {
        "torch": lambda: ours(None),
        "compiled": lambda: ours(checked_kernel()),
        "numba, by hand": by_hand,
    }
