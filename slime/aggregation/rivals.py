"""What a forecast must beat: the last frame, the densest places, and two levels of chance."""

import numpy as np
from jaxtyping import Float

from slime.aggregation.found import Found, read_maps
from slime.aggregation.spec import HeatSpec
from slime.aggregation.study import Study
from slime.observables.fields import smoothed

SMOOTHINGS = (1.0, 2.0, 4.0)  # times the rule's own, of which validation chooses


def last_frame(study: Study, given: int) -> Found:
    """The mounds of the last frame given, by the rule of the truth."""
    places = {
        i: study.rule.mounds(study.dishes[i].density[given - 1]).position_um
        for i in study.of("test")
    }
    return Found("last_frame", given, None, places)


def density_maximum(study: Study, given: int, spec: HeatSpec) -> Found:
    """Maxima of the smoothed density of the last frame given."""
    both = (*study.of("val"), *study.of("test"))
    frames = {i: study.dishes[i].density[given - 1].astype(np.float64) for i in both}
    options = _smoothed(study, frames)
    return read_maps(study, "density_maximum", given, options, apart_um=spec.apart_um)


def random_places(study: Study, given: int, spec: HeatSpec, seed: int) -> Found:
    """Maxima of smoothed noise, as many and as far apart as is best on validation: pure chance."""
    rng = np.random.default_rng((seed, given))
    both = (*study.of("val"), *study.of("test"))
    noise = {i: rng.standard_normal(study.dishes[i].mask.shape) for i in both}
    options = _smoothed(study, noise)
    return read_maps(study, "random_places", given, options, apart_um=spec.apart_um, seed=seed)


def other_places(study: Study) -> list[Float[np.ndarray, "mound 2"]]:
    """The true places of every train dish, each a guess for every test dish."""
    return [study.truth[i].position_um for i in study.of("train")]


def _smoothed(
    study: Study, frames: dict[int, Float[np.ndarray, "y x"]]
) -> dict[str, dict[int, Float[np.ndarray, "y x"]]]:
    rule = study.rule
    return {
        f"smoothed by {times * rule.sigma_px * rule.pixel_um:g} um": {
            i: smoothed(frame, times * rule.sigma_px) for i, frame in frames.items()
        }
        for times in SMOOTHINGS
    }
