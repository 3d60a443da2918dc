"""What a biologist measures on a forecast of many frames, beside the same of what happened."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from slime.observables.choices import Choices
from slime.observables.fields import smoothed
from slime.observables.measure_waves import WAVE_NAMES, Waves, measure_waves
from slime.observables.mounds import (
    Mounds,
    density_variance,
    find_mounds,
    otsu_threshold,
)
from slime.observables.reading import Field
from slime.observables.structure import StructureFactor, structure_factor
from slime.observables.table import Row, single_row

MIN_PERIODS = 2  # in a rollout: at 1.5 twice as many pixels of a random walk repeat themselves
NOISE_SHARE = 0.1  # 3 to 4 % of the pixels of a random walk have a period of half its length
MATCH_SHARE = 0.1  # of a frame's diagonal: pairs of mounds or tips lie no further apart
COMPARED = ("period", "wave_speed", "wavelength")


class LeadRow(NamedTuple):
    """A row of one lead, the first forecast frame being 1, or of the whole rollout (lead 0)."""

    lead: int
    row: Row


class Moment(NamedTuple):
    """What was measured of one frame."""

    mounds: Mounds
    spectrum: StructureFactor
    variance: float


@dataclass(frozen=True)
class Seen:
    """One channel of a rollout, or of the truth, as measured.

    Attributes:
        field: units, channel and the last frame alone.
        rows: of the waves, over all leads, by name.
        moments: by lead; leads from `lost` on have none.
        lost: the first lead that holds a pixel which is not finite; None where there is none.
    """

    field: Field
    n_leads: int
    waves: Waves | None
    rows: dict[str, Row]
    moments: dict[int, Moment]
    threshold: float
    lost: int | None

    @property
    def match_um(self) -> float:
        """How far apart a pair may lie."""
        return MATCH_SHARE * float(np.hypot(*self.field.frames.shape[1:])) * self.pixel_um

    @property
    def pixel_um(self) -> float:
        """Micrometres a pixel, or 1 where that is unknown."""
        return self.field.units.pixel_um


def shown_leads(n_leads: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, 16 ... and the last one.

    >>> shown_leads(14)
    [1, 2, 3, 4, 6, 8, 12, 14]
    """
    powers = [2**i for i in range(n_leads.bit_length())]
    between = [3 * p // 2 for p in powers if p > 1]
    return sorted({lead for lead in [*powers, *between, n_leads] if lead <= n_leads})


def see(
    field: Field,
    choices: Choices,
    counts: Bool[np.ndarray, "t y x"] | None = None,
    threshold: float | None = None,
) -> Seen:
    """Measure one channel of a rollout, its frames being leads 1, 2, ...

    Args:
        counts: pixels that count: a forecast's own are those of the truth, and one of them that is
            not finite loses the frame and all after it; None for the truth, NaN where none counts.
        threshold: of mounds, the truth's for a forecast; Otsu's of the frame that varies most.
    """
    lost = None
    frames = field.frames
    if counts is not None:
        broken = np.flatnonzero((counts & ~np.isfinite(frames)).any(axis=(1, 2)))
        lost = int(broken[0]) + 1 if len(broken) else None
        frames = np.where(counts, frames, np.float32(np.nan))
        field = field._replace(frames=frames)
    n = len(frames)
    n_whole = n if lost is None else lost - 1
    seen = np.empty_like(frames[:n_whole])
    for t in range(n_whole):
        seen[t] = smoothed(frames[t], choices.smooth_px)
    waves, rows = _waves(seen, field, choices, lost)
    variance = density_variance(seen, sigma_px=0)
    threshold = choices.threshold if threshold is None else threshold
    if threshold is None:
        most = int(np.nanargmax(variance)) if np.isfinite(variance).any() else 0
        threshold = otsu_threshold(seen[most])
    pixel = field.units.pixel_um
    smallest = choices.min_area_um2
    if smallest is None:
        smallest = 4 * np.pi * (choices.smooth_px * pixel) ** 2
    moments = {
        lead: Moment(
            find_mounds(
                seen[lead - 1],
                pixel_um=pixel,
                threshold=threshold,
                sigma_px=0,
                min_area_um2=smallest,
            ),
            structure_factor(frames[lead - 1], pixel_um=pixel),
            float(variance[lead - 1]),
        )
        for lead in shown_leads(n)
        if lead <= n_whole
    }
    kept = field._replace(frames=frames[-1:].copy())
    return Seen(kept, n, waves, {row.observable: row for row in rows}, moments, threshold, lost)


def _waves(
    seen: Float32[np.ndarray, "t y x"], field: Field, choices: Choices, lost: int | None
) -> tuple[Waves | None, list[Row]]:
    """Waves of a whole rollout; None of one that was lost, with the reason."""
    if lost is None:
        return measure_waves(seen, field, choices, noise_share=NOISE_SHARE)
    why = f"the forecast is not finite from lead {lost} on"
    return None, [single_row(name, np.nan, "", 0, why) for name in WAVE_NAMES]


def rollout_choices(field: Field, choices: Choices | None = None) -> Choices:
    """How a rollout is measured: periods are looked for up to half of its length."""
    chosen = choices or Choices()
    longest = len(field.frames) * field.units.frame_interval_s / MIN_PERIODS
    return chosen if chosen.longest_s is not None else replace(chosen, longest_s=longest)


def own_rows(seen: Seen) -> Iterator[LeadRow]:
    """What was measured, of the truth or of a forecast, without a comparison."""
    time, length = seen.field.units.time, seen.field.units.length
    units = ("1", time, f"{length}/{time}", length, "1")
    names = ("active_share", *COMPARED, "n_singularities")
    for name, unit in zip(names, units, strict=True):
        row = seen.rows.get(name, single_row(name, np.nan, unit, 0, seen.rows["period"].note))
        yield LeadRow(0, row._replace(unit=unit))
    for lead in shown_leads(seen.n_leads):
        moment = seen.moments.get(lead)
        if moment is None:
            for name, unit in (("n_mounds", "1"), ("density_variance", "1"), ("length", length)):
                yield LeadRow(lead, lost_row(name, unit, seen))
            continue
        n = float(moment.mounds.n) if np.isfinite(seen.threshold) else np.nan
        said = f"above {seen.threshold:.5g}" if n == n else "the truth is flat: no threshold"
        yield LeadRow(lead, single_row("n_mounds", n, "1", 1, said))
        said = "variance / mean^2"
        yield LeadRow(lead, single_row("density_variance", moment.variance, "1", 1, said))
        mean = moment.spectrum.mean_length_um
        yield LeadRow(lead, single_row("length", mean, length, 1, "1/<k> of S(k)"))


def lost_row(name: str, unit: str, seen: Seen) -> Row:
    """What cannot be measured of a forecast that was lost."""
    return single_row(name, np.nan, unit, 0, f"the forecast is not finite from lead {seen.lost} on")


def best_channel(truths: Sequence[Seen]) -> int:
    """The channel with the most active area, the first where none has waves."""
    shares = [seen.rows.get("active_share") for seen in truths]
    return int(np.argmax([0.0 if row is None else np.nan_to_num(row.value) for row in shares]))
