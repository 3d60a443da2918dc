"""Models on the same windows, from the tallies that runs of several seeds have kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slime.errors import SlimeError
from slime.score import Tally
from slime.tallies import Tallies, load_tallies, meet

REFERENCE = "persistence"


@dataclass(frozen=True)
class Held:
    """Models on the same windows of a split, by name: a tally a seed, one for a baseline.

    Attributes:
        about: what the windows are.
        still: persistence on them, of which all runs have the same.
    """

    about: Tallies
    models: Mapping[str, Sequence[Tally]]
    still: Tally

    @property
    def movies(self) -> list[int]:
        """The movies' numbers."""
        return np.unique(self.about.windows.movie).tolist()

    def of_movies(self, movies: Sequence[int]) -> "Held":
        """The windows of some movies alone."""

        def kept(tally: Tally) -> Tally:
            return tally.at(np.flatnonzero(np.isin(tally.movie, movies)))

        models = {name: [kept(t) for t in tallies] for name, tallies in self.models.items()}
        return Held(self.about, models, kept(self.still))


def hold(
    groups: Mapping[str, Sequence[Path | str]], split: str = "test", *, common: bool = False
) -> Held:
    """The tallies of groups of runs, each group one model trained from several seeds.

    Baselines come with the runs. One that differs between groups (it reads as many frames as the
    net) is named after its group too: `ridge (unet)`.

    Args:
        common: keep the windows that all runs have, instead of refusing runs that lack some.

    Raises:
        SlimeError: no run, one without tallies, runs on other windows, two runs of one seed or
            of different nets in a group.
    """
    runs = [load_tallies(run, split) for of_group in groups.values() for run in of_group]
    met = iter(meet(runs, common=common))
    by_group = {name: [next(met) for _ in of_group] for name, of_group in groups.items()}
    models: dict[str, Sequence[Tally]] = {}
    for name, of_group in by_group.items():
        _check_group(name, of_group)
        models[name] = [run.of[run.model] for run in of_group]
    first = next(run for of_group in by_group.values() for run in of_group)
    for name, of_group in by_group.items():
        for baseline in of_group[0].of:
            if all(baseline != run.model for run in of_group):
                tallies = _distinct([run.of[baseline] for run in of_group if baseline in run.of])
                _add(models, baseline, name, tallies)
    return Held(first, models, first.of[REFERENCE])


def _check_group(name: str, runs: Sequence[Tallies]) -> None:
    seeds = [run.seed for run in runs]
    twice = [run.run for run in runs if seeds.count(run.seed) > 1]
    if twice:
        raise SlimeError(f"{name}: {' and '.join(twice)} are of one seed and would count double")
    nets = {run.model for run in runs}
    if len(nets) != 1:
        raise SlimeError(f"{name}: its runs are of different nets, {', '.join(sorted(nets))}")


def _distinct(tallies: Sequence[Tally]) -> list[Tally]:
    """One tally where all are equal: a baseline that no seed changes."""
    same = all(np.array_equal(t.sums, tallies[0].sums, equal_nan=True) for t in tallies)
    return [tallies[0]] if same else list(tallies)


def _add(
    models: dict[str, Sequence[Tally]], baseline: str, group: str, tallies: list[Tally]
) -> None:
    held = models.get(baseline)
    if held is None:
        models[baseline] = tallies
    elif len(held) != len(tallies) or any(
        not np.allclose(a.sums, b.sums, rtol=1e-9, equal_nan=True)
        for a, b in zip(held, tallies, strict=True)
    ):
        models[f"{baseline} ({group})"] = tallies
