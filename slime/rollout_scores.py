"""Free rollouts of all models over a split, and what a biologist measures on them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from jaxtyping import Float

from slime.arena import Arena, Forecaster, most_leads
from slime.batchable import usable_starts
from slime.frames import frame_nbytes, read_frames
from slime.observables.choices import Choices
from slime.observables.means import means
from slime.observables.reading import Field, needed_nbytes, units_of
from slime.observables.rollout_errors import error_rows
from slime.observables.rollouts import (
    LeadRow,
    Seen,
    best_channel,
    own_rows,
    rollout_choices,
    see,
)
from slime.progress import Progress
from slime.score_rows import COLUMNS
from slime.stepper import rollout
from slime.windows import WindowSpec

TRUTH = "truth"
OBSERVED = (*COLUMNS, "unit", "note")
MOST_STARTS = 4  # rollouts of a movie where they are shorter than its split
AUTO_PIXELS = 1 << 26  # forecast in all rollouts, above which `auto` leaves them out


@dataclass(frozen=True)
class Observed:
    """A table of rows (OBSERVED), what had to be said, and one channel of one movie to be shown.

    Attributes:
        shown: the truth's and every model's, by name; empty where nothing was rolled out.
        where: of what is shown, for a title.
    """

    table: pd.DataFrame
    notes: list[str]
    shown: dict[str, Seen]
    where: str


@dataclass(frozen=True)
class _Course:
    """The rollouts of one movie: how many leads, and the first frames of their windows."""

    i: int
    spec: WindowSpec
    starts: list[int]

    @property
    def text(self) -> str:
        n = len(self.starts)
        return f"{self.spec.n_out} leads from {n} start{'s' if n > 1 else ''}"


def observe_rollouts(
    models: Mapping[str, Forecaster],
    where: Arena,
    *,
    seed: int,
    leads: int | None = None,
    auto: bool = False,
    choices: Choices | None = None,
    progress: Progress | None = None,
) -> Observed:
    """Roll every model out over the split of each movie, and measure that beside the truth.

    A rollout begins with the first frames of the split that a window fits, and is as long as the
    split allows (free of blank frames), or `leads`; then up to 4 follow one another. One channel
    of one model is measured at a time. Rows of movie `all` are means over movies, from the least
    to the most of them; a row of one movie and several starts the mean over these.

    Args:
        choices: how they are measured; the band of periods ends at half of a rollout by default.
        auto: nothing is rolled out where that would be more than 2^26 pixels.
    """
    courses, notes = _courses(where, leads)
    n_pixels = (len(models) + 1) * sum(
        len(c.starts) * c.spec.n_out * math.prod(where.movies[c.i].shape[1:]) for c in courses
    )
    nothing = pd.DataFrame({column: [] for column in OBSERVED})
    if not courses:
        return Observed(nothing, notes, {}, "")
    if auto and n_pixels > AUTO_PIXELS:
        notes.append(
            f"{where.name} split: observables of rollouts are left out, {n_pixels:.2g} pixels: "
            "score.observables=true measures them"
        )
        return Observed(nothing, notes, {}, "")
    rows: list[dict[str, Any]] = []
    shown: dict[str, Seen] = {}
    place = ""
    for course in progress(courses, len(courses), "rollouts") if progress else courses:
        movie = where.movies[course.i]
        every, seen = _observed(models, where, course, choices)
        labels = {"seed": seed, "movie": str(movie.name), "split": where.name}
        rows += [{**labels, **row} for row in every]
        if not shown:
            channel = best_channel([s[TRUTH] for s in seen])
            shown = seen[channel]
            last = course.starts[0] + (course.spec.n_frames - 1) * course.spec.step
            place = (
                f"{movie.name}, {where.name} split, channel {movie['channel'].values[channel]}, "
                f"lead {course.spec.n_out} (frame {last})"
            )
    listed = ", ".join(f"{where.movies[c.i].name}: {c.text}" for c in courses)
    notes.append(f"{where.name} split, observables of free rollouts: {listed}")
    return Observed(_pooled(pd.DataFrame(rows, columns=list(OBSERVED))), notes, shown, place)


def _courses(where: Arena, leads: int | None) -> tuple[list[_Course], list[str]]:
    courses, notes = [], []
    n_in, step = where.spec.n_in, where.spec.step
    for i, (movie, split) in enumerate(zip(where.movies, where.splits, strict=True)):
        longest = (len(split) - 1) // step + 1 - n_in
        held = most_leads(movie, split, n_in, min(longest, leads or longest), step)
        n_out = min(held, _leads_within(where.memory_budget, movie, n_in, step, held))
        label = f"{where.name} split, observables of {movie.name}"
        if n_out < 1:
            notes.append(f"{label}: no rollout of any length fits data.memory_gib")
            continue
        if n_out < held:
            notes.append(f"{label}: rollouts of {n_out} leads, not {held}, fit data.memory_gib")
        spec = WindowSpec(n_in=n_in, n_out=n_out, step=step)
        starts: list[int] = []
        for start in usable_starts(movie, split, spec).tolist():
            if len(starts) < MOST_STARTS and (not starts or start >= starts[-1] + n_out * step):
                starts.append(start)
        courses.append(_Course(i, spec, starts))
    return courses, notes


def _leads_within(budget: int, movie: xr.DataArray, n_in: int, step: int, leads: int) -> int:
    """The most leads of which a rollout can be held and one channel of it measured."""

    def cost(n: int) -> int:
        window = ((n_in + n - 1) * step + 1) * frame_nbytes(movie)
        # truth and forecast, its frames a second time while they are stacked
        frames = 3 * 4 * n * math.prod(movie.shape[1:])
        return window + frames + needed_nbytes((n, movie.sizes["y"], movie.sizes["x"]))

    while leads and cost(leads) > budget:
        leads -= max(leads // 20, 1)
    return leads


def _observed(
    models: Mapping[str, Forecaster], where: Arena, course: _Course, choices: Choices | None
) -> tuple[list[dict[str, Any]], list[dict[str, Seen]]]:
    """Rows of a movie, means over its starts, and by channel what the first start showed."""
    first: list[dict[str, Seen]] = []
    rows: list[dict[str, Any]] = []
    for start in course.starts:
        seen = _from_start(models, where, course, start, choices)
        first = first or seen
        for of_channel in seen:
            for name, one in of_channel.items():
                own = list(own_rows(one))
                own += error_rows(one, of_channel[TRUTH]) if name != TRUTH else []
                rows += [_plain(name, one.field.channel, row) for row in own]
    if len(course.starts) == 1:
        return rows, first
    table = pd.DataFrame(rows)
    return list(means(table, ["model", "channel", "lead", "score"], "starts")), first


def _plain(model: str, channel: str, lead_row: LeadRow) -> dict[str, Any]:
    lead, row = lead_row
    return {
        "model": model,
        "channel": channel,
        "lead": lead,
        "score": row.observable,
        **{name: getattr(row, name) for name in ("value", "low", "high", "unit", "note")},
    }


def _from_start(
    models: Mapping[str, Forecaster],
    where: Arena,
    course: _Course,
    start: int,
    choices: Choices | None,
) -> list[dict[str, Seen]]:
    """By channel, the truth's and every model's."""
    movie, spec = where.movies[course.i], course.spec
    frames, mask = read_frames(movie, start, start + spec.span)
    frames = frames[:: spec.step].astype(np.float32)
    counts = np.ones(frames.shape, bool) if mask is None else mask[:: spec.step]
    truth, counts = frames[spec.n_in :], counts[spec.n_in :]
    past = torch.from_numpy(frames[: spec.n_in])[None].to(where.device)
    channels = range(movie.sizes["channel"])

    def measured(pixels: Any, c: int, *of_truth: Any) -> Seen:
        field = _field(movie, spec, pixels, c)
        return see(field, rollout_choices(field, choices), *of_truth)

    seen = [{TRUTH: measured(np.where(counts[:, c], truth[:, c], np.nan), c)} for c in channels]
    for name, model in models.items():
        with torch.inference_mode():
            ahead = rollout(model(where.numbers[course.i]), past, spec.n_out)[0].cpu().numpy()
        for c in channels:
            level = seen[c][TRUTH].threshold
            seen[c][name] = measured(ahead[:, c], c, counts[:, c], level)
    return seen


def _field(
    movie: xr.DataArray, spec: WindowSpec, frames: Float[np.ndarray, "t y x"], channel: int
) -> Field:
    units = units_of(movie)
    units = units._replace(frame_interval_s=units.frame_interval_s * spec.step)
    name = str(movie["channel"].values[channel])
    return Field(np.asarray(frames, np.float32), units, name, 1, "")


def _pooled(table: pd.DataFrame) -> pd.DataFrame:
    """The rows with those over all movies; of one movie, these alone, as in scores.csv."""
    if len(set(table["movie"])) < 2:
        return table.assign(movie="all")
    keys = ["model", "seed", "split", "channel", "lead", "score"]
    pooled = [{**row, "movie": "all"} for row in means(table, keys, "movies")]
    return pd.concat([table, pd.DataFrame(pooled, columns=list(OBSERVED))], ignore_index=True)
