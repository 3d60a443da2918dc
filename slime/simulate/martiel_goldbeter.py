"""The cAMP signalling of Dictyostelium on a grid: Martiel-Goldbeter kinetics with diffusion.

rho is the active fraction of receptors, b the cAMP inside the cells and g the cAMP outside, both in
units of the receptor's dissociation constant K_R; minutes and millimetres throughout.

    d rho/dt = -f1(g) rho + f2(g) (1 - rho)
    d b/dt   = q sigma Phi - (k_i + k_t) b
    d g/dt   = D lap(g) + n (k_t / h) b - k_e g

Martiel & Goldbeter 1987, Biophys J 52:807, doi 10.1016/S0006-3495(87)83275-7.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from slime.simulate.grid import laplacian
from slime.simulate.kernel import Kernel
from slime.simulate.settings import check_range, setting

PULSE_G, PULSE_B = 8.0, 100.0  # a stimulus that excites every cell that is not refractory
REFRACTORY_RHO = 0.25


@dataclass(frozen=True)
class Kinetics:
    """The constants of the reaction and the diffusion; the defaults are excitable.

    k1, k2 and k_e are those with which a broken wave becomes a spiral of period 5.4 min (Lauzeral,
    Halloy & Goldbeter 1997, PNAS 94:9153); the others are the base set of 1987. With k1 = 0.036,
    k2 = 0.666, k_e = 5.4 per minute the well-mixed system oscillates with a period of 10.7 min.
    """

    k1_per_min: float = setting(0.09, "desensitisation of the free receptor")
    k2_per_min: float = setting(1.665, "desensitisation of the receptor that holds cAMP")
    l1: float = setting(10.0, "resensitisation over desensitisation, free receptor")
    l2: float = setting(0.005, "resensitisation over desensitisation, receptor that holds cAMP")
    c: float = setting(10.0, "affinity of the desensitised over the active receptor")
    lambda_: float = setting(0.01, "activity of the free cyclase, relative")
    theta: float = setting(0.01, "substrate affinity of the free cyclase, relative")
    epsilon: float = setting(1.0, "coupling of the receptor to the cyclase")
    q: float = setting(4000.0, "scale of the synthesis of cAMP, in K_R")
    sigma_per_min: float = setting(0.6, "largest rate of the cyclase")
    k_i_per_min: float = setting(1.7, "decay of the cAMP inside")
    k_t_per_min: float = setting(0.9, "transport of cAMP out of the cell")
    k_e_per_min: float = setting(9.0, "decay of the cAMP outside")
    h: float = setting(5.0, "volume outside over volume inside")
    alpha: float = setting(3.0, "ATP over the cyclase's Michaelis constant")
    diffusion_mm2_per_min: float = setting(0.024, "diffusion of the cAMP outside")

    def __post_init__(self):
        check_range(self, "k1_per_min k2_per_min l1 l2 c lambda_ theta epsilon q", above=0)
        check_range(self, "sigma_per_min k_i_per_min k_t_per_min k_e_per_min h alpha", above=0)
        check_range(self, "diffusion_mm2_per_min", at_least=0)


class Signal(NamedTuple):
    """The three fields on the grid of every movie `m` of a batch, in units of K_R but for rho."""

    rho: Float[Tensor, "m y x"]
    b: Float[Tensor, "m y x"]
    g: Float[Tensor, "m y x"]


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


def reacted(
    signal: Signal,
    kinetics: Kinetics,
    *,
    n_steps: int,
    dt_min: float,
    dx_mm: float,
    secretion: Float[Tensor, "m y x"],
    kernel: Kernel | None = None,
) -> Signal:
    """The fields `n_steps` steps of `react` later, by a compiled kernel if there is one.

    The two differ by rounding alone, which an excitable field makes grow with time.
    """
    if kernel is not None:
        fields = Signal(*(field.clone(memory_format=torch.contiguous_format) for field in signal))
        constants = kernel_constants(kinetics, dt_min, dx_mm)
        for rho, b, g, given in zip(*fields, secretion.contiguous(), strict=True):
            height, width = rho.shape
            rows = rho.new_empty(2 * (width + 2))
            kernel.run("react", (rho, b, g, given, rows), (height, width, n_steps), constants)
        return fields
    for _ in range(n_steps):
        signal = react(signal, kinetics, dt_min=dt_min, dx_mm=dx_mm, secretion=secretion)
    return signal


def kernel_constants(kinetics: Kinetics, dt_min: float, dx_mm: float) -> list[float]:
    """The constants of `react` in lattice.c, in their order."""
    k1, k2 = kinetics.k1_per_min, kinetics.k2_per_min
    alpha, epsilon = kinetics.alpha, kinetics.epsilon
    scale = kinetics.q * kinetics.sigma_per_min * alpha
    loss_b = kinetics.k_i_per_min + kinetics.k_t_per_min
    return [
        *(k1, k2, k1 * kinetics.l1, k2 * kinetics.l2 * kinetics.c, kinetics.c),
        *(scale * epsilon, scale * kinetics.lambda_ * kinetics.theta),
        *(epsilon * (1 + alpha), 1 + alpha * kinetics.theta),
        *(dt_min, 1 - dt_min * loss_b, 1 - dt_min * kinetics.k_e_per_min),
        dt_min * kinetics.diffusion_mm2_per_min / dx_mm**2,
    ]


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
