"""All models of a run scored on a split: tables, tallies that are kept, and notes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from slime.arena import Arena, Forecaster, open_arena, tally_models
from slime.ceiling import Noise, ceiling_table, noise_of
from slime.checkpoint import SavedRun
from slime.config import RunConfig
from slime.prepare import Prepared
from slime.progress import Progress
from slime.results import scores_table
from slime.run.kept import kept_tallies
from slime.score import Tally
from slime.tallies import save_tallies
from slime.wave_rows import wave_table
from slime.wide import NEAR_LEADS, Wide, tally_wide, widened
from slime.yardstick import Yardstick


@dataclass(frozen=True)
class Contest:
    """Models, the frames that each reads (the run's own net first), and how they are measured."""

    config: RunConfig
    prepared: Prepared
    models: Mapping[str, Forecaster]
    reads: Mapping[str, int]
    noise: Noise
    yardstick: Yardstick
    device: torch.device


@dataclass(frozen=True)
class ScoredSplit:
    """Where models met on a split, near and far, their scores, waves' power, and notes."""

    where: Arena
    far: Arena
    scores: pd.DataFrame
    waves: pd.DataFrame
    notes: list[str]


def contest(
    config: RunConfig,
    prepared: Prepared,
    best: SavedRun,
    models: Mapping[str, Forecaster],
    reads: Mapping[str, int],
    *,
    progress: Progress | None = None,
) -> Contest:
    """The models, and range and noise of the frames to train on.

    Raises:
        StoreError: a chunk cannot be read.
    """
    noise = noise_of(prepared.movies, prepared.each("train"), progress=progress)
    scale = best.stepper.scale
    mean, std = (v.double().cpu().numpy() for v in (scale.mean, scale.std))
    lines = [line for line in noise.known or noise.estimated if line is not None]
    variance = np.mean([line.at(mean) for line in lines], axis=0) if lines else None
    yardstick = Yardstick.fit(
        *prepared.of("train"),
        std**2,
        noise_variance=variance,
        periodic=config.net.edges == "circular",
    )
    device = next(best.stepper.parameters()).device
    return Contest(config, prepared, models, reads, noise, yardstick, device)


def meeting(
    name: str, config: RunConfig, prepared: Prepared, *, n_in: int, device: torch.device
) -> tuple[Arena, list[str]]:
    """Where models that read `n_in` frames meet on a split; asked before training too.

    Raises:
        SlimeError: not one window of the split can be scored.
    """
    return open_arena(
        prepared.movies,
        prepared.splits,
        name,
        n_in=n_in,
        leads=min(config.score.leads, NEAR_LEADS),
        step=config.window.step,
        memory_budget=config.data.memory_budget,
        device=device,
    )


def score_split(
    run: Path, name: str, of: Contest, *, progress: Progress | None = None
) -> ScoredSplit:
    """Score all models on a split; tallies of the leads that every window has go into the run.

    Raises:
        SlimeError: not one window of the split can be scored.
    """
    config, yardstick = of.config, of.yardstick
    n_in = max(of.reads.values())
    where, notes = meeting(name, config, of.prepared, n_in=n_in, device=of.device)
    tallies = tally_models(of.models, where, progress=progress)
    kept = kept_tallies(run, tallies, yardstick.variance, where, config, of.prepared)
    save_tallies(kept, run)
    far, said = widened(where, config.score.leads)
    wide = tally_wide(of.models, far, yardstick, progress=progress)
    scores, reasons = scores_table(
        tallies,
        where,
        yardstick.variance,
        seed=config.seed,
        n_draws=config.score.draws,
        level=config.score.level,
        yardstick=yardstick,
        wide=wide,
    )
    ceilings, told = _ceilings(scores, tallies["persistence"], where, wide, of)
    scores = pd.concat([scores, *(part for part in ceilings if len(part))], ignore_index=True)
    notes = [*notes, *said, *(f"{name} split, {reason}" for reason in reasons), *told]
    return ScoredSplit(where, far, scores, wave_table(wide, seed=config.seed), notes)


def _ceilings(
    scores: pd.DataFrame, persistence: Tally, where: Arena, wide: Wide, of: Contest
) -> tuple[list[pd.DataFrame], list[str]]:
    """The noise ceiling at leads that every window has, and of the windows that reach further."""
    near, seed = where.spec.n_out, of.config.seed
    close, beyond = (scores.loc[at] for at in (scores["lead"] <= near, scores["lead"] > near))
    ceilings, told = ceiling_table(close, persistence, where, of.noise, of.reads, seed=seed)
    still = wide.plain["persistence"]
    further, _ = ceiling_table(beyond, still, wide.where, of.noise, of.reads, seed=seed)
    return [ceilings, further.loc[further["lead"] > near]], told
