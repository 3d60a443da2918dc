"""How far what is measured on a forecast lies from the same of what happened."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from slime.observables.mounds import Mounds, matched_error
from slime.observables.rollouts import COMPARED, LeadRow, Seen, lost_row, shown_leads
from slime.observables.structure import StructureFactor
from slime.observables.table import Row, single_row


def error_rows(forecast: Seen, truth: Seen) -> Iterator[LeadRow]:
    """A forecast against the truth over the same frames.

    `period_error`, `wave_speed_error`, `wavelength_error`: of the medians, relative to the truth's.
    `singularity_error`: penalised distance of matched tips (see matched_error), tips of opposite
    charge apart, the mean over frames. By lead: `spectrum_error`, the root mean square over rings
    of the difference of log10 S(k), in decades; `mound_error`, as of tips;
    `density_variance_error`, relative.
    """
    for name in COMPARED:
        yield LeadRow(0, _relative(name, forecast, truth))
    yield LeadRow(0, _tip_error(forecast, truth))
    for lead in shown_leads(truth.n_leads):
        moment, true = forecast.moments.get(lead), truth.moments[lead]
        if moment is None:
            length = truth.field.units.length
            for name, unit in (
                ("spectrum_error", "decades"),
                ("mound_error", length),
                ("density_variance_error", "1"),
            ):
                yield LeadRow(lead, lost_row(name, unit, forecast))
            continue
        yield LeadRow(lead, _spectrum_error(moment.spectrum, true.spectrum))
        yield LeadRow(lead, _mound_error(moment.mounds, true.mounds, truth))
        ratio = moment.variance / true.variance - 1 if true.variance > 0 else np.nan
        said = "forecast / truth - 1" if ratio == ratio else "the truth is flat"
        yield LeadRow(lead, single_row("density_variance_error", ratio, "1", 1, said))


def _relative(name: str, forecast: Seen, truth: Seen) -> Row:
    """forecast / truth - 1, or NaN with the reason of the one that could not be measured."""
    for seen, which in ((truth, "truth"), (forecast, "forecast")):
        row = seen.rows.get(name, seen.rows["period"])
        if not np.isfinite(row.value):
            return single_row(f"{name}_error", np.nan, "1", 0, f"{which}: {row.note}")
    ratio = forecast.rows[name].value / truth.rows[name].value - 1
    return single_row(f"{name}_error", ratio, "1", 1, "forecast / truth - 1, of the medians")


def _spectrum_error(forecast: StructureFactor, truth: StructureFactor) -> Row:
    both = (forecast.power > 0) & (truth.power > 0)
    if not both.any():
        return single_row("spectrum_error", np.nan, "decades", 0, "a frame is flat")
    apart = np.log10(forecast.power[both]) - np.log10(truth.power[both])
    value, n = float(np.sqrt((apart**2).mean())), int(both.sum())
    return single_row("spectrum_error", value, "decades", n, "of log10 S(k), over rings of k")


def _mound_error(forecast: Mounds, truth: Mounds, of: Seen) -> Row:
    unit = of.field.units.length
    if not np.isfinite(of.threshold):
        return single_row("mound_error", np.nan, unit, 0, "the truth is flat: no threshold")
    found = matched_error(forecast.position_um, truth.position_um, max_um=of.match_um)
    if not np.isfinite(found.penalised_um):
        return single_row("mound_error", np.nan, unit, 0, "no mounds in either")
    said = (
        f"matched: {found.n_pairs} pairs, {found.n_missed} missed, {found.n_extra} extra; one "
        f"alone counts {of.match_um:.4g} {unit}"
    )
    return single_row("mound_error", found.penalised_um, unit, found.n_pairs, said)


def _tip_error(forecast: Seen, truth: Seen) -> Row:
    name, unit = "singularity_error", truth.field.units.length
    if truth.waves is None or not truth.waves.timed.any():
        why = truth.rows.get("n_singularities", truth.rows["period"]).note
        return single_row(name, np.nan, unit, 0, f"truth: {why}")
    if forecast.lost is not None:
        return lost_row(name, unit, forecast)
    frames, said = truth.waves.timed, ""
    if forecast.waves is None:
        said = "; no waves in the forecast: every tip is missed"
    else:
        frames = frames & forecast.waves.timed
    errors = [
        matched_error(
            _places(forecast, int(t)), _places(truth, int(t)), max_um=truth.match_um
        ).penalised_um
        for t in np.flatnonzero(frames)
    ]
    known = [error for error in errors if error == error]
    if not known:
        why = "no singularities in either" if errors else "no frame has a phase in both"
        return single_row(name, np.nan, unit, 0, why)
    note = f"mean of frames with tips; one alone counts {truth.match_um:.4g} {unit}{said}"
    return single_row(name, float(np.mean(known)), unit, len(known), note)


def _places(seen: Seen, frame: int) -> Float[np.ndarray, "tip 2"]:
    """Tips of a frame in um; those of negative charge moved away, never to pair with a positive."""
    if seen.waves is None:
        return np.zeros((0, 2))
    tips = seen.waves.tips[seen.waves.tips[:, 0] == frame]
    apart = np.where(tips[:, 3] < 0, 100 * seen.match_um, 0.0)
    return tips[:, 1:3] * seen.pixel_um + apart[:, None]
