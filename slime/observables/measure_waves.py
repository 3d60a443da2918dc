"""The waves of one channel: period, activation, speed and tips, as maps and as rows."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from slime.errors import SlimeError
from slime.observables.choices import Choices
from slime.observables.periods import MIN_FRAMES, period_map
from slime.observables.phases import hilbert_phase, winding
from slime.observables.reading import Field
from slime.observables.table import Row, mean_row, single_row, spread_row
from slime.observables.waves import (
    Dispersion,
    activation_times,
    crossing_periods,
    dispersion,
    wave_speed,
)

NOISE_SHARE = 0.02  # of the pixels: so many repeat themselves by chance (see period_map)
WAVE_NAMES = (
    "period",
    "period_crossings",
    "wave_speed",
    "wavelength",
    "n_singularities",
    "net_charge",
)


@dataclass(frozen=True)
class Waves:
    """Maps and series of the waves; empty where nothing repeats itself."""

    period: Float[np.ndarray, "y x"]
    crossing_period: Float[np.ndarray, "y x"]
    speed: Float[np.ndarray, "y x"]
    pairs: Dispersion
    series: dict[str, Float[np.ndarray, " t"]]

    @property
    def active(self) -> Bool[np.ndarray, "y x"]:
        """Pixels that repeat themselves."""
        return np.isfinite(self.period)


def measure_waves(
    seen: Float[np.ndarray, "t y x"], field: Field, choices: Choices
) -> tuple[Waves | None, list[Row]]:
    """Waves of the smoothed frames and their rows; None where there are too few frames or waves."""
    units, n = field.units, len(seen)
    if n < MIN_FRAMES:
        why = f"{n} frames, {MIN_FRAMES} are needed"
        return None, [single_row("period", np.nan, units.time, 0, why)]
    every = units.frame_interval_s
    period = period_map(
        seen, frame_interval_s=every, shortest_s=choices.shortest_s, longest_s=choices.longest_s
    )
    active = np.isfinite(period)
    n_whole = int(np.isfinite(seen).all(axis=0).sum())
    share = single_row(
        "active_share",
        float(active.sum() / max(n_whole, 1)),
        "1",
        n_whole,
        "pixels that repeat themselves, of those that count in every frame",
    )
    if active.sum() <= NOISE_SHARE * n_whole:
        why = f"no waves: {NOISE_SHARE:.0%} of the pixels or fewer repeat themselves, as noise does"
        return None, [share, *(single_row(name, np.nan, "", 0, why) for name in WAVE_NAMES)]
    times = activation_times(seen, frame_interval_s=every, mask=active, falling=choices.falling)
    speeds = wave_speed(times, pixel_um=units.pixel_um)
    crossing = crossing_periods(times)
    series, tips = _tips(seen, period, field)
    waves = Waves(period, crossing, _median_over_waves(speeds), dispersion(times, speeds), series)
    how = f"smoothed by {choices.smooth_px:g} px"
    pace = f"{units.length}/{units.time}"
    rows = [
        share,
        spread_row("period", period, units.time, "pixels", f"peak of the spectrum, {how}"),
        spread_row("period_crossings", crossing, units.time, "pixels", f"from wave to wave, {how}"),
        spread_row(
            "wave_speed",
            speeds,
            pace,
            "waves and pixels",
            f"plane through 5 x 5 activation times, {how}",
        ),
        spread_row("wavelength", _product(waves), units.length, "pixels", "period times speed"),
        *tips,
    ]
    return waves, rows


def _median_over_waves(speeds: Float[np.ndarray, "wave y x"]) -> Float[np.ndarray, "y x"]:
    """The median of each pixel's waves, NaN where there is none."""
    median = np.full(speeds.shape[1:], np.nan)
    seen = np.isfinite(speeds).any(axis=0)
    if seen.any():
        median[seen] = np.nanmedian(speeds[:, seen], axis=0)
    return median


def _product(waves: Waves) -> Float[np.ndarray, "y x"]:
    return waves.period * waves.speed


def _tips(
    seen: Float[np.ndarray, "t y x"], period: Float[np.ndarray, "y x"], field: Field
) -> tuple[dict[str, Float[np.ndarray, " t"]], list[Row]]:
    """Number and sum of the phase singularities in the active area, NaN in frames without phase."""
    names = ("n_singularities", "net_charge")
    active = np.isfinite(period)
    every, middle = field.units.frame_interval_s, float(np.nanmedian(period))
    try:
        phase = hilbert_phase(seen, frame_interval_s=every, period_s=middle, mask=active)
    except SlimeError as error:
        return {}, [single_row(name, np.nan, "1", 0, str(error)) for name in names]
    # a frame at a time: all charges at once would take several times the movie's memory
    charges = (winding(phase[t : t + 1]) for t in range(len(phase)))
    counts = [(int(np.abs(one).sum()), int(one.sum())) for one in charges]
    timed = np.isfinite(phase).any(axis=(1, 2))
    sums = np.array(counts, dtype=np.float64).T
    series = {name: np.where(timed, s, np.nan) for name, s in zip(names, sums, strict=True)}
    said = f"phase by Hilbert around {middle:.4g} {field.units.time}, active area only"
    return series, [mean_row(name, values, "1", said) for name, values in series.items()]
