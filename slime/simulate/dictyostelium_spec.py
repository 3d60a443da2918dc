"""The constants of the Dictyostelium world, with units, meaning and range."""

from dataclasses import dataclass

from slime.errors import SlimeError
from slime.simulate.martiel_goldbeter import Kinetics
from slime.simulate.settings import check_range, setting


@dataclass(frozen=True)
class DictyosteliumSpec(Kinetics):
    """Every constant of the world; those of the reaction are inherited."""

    height_px: int = setting(128, "grid points along y")
    width_px: int = setting(128, "grid points along x")
    dx_mm: float = setting(0.05, "distance of grid points")
    dt_min: float = setting(0.008, "longest step of the reaction")
    move_min: float = setting(0.032, "longest time between two moves of the cells")
    cells_per_mm2: float = setting(
        976.5625, "40,000 cells on 6.4 mm square; 0 is the field alone with density 1"
    )
    density_sigma_px: float = setting(2.0, "smoothing of the density of cells that secretes")
    density_low: float = setting(0.7, "that density, relative to its mean, is clipped from here")
    density_high: float = setting(
        1.4, "to here: without the clip the field breaks into hundreds of clumps"
    )
    speed_mm_per_min: float = setting(0.012, "speed of a cell on the rising front of a wave")
    motility_mm2_per_min: float = setting(1.5e-4, "random motion of cells, a diffusion constant")
    rise_per_min: float = setting(0.25, "a front is where dg/dt is larger than this")
    slope_per_mm: float = setting(1.0, "and the slope of g larger than this")
    chemotaxis_start_min: float = setting(30.0, "cells follow waves from this time on")
    pulses_per_mm2: float = setting(
        0.1953125, "stimuli at the start, 8 on 6.4 mm square; one at least"
    )
    pulse_radius_mm: float = setting(0.15, "radius of such a stimulus")
    rho_low: float = setting(0.25, "active receptors at the start are smooth noise from here")
    rho_high: float = setting(0.9, "to here")
    rho_sigma_mm: float = setting(0.3, "smoothing of that noise")

    def __post_init__(self):
        super().__post_init__()
        check_range(self, "height_px width_px", at_least=4, at_most=100_000)
        check_range(self, "dx_mm dt_min move_min density_sigma_px rho_sigma_mm", above=0)
        check_range(self, "speed_mm_per_min motility_mm2_per_min chemotaxis_start_min", at_least=0)
        check_range(self, "cells_per_mm2 pulses_per_mm2 pulse_radius_mm", at_least=0)
        check_range(self, "rise_per_min slope_per_mm", at_least=0)
        check_range(self, "density_low", at_least=0, at_most=1)
        check_range(self, "density_high", at_least=1)
        check_range(self, "rho_high", at_least=0, at_most=1)
        check_range(self, "rho_low", at_least=0, at_most=self.rho_high)
        self._check_stability()

    def _check_stability(self) -> None:
        """An explicit Euler step must damp the shortest wave of the grid."""
        rate = 8 * self.diffusion_mm2_per_min / self.dx_mm**2 + self.k_e_per_min
        if self.dt_min * rate > 2:
            raise SlimeError(
                f"dt_min is {self.dt_min}, but with dx_mm = {self.dx_mm} the step is stable only "
                f"up to {2 / rate:.2g}"
            )

    @property
    def n_cells(self) -> int:
        """Cells in a movie."""
        height, width = self.size_mm
        return round(self.cells_per_mm2 * height * width)

    @property
    def n_pulses(self) -> int:
        """Stimuli at the start."""
        height, width = self.size_mm
        return max(1, round(self.pulses_per_mm2 * height * width))

    @property
    def shape(self) -> tuple[int, int]:
        """Grid points along y and x."""
        return self.height_px, self.width_px

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width."""
        return self.height_px * self.dx_mm, self.width_px * self.dx_mm
