"""The noise ceiling: the highest skill that is possible while the frames scored against are noisy.

A forecast of the noise-free frame still errs by the noise variance s^2 of the frame that came, so
that no skill over persistence is above 1 - s^2 / MSE_persistence. A mean of the K frames given,
pixel by pixel, carries s^2 / K of noise itself: without a look at neighbouring pixels no skill is
above 1 - s^2 (1 + 1/K) / MSE_persistence, even of a scene that stands still.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from slime.arena import Arena
from slime.known_noise import known_noise
from slime.progress import Progress
from slime.score import SUMS, Tally
from slime.score_rows import COLUMNS, numbers_of, rows_where
from slime.sensor_noise import SensorNoise, estimate_noise
from slime.split import Split
from slime.texts import number_text

ESTIMATED, KNOWN = "noise ceiling", "noise ceiling (known)"  # models of the rows
CEILING, TEMPORAL = "skill_ceiling", "skill_ceiling_temporal"
SHARES = {CEILING: "skill_of_ceiling", TEMPORAL: "skill_of_ceiling_temporal"}
VARIANCE = "noise_variance"


@dataclass(frozen=True)
class Noise:
    """Sensor noise of every movie of a run: as estimated, and as known where it is of all."""

    estimated: Sequence[SensorNoise | None]
    known: Sequence[SensorNoise] | None = None


def ceiling_table(
    scores: pd.DataFrame,
    persistence: Tally,
    where: Arena,
    noise: Noise,
    n_in: Mapping[str, int],
    *,
    seed: int,
) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the ceilings, and of each model's skill over them, for each movie, channel and lead.

    The ceilings stand under the models `noise ceiling` (estimated from train frames) and, of
    simulated movies, `noise ceiling (known)`, with the scores `noise_variance` (movie units
    squared), `skill_ceiling` and `skill_ceiling_temporal` (for the frames that the first model
    reads). A model's `skill_of_ceiling` and `skill_of_ceiling_temporal` (for the frames that it
    reads itself) are its skill over the known ceiling where there is one, else over the estimated;
    their intervals are those of the skill, the ceiling taken as it stands. The share of a ceiling
    not above 0 has no number.

    Args:
        scores: the split's rows with each model's `skill`.
        persistence: its tally on the same windows.
        n_in: the frames that each model reads, the run's own net first.
    """
    sources = {ESTIMATED: noise.estimated, KNOWN: noise.known}
    found = {
        name: [lines[number] for number in where.numbers]
        for name, lines in sources.items()
        if lines is not None and all(lines[number] is not None for number in where.numbers)
    }
    if not found:
        return pd.DataFrame({column: [] for column in COLUMNS}), [
            f"{where.name} split: no noise ceiling: its estimate needs three frames in a row to "
            "train on, and 100 pixels that count"
        ]
    rows: list[dict[str, Any]] = []
    best = KNOWN if KNOWN in found else ESTIMATED
    k = next(iter(n_in.values()))
    for labels, variance, error in _places(persistence, where, found):
        labels = {"seed": seed, "split": where.name, **labels}
        for name, of_source in variance.items():
            ceilings = {CEILING: of_source, TEMPORAL: of_source * (1 + 1 / k)}
            rows += _by_lead(name, labels, VARIANCE, of_source)
            for score, least in ceilings.items():
                rows += _by_lead(name, labels, score, 1 - least / error)
        place = {key: labels[key] for key in ("movie", "channel")}
        skills = rows_where(scores, score="skill", **place)
        for model, n in n_in.items():
            own = rows_where(skills, model=model).sort_values(by="lead")
            for score, times in ((CEILING, 1.0), (TEMPORAL, 1 + 1 / n)):
                top = 1 - times * variance[best] / error
                rows += _shares(model, own, labels, SHARES[score], np.where(top > 0, top, np.nan))
    return pd.DataFrame(rows, columns=list(COLUMNS)), _said(rows, where, noise, best, k)


def noise_of(
    movies: Sequence[xr.DataArray],
    splits: Sequence[Split | None],
    *,
    progress: Progress | None = None,
) -> Noise:
    """The noise of movies: estimated from their splits (train), and known where it is of all.

    Raises:
        StoreError: a chunk cannot be read.
    """
    known = [one for movie in movies if (one := known_noise(movie)) is not None]
    estimated = estimate_noise(movies, splits, progress=progress)
    return Noise(estimated, known if len(known) == len(movies) else None)


def best_ceiling(scores: pd.DataFrame, split: str, **equal: Any) -> pd.DataFrame:
    """The rows of the noise ceiling of a split, of the known one where there is one."""
    rows = rows_where(scores, split=split, score=CEILING, **equal)
    known = rows_where(rows, model=KNOWN)
    return known if len(known) else rows_where(rows, model=ESTIMATED)


