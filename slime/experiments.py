"""Movies of one experiment: found by their frames or names, and cut at the same physical times."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import xarray as xr
from jaxtyping import Bool

from slime.audit import AuditReport
from slime.errors import SlimeError
from slime.frame_table import FrameTable
from slime.labels import experiment_of
from slime.split import Split, Timeline, decorrelation_frames, temporal_splits, twin_splits
from slime.twins import Link, find_links
from slime.windows import WindowSpec, starts_clear_of, window_starts

MAX_EMBARGO = 10  # frames; decorrelation takes 1 to 10 frames on the movies it was tried on


@dataclass(frozen=True)
class Experiment:
    """Movies of one experiment, by their places in a list, the longest first.

    Attributes:
        timelines: where each member's frames lie on the first one's; None where no regular order
            explains the frames that it shares with the others.
        n_shared: frames that each shares with another member; 0 where only names tell.
    """

    members: tuple[int, ...]
    timelines: tuple[Timeline | None, ...]
    n_shared: tuple[int, ...]


def group_movies(movies: Sequence[xr.DataArray], tables: Sequence[FrameTable]) -> list[Experiment]:
    """Every movie in one experiment: with those that share frames, or are named after it."""
    links = find_links(tables)
    group = list(range(len(movies)))
    names = [str(m.attrs["experiment"]) for m in movies]
    alike = [(i, names.index(name)) for i, name in enumerate(names)]
    for one, other in [(link.one, link.other) for link in links] + alike:
        old, new = group[one], group[other]
        group = [new if g == old else g for g in group]
    found = []
    for number in dict.fromkeys(group):
        members = [i for i, g in enumerate(group) if g == number]
        members.sort(key=lambda i: -movies[i].sizes["time"])
        found.append(_aligned(members, movies, links))
    return found


def _aligned(
    members: Sequence[int], movies: Sequence[xr.DataArray], links: Sequence[Link]
) -> Experiment:
    """Members with their timelines: by shared frames as far as these reach, else by name."""
    own = [k for k in links if k.one in members]
    known: dict[int, Timeline] = {}
    for i in members:
        if i not in known:
            known[i] = _stated_timeline(movies[members[0]], movies[i])
        while reached := _next_by_frames(known, own):
            known[reached[0]] = reached[1]
    odd = {
        place
        for k in own
        if k.timeline is None or k.timeline.on(known[k.one]) != known[k.other]
        for place in (k.one, k.other)
        if place != members[0]
    }
    n_shared = [max((k.n_shared for k in own if i in (k.one, k.other)), default=0) for i in members]
    timelines = tuple(None if i in odd else known[i] for i in members)
    return Experiment(tuple(members), timelines, tuple(n_shared))


def _next_by_frames(
    known: Mapping[int, Timeline], links: Sequence[Link]
) -> tuple[int, Timeline] | None:
    """A movie that is not placed yet and shares frames with one that is, and its timeline."""
    for k in links:
        if k.timeline is not None and k.one in known and k.other not in known:
            return k.other, k.timeline.on(known[k.one])
        if k.timeline is not None and k.other in known and k.one not in known:
            return k.one, k.timeline.inverse().on(known[k.other])
    return None


def _stated_timeline(first: xr.DataArray, other: xr.DataArray) -> Timeline:
    """Where frames lie by intervals, times and names alone.

    Without times a name that tells of left-out frames is believed where the lengths fit it; else
    both are taken to start together and to run at one pace.
    """
    own, theirs = (m.attrs.get("frame_interval_s") for m in (first, other))
    if own and theirs:
        begins = [float(m["time"].values[0]) if "time" in m.coords else 0.0 for m in (first, other)]
        offset = Fraction((begins[1] - begins[0]) / own).limit_denominator(1000)
        return Timeline(Fraction(theirs / own).limit_denominator(1000), offset)
    ratio = first.sizes["time"] / other.sizes["time"]
    subsampled = experiment_of(str(other.name)) != str(other.name)
    fits = abs(ratio - round(ratio)) < 0.5 * ratio / other.sizes["time"] + 1e-9
    return Timeline(round(ratio) if subsampled and fits else 1)


def regrouped(
    movies: Sequence[xr.DataArray], experiments: Sequence[Experiment]
) -> list[xr.DataArray]:
    """Movies of which those that belong together have one experiment's name, whatever theirs are.

    A movie that shares frames with the longest of them says so in its attr `twin_of`.
    """
    named = list(movies)
    for experiment in experiments:
        first = movies[experiment.members[0]]
        for i, n_shared in zip(experiment.members, experiment.n_shared, strict=True):
            twin = {"twin_of": str(first.name)} if n_shared and movies[i] is not first else {}
            named[i] = movies[i].assign_attrs(experiment=first.attrs["experiment"], **twin)
    return named


def describe_experiments(
    movies: Sequence[xr.DataArray], experiments: Sequence[Experiment]
) -> list[str]:
    """What has to be said of movies that belong together."""
    notes = []
    for experiment in experiments:
        first = movies[experiment.members[0]]
        rows = zip(experiment.members, experiment.timelines, experiment.n_shared, strict=True)
        for i, line, n_shared in list(rows)[1:]:
            if not n_shared:
                notes.append(
                    f"{movies[i].name} and {first.name} count as one experiment by their names: "
                    "data.experiment=[...] names others"
                )
                continue
            how = f"one in {line.every} from {line.offset}" if line else "in no order"
            notes.append(
                f"{movies[i].name} is a twin of {first.name}: {n_shared} equal frames ({how}); "
                "they never train and test each other"
            )
            notes += _odd_interval(first, movies[i], line)
    return notes


def _odd_interval(first: xr.DataArray, other: xr.DataArray, line: Timeline | None) -> list[str]:
    own, theirs = (m.attrs.get("frame_interval_s") for m in (first, other))
    if line is None or not own or not theirs or abs(theirs / own / line.every - 1) < 0.01:
        return []
    return [
        f"{other.name} is said to have {theirs:g} s a frame, but its frames are {line.every} of "
        f"{first.name}'s apart, {float(own * line.every):g} s"
    ]


def time_cuts(
    movies: Sequence[xr.DataArray],
    reports: Sequence[AuditReport],
    experiments: Sequence[Experiment],
    shares: Mapping[str, float],
    gap: int | None,
    spec: WindowSpec,
) -> tuple[list[dict[str, Split]], list[str]]:
    """The splits of each movie, all of an experiment at the same times, and what has to be said.

    `gap` is in frames of an experiment's longest movie, by default a window's span - 1 (of the
    coarsest member) and an embargo of the decorrelation time.

    Raises:
        SlimeError: a gap shorter than a window, or twins whose frames lie in no regular order.
    """
    notes: list[str] = []
    cuts: list[dict[str, Split]] = [{} for _ in movies]
    for experiment in experiments:
        first = experiment.members[0]
        label = str(movies[first].name)
        lines = [line for line in experiment.timelines if line is not None]
        if len(lines) < len(experiment.members):
            odd = [
                str(movies[i].name)
                for i, line in zip(experiment.members, experiment.timelines, strict=True)
                if line is None
            ]
            raise SlimeError(
                f"{', '.join(odd)} shares frames with {label} in no regular order and cannot be "
                "cut at the same times: leave one out, or use data.split=movie"
            )
        lengths = [movies[i].sizes["time"] for i in experiment.members]
        # all that any member shows, in frames of the first
        begin = math.floor(min(line.offset for line in lines))
        end = 1 + max(
            math.floor(line.offset + line.every * (n - 1))
            for line, n in zip(lines, lengths, strict=True)
        )
        least = math.ceil((spec.span - 1) * max(line.every for line in lines))
        embargo = decorrelation_frames(
            reports[first].table.mean[~reports[first].blank],
            most=min(MAX_EMBARGO, lengths[0] // 40),
        )
        wide = gap if gap is not None else least + embargo
        if wide < least:
            raise SlimeError(
                f"data.gap={wide} is shorter than a window's span - 1 = {least} frames of {label}"
            )
        notes.append(
            f"{label}: {wide} frames are left out at each border (span - 1 = {least}"
            + (f", embargo {embargo})" if gap is None else ")")
        )
        whole = temporal_splits(end - begin, shares, gap=wide, movie=label)
        for i, line, n in zip(experiment.members, lines, lengths, strict=True):
            shifted = Timeline(line.every, line.offset - begin)
            cuts[i] = twin_splits(whole, shifted, n, str(movies[i].name))
        blank = {i: reports[i].blank for i in experiment.members}
        notes += _drop_empty(cuts, blank, spec)
    return cuts, notes


def _drop_empty(
    cuts: Sequence[dict[str, Split]], blank: Mapping[int, Bool[np.ndarray, " _"]], spec: WindowSpec
) -> list[str]:
    """Take splits without a clear window out of `cuts`, where another member's has one.

    `blank` holds the blank frames of each member.
    """
    notes = []
    for name in dict.fromkeys(name for i in blank for name in cuts[i]):
        held = [i for i in blank if name in cuts[i]]
        empty = [i for i in held if not _n_windows(cuts[i][name], blank[i], spec)]
        if len(empty) == len(held):
            continue  # said by whoever asks for windows
        for i in empty:
            split = cuts[i].pop(name)
            notes.append(
                f"{split.movie} takes no part in {name}: none of its {len(split)} frames there "
                f"begins a window of {spec.span} without a blank one"
            )
    return notes


def _n_windows(split: Split, blank: Bool[np.ndarray, " t"], spec: WindowSpec) -> int:
    if len(split) < spec.span:
        return 0
    return len(starts_clear_of(window_starts(split, spec), spec, blank))
