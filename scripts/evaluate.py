"""Open a run's test split, score its best checkpoint on it, and enter that into the ledger.

python scripts/evaluate.py RUN [split=test] [key=value ...]
"""

from collections.abc import Sequence

from baselines.of_run import fit_rivals
from slime.arguments import help_text, load_run_config, wants_help
from slime.checkpoint import load_run
from slime.command import run_command
from slime.devices import pick_device
from slime.prepare import prepare
from slime.progress import bar
from slime.run.facts import check_movies
from slime.run.report import report_run

USAGE = "usage: python scripts/evaluate.py RUN [split=test|val] [key=value ...]"


def main(arguments: Sequence[str]) -> None:
    """Score the run with the settings that it was trained with, others given as key=value."""
    if wants_help(arguments):
        print(help_text(USAGE))
        return
    run, config, split = load_run_config(arguments, USAGE)
    device = pick_device(config.device)
    saved = load_run(run, device=device)
    prepared = prepare(config.data, config.window, seed=config.seed, progress=bar)
    check_movies(run, prepared)
    rivals = fit_rivals(config, prepared, device=device, progress=bar)
    done = report_run(
        run, config, prepared, saved, rivals, open_test_split=split == "test", progress=bar
    )
    for note in done.notes:
        print(f"note: {note}")
    print(done.page)
    print(done.headline)


if __name__ == "__main__":
    run_command(main)
