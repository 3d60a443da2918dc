"""How far off every forecast is: a row a score and movie, and intervals over movies."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from jaxtyping import Float

from slime.aggregation.found import Found
from slime.aggregation.rivals import other_places
from slime.aggregation.study import Study
from slime.observables import Matched
from slime.score_rows import numbers_of, rows_where

COLUMNS = ("model", "given", "minutes", "seed", "movie", "score", "value")
BASELINES = ("last_frame", "density_maximum", "other_movie", "random_places")
MODELS = ("learned", "rollout", "rollout_maximum")
MAIN = "penalised_um"
MIN_MOVIES = 10  # test movies below which no interval is given


class Interval(NamedTuple):
    """A mean over movies and the ends of its interval, NaN where there is none."""

    mean: float
    low: float
    high: float


def score_rows(study: Study, found: Iterable[Found]) -> pd.DataFrame:
    """The tidy table: every field of slime.observables.Matched for each model, K, seed and movie.

    `other_movie`, the places of another movie, is added: its values are means over all train
    movies as the other one.
    """
    rows = [row for one in found for row in _rows_of(study, one)]
    for i in study.of("test"):
        other = _mean_match([study.matched(i, places) for places in other_places(study)])
        for given in study.given:
            rows += _rows("other_movie", study, given, None, i, other)
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def summary_table(table: pd.DataFrame, *, n_draws: int, level: float, seed: int) -> pd.DataFrame:
    """The penalised error of every model and K with its interval, and its distance to a baseline.

    The movie is the unit: seeds are averaged first, then movies are drawn again. The baseline is
    the one with the least error at that K on the same movies, which favours it; differences are
    paired, below 0 where the model is better.
    """
    rows = []
    for (given, minutes), of_given in _grouped(table, ["given", "minutes"]):
        errors = movie_errors(of_given)
        rivals = [name for name in BASELINES if name in errors]
        best = min(rivals, key=lambda name: float(errors[name].mean()))
        for name in (*MODELS, *rivals):
            if name not in errors:
                continue
            own = _interval(errors[name], n_draws, level, seed)
            apart = _interval(errors[name] - errors[best], n_draws, level, seed)
            paired = tuple(apart) if name != best else (np.nan, np.nan, np.nan)
            rows.append((name, given, minutes, *own, best, *paired, *_counts(of_given, name)))
    names = (
        "model given minutes penalised_um low high best_baseline difference_um difference_low "
        "difference_high mean_um n_missed n_extra n_movies n_seeds"
    )
    return pd.DataFrame(rows, columns=pd.Index(names.split()))


def movie_errors(of_given: pd.DataFrame) -> dict[str, Float[np.ndarray, " movie"]]:
    """The penalised error of every model for each movie, the mean of its seeds; movies in order."""
    main = rows_where(of_given, score=MAIN)
    wide = main.pivot_table(index="movie", columns="model", values="value")
    return {str(name): wide[name].to_numpy(dtype=float) for name in wide.columns}


def _rows_of(study: Study, one: Found) -> list[tuple[Any, ...]]:
    rows = []
    for i, places in one.places_um.items():
        rows += _rows(one.model, study, one.given, one.seed, i, study.matched(i, places)._asdict())
    return rows


def _mean_match(matches: Sequence[Matched]) -> dict[str, float]:
    """The mean of every field, over the matches that have it; NaN where none does."""
    table = pd.DataFrame(matches, columns=pd.Index(Matched._fields))
    return {name: _mean(numbers_of(table, name)) for name in Matched._fields}


def _rows(
    model: str, study: Study, given: int, seed: int | None, i: int, values: Mapping[str, float]
) -> list[tuple[Any, ...]]:
    dish = study.dishes[i]
    head = (model, given, dish.minutes(given), seed, dish.name)
    return [(*head, score, float(value)) for score, value in values.items()]


def _counts(of_given: pd.DataFrame, model: str) -> tuple[float, float, float, int, int]:
    """Mean distance of pairs, mean missed and extra places a movie, movies and seeds."""
    own = rows_where(of_given, model=model)
    mean_um, missed, extra = (
        _mean(numbers_of(rows_where(own, score=name), "value"))
        for name in ("mean_um", "n_missed", "n_extra")
    )
    n_seeds = len(np.unique(np.nan_to_num(numbers_of(own, "seed"), nan=-1)))
    return mean_um, missed, extra, len(set(own["movie"])), n_seeds


def _mean(values: Float[np.ndarray, " n"]) -> float:
    """The mean of the numbers among the values; NaN without one."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _interval(
    values: Float[np.ndarray, " movie"], n_draws: int, level: float, seed: int
) -> Interval:
    mean = float(values.mean())
    if len(values) < MIN_MOVIES:
        return Interval(mean, np.nan, np.nan)
    draws = np.random.default_rng(seed).integers(0, len(values), (n_draws, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high))


def _grouped(table: pd.DataFrame, names: Sequence[str]) -> Iterable[tuple[Any, pd.DataFrame]]:
    return cast(Iterable[tuple[Any, pd.DataFrame]], table.groupby(list(names)))
