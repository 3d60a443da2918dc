"""Where a forecast finds mounds; how maps become places, by a choice made on validation alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from slime.aggregation.heatmap import Peaks, find_peaks
from slime.aggregation.study import Study

Places = Float[np.ndarray, "found 2"]
N_LEVELS = 60  # thresholds that are tried, at most


@dataclass(frozen=True)
class Found:
    """What one model finds in the test dishes from one number of frames given.

    Attributes:
        places_um: y, x by the number of the dish; pixel (0, 0) has its middle at 0.
        maps: what they were read from, where that was a map.
        chosen: what was chosen on validation, for the record.
    """

    model: str
    given: int
    seed: int | None
    places_um: Mapping[int, Places]
    maps: Mapping[int, Float32[np.ndarray, "y x"]] | None = None
    chosen: str = ""


def read_maps(
    study: Study,
    model: str,
    given: int,
    options: Mapping[str, Mapping[int, Float[np.ndarray, "y x"]]],
    *,
    apart_um: float,
    seed: int | None = None,
) -> Found:
    """The peaks of maps above a threshold; map and threshold are those best on the val dishes.

    Args:
        options: maps of the val and test dishes by the dish's number, for every choice by name.
    """
    val, test, pixel_um = study.of("val"), study.of("test"), study.rule.pixel_um
    tried = []
    for name, maps in options.items():
        peaks = {i: _peaks(study, i, maps[i], apart_um) for i in (*val, *test)}
        threshold, error = best_threshold(study, [(i, peaks[i]) for i in val])
        tried.append((error, name, threshold, peaks))
    error, name, threshold, peaks = min(tried, key=lambda one: one[0])
    places = {i: peaks[i].above(threshold) * pixel_um for i in test}
    chosen = f"{name}, threshold {threshold:.4g}: {error:.0f} um on val"
    maps = {i: options[name][i].astype(np.float32) for i in test}
    return Found(model, given, seed, places, maps, chosen)


def best_threshold(study: Study, peaks: Sequence[tuple[int, Peaks]]) -> tuple[float, float]:
    """The threshold of least mean penalised error over some dishes, and that error.

    It lies between heights of peaks; of equal ones the highest is taken.
    """
    heights = np.unique(np.concatenate([p.height for _, p in peaks]))
    if not len(heights):
        return 0.0, float(np.mean([study.matched(i, p.places_px).penalised_um for i, p in peaks]))
    between = (heights[1:] + heights[:-1]) / 2
    levels = np.concatenate([[np.nextafter(heights[0], -np.inf)], between, heights[-1:]])
    if len(levels) > N_LEVELS:
        levels = levels[np.linspace(0, len(levels) - 1, N_LEVELS).round().astype(int)]
    pixel_um = study.rule.pixel_um
    errors = [
        np.mean([study.matched(i, p.above(level) * pixel_um).penalised_um for i, p in peaks])
        for level in levels
    ]
    best = len(errors) - 1 - int(np.argmin(errors[::-1]))
    return float(levels[best]), float(errors[best])


def _peaks(study: Study, i: int, heat: Float[np.ndarray, "y x"], apart_um: float) -> Peaks:
    counted = np.where(study.dishes[i].mask, heat, np.nan)
    return find_peaks(counted, apart_px=apart_um / study.rule.pixel_um)
