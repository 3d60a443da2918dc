"""What a biologist measures on a movie: waves, mounds, structure, networks and flow.

Arrays are `t y x` with the frame interval and the pixel size given; True in a mask counts; what
cannot be measured is NaN.
"""

from slime.observables.choices import Choices
from slime.observables.flow import Flow, mass_drift, optical_flow
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
from slime.observables.network import Network, find_network, measure_skeleton
from slime.observables.periods import period_map
from slime.observables.phases import delay_phase, hilbert_phase, singularities, winding
from slime.observables.reading import Field, Units, read_field
from slime.observables.structure import StructureFactor, correlation_length, structure_factor
from slime.observables.table import Row
from slime.observables.waves import (
    Dispersion,
    DispersionBin,
    activation_times,
    crossing_periods,
    dispersion,
    dispersion_curve,
    wave_speed,
)

__all__ = [
    "Choices",
    "Dispersion",
    "DispersionBin",
    "Field",
    "Flow",
    "Matched",
    "Measured",
    "Mounds",
    "Network",
    "Row",
    "StructureFactor",
    "Units",
    "activation_times",
    "correlation_length",
    "crossing_periods",
    "delay_phase",
    "density_variance",
    "dispersion",
    "dispersion_curve",
    "find_mounds",
    "find_network",
    "hilbert_phase",
    "mass_drift",
    "matched_error",
    "measure",
    "measure_skeleton",
    "optical_flow",
    "otsu_threshold",
    "period_map",
    "read_field",
    "singularities",
    "structure_factor",
    "time_to_aggregation",
    "wave_speed",
    "winding",
]