def share_text(scores: pd.DataFrame, model: str, lead: int, split: str) -> str:
    """', 83% of the noise ceiling +0.556 (known)'; nothing where there is no skill or ceiling."""
    place = {"movie": "all", "channel": "all", "lead": lead}
    share = rows_where(scores, split=split, model=model, score=SHARES[CEILING], **place)
    ceiling = best_ceiling(scores, split, **place)
    if share.empty or ceiling.empty or not (numbers_of(share, "value") > 0).all():
        return ""
    source = "known" if ceiling["model"].iloc[0] == KNOWN else "estimated"
    reached, top = (float(numbers_of(rows, "value").mean()) for rows in (share, ceiling))
    return f", {reached:.0%} of the noise ceiling {top:+.3f} ({source})"


def _places(
    persistence: Tally, where: Arena, sources: Mapping[str, Sequence[SensorNoise]]
) -> Iterator[tuple[dict[str, str], dict[str, np.ndarray], np.ndarray]]:
    """For each movie and channel, `all` included: noise variances and persistence's MSE by lead."""
    tallies = [persistence.of_movie(number) for number in where.numbers]
    noise = {
        name: [_noise_sum(tally, line) for tally, line in zip(tallies, lines, strict=True)]
        for name, lines in sources.items()
    }
    channels = [str(c) for c in where.movies[0]["channel"].values]
    everything = range(len(tallies))
    parts = {str(movie.name): [i] for i, movie in enumerate(where.movies)}
    for movie, chosen in {**(parts if len(parts) > 1 else {}), "all": everything}.items():
        total = np.sum([tallies[i].total() for i in chosen], axis=0)
        n, square = (total[SUMS.index(name)] for name in ("n", "square"))
        of = {name: np.sum([sums[i] for i in chosen], axis=0) for name, sums in noise.items()}
        for c, channel in enumerate(channels if len(channels) > 1 else []):
            labels = {"movie": movie, "channel": channel}
            yield labels, {k: v[:, c] / n[:, c] for k, v in of.items()}, square[:, c] / n[:, c]
        n, square = n.sum(axis=1), square.sum(axis=1)
        labels = {"movie": movie, "channel": "all"}
        yield labels, {k: v.sum(axis=1) / n for k, v in of.items()}, square / n


def _noise_sum(tally: Tally, line: SensorNoise) -> Float[np.ndarray, "lead channel"]:
    """Noise variance added up over the pixels that were scored against, by their level of light."""
    with np.errstate(invalid="ignore"):  # frames all masked have no level and count 0
        level = tally["truth"] / tally["n"]
    return np.nan_to_num(tally["n"] * line.at(level)).sum(axis=0)


def _by_lead(
    model: str, labels: Mapping[str, Any], score: str, values: Float[np.ndarray, " lead"]
) -> Iterator[dict[str, Any]]:
    for lead, value in enumerate(values, start=1):
        row = {"model": model, **labels, "lead": lead, "score": score, "value": value}
        yield {**row, "low": np.nan, "high": np.nan}


def _shares(
    model: str,
    skills: pd.DataFrame,
    labels: Mapping[str, Any],
    score: str,
    top: Float[np.ndarray, " lead"],
) -> Iterator[dict[str, Any]]:
    leads = numbers_of(skills, "lead").astype(int)
    over = {end: numbers_of(skills, end) / top[leads - 1] for end in ("value", "low", "high")}
    for i, lead in enumerate(leads.tolist()):
        ends = {end: float(values[i]) for end, values in over.items()}
        yield {"model": model, **labels, "lead": lead, "score": score, **ends}


def _said(
    rows: Sequence[Mapping[str, Any]], where: Arena, noise: Noise, best: str, k: int
) -> list[str]:
    """What the ceilings are at lead 1, what they rest on, and what speaks against them."""
    pooled = {
        (row["model"], row["score"]): float(row["value"])
        for row in rows
        if row["lead"] == 1 and row["movie"] == "all" and row["channel"] == "all"
    }
    top, temporal = pooled[best, CEILING], pooled[best, TEMPORAL]
    sure = (
        "known from the camera that was simulated"
        if best == KNOWN
        else ("estimated from train frames, as if independent between pixels and frames")
    )
    said = [
        f"{where.name} split, noise ceiling at lead 1: skill {top:.3f}; {temporal:.3f} for "
        f"{k} frames given and no look at neighbours; noise variance "
        f"{number_text(pooled[best, VARIANCE])}, {sure}"
    ]
    if best == KNOWN and (ESTIMATED, VARIANCE) in pooled:
        ratio = pooled[ESTIMATED, VARIANCE] / pooled[KNOWN, VARIANCE]
        said.append(f"{where.name} split: the noise as estimated is {ratio:.3g} times the known")
    if best == ESTIMATED:
        said += _doubts(where, noise)
    if top <= 0:
        said.append(
            f"{where.name} split: the noise is as large as persistence's error: no share of the "
            "ceiling is given"
        )
    return said


def _doubts(where: Arena, noise: Noise) -> list[str]:
    said = []
    for number, movie in zip(where.numbers, where.movies, strict=True):
        line = noise.estimated[number]
        for channel, doubt in zip(
            movie["channel"].values, line.doubts if line else (), strict=True
        ):
            if doubt:
                said.append(
                    f"{movie.name}, channel {channel}: the noise may be overestimated, and the "
                    f"ceiling too low: {doubt}"
                )
    return said
