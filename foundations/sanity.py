"""Controls that a result must survive: small functions, each of which gives a verdict.

They know of tensors, models and scores alone, so that a toy exercise and a forecast of movies are
held to the very same ones. Those of a model before training stand in foundations/wiring.py and are
found here too. Whoever calls owns the random state.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from foundations.verdict import Verdict, draw_curves, without_meaning
from foundations.wiring import (
    Predict,
    batch_independence,
    gradients,
    initial_loss,
    overfit_one_batch,
    round_trip,
    uses_frames,
)

__all__ = [
    "Fitted",
    "Verdict",
    "batch_independence",
    "changed_inputs",
    "draw_curves",
    "gradients",
    "initial_loss",
    "overfit_one_batch",
    "overlap",
    "right_answer",
    "round_trip",
    "shuffled_order",
    "shuffled_targets",
    "trivial_features",
    "uses_frames",
    "without_meaning",
]

Pairs = tuple[Tensor, Tensor]  # inputs and targets, along their first axis
Score = Callable[[Tensor, Tensor, Tensor], float]  # of inputs, predictions and targets


def overlap(parts: Mapping[str, np.ndarray], *, of: str = "frames") -> Verdict:
    """The share of a part's items that another part holds too; the largest of all pairs.

    Items are whole numbers: hashes, or places. Equal items within a part are no overlap.
    """
    worst, where = 0.0, ""
    for name, other in permutations(parts, 2):
        shared = np.isin(parts[name], parts[other])
        if shared.any() and shared.mean() > worst:
            worst = float(shared.mean())
            where = f"{shared.sum()} of {len(shared)} {of} of {name} are in {other} too"
    says = where or f"no {of} shared between {', '.join(parts)}"
    return Verdict("overlap", worst, 0.0, 0.0, says)


def right_answer(
    score: Callable[[Tensor], float],
    targets: Tensor,
    spoiled: Tensor,
    *,
    perfect: float = 1.0,
    most: float = 0.99,
) -> tuple[Verdict, Verdict]:
    """The scores of the right answers, which must be perfect, and of spoiled ones, which must not.

    Both go the way that every prediction goes.
    """
    right, wrong = score(targets), score(spoiled)
    return (
        Verdict("right_answer", right, perfect, perfect, f"the right answers score {right:.6g}"),
        Verdict("wrong_answer", wrong, -math.inf, most, f"answers off by one score {wrong:.4g}"),
    )


class Fitted(NamedTuple):
    """What a training gave: a prediction for inputs, and a value a step."""

    predict: Predict
    curve: Sequence[float]


def shuffled_targets(
    fit: Callable[[Tensor, Tensor], Fitted],
    score: Score,
    pairs: Pairs,
    train: Tensor,
    held: Tensor,
    *,
    low: float = -math.inf,
    high: float,
    true_high: float = math.inf,
    seed: int = 0,
    groups: Tensor | None = None,
) -> tuple[Verdict, Verdict]:
    """A fresh model, trained on shuffled targets, scored on shuffled held-out ones, then true ones.

    The targets of all pairs are shuffled at once, before they are parted. Against the shuffled ones
    nobody does better than chance, unless held-out pairs were trained on and learned by heart, or
    the score is wrong. Against true ones a score means that the model was not fresh or never saw
    the shuffled ones. Beside it stands the same training on true pairs: what could be learned.

    Args:
        fit: a fresh training on inputs and targets.
        train, held: numbers of the pairs on either side.
        low, high: band of the score on shuffled targets: chance.
        true_high: the most that the true targets may score.
        groups: of all pairs; targets are taken from pairs of another group, where those of one are
            alike.
    """
    inputs, targets = pairs
    shuffled = targets[shuffled_order(len(targets), seed, groups)]
    control, truth = fit(inputs[train], shuffled[train]), fit(inputs[train], targets[train])
    x, y = inputs[held], targets[held]
    with torch.no_grad():
        said = control.predict(x)
        on_shuffled, on_true = score(x, said, shuffled[held]), score(x, said, y)
        able = score(x, truth.predict(x), y)
    curves = {"shuffled targets": control.curve, "true targets": truth.curve}
    begins = "trained on shuffled targets:"
    told = f"{on_true:+.3f} on true targets; trained on true ones {able:+.3f}"
    told += ": too short to tell" if able <= true_high < math.inf else ""
    return (
        Verdict(
            "shuffled_targets",
            on_shuffled,
            low,
            high,
            f"{begins} {on_shuffled:+.3f} on such",
            curves,
        ),
        Verdict("shuffled_on_true", on_true, -math.inf, true_high, f"{begins} {told}"),
    )


def shuffled_order(n: int, seed: int, groups: Tensor | None = None) -> Tensor:
    """For each of n items the number of another, drawn from the other groups where there are any.

    Raises:
        ValueError: one group holds all items.
    """
    draw = np.random.default_rng(seed)
    if groups is None:
        return torch.from_numpy(draw.permutation(n))
    of = groups.cpu().numpy()
    if len(set(of.tolist())) < 2:
        raise ValueError("one group holds all items: nothing can be shuffled between groups")
    return torch.from_numpy(np.array([draw.choice(np.flatnonzero(of != g)) for g in of]))


def changed_inputs(
    predict: Predict,
    score: Score,
    held: Pairs,
    changes: Mapping[str, Predict],
    *,
    least: float,
) -> list[Verdict]:
    """By how much the score falls where inputs are changed: reversed, shuffled, made all one.

    A model that is as good without what was changed makes no use of it. The score is taken with the
    inputs as they were: only the model is shown the changed ones.
    """
    x, y = held
    verdicts = []
    with torch.no_grad():
        as_is = score(x, predict(x), y)
        for name, change in changes.items():
            changed = score(x, predict(change(x)), y)
            says = f"scores {as_is:+.3f}, with {name.replace('_', ' ')} {changed:+.3f}"
            verdicts.append(Verdict(name, as_is - changed, least, math.inf, says))
    return verdicts


def trivial_features(
    estimator: Any,
    train: tuple[np.ndarray, np.ndarray],
    features: np.ndarray,
    score: Callable[[np.ndarray], float],
    *,
    ours: float,
    share: float = 0.5,
) -> Verdict:
    """The score of an estimator on features that should not suffice, over the model's own.

    Where it comes near, the task is simpler than it looks, or the data betray the answer.

    Args:
        estimator: of scikit-learn, not fitted.
        train: features and targets to learn from.
        score: of its predictions for `features`.
        ours: the model's score, above 0.
    """
    estimator.fit(*train)
    reached = score(estimator.predict(features))
    says = f"trivial features score {reached:+.3f}, the model {ours:+.3f}"
    return Verdict("trivial_features", reached / ours, -math.inf, share, says)
