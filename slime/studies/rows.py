"""Scores of a study as rows: means over seeds with their intervals over seeds and times."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slime.score import Tally, horizon
from slime.seeds import Combined, combined, difference
from slime.statistic import HORIZON, statistic
from slime.studies.meet import FAR, NEAR
from slime.studies.spec import StudySpec

COLUMNS = (
    "world",
    "model",
    "head",
    "n_seeds",
    "lead",
    "score",
    "value",
    "low",
    "high",
    "p",
    "note",
)
THRESHOLD = 0.8
T = f"{HORIZON}{THRESHOLD}"
LEADS = (1, 2, 4, 8, 16, 32)

Tallies = Sequence[Mapping[str, Tally]]  # of each seed, near and far


def score_rows(
    labels: Mapping[str, Any],
    model: Tallies,
    still: Mapping[str, Tally],
    variance: np.ndarray,
    spec: StudySpec,
) -> list[dict[str, Any]]:
    """Skill and pooled VRMSE at lead 1, skill of rollouts, horizon and censored share.

    Args:
        labels: world, model, head.
        still: persistence's tallies.
        variance: of each channel in the train split.
    """
    labels = {**labels, "n_seeds": len(model)}
    rows = []
    near, far = ([one[where] for one in model] for where in (NEAR, FAR))
    drawn: dict[str, Any] = {"n_draws": spec.draws, "level": spec.level}
    skill_near = combined(near, statistic("skill"), [still[NEAR]], **drawn)
    rows.append(_row(labels, 1, "skill", skill_near, 0))
    rows.append(_row(labels, 1, "vrmse", combined(near, statistic("vrmse", variance), **drawn), 0))
    ahead = combined(far, statistic("skill"), [still[FAR]], **drawn)
    n_leads = far[0].n_leads
    rows += [_row(labels, k, "skill_rollout", ahead, k - 1) for k in LEADS if k <= n_leads]
    rows.append(_row(labels, 0, T, combined(far, statistic(T), **drawn), 0))
    censored = [float((~horizon(one, THRESHOLD)[1]).mean()) for one in far]
    value = float(np.mean(censored))
    nothing = {"low": np.nan, "high": np.nan, "p": np.nan, "note": ""}
    rows.append({**labels, "lead": 0, "score": f"censored_{THRESHOLD}", "value": value, **nothing})
    return rows


def difference_rows(
    labels: Mapping[str, Any],
    ours: Tallies,
    theirs: Tallies,
    still: Mapping[str, Tally],
    spec: StudySpec,
) -> list[dict[str, Any]]:
    """Our skill at lead 1 and horizon less theirs, paired on the same windows."""
    drawn: dict[str, Any] = {"n_draws": spec.draws, "level": spec.level}
    labels = {**labels, "n_seeds": len(ours)}
    rows = []
    for lead, name, where, reference in (
        (1, "skill", NEAR, [still[NEAR]]),
        (0, T, FAR, []),
    ):
        sides = [[one[where] for one in side] for side in (ours, theirs)]
        found = difference(sides[0], sides[1], statistic(name), reference, **drawn)
        rows.append(_row(labels, lead, f"{name} difference", found, 0))
    return rows


def _row(
    labels: Mapping[str, Any], lead: int, score: str, found: Combined, k: int
) -> dict[str, Any]:
    """All channels together."""
    ends = {name: float(getattr(found, name)[k, -1]) for name in ("value", "low", "high", "p")}
    return {**labels, "lead": lead, "score": score, **ends, "note": found.reasons[k]}
