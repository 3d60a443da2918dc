"""What is seen of one frame, or of one lead of a forecast: pictures, numbers and curves."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from slime.example import Example
from slime.observables import StructureFactor, find_mounds, structure_factor
from slime.observables.reading import binned
from slime.texts import duration_text, number_text, skill_text

MOST_PX = 1024  # a side of what the browser is sent; a larger frame is sent binned
MEASURED_PX = 512  # a side of what structure is measured on, so that scrubbing need not wait for it


class Numbers(NamedTuple):
    """One row of the table beside the pictures: what it is, and its value for each picture."""

    name: str
    values: list[str]


class Look(NamedTuple):
    """All that is shown at once.

    Attributes:
        pictures: by title; those whose title begins with "error" are of both signs.
        columns, numbers: a table.
        spectra: S(k) by the name of its curve.
        errors: root mean square error at each lead, by the name of its curve.
        width: of the squares of pixels that were averaged before structure was measured.
    """

    pictures: dict[str, Float32[np.ndarray, "y x"]]
    columns: list[str]
    numbers: list[Numbers]
    spectra: dict[str, StructureFactor]
    errors: dict[str, Float[np.ndarray, " lead"]]
    width: int


class Measured(NamedTuple):
    """Structure of some pictures: rows of the table, a curve for each, and the bin's width."""

    numbers: list[Numbers]
    spectra: dict[str, StructureFactor]
    width: int


def look_at_frame(
    frame: Float32[np.ndarray, "y x"], *, pixel_um: float | None, title: str = "frame"
) -> Look:
    """One channel of one frame, with what can be measured on it alone."""
    structure = measured({title: frame}, pixel_um)
    rows = [*_moments([frame]), *structure.numbers]
    return Look({title: frame}, [title], rows, structure.spectra, {}, structure.width)


def look_at_lead(example: Example, lead: int, channel: int) -> Look:
    """Truth and forecast of one lead and channel, both errors, and how they compare."""
    truth, forecast = (
        np.asarray(v[lead - 1, channel], np.float32) for v in (example.truth, example.forecast)
    )
    last = np.asarray(example.last_frame[channel], np.float32)
    errors = rmse_by_lead(example, channel)
    both = {"truth": truth, "forecast": forecast}
    structure = measured(both, example.pixel_um)
    ours, still = (errors[name][lead - 1] for name in ("forecast", "persistence"))
    skill = 1 - (ours / still) ** 2 if still > 0 else np.nan
    rows = [
        Numbers("RMSE", ["", number_text(float(ours))]),
        Numbers("RMSE of persistence", ["", number_text(float(still))]),
        Numbers("skill of this frame", ["", skill_text(float(skill))]),
        *_moments([truth, forecast]),
        *structure.numbers,
    ]
    pictures = {
        **both,
        "error: forecast − truth": forecast - truth,
        "error of persistence": last - truth,
    }
    return Look(pictures, list(both), rows, structure.spectra, errors, structure.width)


def measured(frames: Mapping[str, Float32[np.ndarray, "y x"]], pixel_um: float | None) -> Measured:
    """Structure of pictures of one size; of large ones on means of squares of pixels."""
    seen = {name: shown_binned(frame, MEASURED_PX) for name, frame in frames.items()}
    width = next(width for _, width in seen.values())
    binned_frames, bin_um = [frame for frame, _ in seen.values()], (pixel_um or 1.0) * width
    factors = [
        structure_factor(frame, pixel_um=bin_um, mask=np.isfinite(frame)) for frame in binned_frames
    ]
    unit = "µm" if pixel_um else "px"
    lengths = [_known(factor.mean_length_um) for factor in factors]
    rows = [
        Numbers(f"length of structure, {unit}", lengths),
        *_mounds(binned_frames, bin_um, unit),
    ]
    return Measured(rows, dict(zip(frames, factors, strict=True)), width)


def rmse_by_lead(example: Example, channel: int) -> dict[str, Float[np.ndarray, " lead"]]:
    """Root mean square errors of forecast and persistence, over the pixels that count."""
    truth = np.asarray(example.truth[:, channel], np.float64)
    counts = np.maximum(np.isfinite(truth).sum(axis=(1, 2)), 1)
    guesses = {"forecast": example.forecast[:, channel], "persistence": example.last_frame[channel]}
    return {
        name: np.sqrt(np.nansum((guess - truth) ** 2, axis=(1, 2)) / counts)
        for name, guess in guesses.items()
    }


def shown_binned(
    picture: Float32[np.ndarray, "y x"], most: int = MOST_PX
) -> tuple[Float32[np.ndarray, "by bx"], int]:
    """The picture, no side over `most`: squares of pixels averaged; and their width."""
    width = -(-max(picture.shape) // most)
    if width == 1:
        return picture, 1
    return binned(picture[None], np.isfinite(picture)[None], width)[0], width


def lead_title(example: Example, lead: int) -> str:
    """'lead 8, 2 min ahead'."""
    return f"lead {lead}" + (
        f", {duration_text(lead * example.lead_s)} ahead" if example.lead_s else ""
    )


def _moments(frames: list[Float32[np.ndarray, "y x"]]) -> list[Numbers]:
    counted = [frame[np.isfinite(frame)].astype(np.float64) for frame in frames]
    means = [float(v.mean()) if v.size else np.nan for v in counted]
    spreads = [float(v.std()) if v.size else np.nan for v in counted]
    return [
        Numbers("mean", [_known(v) for v in means]),
        Numbers("standard deviation", [_known(v) for v in spreads]),
    ]


def _mounds(frames: list[Float32[np.ndarray, "y x"]], bin_um: float, unit: str) -> list[Numbers]:
    """Regions above one threshold for all pictures, the first one's by Otsu; none of a flat one."""
    first = find_mounds(frames[0], pixel_um=bin_um)
    if not np.isfinite(first.threshold):
        return []
    others = [find_mounds(f, pixel_um=bin_um, threshold=first.threshold) for f in frames[1:]]
    found = [first, *others]
    areas = [float(m.area_um2.mean()) if m.n else np.nan for m in found]
    return [
        Numbers(f"regions above {number_text(first.threshold)}", [str(m.n) for m in found]),
        Numbers(f"their mean area, {unit}²", [_known(v) for v in areas]),
    ]


def _known(value: float) -> str:
    return number_text(value) if np.isfinite(value) else "none"
