"""How a forecast fails, by name: blur, freeze, blow-up, drift; each by one number and its bound.

All are taken on up to 8 windows a movie, spread over the split, each rolled out to the last lead
that is scored, and compared with the truth; its noise, which a good forecast has none of, is taken
off first from the truth's spectrum and changes (slime.ceiling).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from slime.arena import Arena, Forecaster
from slime.ceiling import Noise
from slime.failure_sums import FailureSums, failure_sums
from slime.progress import Progress
from slime.stepper import rollout
from slime.texts import number_text

WINDOWS = 8  # of a movie
BOUNDS = {  # what is measured, and from where on it has a name
    "blur": ("power of its finest half of waves above the noise, over the truth's", "<", 0.5),
    "freeze": ("squared change from frame to frame, over the truth's", "<", 0.1),
    "blow-up": ("variance about the frame's mean, over the truth's", ">", 4.0),
    "drift": ("bias of the frame's mean, in the truth's standard deviations", ">", 0.25),
}
LEAST_BINS = 4  # waves above the noise, for a blur
LEAST_SIGNAL = 0.1  # change that is not noise, as a share of the noise's: else nothing could freeze


@dataclass(frozen=True)
class Failure:
    """A failure of a model in one channel.

    Attributes:
        first_lead: where it begins; `last_lead` the last lead at which it still holds.
        value: what was measured there; infinite where the forecast is not finite.
        bound: see BOUNDS.
    """

    model: str
    split: str
    channel: str
    kind: str
    first_lead: int
    last_lead: int
    value: float
    bound: float

    def row(self) -> dict[str, Any]:
        """As plain JSON; a value that is not finite as text."""
        value = self.value if np.isfinite(self.value) else "not finite"
        return {**asdict(self), "value": value}


def find_failures(
    models: Mapping[str, Forecaster],
    where: Arena,
    noise: Noise,
    *,
    far: Arena | None = None,
    progress: Progress | None = None,
) -> list[Failure]:
    """The failures of every model on a split, movies pooled, channel by channel.

    Args:
        far: where some of the movies are scored further ahead (slime.wide.widened); the others
            are looked at as far as `where` reaches, and count at those leads alone.

    Raises:
        StoreError: a chunk cannot be read.
    """
    lines = noise.known or noise.estimated
    sums: dict[str, list[FailureSums]] = {name: [] for name in models}
    noises: list[Float[np.ndarray, "lead c"]] = []
    n_leads = (far or where).spec.n_out
    turns = range(len(where.movies))
    for i in progress(turns, len(turns), f"failures, {where.name}") if progress else turns:
        number = where.numbers[i]
        line = lines[number]
        if far is not None and number in far.numbers:
            of_movie = _movie_sums(models, far, far.numbers.index(number))
        else:
            of_movie = _movie_sums(models, where, i)
        of_movie = {name: found.up_to(n_leads) for name, found in of_movie.items()}
        for name, found in of_movie.items():
            sums[name].append(found)
        shown = next(iter(of_movie.values()))
        level = shown.mean[1] / np.maximum(shown.n, 1)
        noises.append(np.zeros_like(level) if line is None else line.at(level))
    channels = [str(c) for c in where.movies[0]["channel"].values]
    return [
        failure
        for name, parts in sums.items()
        for failure in name_failures(name, where.name, channels, parts, noises)
    ]


def _movie_sums(models: Mapping[str, Forecaster], where: Arena, i: int) -> dict[str, FailureSums]:
    windows = where.windows(i)
    starts = windows.starts[0]
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(WINDOWS, len(starts))).round())
    wanted = torch.as_tensor(starts[chosen.astype(int)])
    parts: dict[str, list[FailureSums]] = {name: [] for name in models}
    for batch in windows:
        rows = torch.isin(batch.start.cpu(), wanted).nonzero()[:, 0].to(batch.past.device)
        if not len(rows):
            continue
        past, future = batch.past[rows], batch.future[rows]
        mask = None if batch.mask is None else batch.mask[rows]
        for name, model in models.items():
            with torch.inference_mode():
                ahead = rollout(model(where.numbers[i]), past, future.shape[1])
            parts[name].append(failure_sums(ahead, future, past[:, -1], mask))
    return {name: reduce(add, found) for name, found in parts.items()}


def name_failures(
    model: str,
    split: str,
    channels: Sequence[str],
    parts: Sequence[FailureSums],
    noises: Sequence[Float[np.ndarray, "lead c"]],
) -> list[Failure]:
    """What of BOUNDS is broken, by the sums of each movie and its noise variance."""
    found = []
    for kind, values in measured(parts, noises).items():
        _, side, bound = BOUNDS[kind]
        with np.errstate(invalid="ignore"):
            failed = values < bound if side == "<" else values > bound
        for c, channel in enumerate(channels):
            leads = np.flatnonzero(failed[:, c])
            if len(leads):
                first, last = int(leads[0]), int(leads[-1])
                value = float(values[last, c])
                found.append(
                    Failure(model, split, channel, kind, first + 1, last + 1, value, bound)
                )
    return found


class _Totals(NamedTuple):
    """FailureSums over movies; spectra, which may be of several sizes, are not among them."""

    n: Float[np.ndarray, "lead c"]
    mean: Float[np.ndarray, "2 lead c"]
    scatter: Float[np.ndarray, "2 lead c"]
    change: Float[np.ndarray, "2 lead c"]


def measured(
    parts: Sequence[FailureSums], noises: Sequence[Float[np.ndarray, "lead c"]]
) -> dict[str, Float[np.ndarray, "lead c"]]:
    """What BOUNDS are of, by lead and channel; NaN where there is nothing to judge by.

    From the first lead that is not finite on only the blow-up is told, as infinite.

    Args:
        parts: the sums of each movie.
        noises: the noise variance of each movie.
    """
    total = _Totals(
        *(np.sum([getattr(part, name) for part in parts], axis=0) for name in _Totals._fields)
    )
    of_noise = [2 * noise * part.n_changes for part, noise in zip(parts, noises, strict=True)]
    still = np.sum(of_noise, axis=0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        change = total.change[1] - still
        change = np.where(change > LEAST_SIGNAL * still, change, np.nan)
        scatter = np.where(total.scatter[1] > 0, total.scatter[1], np.nan)
        bias = np.abs(total.mean[0] - total.mean[1]) / total.n
        found = {
            "blur": _detail(parts, noises),
            "freeze": total.change[0] / np.where(change > 0, change, np.nan),
            "blow-up": total.scatter[0] / scatter,
            "drift": bias / np.sqrt(scatter / total.n),
        }
    lost = np.logical_or.accumulate(~np.isfinite(total.scatter[0]), axis=0)
    return {
        kind: np.where(lost, np.inf if kind == "blow-up" else np.nan, values)
        for kind, values in found.items()
    }


def _detail(
    parts: Sequence[FailureSums], noises: Sequence[Float[np.ndarray, "lead c"]]
) -> Float[np.ndarray, "lead c"]:
    """Power of the finest half of the waves that stand out of the noise, over the truth's."""
    ours, theirs = np.zeros_like(noises[0]), np.zeros_like(noises[0])
    for part, noise in zip(parts, noises, strict=True):
        floor = noise[..., None] * part.flat
        clean = part.power[1] - floor
        for lead, c in np.ndindex(*noise.shape):
            above = np.flatnonzero(clean[lead, c] > np.maximum(floor[lead, c], 0))
            fine = above[len(above) // 2 :] if len(above) >= LEAST_BINS else above[:0]
            ours[lead, c] += part.power[0, lead, c, fine].sum()
            theirs[lead, c] += clean[lead, c, fine].sum()
    return ours / np.where(theirs > 0, theirs, np.nan)


def failure_text(failure: Failure) -> str:
    """'cnn, channel camp: blur at leads 4 to 32 (0.31; below 0.5): power of its ...'."""
    about, side, bound = BOUNDS[failure.kind]
    first, last = failure.first_lead, failure.last_lead
    leads = f"lead {first}" if first == last else f"leads {first} to {last}"
    worth = number_text(failure.value) if np.isfinite(failure.value) else "not finite"
    limit = f"{'below' if side == '<' else 'above'} {bound:g}"
    place = f"{failure.model}, channel {failure.channel}"
    return f"{place}: {failure.kind} at {leads} ({worth}; {limit}): {about}"
