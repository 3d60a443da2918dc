"""Where the mounds of every dish are in the end, by one threshold for all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num

from slime.aggregation.dishes import Dish
from slime.aggregation.spec import TruthSpec
from slime.errors import SlimeError
from slime.observables import Mounds, find_mounds, otsu_threshold
from slime.observables.fields import smoothed


@dataclass(frozen=True)
class Rule:
    """What counts as a mound, the same in every frame, measured or forecast."""

    threshold: float
    sigma_px: float
    min_area_um2: float
    pixel_um: float
    max_um: float

    def mounds(
        self, frame: Num[np.ndarray, "y x"], mask: Bool[np.ndarray, "y x"] | None = None
    ) -> Mounds:
        """The mounds of a frame in stored units."""
        return find_mounds(
            frame,
            pixel_um=self.pixel_um,
            threshold=self.threshold,
            sigma_px=self.sigma_px,
            min_area_um2=self.min_area_um2,
            mask=mask,
        )


def mound_rule(dishes: Sequence[Dish], spec: TruthSpec) -> Rule:
    """The rule of a study; its threshold, where none is given, is of the train dishes alone.

    Raises:
        SlimeError: their frames of truth hold one value only.
    """
    pixel_um = dishes[0].pixel_um
    sigma_px = spec.smooth_um / pixel_um
    threshold = spec.threshold
    if threshold is None:
        ends = [smoothed(d.density[-1].astype(float), sigma_px) for d in dishes if _trains(d)]
        threshold = repeated_otsu(np.stack(ends), spec.otsu)
        if not np.isfinite(threshold):
            raise SlimeError(
                f"channel {dishes[0].channels[dishes[0].cells]!r} is flat in the frames of truth: "
                "no threshold divides them; choose truth.channel or truth.threshold"
            )
    area = np.pi * spec.smooth_um**2 if spec.min_area_um2 is None else spec.min_area_um2
    return Rule(float(threshold), sigma_px, float(area), pixel_um, spec.max_um)


def repeated_otsu(values: Float[np.ndarray, "..."], n_times: int) -> float:
    """Otsu's threshold of the values, then of those above it, and so on.

    Cells gather in streams before they do in mounds: once divides ground from both, twice streams
    from mounds.
    """
    held, threshold = values[np.isfinite(values)], float("nan")
    for _ in range(n_times):
        threshold = otsu_threshold(held)
        held = held[held > threshold]
    return threshold


def true_mounds(dishes: Sequence[Dish], rule: Rule) -> list[Mounds]:
    """The mounds of every dish in its last frame.

    Raises:
        SlimeError: a split has none: nothing to learn, or to be measured by.
    """
    truth = [rule.mounds(dish.density[-1]) for dish in dishes]
    for split in ("train", "val", "test"):
        held = [m.n for d, m in zip(dishes, truth, strict=True) if d.split == split]
        if held and not sum(held):
            raise SlimeError(
                f"the {split} movies hold no mound above {rule.threshold:.4g} in their frame of "
                "truth: a later one (truth.at_min) or another truth.threshold would do"
            )
    return truth


def _trains(dish: Dish) -> bool:
    return dish.split == "train"
