"""All observables of one channel of a movie: rows for a table, series and maps for figures."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from slime.observables.choices import Choices
from slime.observables.fields import smoothed
from slime.observables.measure_motion import measure_motion
from slime.observables.measure_waves import Waves, measure_waves
from slime.observables.mounds import (
    Mounds,
    density_variance,
    find_mounds,
    otsu_threshold,
    time_to_aggregation,
)
from slime.observables.reading import Field
from slime.observables.structure import StructureFactor, correlation_length, structure_factor
from slime.observables.table import Row, mean_row, single_row, spread_row
from slime.progress import Progress


@dataclass(frozen=True)
class Measured:
    """What was measured of one channel.

    Attributes:
        series: a value a frame, by name.
        spectra: S(k) of the first, the middle and the last frame, by number.
        mounds: of the last frame.
    """

    field: Field
    rows: list[Row]
    waves: Waves | None
    mounds: Mounds
    series: dict[str, Float[np.ndarray, " t"]]
    spectra: dict[int, StructureFactor]


def measure(
    field: Field, choices: Choices | None = None, *, progress: Progress | None = None
) -> Measured:
    """Everything that can be measured of a channel; what cannot is NaN, with the reason."""
    choices = choices or Choices()
    seen = _smoothed(field, choices.smooth_px, progress)
    waves, rows = measure_waves(seen, field, choices)
    mounds, series, more = _structures(seen, field, choices, progress)
    rows += more
    moving, more = measure_motion(seen, mounds.threshold, field, progress)
    series |= moving
    rows += more
    series |= {} if waves is None else waves.series
    shown = sorted({0, len(seen) // 2, len(seen) - 1})
    pixel = field.units.pixel_um
    spectra = {field.first + t: structure_factor(field.frames[t], pixel_um=pixel) for t in shown}
    return Measured(field, rows, waves, mounds, series, spectra)


def _smoothed(
    field: Field, sigma_px: float | int, progress: Progress | None
) -> Float[np.ndarray, "t y x"]:
    seen = np.empty_like(field.frames)
    for t in _watched(range(len(seen)), len(seen), "smoothing", progress):
        seen[t] = smoothed(field.frames[t], sigma_px)
    return seen


def _structures(
    seen: Float[np.ndarray, "t y x"], field: Field, choices: Choices, progress: Progress | None
) -> tuple[Mounds, dict[str, Float[np.ndarray, " t"]], list[Row]]:
    """Mounds, structure and mass of every frame, and their rows."""
    units, n = field.units, len(seen)
    pixel = units.pixel_um
    variance = density_variance(seen, sigma_px=0)
    how = "given"
    threshold = choices.threshold
    if threshold is None:
        most = int(np.nanargmax(variance)) if np.isfinite(variance).any() else n - 1
        threshold = otsu_threshold(seen[most])
        how = f"Otsu's of frame {field.first + most}"
    smallest = choices.min_area_um2
    if smallest is None:
        smallest = 4 * np.pi * (choices.smooth_px * pixel) ** 2
    names = ("n_mounds", "mound_area", "length", "correlation_length", "mass")
    series = {name: np.full(n, np.nan) for name in names}
    mounds = Mounds(np.zeros((0, 2)), np.zeros(0), threshold)
    for t in _watched(range(n), n, "mounds and structure", progress):
        mounds = find_mounds(
            seen[t], pixel_um=pixel, threshold=threshold, sigma_px=0, min_area_um2=smallest
        )
        if np.isfinite(threshold):
            series["n_mounds"][t] = mounds.n
            series["mound_area"][t] = mounds.area_um2.sum()
        series["length"][t] = structure_factor(field.frames[t], pixel_um=pixel).mean_length_um
        series["correlation_length"][t] = correlation_length(field.frames[t], pixel_um=pixel)
        series["mass"][t] = (
            np.nanmean(field.frames[t]) if np.isfinite(field.frames[t]).any() else np.nan
        )
    series["density_variance"] = variance
    return mounds, series, list(_structure_rows(mounds, series, field, choices, how, smallest))


def _structure_rows(
    mounds: Mounds,
    series: dict[str, Float[np.ndarray, " t"]],
    field: Field,
    choices: Choices,
    how: str,
    smallest: float,
) -> Iterator[Row]:
    units, n = field.units, len(field.frames)
    area = f"{units.length}2"
    said = (
        f"last frame, threshold {mounds.threshold:.5g} ({how}), smoothed by {choices.smooth_px:g} "
        f"px, from {smallest:.3g} {area}"
    )
    yield single_row("n_mounds", series["n_mounds"][-1], "1", 1, said)
    yield spread_row("mound_area", mounds.area_um2, area, "mounds", "last frame")
    gathered = time_to_aggregation(
        series["density_variance"], frame_interval_s=units.frame_interval_s
    )
    if gathered == gathered:
        note = f"half of the rise of density_variance, from frame {field.first} on"
    else:
        note = "density_variance does not double: nothing aggregates"
    yield single_row("time_to_aggregation", gathered, units.time, n, note)
    note = f"variance / mean^2, smoothed by {choices.smooth_px:g} px"
    yield mean_row("density_variance", series["density_variance"], "1", note)
    yield mean_row("length", series["length"], units.length, "1/<k> of S(k), Hann window")
    yield mean_row("correlation_length", series["correlation_length"], units.length, "fall to 1/e")
    yield single_row("mass_drift", _drift(series["mass"]), "1", n, "last over first frame, less 1")


def _drift(mass: Float[np.ndarray, " t"]) -> float:
    """Relative change from the first frame to the last that have a mean."""
    known = mass[np.isfinite(mass)]
    return float(known[-1] / known[0] - 1) if len(known) > 1 and known[0] else float("nan")


def _watched(steps: range, n: int, label: str, progress: Progress | None):
    return progress(steps, n, label) if progress else steps
