"""The constants of the Physarum world, with units, meaning and range."""

from dataclasses import dataclass

from slime.errors import SlimeError
from slime.simulate.settings import check_range, setting


@dataclass(frozen=True)
class PhysarumSpec:
    """Every constant of the world.

    The model has no physical units: its lengths are pixels and its times steps. What a pixel and
    a step are worth is a convention; by default an agent goes 100 um in 15 s, 2.4 cm in an hour,
    about the pace of a plasmodium. Neither changes what is simulated.
    """

    height_px: int = setting(200, "grid points along y")
    width_px: int = setting(200, "grid points along x")
    pixel_um: float = setting(100.0, "what a pixel is taken for; a convention")
    step_s: float = setting(15.0, "what a step is taken for; a convention")
    population: float = setting(0.15, "agents for each grid point; no point holds two")
    sensor_angle_deg: float = setting(45.0, "between the sensor ahead and those beside it")
    rotation_deg: float = setting(45.0, "by which an agent turns at a time")
    sensor_offset_px: float = setting(9.0, "from an agent to its sensors")
    step_px: float = setting(1.0, "by which an agent moves at a time")
    deposit: float = setting(5.0, "trail left after a move; none after a refused one")
    decay: float = setting(0.1, "share of the trail lost in a step")

    def __post_init__(self):
        check_range(self, "height_px width_px", at_least=3, at_most=30_000)
        check_range(self, "pixel_um step_s step_px deposit", above=0)
        check_range(self, "population", above=0, at_most=1)
        check_range(self, "sensor_angle_deg rotation_deg", at_least=0, at_most=180)
        check_range(self, "sensor_offset_px", at_least=0)
        check_range(self, "decay", at_least=0, at_most=1)
        if self.n_agents == 0:
            points = self.height_px * self.width_px
            raise SlimeError(
                f"population is {self.population}: no agent on {points} grid points; "
                f"it must be above {0.5 / points:.2g}"
            )

    @property
    def n_agents(self) -> int:
        """Agents in a movie."""
        return round(self.population * self.height_px * self.width_px)

    @property
    def shape(self) -> tuple[int, int]:
        """Grid points along y and x."""
        return self.height_px, self.width_px
