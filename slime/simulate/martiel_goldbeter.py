"""The cAMP signalling of Dictyostelium on a grid: Martiel-Goldbeter kinetics with diffusion.

rho is the active fraction of receptors, b the cAMP inside the cells and g the cAMP outside, both in
units of the receptor's dissociation constant K_R; minutes and millimetres throughout.

    d rho/dt = -f1(g) rho + f2(g) (1 - rho)
    d b/dt   = q sigma Phi - (k_i + k_t) b
    d g/dt   = D lap(g) + n (k_t / h) b - k_e g

Martiel & Goldbeter 1987, Biophys J 52:807, doi 10.1016/S0006-3495(87)83275-7.
"""

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from slime.errors import SlimeError

PULSE_G, PULSE_B = 8.0, 100.0  # a stimulus that excites every cell that is not refractory
REFRACTORY_RHO = 0.25


@dataclass(frozen=True)
class Kinetics:
    """The constants of the reaction and the diffusion; the defaults are excitable.

    k1, k2 and k_e are those with which a broken wave becomes a spiral of period 5.4 min (Lauzeral,
    Halloy & Goldbeter 1997, PNAS 94:9153); the others are the base set of 1987. With k1 = 0.036,
    k2 = 0.666, k_e = 5.4 per minute the well-mixed system oscillates with a period of 10.7 min.
    """

    k1_per_min: float = 0.09  # receptor desensitisation, free receptor
    k2_per_min: float = 1.665  # receptor desensitisation, receptor with cAMP bound
    l1: float = 10.0  # resensitisation over desensitisation, free receptor
    l2: float = 0.005  # resensitisation over desensitisation, receptor with cAMP bound
    c: float = 10.0  # affinity of the active over the desensitised receptor
    lambda_: float = 0.01  # activity of the unbound cyclase, relative
    theta: float = 0.01  # substrate affinity of the unbound cyclase, relative
    epsilon: float = 1.0  # coupling of the receptor to the cyclase
    q: float = 4000.0  # scale of the synthesis, K_m / K_R
    sigma_per_min: float = 0.6  # largest rate of the cyclase
    k_i_per_min: float = 1.7  # decay of the cAMP inside
    k_t_per_min: float = 0.9  # transport of cAMP out of the cell
    k_e_per_min: float = 9.0  # decay of the cAMP outside
    h: float = 5.0  # volume outside over volume inside
    alpha: float = 3.0  # ATP over the cyclase's K_m
    diffusion_mm2_per_min: float = 0.024  # of the cAMP outside

    def __post_init__(self):
        for field in fields(Kinetics):
            value = getattr(self, field.name)
            zero_is_right = field.name == "diffusion_mm2_per_min" and value == 0
            if not (math.isfinite(value) and value > 0 or zero_is_right):
                raise SlimeError(f"{field.name} is {value}; it must be a positive finite number")


class Signal(NamedTuple):
    """The three fields on the grid of every movie `m` of a batch, in units of K_R but for rho."""

    rho: Float[Tensor, "m y x"]
    b: Float[Tensor, "m y x"]
    g: Float[Tensor, "m y x"]


def laplacian(field: Float[Tensor, "m y x"]) -> Float[Tensor, "m y x"]:
    """Five-point Laplacian times dx^2, no flux through the edges: its sum over a movie is 0."""
    padded = pad(field, (1, 1, 1, 1), mode="replicate")
    total = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]
    total += padded[:, 1:-1, :-2]
    total += padded[:, 1:-1, 2:]
    return total.sub_(field, alpha=4)


def gradient(field: Float[Tensor, "m y x"], dx_mm: float) -> Float[Tensor, "m 2 y x"]:
    """Central differences per millimetre, first along x and then along y; halved at the edges."""
    padded = pad(field, (1, 1, 1, 1), mode="replicate")
    along_x = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    along_y = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    return torch.stack([along_x, along_y], dim=1).mul_(0.5 / dx_mm)


def receptor_rates(
    g: Float[Tensor, "*grid"], kinetics: Kinetics
) -> tuple[Float[Tensor, "*grid"], Float[Tensor, "*grid"], Float[Tensor, "*grid"]]:
    """f2(g), f1(g) + f2(g), and g / (1 + g), the share of receptors that hold cAMP.

    f1 = (k1 + k2 g) / (1 + g) and f2 = (k1 L1 + k2 L2 c g) / (1 + c g), each written as its limit
    at large g plus a remainder, which halves the number of operations on the grid.
    """
    k1, k2 = kinetics.k1_per_min, kinetics.k2_per_min
    r1, r2 = k1 * kinetics.l1, k2 * kinetics.l2
    unbound = (g + 1).reciprocal_()
    recovery = (g * kinetics.c).add_(1).reciprocal_().mul_(r1 - r2).add_(r2)
    exchange = (recovery + k2).add_(unbound, alpha=k1 - k2)
    return recovery, exchange, unbound.neg_().add_(1)


