"""Movies, their true mounds and how many frames are given: what every forecast starts from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from slime.aggregation.dishes import Dish
from slime.aggregation.spec import AggregationSpec
from slime.aggregation.truth import Rule, mound_rule, true_mounds
from slime.errors import SlimeError
from slime.observables import Matched, Mounds, matched_error


@dataclass(frozen=True)
class Study:
    """Dishes with their truth, and what was fitted on the train dishes before any forecast.

    Attributes:
        given: numbers of first frames from which is forecast.
        mean, std: of every channel over the train dishes.
    """

    dishes: list[Dish]
    truth: list[Mounds]
    rule: Rule
    given: list[int]
    mean: Float[np.ndarray, " c"]
    std: Float[np.ndarray, " c"]

    def of(self, split: str) -> list[int]:
        """The numbers of the dishes of a split."""
        return [i for i, dish in enumerate(self.dishes) if dish.split == split]

    @property
    def n_frames(self) -> int:
        """Frames to the truth, both ends counted."""
        return len(self.dishes[0].frames)

    def matched(self, i: int, found_um: Float[np.ndarray, "found 2"]) -> Matched:
        """How well places found in a dish agree with its mounds; nothing found of none is right."""
        matched = matched_error(found_um, self.truth[i].position_um, max_um=self.rule.max_um)
        empty = not matched.n_pairs + matched.n_missed + matched.n_extra
        return matched._replace(penalised_um=0.0) if empty else matched

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all pixels, splits and true places: the same study has the same."""
        digest = hashlib.sha256()
        for dish, mounds in zip(self.dishes, self.truth, strict=True):
            digest.update(f"{dish.name} {dish.split} {dish.frames.shape}".encode())
            digest.update(np.ascontiguousarray(dish.frames).data)
            digest.update(np.ascontiguousarray(mounds.position_um).data)
        return digest.hexdigest()


def make_study(dishes: Sequence[Dish], spec: AggregationSpec) -> Study:
    """The study of some dishes.

    Raises:
        SlimeError: no mounds, or a channel that is constant over the train dishes.
    """
    rule = mound_rule(dishes, spec.truth)
    mean, std = _moments(dishes)
    for name, spread in zip(dishes[0].channels, std, strict=True):
        if not spread > 0:
            raise SlimeError(f"channel {name!r} is constant in the train movies: nothing to learn")
    truth = true_mounds(dishes, rule)
    return Study(list(dishes), truth, rule, list(spec.given), mean, std)


def _moments(
    dishes: Sequence[Dish],
) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Mean and standard deviation of every channel over the pixels of the train dishes."""
    train = [dish for dish in dishes if dish.split == "train"]
    axes = (0, 2, 3)
    n, total, squares = np.zeros((3, len(train[0].channels)))
    for dish in train:
        n += np.isfinite(dish.frames).sum(axis=axes)
        total += np.nansum(dish.frames, axis=axes, dtype=np.float64)
    mean = total / n
    for dish in train:
        apart = dish.frames - mean[:, None, None]
        squares += np.nansum(apart**2, axis=axes, dtype=np.float64)
    return mean, np.sqrt(squares / n)
