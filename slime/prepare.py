"""From the user's stores to movies that may be trained on together, cut into splits."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from slime.audit import AuditReport, audit, check_audit
from slime.data_spec import DataSpec
from slime.errors import SlimeError
from slime.experiments import describe_experiments, group_movies, regrouped, time_cuts
from slime.movie import open_movies
from slime.places import same_place
from slime.progress import Progress
from slime.split import Split, check_shares, movie_splits
from slime.store import MEMORY_BUDGET
from slime.windows import WindowSpec

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


@dataclass(frozen=True)
class Prepared:
    """Movies with their blank frames marked, the splits of each, and what had to be said."""

    movies: list[xr.DataArray]
    splits: list[dict[str, Split]]
    reports: list[AuditReport]
    stores: list[str]
    notes: list[str]

    def of(self, name: str) -> tuple[list[xr.DataArray], list[Split]]:
        """The movies that have a split of this name, and that split of each."""
        held = [(m, s[name]) for m, s in zip(self.movies, self.splits, strict=True) if name in s]
        return [m for m, _ in held], [s for _, s in held]

    def each(self, name: str) -> list[Split | None]:
        """For every movie its split of this name, None where it has none."""
        return [cut.get(name) for cut in self.splits]


def open_stores(data: DataSpec) -> tuple[list[xr.DataArray], list[str]]:
    """All movies of the user's stores, lazily, and the store of each; no pixel is read."""
    names = data.experiment if isinstance(data.experiment, (list, tuple)) else None
    if names is not None and len(names) != len(data.stores):
        raise SlimeError(
            f"data.experiment names {len(names)} experiments for {len(data.stores)} stores"
        )
    places = [same_place(store) for store in data.stores]
    for store, place in zip(data.stores, places, strict=True):
        if places.count(place) > 1:
            raise SlimeError(f"{store} is given twice: its windows would count double")
    movies: list[xr.DataArray] = []
    stores: list[str] = []
    for i, store in enumerate(data.stores):
        held = open_movies(
            store,
            movie=data.movie,
            variable=data.variable,
            axes=data.axes,
            channels=data.channels,
            z=data.z,
            mask=data.mask,
            frame_interval_s=data.frame_interval_s,
            pixel_um=data.pixel_um,
            experiment=names[i] if names else data.experiment,
            missing=data.missing,
            links=data.links,
            memory_budget=max(data.memory_budget, MEMORY_BUDGET),
        )
        movies += held
        stores += [store] * len(held)
    return _named_apart(movies), stores


def _named_apart(movies: Sequence[xr.DataArray]) -> list[xr.DataArray]:
    """Movies whose labels differ: stores of the same name in different folders get a number."""
    taken: set[str] = set()
    named = []
    for movie in movies:
        label, n = str(movie.name), 2
        while label in taken:
            label, n = f"{movie.name} ({n})", n + 1
        taken.add(label)
        named.append(movie.rename(label))
    return named


def prepare(
    data: DataSpec,
    spec: WindowSpec,
    *,
    seed: int,
    progress: Progress | None = None,
    executor: Executor | None = None,
    reports: Sequence[AuditReport] | None = None,
) -> Prepared:
    """Open, audit, group by experiment and cut. Each movie is read once, by threads or `executor`.

    Args:
        reports: the audits of the movies, where another process has made them.

    Raises:
        SlimeError: a store or a setting that cannot be used; the line says what would be right.
    """
    shares = shares_of(data.shares)
    opened, stores = open_stores(data)
    notes = _check_alike(opened, mix=data.mix)
    if reports is None:
        reports = [
            audit(
                m,
                full=False,
                memory_budget=data.memory_budget,
                progress=progress,
                executor=executor,
            )
            for m in opened
        ]
    for report in reports:
        check_audit(report, blank=data.blank)
        notes += [f"{report.movie}: {finding.advice}" for finding in report.findings]
    experiments = group_movies(opened, [r.table for r in reports])
    notes += describe_experiments(opened, experiments)
    marked = [
        m.assign_coords(blank=("time", r.blank)) for m, r in zip(opened, reports, strict=True)
    ]
    movies = regrouped(marked, experiments)
    if data.split == "movie":
        drawn_by = seed if data.split_seed is None else data.split_seed
        splits = movie_splits(movies, shares, seed=drawn_by)
    else:
        splits, said = time_cuts(movies, reports, experiments, shares, data.gap, spec)
        notes += said
    return Prepared(movies, splits, list(reports), stores, notes)


def shares_of(shares: Any) -> dict[str, float]:
    """The user's shares as a mapping; a list means train, val and test in this order.

    Raises:
        SlimeError: train or val is missing, a name is unknown, or the sum is not 1.
    """
    if shares is None:
        return dict(SHARES)
    if isinstance(shares, Mapping):
        named = dict(shares)
    elif isinstance(shares, Sequence) and not isinstance(shares, str) and len(shares) <= 3:
        named = dict(zip(SHARES, shares, strict=False))
    else:
        named = {}
    if not {"train", "val"} <= set(named) <= set(SHARES):
        raise SlimeError(
            f"data.shares={shares} must give train and val, and test if there is one, for instance "
            "{train: 0.7, val: 0.15, test: 0.15}"
        )
    return check_shares({name: _number(named[name], name) for name in SHARES if name in named})


def _number(share: Any, name: str) -> float:
    try:
        return float(share)
    except (TypeError, ValueError) as error:
        raise SlimeError(f"data.shares.{name}={share!r} must be a number") from error


def _check_alike(movies: Sequence[xr.DataArray], *, mix: bool) -> list[str]:
    """Units are facts: movies that state different ones are not mixed unasked."""
    notes = []
    for name, unit, instead in (
        ("frame_interval_s", "s a frame", "frame interval unknown: times are given in frames"),
        ("pixel_um", "um a pixel", "pixel size unknown: lengths are given in pixels"),
    ):
        stated = {str(m.name): m.attrs.get(name) for m in movies}
        known = [v for v in stated.values() if v is not None]
        if known and max(known) - min(known) > 1e-6 * max(known):
            listed = ", ".join(f"{n} {v:g}" for n, v in stated.items() if v is not None)
            if not mix:
                raise SlimeError(
                    f"movies differ in {unit} ({listed}): train on them apart, or data.mix=true"
                )
            notes.append(f"movies of different {unit} are mixed: {listed}")
        elif known and len(known) < len(stated):
            silent = ", ".join(n for n, v in stated.items() if v is None)
            notes.append(f"{silent}: {unit} unknown, taken as the others'")
        elif not known:
            notes.append(f"{instead} (data.{name} tells it)")
    return notes


def without_gap(split: Split) -> Split:
    """The split for windows longer than those trained on: they lie wholly inside it."""
    return replace(split, gap=None)


def describe_splits(splits: Sequence[Mapping[str, Split]]) -> list[dict[str, Any]]:
    """The splits as plain rows: movie, name, start, stop."""
    return [
        {"movie": s.movie, "name": s.name, "start": s.start, "stop": s.stop}
        for cut in splits
        for s in cut.values()
    ]
