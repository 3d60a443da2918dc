"""The table of results: python scripts/study_results.py [CONFIG.yaml] [key=value ...].

Every net and baseline on every world, nets at equal CPU-seconds, on the test split. A study that
was stopped goes on when it is started again. --help lists every key.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from baselines import Baseline, fit_baselines
from slime.arguments import wants_help
from slime.ceiling import CEILING
from slime.command import run_command
from slime.files import write_text
from slime.plots import save_figure
from slime.plots.studies import score_dots
from slime.progress import bar
from slime.settings import settings_help
from slime.studies.results import ResultsSpec, score_all, train_all
from slime.studies.results_page import results_text, short_text
from slime.studies.spec import open_worlds, read_words
from slime.studies.tables import replace_part, write_csv
from slime.studies.worlds import World
from slime.windows import WindowSpec

USAGE = "usage: python scripts/study_results.py [CONFIG.yaml] [key=value ...]"


def main(words: Sequence[str]) -> None:
    """Train, score, and write results.csv, results.md and results.png."""
    if wants_help(words):
        print(f"{USAGE}\n\n{settings_help(ResultsSpec)}")
        return
    spec = read_words(ResultsSpec, words)
    torch.set_num_threads(1)  # so that CPU-seconds count work, not threads that wait
    worlds = open_worlds(spec, progress=bar)
    chosen = train_all(spec, worlds, progress=bar)
    table, notes = score_all(spec, worlds, chosen, _rivals, progress=bar)

    tops = table[table["score"] == CEILING].set_index("world")["value"].to_dict()
    figure = score_dots(table, "skill", ours=spec.nets, ceilings=tops)
    for folder in filter(None, (spec.out, spec.docs)):
        place = Path(folder).expanduser()
        write_csv(table, place / "results.csv")
        write_text(place / "results.md", results_text(spec, worlds, table, chosen))
        save_figure(figure, place / "results.png")
    short = short_text(spec, worlds, table)
    if spec.page:
        replace_part(Path(spec.page), "results", short)
    for note in notes:
        print(f"note: {note}")
    print(short)
    print(f"{spec.out}: results.csv, results.md, results.png")


def _rivals(world: World, n_in: int) -> dict[str, Baseline]:
    prepared = world.prepared
    return fit_baselines(
        world.movies,
        prepared.each("train"),
        WindowSpec(n_in=n_in),
        val_splits=prepared.each("val"),
        scale=world.scale,
    )


if __name__ == "__main__":
    run_command(main)
