"""What a biologist measures on a movie, simulated or real: waves, mounds, structure.

Arrays are `t y x` with the frame interval and the pixel size given; True in a mask counts; what
cannot be measured is NaN.
"""

from slime.observables.choices import Choices
from slime.observables.measure import Measured, measure
from slime.observables.mounds import (
    Matched,
    Mounds,
    density_variance,
    find_mounds,
    matched_error,
    otsu_threshold,
    time_to_aggregation,
)
from slime.observables.periods import period_map
from slime.observables.phases import delay_phase, hilbert_phase, singularities, winding
from slime.observables.reading import Field, Units, read_field
from slime.observables.structure import StructureFactor, correlation_length, structure_factor
from slime.observables.table import Row
from slime.observables.waves import (
    Dispersion,
    activation_times,
    crossing_periods,
    dispersion,
    wave_speed,
)

__all__ = [
    "Choices",
    "Dispersion",
    "Field",
    "Matched",
    "Measured",
    "Mounds",
    "Row",
    "StructureFactor",
    "Units",
    "activation_times",
    "correlation_length",
    "crossing_periods",
    "delay_phase",
    "density_variance",
    "dispersion",
    "find_mounds",
    "hilbert_phase",
    "matched_error",
    "measure",
    "otsu_threshold",
    "period_map",
    "read_field",
    "singularities",
    "structure_factor",
    "time_to_aggregation",
    "wave_speed",
    "winding",
]
