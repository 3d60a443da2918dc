"""All models on the same windows of a split: tallies, a tidy table of scores, example forecasts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from slime.arena import Arena, Forecaster
from slime.errors import SlimeError, span_text
from slime.example import Example
from slime.inference import Interval, Resampling, resample_blocks
from slime.score import (
    Sums,
    Tally,
    horizon,
    mae,
    mse,
    pearson,
    r2,
    rmse,
    skill,
    vrmse,
)
from slime.score_rows import COLUMNS
from slime.stepper import rollout
from slime.stream import Batch, WindowStream

HORIZON = 0.8  # correlation under which a forecast is lost
RIVALS = {"skill": "persistence", "skill_ridge": "ridge"}  # scores that compare two models


def scores_table(
    tallies: Mapping[str, Tally],
    where: Arena,
    variance: Float[np.ndarray, " channel"],
    *,
    seed: int,
    n_draws: int,
    level: float,
) -> tuple[pd.DataFrame, list[str]]:
    """A row per model, movie, channel, lead and score, with intervals by block bootstrap.

    Movie and channel are `all` in pooled rows. Skill is against persistence, `skill_ridge` against
    the ridge stencil; `horizon_0.8` is the median over windows of the first lead whose correlation
    is under 0.8, at most the last lead scored, and `censored_0.8` the share that never fell under
    it. Where there are too few blocks for an interval, the reason is given beside the table.

    Args:
        variance: of each channel's pixels in the train split.
    """
    rows: list[dict[str, Any]] = []
    reasons: list[str] = []
    names = {number: str(m.name) for number, m in zip(where.numbers, where.movies, strict=True)}
    for movie in [*where.numbers, None] if len(names) > 1 else [None]:
        chosen = {n: t if movie is None else t.of_movie(movie) for n, t in tallies.items()}
        labels = {
            "seed": seed,
            "movie": "all" if movie is None else names[movie],
            "split": where.name,
        }
        channels = [str(c) for c in where.movies[0]["channel"].values]
        for name, tally in chosen.items():
            scored = _scored(name, tally, chosen, variance, n_draws, seed, level)
            for score, values, interval in scored:
                rows += _tidy(name, labels, score, values, interval, channels)
            if movie is None:
                reasons += _reasons(name, tally, chosen, n_draws, seed)
    return pd.DataFrame(rows, columns=list(COLUMNS)), reasons


def _reasons(
    name: str, tally: Tally, others: Mapping[str, Tally], n_draws: int, seed: int
) -> list[str]:
    """Why a model's skill has no interval, leads of one reason together."""
    if name == "persistence":
        return []
    draws = resample_blocks(tally, others["persistence"], n_draws=n_draws, seed=seed)
    leads: dict[str, list[int]] = {}
    for lead, reason in enumerate(draws.reasons, start=1):
        if reason:
            leads.setdefault(reason.partition(": ")[2], []).append(lead)
    return [
        f"{name}: no interval at lead {span_text(of)}: {reason}" for reason, of in leads.items()
    ]


def _scored(
    name: str,
    tally: Tally,
    others: Mapping[str, Tally],
    variance: Float[np.ndarray, " channel"],
    n_draws: int,
    seed: int,
    level: float,
) -> Iterator[tuple[str, np.ndarray, Interval | None]]:
    """Scores as (name, values `lead channel`, interval), the pooled channel `all` last."""
    alone = resample_blocks(tally, n_draws=n_draws, seed=seed)

    def row(
        score: str, take: Callable[..., np.ndarray], over: Resampling, *rivals: Tally
    ) -> tuple[str, np.ndarray, Interval | None]:
        values = _and_pooled(take, tally.total(), *(r.total() for r in rivals))
        drawn = _and_pooled(take, over.sums(tally), *(over.sums(r) for r in rivals))
        return score, values, over.interval(drawn, level=level)

    for take in (mse, mae, rmse, r2):
        yield row(take.__name__, take, alone)
    yield row("vrmse", lambda sums, pool=False: vrmse(sums, variance, pool=pool), alone)
    for score, rival in RIVALS.items():
        if rival == name:
            yield score, _and_pooled(skill, tally.total(), tally.total()), None
        elif rival in others:
            paired = resample_blocks(tally, others[rival], n_draws=n_draws, seed=seed)
            yield row(score, skill, paired, others[rival])
    values = np.concatenate([pearson(tally), pearson(tally, pool=True)], axis=-1)
    drawn = np.concatenate([alone.pearson(tally), alone.pearson(tally, pool=True)], axis=-1)
    yield "pearson", values, alone.interval(drawn, level=level)
    first, crossed = horizon(tally, HORIZON)
    yield f"horizon_{HORIZON}", np.append(np.median(first, axis=0), np.median(first))[None], None
    share = ~crossed
    yield f"censored_{HORIZON}", np.append(share.mean(axis=0), share.mean())[None], None


def _and_pooled(take: Callable[..., np.ndarray], *sums: Sums) -> np.ndarray:
    """A score for each channel and, in one more column, for all together."""
    return np.concatenate([take(*sums), take(*sums, pool=True)], axis=-1)


def _tidy(
    name: str,
    labels: Mapping[str, Any],
    score: str,
    values: np.ndarray,
    interval: Interval | None,
    channels: Sequence[str],
) -> Iterator[dict[str, Any]]:
    with_lead = not score.startswith(("horizon", "censored"))
    for k, channel in enumerate([*channels, "all"]):
        if len(channels) == 1 and channel != "all":
            continue  # one channel is all of them
        for lead in range(values.shape[0]):
            yield {
                "model": name,
                **labels,
                "channel": channel,
                "lead": lead + 1 if with_lead else 0,
                "score": score,
                "value": values[lead, k],
                "low": np.nan if interval is None else interval.low[lead, k],
                "high": np.nan if interval is None else interval.high[lead, k],
            }


def example_forecast(model: Forecaster, where: Arena, *, movie: int = 0) -> Example:
    """The forecast of the window in the middle of a movie's split."""
    windows, film = where.windows(movie), where.movies[movie]
    wanted = int(windows.starts[0][len(windows.starts[0]) // 2])
    batch, row = _window(windows, wanted)
    past, future = batch.past[row : row + 1], batch.future[row : row + 1]
    with torch.inference_mode():
        forecast = rollout(model(where.numbers[movie]), past, future.shape[1])
    interval = film.attrs.get("frame_interval_s")
    return Example(
        future[0].cpu().numpy().copy(),
        forecast[0].cpu().numpy(),
        past[0, -1].cpu().numpy().copy(),
        [str(c) for c in film["channel"].values],
        lead_s=None if interval is None else interval * where.spec.step,
        pixel_um=film.attrs.get("pixel_um"),
        where=f"{film.name}, {where.name} split, frame "
        f"{wanted + (where.spec.n_in - 1) * where.spec.step}",
    )


def _window(windows: WindowStream, start: int) -> tuple[Batch, int]:
    for batch in windows:
        rows = (batch.start == start).nonzero()
        if len(rows):
            return batch, int(rows[0])
    raise SlimeError(f"there is no window that starts at frame {start}")
