"""Two models on held-out movies: the experiment is the unit, and few of them give no p value.

Times of one movie tell of that movie. What a model is worth on movies like these is told by how
scores vary from experiment to experiment, and with three of them hardly at all: they are shown.
"""

import numpy as np
from jaxtyping import Float
from scipy.stats import t

from slime.seeds import MIN_SEEDS, Combined

MIN_EXPERIMENTS = 6  # a sign test of fewer never falls under 0.05: 2 / 2^6 = 0.03, 2 / 2^5 = 0.06


def over_experiments(
    ours: Float[np.ndarray, "experiment seed lead column"],
    theirs: Float[np.ndarray, "experiment other_seed lead column"],
    *,
    level: float = 0.95,
) -> Combined:
    """The mean over experiments of our score less theirs, by Student's t over them and the seeds.

    The variance is that between experiments plus, for each side of several seeds, that between
    seeds, with Satterthwaite's degrees of freedom (1946, doi 10.2307/3002019). No interval and no
    p value from fewer than 6 experiments, or from 2 seeds.
    """
    sides = [ours.mean(axis=0), theirs.mean(axis=0)]
    each = ours.mean(axis=1) - theirs.mean(axis=1)
    n, value = len(each), each.mean(axis=0)
    parts, freedoms = [each.var(axis=0, ddof=min(1, n - 1)) / n], [max(n - 1, 1)]
    for side in sides:
        if len(side) > 1:
            parts.append(side.var(axis=0, ddof=1) / len(side))
            freedoms.append(len(side) - 1)
    variance = np.sum(parts, axis=0)
    reason = _reason(n, [len(side) for side in sides])
    by_seed = np.concatenate(sides)
    nothing = np.full_like(value, np.nan)
    if reason:
        return Combined(value, nothing, nothing, nothing, by_seed, (reason,) * len(value))
    per_df = sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(per_df > 0, variance**2 / per_df, np.inf)
        error = np.sqrt(variance)
        p = np.where(error > 0, 2 * t.sf(np.abs(value) / error, freedom), value == 0)
    half = t.isf((1 - level) / 2, freedom) * error
    return Combined(value, value - half, value + half, p, by_seed, ("",) * len(value))


def _reason(n: int, n_seeds: list[int]) -> str:
    if n < MIN_EXPERIMENTS:
        return f"{n} held-out experiments, {MIN_EXPERIMENTS} are needed for an interval: all shown"
    if 2 in n_seeds:
        return f"2 seeds, {MIN_SEEDS} are needed"
    return ""
