"""The constants of the noisy excitable lattice of Sgro et al. 2015, with meaning and range."""

from dataclasses import dataclass

from slime.errors import SlimeError
from slime.simulate.settings import check_range, setting


@dataclass(frozen=True)
class SgroSpec:
    """Every constant of the world; time in units of `time_unit_min`, length in lattice points."""

    height_px: int = setting(128, "lattice points along y, periodic")
    width_px: int = setting(128, "lattice points along x, periodic")
    dt: float = setting(0.005, "longest step, in units of time")
    time_unit_min: float = setting(0.09, "minutes in a unit of time")
    pixel_um: float = setting(
        33.0, "side of a lattice point; makes diffusion_px2 = 2 cAMP's 0.024 mm2 a minute"
    )
    epsilon: float = setting(0.1, "rate of the inhibitor over the activator's")
    gamma: float = setting(0.5, "decay of the inhibitor")
    c0: float = setting(1.2, "activation of the inhibitor at rest")
    noise: float = setting(0.15, "strength of each cell's own white noise, sigma")
    gain: float = setting(0.058, "response to the logarithm of the signal, a")
    k_d: float = setting(1e-5, "signal at which that logarithm sets in")
    density: float = setting(10**-3.5, "cells, in units of volume: rho")
    alpha0: float = setting(800.0, "signal that every cell always leaks")
    s0: float = setting(1e6, "signal that a firing cell (A above 0) gives off")
    alpha_pde: float = setting(1000.0, "decay of the signal by the cells' phosphodiesterase")
    j: float = setting(0.5, "decay of the signal without cells")
    diffusion_px2: float = setting(2.0, "diffusion of the signal, in px2 a unit of time")

    def __post_init__(self):
        check_range(self, "height_px width_px", at_least=1, at_most=100_000)
        check_range(self, "dt", above=0, at_most=0.1)  # the cubic term is explicit
        check_range(self, "time_unit_min pixel_um epsilon gamma k_d density", above=0)
        check_range(self, "c0 noise gain alpha0 s0 alpha_pde j diffusion_px2", at_least=0)
        rate = 8 * self.diffusion_px2 + self.signal_loss
        if self.dt * rate > 2:
            raise SlimeError(f"dt is {self.dt}, but the step is stable only up to {2 / rate:.2g}")
        if self.signal_loss == 0:
            raise SlimeError("j and alpha_pde are both 0: the signal would grow without end")

    @property
    def shape(self) -> tuple[int, int]:
        """Lattice points along y and x."""
        return self.height_px, self.width_px

    @property
    def signal_loss(self) -> float:
        """Decay of the signal per unit of time."""
        return self.j + self.alpha_pde * self.density

    @property
    def resting_signal(self) -> float:
        """The signal where no cell fires and all leak."""
        return self.density * self.alpha0 / self.signal_loss