def synthesis(
    rho: Float[Tensor, "*grid"], bound: Float[Tensor, "*grid"], kinetics: Kinetics
) -> Float[Tensor, "*grid"]:
    """q sigma Phi, the cAMP made inside per minute; `bound` is g / (1 + g)."""
    alpha, epsilon = kinetics.alpha, kinetics.epsilon
    scale = kinetics.q * kinetics.sigma_per_min * alpha
    y_squared = (rho * bound).square_()
    active = y_squared * (scale * epsilon)
    active += scale * kinetics.lambda_ * kinetics.theta
    total = y_squared.mul_(epsilon * (1 + alpha)).add_(1 + alpha * kinetics.theta)
    return active.div_(total)


def react(
    signal: Signal,
    kinetics: Kinetics,
    *,
    dt_min: float,
    dx_mm: float,
    secretion: Float[Tensor, "m y x"] | float,
) -> Signal:
    """The fields one explicit Euler step later.

    `secretion` is n k_t / h per minute, with n the density of cells relative to its mean.
    """
    rho, b, g = signal
    recovery, exchange, bound = receptor_rates(g, kinetics)
    made = synthesis(rho, bound, kinetics)
    loss_b = kinetics.k_i_per_min + kinetics.k_t_per_min
    spread = dt_min * kinetics.diffusion_mm2_per_min / dx_mm**2
    new_rho = torch.addcmul(rho, exchange.mul_(-dt_min), rho).add_(recovery, alpha=dt_min)
    new_b = (b * (1 - dt_min * loss_b)).add_(made, alpha=dt_min)
    new_g = (g * (1 - dt_min * kinetics.k_e_per_min)).add_(b * secretion, alpha=dt_min)
    return Signal(new_rho, new_b, new_g.add_(laplacian(g), alpha=spread))


def resting(kinetics: Kinetics) -> tuple[float, float, float]:
    """The steady rho, b and g of well-mixed cells: the lowest root, found by bisection in g.

    At rest b = q sigma Phi / (k_i + k_t) and g = b k_t / (h k_e). The state may be unstable.
    """
    gain = kinetics.k_t_per_min / (kinetics.h * kinetics.k_e_per_min)
    loss_b = kinetics.k_i_per_min + kinetics.k_t_per_min

    def rho_and_b(g: float) -> tuple[float, float]:
        recovery, exchange, bound = receptor_rates(torch.tensor(g, dtype=torch.float64), kinetics)
        rho = recovery / exchange
        return rho.item(), (synthesis(rho, bound, kinetics) / loss_b).item()

    low, high = 0.0, 1e-6
    while gain * rho_and_b(high)[1] > high:
        low, high = high, high * 1.05
    for _ in range(60):
        middle = (low + high) / 2
        excess = gain * rho_and_b(middle)[1] - middle
        low, high = (middle, high) if excess > 0 else (low, middle)
    return *rho_and_b(low), low


def resting_signal(
    kinetics: Kinetics, shape: tuple[int, int, int], *, dtype=torch.float32, device="cpu"
) -> Signal:
    """Every point of an "m y x" grid at rest."""
    return Signal(*(torch.full(shape, v, dtype=dtype, device=device) for v in resting(kinetics)))


def strip_pulse(signal: Signal, n_columns: int) -> Signal:
    """The fields with the first columns stimulated, from which a plane wave starts."""
    b, g = signal.b.clone(), signal.g.clone()
    b[:, :, :n_columns] = PULSE_B
    g[:, :, :n_columns] = PULSE_G
    return Signal(signal.rho, b, g)


def lower_half_reset(signal: Signal, kinetics: Kinetics) -> Signal:
    """The fields with the first half of the rows refractory: a plane wave there is cut off.

    The free end of the wave curls into a spiral where the kinetics are excitable.
    """
    n_rows = signal.rho.shape[1] // 2
    cut = Signal(*(field.clone() for field in signal))
    _, rest_b, rest_g = resting(kinetics)
    for field, value in zip(cut, (REFRACTORY_RHO, rest_b, rest_g), strict=True):
        field[:, :n_rows] = value
    return cut
