"""Half widths of a run's forecasts: calibrated on its validation split, kept in intervals.json."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from slime.arena import Arena, Forecaster
from slime.checkpoint import SavedRun
from slime.conformal import ErrorCounts
from slime.errors import StoreError, span_text
from slime.files import write_json
from slime.inference import Interval, resample_blocks, resample_series
from slime.score import Tally
from slime.score_rows import COLUMNS
from slime.stepper import rollout
from slime.tallies import load_tallies

COVERAGE = 0.9


class HalfWidths(NamedTuple):
    """Of 90 % intervals, in movie units; infinite where validation was too short to tell one.

    Attributes:
        n_blocks: of the validation split, as good as independent, by lead.
    """

    half: Float[np.ndarray, "lead channel"]
    n_blocks: Float[np.ndarray, " lead"]


def count_errors(
    model: Forecaster, where: Arena, scale: Float[np.ndarray, " channel"]
) -> ErrorCounts:
    """The absolute errors of a model on all windows of a split."""
    counts = ErrorCounts.none(scale, where.spec.n_out)
    for i, number in enumerate(where.numbers):
        step = model(number)
        for batch in where.windows(i):
            with torch.inference_mode():
                ahead = rollout(step, batch.past, batch.future.shape[1])
            counts.add(ahead, batch.future, batch.mask)
    return counts


def calibrate(counts: ErrorCounts, tally: Tally) -> HalfWidths:
    """Half widths from a validation split's errors; its tally tells how many blocks it holds."""
    n_blocks = np.nan_to_num(resample_blocks(tally, n_draws=1).n_blocks, nan=0.0)
    return HalfWidths(counts.half_widths(COVERAGE, n_blocks), n_blocks)


def save_half_widths(found: HalfWidths, run: Path, weights_hash: str) -> None:
    """Write intervals.json; an infinite half width is null."""
    half = [[v if math.isfinite(v) else None for v in row] for row in found.half.tolist()]
    about = {"coverage": COVERAGE, "split": "val", "weights_hash": weights_hash}
    write_json(run / "intervals.json", {**about, "half": half, "n_blocks": found.n_blocks.tolist()})


def load_half_widths(run: Path, weights_hash: str) -> HalfWidths | None:
    """What a run kept for its best weights; None where it kept nothing, or of other weights.

    Raises:
        StoreError: intervals.json is damaged.
    """
    file = run / "intervals.json"
    if not file.is_file():
        return None
    try:
        held: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        half = np.array(
            [[math.inf if v is None else v for v in row] for row in held["half"]], float
        )
        if half.ndim != 2:
            raise ValueError("half widths are no table of leads and channels")
        found = HalfWidths(half, np.array(held["n_blocks"], float))
        return found if held["weights_hash"] == weights_hash else None
    except (ValueError, KeyError, TypeError) as error:
        told = " ".join(str(error).split())[:120]
        raise StoreError(f"{file} cannot be used: {told}; score the run anew") from error


def count_covered(
    model: Forecaster, where: Arena, half: Float[np.ndarray, "lead channel"]
) -> Tally:
    """How many pixels of each window count, and how many of them lie within half widths."""
    n_leads, parts = min(len(half), where.spec.n_out), []
    width = half[:n_leads, :, None, None]
    for i, number in enumerate(where.numbers):
        step = model(number)
        for batch in where.windows(i):
            with torch.inference_mode():
                ahead = rollout(step, batch.past, n_leads)
            truth = batch.future[:, :n_leads].double()
            inside = (ahead.double() - truth).abs().cpu().numpy() <= width * (1 + 1e-9)
            counts = np.ones_like(inside)
            if batch.mask is not None:
                counts = batch.mask[:, :n_leads].cpu().numpy()
            sums = [share.sum(axis=(-2, -1), dtype=float) for share in (counts, inside & counts)]
            start = batch.start.cpu().numpy()
            movie = np.full(len(start), number)
            parts.append(Tally(movie, start, np.stack(sums, axis=1), ("n", "inside")))
    return Tally.joined(parts)


def coverage_table(
    tally: Tally, *, seed: int, n_draws: int, level: float
) -> tuple[Float[np.ndarray, "lead column"], Interval]:
    """The share within by lead, for each channel and all together, and how sure it is.

    Windows are drawn again in blocks as long as their own shares stay alike; the interval, NaN
    where there are too few blocks, is kept within 0 and 1.
    """
    with np.errstate(invalid="ignore"):
        series = tally["inside"] / tally["n"]
    blocks = resample_series(tally, series, n_draws=n_draws, seed=seed)
    share = _shares(tally.sums.sum(axis=0))
    low, high = blocks.interval(_shares(blocks.totals(tally, tally.sums)), share, level=level)
    return share, Interval(np.clip(low, 0, 1), np.clip(high, 0, 1))


def _shares(sums: Float[np.ndarray, "*draw sum lead channel"]) -> np.ndarray:
    both = np.concatenate([sums, sums.sum(axis=-1, keepdims=True)], axis=-1)
    with np.errstate(invalid="ignore"):
        return both[..., 1, :, :] / both[..., 0, :, :]


def interval_rows(
    run: Path, best: SavedRun, where: Arena, *, seed: int, n_draws: int, level: float
) -> tuple[pd.DataFrame, list[str]]:
    """Calibrate on the validation split; of any other, the share that its intervals cover.

    Rows of scores.csv, `coverage_0.9` by lead and channel, all channels' pixels together as `all`,
    each with its interval of `level`, where there is one.
    """
    nothing = pd.DataFrame(columns=list(COLUMNS))
    if where.name == "val":
        scale = best.stepper.scale.std.double().cpu().numpy()
        counts = count_errors(lambda _: best.stepper, where, scale)
        found = calibrate(counts, load_tallies(run, "val").of[best.net.kind])
        save_half_widths(found, run, best.weights_hash)
        few = [i + 1 for i, row in enumerate(found.half) if not np.isfinite(row).all()]
        said = f"no 90 % intervals at lead {span_text(few)}: 9 effective blocks are needed"
        return nothing, [f"val split, {said}"] if few else []
    held = load_half_widths(run, best.weights_hash)
    if held is None:
        return nothing, []
    tally = count_covered(lambda _: best.stepper, where, held.half)
    share, ends = coverage_table(tally, seed=seed, n_draws=n_draws, level=level)
    names = [*(str(c) for c in where.movies[0]["channel"].values), "all"]
    labels = {"model": best.net.kind, "seed": seed, "movie": "all", "split": where.name}
    score = f"coverage_{COVERAGE}"
    rows = [
        {**labels, "channel": name, "lead": lead + 1, "score": score}
        | {"value": share[lead, c], "low": ends.low[lead, c], "high": ends.high[lead, c]}
        for c, name in enumerate(names)
        for lead in range(len(share))
        if np.isfinite(held.half[lead]).all() and (len(names) > 2 or name == "all")
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)), []
