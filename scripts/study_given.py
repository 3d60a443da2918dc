"""How many frames to give: python scripts/study_given.py [CONFIG.yaml] [key=value ...].

The same net with 1, 2, 4 and 8 frames, on worlds with noise and without, on validation. A study
that was stopped goes on when it is started again. --help lists every key.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure

from slime.arguments import wants_help
from slime.command import run_command
from slime.files import write_text
from slime.plots import save_figure
from slime.plots.studies import lines_with_intervals
from slime.progress import bar
from slime.score_rows import rows_where
from slime.settings import settings_help
from slime.studies.given import GivenSpec, given_text, study_given
from slime.studies.spec import open_worlds, read_words
from slime.studies.tables import write_csv

USAGE = "usage: python scripts/study_given.py [CONFIG.yaml] [key=value ...]"


def main(words: Sequence[str]) -> None:
    """Train, score, and write given.csv, given.md and given.png."""
    if wants_help(words):
        print(f"{USAGE}\n\n{settings_help(GivenSpec)}")
        return
    spec = read_words(GivenSpec, words)
    torch.set_num_threads(1)  # so that CPU-seconds count work, not threads that wait
    worlds = open_worlds(spec, n_in=max(spec.given), progress=bar)
    table = study_given(spec, worlds, progress=bar)
    text = given_text(spec, table)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    skills = rows_where(table, score="skill")
    lines_with_intervals(
        axes, skills, "given", by="world", labels=("frames given", "skill, lead 1")
    )
    axes.set_xscale("log", base=2)
    for folder in filter(None, (spec.out, spec.docs)):
        place = Path(folder).expanduser()
        write_csv(table, place / "given.csv")
        write_text(place / "given.md", text)
        save_figure(figure, place / "given.png")
    print(text)


if __name__ == "__main__":
    run_command(main)
