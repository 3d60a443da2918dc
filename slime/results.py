"""All models on the same windows of a split: tallies, a tidy table of scores, example forecasts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from slime.arena import Arena, Forecaster
from slime.errors import SlimeError, span_text
from slime.example import Example
from slime.inference import resample_blocks
from slime.lead_groups import Group, each_lead, windows_of
from slime.score import Tally
from slime.score_list import Scored, Scorer
from slime.score_rows import COLUMNS
from slime.stepper import rollout
from slime.stream import Batch, WindowStream
from slime.wide import DETAIL_LEADS, Wide
from slime.yardstick import Yardstick


def scores_table(
    tallies: Mapping[str, Tally],
    where: Arena,
    variance: Float[np.ndarray, " channel"],
    *,
    seed: int,
    n_draws: int,
    level: float,
    yardstick: Yardstick | None = None,
    wide: Wide | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """A row per model, movie, channel, lead and score, with intervals by block bootstrap.

    Movie and channel are `all` in pooled rows. Rows of no single lead have lead 0: horizons, and
    scores over leads 6 to 12 and 13 to 30, as far as they are scored, named `mse_6:12`. Skill is
    against persistence, `skill_ridge` against the ridge stencil, `skill_climatology` against the
    mean train frame. `horizon_0.8` is the median over windows of the first lead whose correlation
    is under 0.8, at most the last lead scored, and `censored_0.8` the share that never fell under
    it. Where there are too few blocks for an interval, the reason is given beside the table.

    Args:
        variance: of each channel's pixels in the train split.
        yardstick: of the train split; without it psnr and frame_vrmse are left out.
        wide: tallies further ahead and of details; without it their scores are left out, and
            horizons are those within the leads of `tallies`.
    """
    scorer = Scorer(variance, yardstick, n_draws, seed, level)
    rows: list[dict[str, Any]] = []
    reasons: list[str] = []
    names = {number: str(m.name) for number, m in zip(where.numbers, where.movies, strict=True)}
    channels = [str(c) for c in where.movies[0]["channel"].values]
    for movie in [*where.numbers, None] if len(names) > 1 else [None]:
        chosen = _of_movie(tallies, movie)
        far = None if wide is None else _of_movie(wide.plain, movie)
        detailed = {} if wide is None else _of_movie(wide.detailed, movie)
        labels = {
            "seed": seed,
            "movie": "all" if movie is None else names[movie],
            "split": where.name,
        }
        for name in chosen:
            scored = list(_near_and_far(scorer, name, chosen, far, whole=movie is None))
            if wide is not None and len(detailed[name]):
                scored += scorer.detailed(name, detailed, each_lead(wide.leads))
            for one in scored:
                rows += _tidy(name, labels, one, channels)
            if movie is None:
                reasons += _reasons(name, chosen[name], chosen, n_draws, seed)
    return pd.DataFrame(rows, columns=list(COLUMNS)), reasons


def _of_movie(tallies: Mapping[str, Tally], movie: int | None) -> Mapping[str, Tally]:
    if movie is None:
        return tallies
    return {name: tally.of_movie(movie) for name, tally in tallies.items()}


def _near_and_far(
    scorer: Scorer,
    name: str,
    near: Mapping[str, Tally],
    far: Mapping[str, Tally] | None,
    *,
    whole: bool,
) -> Iterator[Scored]:
    """Plain scores at every lead; windows of leads and horizons, of the windows that reach on.

    Of one movie alone (not `whole`) leads beyond those of every window are the doubling ones.
    """
    n_near = near[name].n_leads
    yield from scorer.plain(name, near, each_lead(range(1, n_near + 1)))
    reach = near if far is None or not len(far[name]) else far
    n_leads = reach[name].n_leads
    single = each_lead(range(1, n_leads + 1), first=n_near + 1)
    single = [group for group in single if whole or group.lead in DETAIL_LEADS]
    beyond = [*single, *windows_of(n_leads)]
    if beyond:
        yield from scorer.plain(name, reach, beyond)
    yield from scorer.horizons(reach[name])


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


def _tidy(
    name: str, labels: Mapping[str, Any], scored: Scored, channels: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for k, channel in enumerate([*channels, "all"]):
        if len(channels) == 1 and channel != "all":
            continue  # one channel is all of them
        for i, group in enumerate(scored.groups or [Group(0, "", ())]):
            interval = scored.interval
            yield {
                "model": name,
                **labels,
                "channel": channel,
                "lead": group.lead,
                "score": scored.name + group.suffix,
                "value": scored.values[i, k],
                "low": np.nan if interval is None else interval.low[i, k],
                "high": np.nan if interval is None else interval.high[i, k],
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
