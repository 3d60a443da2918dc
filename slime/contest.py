"""Runs of several seeds as tables: each model's scores in one interval, and who beats whom.

    groups = {"cnn": ["runs/a", "runs/b", "runs/c"], "unet": [...]}    # runs that differ in seed
    held = hold(groups, "test")            # tallies of all, on the same windows; baselines beside
    results(held)                          # a row a model, movie, channel, lead and score
    contests(held, "cnn")                  # our score less each other model's, p, Holm's p

Where whole movies are held out (data.split=movie), experiments are the units and not times: each is
a row of its own, and rows of movie `mean` (over experiments) have an interval and a p value from 6
experiments on, the fewest with which no sign of a difference could be chance (2 / 2^6 < 0.05).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from slime.errors import SlimeError, nearest
from slime.held import REFERENCE, Held
from slime.over_experiments import over_experiments
from slime.seeds import Combined, combined, difference, plain_score
from slime.statistic import Statistic, statistic
from slime.stretched import holm

SCORES = ("skill", "vrmse", "horizon_0.8")
RESULTS = ("model", "n_seeds", "movie", "split", "channel", "lead", "score")
RESULTS += ("value", "low", "high", "least", "most", "note")
CONTESTS = ("model", "rival", "movie", "split", "lead", "score")
CONTESTS += ("value", "low", "high", "p", "p_holm", "note")


def results(
    held: Held,
    scores: Sequence[str] = SCORES,
    *,
    n_draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """A row a model, movie, channel, lead and score: the mean over seeds, its interval, the range.

    `low` and `high` are empty where `note` says why; `least` and `most` are the seeds' range.
    Horizons have lead 0. Movie and channel are `all` in pooled rows.
    """
    rows: list[dict[str, Any]] = []
    for score in (statistic(name, held.about.variance) for name in scores):
        for movie, part in _parts(held):
            for name, tallies in part.models.items():
                found = combined(
                    tallies, score, [part.still], n_draws=n_draws, seed=seed, level=level
                )
                labels = {"model": name, "n_seeds": len(tallies), "movie": movie}
                labels |= {"split": held.about.split, "score": score.name}
                if name == REFERENCE and score.relative:
                    found = found._replace(reasons=("against itself",) * len(found.reasons))
                rows += [{**labels, **row} for row in _rows(found, score, held.about.channels)]
    return pd.DataFrame(rows, columns=list(RESULTS))


def contests(
    held: Held,
    ours: str,
    rivals: Sequence[str] | None = None,
    scores: Sequence[str] = SCORES,
    *,
    leads: Sequence[int] = (1,),
    n_draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Our score less each rival's (all others by default), all channels pooled, with p values.

    `p_holm` is corrected for the number of rivals, for each score and lead by itself. Horizons are
    one row, at lead 0.

    Raises:
        SlimeError: there is no such model.
    """
    named = [ours, *(rivals or [])]
    for name in named:
        if name not in held.models:
            known = ", ".join(held.models)
            raise SlimeError(f"there is no model {name}: {known}{nearest(name, held.models)}")
    others = list(rivals or (name for name in held.models if name != ours))
    rows: list[dict[str, Any]] = []
    for score in (statistic(name, held.about.variance) for name in scores):
        for rival in others:
            labels = {"model": ours, "rival": rival, "split": held.about.split, "score": score.name}
            for movie, found in _differences(held, ours, rival, score, n_draws, seed, level):
                picked = _rows(found, score, held.about.channels)
                rows += [
                    {**labels, "movie": movie, **row}
                    for row in picked
                    if row["channel"] == "all" and (row["lead"] in leads or not score.has_leads)
                ]
    table = pd.DataFrame(rows, columns=list(CONTESTS))
    table["p_holm"] = table.groupby(["movie", "score", "lead"])["p"].transform(
        lambda p: holm(p.tolist())
    )
    return table


def _parts(held: Held) -> Iterator[tuple[str, Held]]:
    """Each movie by itself where there are several, and all."""
    if len(held.movies) > 1:
        for number in held.movies:
            yield held.about.movies[number], held.of_movies([number])
    yield "all", held


def _differences(
    held: Held,
    ours: str,
    rival: str,
    score: Statistic,
    n_draws: int,
    seed: int,
    level: float,
) -> Iterator[tuple[str, Combined]]:
    by_experiment = held.about.held_out == "movie"
    for movie, part in _parts(held):
        found = difference(
            part.models[ours],
            part.models[rival],
            score,
            [part.still],
            n_draws=n_draws,
            seed=seed,
            level=level,
        )
        # times of a held-out movie are not the units that a p value could be about
        yield movie, found._replace(p=np.full_like(found.p, np.nan)) if by_experiment else found
    if by_experiment:
        sides = [_by_experiment(held, name, score) for name in (ours, rival)]
        yield "mean", over_experiments(sides[0], sides[1], level=level)


def _by_experiment(
    held: Held, model: str, score: Statistic
) -> Float[np.ndarray, "experiment seed lead column"]:
    """A model's scores on each experiment, whose movies are pooled."""
    of: dict[str, list[int]] = {}
    for number in held.movies:
        of.setdefault(held.about.experiments[number], []).append(number)
    parts = [held.of_movies(numbers) for numbers in of.values()]
    return np.stack(
        [
            np.stack([plain_score(score, t, part.still) for t in part.models[model]])
            for part in parts
        ]
    )


def _rows(found: Combined, score: Statistic, channels: Sequence[str]) -> Iterator[dict[str, Any]]:
    for k, channel in enumerate([*channels, "all"]):
        if len(channels) == 1 and channel != "all":
            continue  # one channel is all of them
        for lead, reason in enumerate(found.reasons):
            seeds = found.by_seed[:, lead, k]
            yield {
                "channel": channel,
                "lead": lead + 1 if score.has_leads else 0,
                "value": found.value[lead, k],
                "low": found.low[lead, k],
                "high": found.high[lead, k],
                "p": found.p[lead, k],
                "least": seeds.min(),
                "most": seeds.max(),
                "note": reason,
            }
