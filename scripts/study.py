"""A study: python scripts/study.py CONFIG.yaml [key=value ...]; `study` says which.

architecture: skill against CPU-seconds and operations, and places at lead 1 against rollouts.
given: what more frames given are worth, with noise and without.
intervals: nets used with frames as far apart as others were trained with.
leakage: how much windows held back at random, or a twin, overstate a forecast.

Each looks at the train and validation splits alone, writes NAME.csv, NAME.md and figures, and goes
on where it was stopped. --help lists every key.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from matplotlib.figure import Figure

from slime.arguments import parsed, read_yaml, wants_help
from slime.command import run_command
from slime.errors import SlimeError, nearest
from slime.files import write_text
from slime.plots import save_figure
from slime.plots.studies import cost_lines, given_lines, interval_lines, rank_dots, told_and_true
from slime.progress import bar
from slime.settings import names_and_settings, settings_help
from slime.studies.architecture import (
    ArchitectureSpec,
    architecture_text,
    far_lead,
    ranks,
    study_architecture,
)
from slime.studies.given import GivenSpec, given_text, study_given
from slime.studies.intervals import IntervalsSpec, intervals_text, study_intervals
from slime.studies.leakage import STEP, LeakageSpec, leakage_text, study_leakage
from slime.studies.spec import open_worlds, read_words
from slime.studies.tables import write_csv

USAGE = "usage: python scripts/study.py CONFIG.yaml [key=value ...]"


class Study(NamedTuple):
    """What a study is made of.

    `step` is how far apart the frames of its widest windows are, `n_in` how many of them are given.
    """

    spec: type[Any]
    table: Callable[..., pd.DataFrame]
    text: Callable[[Any, pd.DataFrame], str]
    figures: Callable[[Any, pd.DataFrame], dict[str, Figure]]
    step: Callable[[Any], int] = lambda _: 1
    n_in: Callable[[Any], int] = lambda spec: spec.n_in


def _architecture_figures(spec: ArchitectureSpec, table: pd.DataFrame) -> dict[str, Figure]:
    lead = far_lead(spec, table)
    return {"architecture": cost_lines(table), "ranks": rank_dots(ranks(table, lead), lead)}


STUDIES = {
    "architecture": Study(
        ArchitectureSpec, study_architecture, architecture_text, _architecture_figures
    ),
    "given": Study(
        GivenSpec,
        study_given,
        given_text,
        lambda _, table: {"given": given_lines(table)},
        n_in=lambda spec: max(spec.given),
    ),
    "intervals": Study(
        IntervalsSpec,
        study_intervals,
        intervals_text,
        lambda _, table: {"intervals": interval_lines(table)},
        lambda spec: spec.longest,
    ),
    "leakage": Study(
        LeakageSpec,
        study_leakage,
        leakage_text,
        lambda _, table: {"leakage": told_and_true(table)},
        lambda _: STEP,
    ),
}


def main(words: Sequence[str]) -> None:
    """Train, score, and write the study's table and figures."""
    if wants_help(words):
        print(f"{__doc__}\n{USAGE}")
        for name, study in STUDIES.items():
            print(f"\n{name}:\n{settings_help(study.spec)}")
        return
    name = _asked(words)
    study = STUDIES[name]
    spec = read_words(study.spec, words)
    torch.set_num_threads(1)  # so that CPU-seconds count work, not threads that wait
    worlds = open_worlds(spec, n_in=study.n_in(spec), step=study.step(spec), progress=bar)
    table = study.table(spec, worlds, progress=bar)
    text, figures = study.text(spec, table), study.figures(spec, table)
    for folder in filter(None, (spec.out, spec.docs)):
        place = Path(folder).expanduser()
        write_csv(table, place / f"{name}.csv")
        write_text(place / f"{name}.md", text)
        for label, figure in figures.items():
            save_figure(figure, place / f"{label}.png")
    print(text)


def _asked(words: Sequence[str]) -> str:
    """The study that a config or key=value names, the last one counting."""
    names, settings = names_and_settings(words)
    trees = [*map(read_yaml, names), *map(parsed, settings)]
    said = [tree["study"] for tree in trees if "study" in tree]
    known = ", ".join(STUDIES)
    if not said:
        raise SlimeError(f"no study is asked for: study=NAME, of {known}; {USAGE}")
    if said[-1] not in STUDIES:
        raise SlimeError(f"there is no study {said[-1]!r} ({known}){nearest(said[-1], STUDIES)}")
    return str(said[-1])


if __name__ == "__main__":
    run_command(main)
