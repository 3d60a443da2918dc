"""The waves of one channel: period, activation, speed and tips, as maps and as rows."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from slime.errors import SlimeError
from slime.observables.choices import Choices
from slime.observables.periods import MIN_FRAMES, period_map
from slime.observables.phases import hilbert_phase, singularities, winding
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
    """Maps and series of the waves; empty where nothing repeats itself.

    Attributes:
        tips: frame, y, x (pixels) and charge of each phase singularity.
        timed: frames whose phase is known.
    """

    period: Float[np.ndarray, "y x"]
    crossing_period: Float[np.ndarray, "y x"]
    speed: Float[np.ndarray, "y x"]
    pairs: Dispersion
    series: dict[str, Float[np.ndarray, " t"]]
    tips: Float[np.ndarray, "n 4"]
    timed: Bool[np.ndarray, " t"]

    @property
    def active(self) -> Bool[np.ndarray, "y x"]:
        """Pixels that repeat themselves."""
        return np.isfinite(self.period)


def measure_waves(
    seen: Float[np.ndarray, "t y x"],
    field: Field,
    choices: Choices,
    *,
    noise_share: float = NOISE_SHARE,
) -> tuple[Waves | None, list[Row]]:
    """Waves of the smoothed frames and their rows; None where there are too few frames or waves.

    No more than `noise_share` of the pixels repeating themselves counts as noise.
    """
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
    if active.sum() <= noise_share * n_whole:
        why = f"no waves: {noise_share:.0%} of the pixels or fewer repeat themselves, as noise does"
        return None, [share, *(single_row(name, np.nan, "", 0, why) for name in WAVE_NAMES)]
    times = activation_times(seen, frame_interval_s=every, mask=active, falling=choices.falling)
    speeds = wave_speed(times, pixel_um=units.pixel_um)
    crossing = crossing_periods(times)
    charges, timed, why = _charges(seen, period, field)
    series, tips = _tip_rows(charges, timed, why, period, field)
    waves = Waves(
        period,
        crossing,
        _median_over_waves(speeds),
        dispersion(times, speeds),
        series,
        charges,
        timed,
    )
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


def _charges(
    seen: Float[np.ndarray, "t y x"], period: Float[np.ndarray, "y x"], field: Field
) -> tuple[Float[np.ndarray, "n 4"], Bool[np.ndarray, " t"], str]:
    """Phase singularities in the active area, frames with a phase, and why there are none."""
    every, middle = field.units.frame_interval_s, float(np.nanmedian(period))
    active = np.isfinite(period)
    try:
        phase = hilbert_phase(seen, frame_interval_s=every, period_s=middle, mask=active)
    except SlimeError as error:
        return np.zeros((0, 4)), np.zeros(len(seen), bool), str(error)
    # a frame at a time: all charges at once would take several times the movie's memory
    found = [singularities(winding(phase[t : t + 1])) for t in range(len(phase))]
    for t, tips in enumerate(found):
        tips[:, 0] = t
    timed = np.asarray(np.isfinite(phase).any(axis=(1, 2)))
    return np.concatenate(found), timed, ""


def _tip_rows(
    tips: Float[np.ndarray, "n 4"],
    timed: Bool[np.ndarray, " t"],
    why: str,
    period: Float[np.ndarray, "y x"],
    field: Field,
) -> tuple[dict[str, Float[np.ndarray, " t"]], list[Row]]:
    """Number and sum of the charges in each frame, NaN in frames without a phase."""
    names = ("n_singularities", "net_charge")
    if why:
        return {}, [single_row(name, np.nan, "1", 0, why) for name in names]
    frame, charge = tips[:, 0].astype(int), tips[:, 3]
    sums = (np.bincount(frame, weights, len(timed)) for weights in (np.abs(charge), charge))
    series = {name: np.where(timed, s, np.nan) for name, s in zip(names, sums, strict=True)}
    middle = float(np.nanmedian(period))
    said = f"phase by Hilbert around {middle:.4g} {field.units.time}, active area only"
    return series, [mean_row(name, values, "1", said) for name, values in series.items()]
