"""Models far ahead, and the scores that cost most: on fewer windows, spread evenly."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from slime.arena import Arena, Forecaster
from slime.batchable import usable_starts
from slime.details import Details
from slime.progress import Progress
from slime.score import Tally, tally_windows
from slime.spectra import Waves
from slime.stepper import Step, rollout
from slime.stream import Batch
from slime.yardstick import Yardstick

NEAR_LEADS = 8  # scored on every window; leads beyond them would leave fewer windows to all
MOST_WINDOWS = 32  # of a movie
FEWEST_WINDOWS = 8  # of the movie that has most, for a lead to be scored
OVERLAP = 16  # windows that share a frame predicted, at most
DETAIL_LEADS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Wide:
    """Tallies by model: plain ones at every lead, and detailed ones at `leads`."""

    where: Arena
    plain: dict[str, Tally]
    detailed: dict[str, Tally]
    details: Details

    @property
    def leads(self) -> tuple[int, ...]:
        """The leads of the detailed tallies."""
        return tuple(self.details.leads)


def widened(near: Arena, leads: int) -> tuple[Arena, list[str]]:
    """Where models meet up to `leads` ahead, and what had to be said; no pixel is read.

    As many leads as leave 8 windows of the movie that has most; then windows are left out evenly,
    so that at most 32 of it stay and no frame is predicted by more than 16.
    """
    first, label, notes = near.spec.n_out, f"split {near.name!r}", []
    most = next(
        (n for n in range(leads, first, -1) if max(_counts(near, n, 1)) >= FEWEST_WINDOWS), first
    )
    n_windows = _counts(near, most, 1)
    kept = [i for i, n in enumerate(n_windows) if n]
    hop = max(-(-max(n_windows) // MOST_WINDOWS), -(-most // OVERLAP))
    while not all(_counts(near, most, hop)[i] for i in kept):
        hop -= 1  # blank frames may lie so that every window left would touch one
    if most < leads:
        notes.append(f"{label} is short: {most} leads, not {leads}")
    if len(kept) < len(near.movies):
        out = [str(m.name) for m, n in zip(near.movies, n_windows, strict=True) if not n]
        notes.append(f"{label}: too short for {most} leads, scored less far: {', '.join(out)}")
    if hop > 1 or most > first:
        what = "ssim, spectra and other costly scores"
        what = f"leads {first + 1} to {most}, horizons, {what}" if most > first else what
        apart = f"windows {hop} frames apart" if hop > 1 else f"windows of {most} leads"
        notes.append(f"{label}: {what} are of {apart}")
    movies, splits, numbers = (
        [column[i] for i in kept] for column in (near.movies, near.splits, near.numbers)
    )
    spec = replace(near.spec, n_out=most, hop=hop)
    return replace(near, movies=movies, splits=splits, numbers=numbers, spec=spec), notes


def _counts(near: Arena, n_out: int, hop: int) -> list[int]:
    """Windows of each movie, of so many leads and so many frames apart."""
    spec = replace(near.spec, n_out=n_out, hop=hop)
    pairs = zip(near.movies, near.splits, strict=True)
    return [len(usable_starts(m, s, spec)) if len(s) >= spec.span else 0 for m, s in pairs]


def tally_wide(
    models: Mapping[str, Forecaster],
    where: Arena,
    yardstick: Yardstick,
    *,
    progress: Progress | None = None,
) -> Wide:
    """Every model's tallies over the same windows, plain and detailed.

    Anomalies are taken from what the model called climatology forecasts, where there is one.
    """
    leads = [lead for lead in DETAIL_LEADS if lead <= where.spec.n_out]
    side_px = min(min(m.sizes["y"], m.sizes["x"]) for m in where.movies)
    details = Details(leads, yardstick, Waves(side_px, yardstick.periodic))
    plain: dict[str, list[Tally]] = {name: [] for name in models}
    detailed: dict[str, list[Tally]] = {name: [] for name in models}
    turns = range(len(where.movies))
    for i in progress(turns, len(turns), f"far {where.name}") if progress else turns:
        number = where.numbers[i]
        steps = {name: model(number) for name, model in models.items()}
        climate = models["climatology"](number) if "climatology" in models else None
        for batch in where.windows(i):
            at = torch.full_like(batch.movie, number)
            mean = None if climate is None else climate(batch.past)
            for name, step in steps.items():
                ahead = _forecast(step, batch)
                about = (ahead, batch.future, batch.mask, at, batch.start)
                plain[name].append(tally_windows(*about))
                detailed[name].append(details.tally(*about, mean))
    return Wide(
        where,
        {name: Tally.joined(parts) for name, parts in plain.items()},
        {name: Tally.joined(parts) for name, parts in detailed.items()},
        details,
    )


def _forecast(step: Step, batch: Batch) -> Float[Tensor, "b lead c y x"]:
    """As `slime.fit.evaluate` forecasts: fed with its own forecasts, a module in eval mode."""
    training = isinstance(step, nn.Module) and step.training
    if isinstance(step, nn.Module):
        step.eval()
    try:
        with torch.inference_mode():
            return rollout(step, batch.past, batch.future.shape[1])
    finally:
        if isinstance(step, nn.Module):
            step.train(training)
