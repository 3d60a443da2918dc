"""Set runs beside each other on one page: one interval for all seeds, and who beats whom.

python scripts/compare_runs.py RUN RUN ... [out=PATH] [split=test] [--wandb] [key=value ...]
"""

from collections.abc import Sequence

from slime.arguments import wants_help
from slime.command import run_command
from slime.comparison.compare import PageSpec, page_spec, write_comparison
from slime.progress import bar
from slime.settings import names_and_settings, settings_help

USAGE = "usage: python scripts/compare_runs.py RUN RUN ... [out=PATH] [--wandb] [key=value ...]"


def main(arguments: Sequence[str]) -> None:
    """Print pooled scores and contests; write the page, Markdown, figures, CSV and JSON."""
    if wants_help(arguments):
        print(f"{USAGE}\n\n{settings_help(PageSpec)}")
        return
    asked = [word for word in arguments if word == "--wandb"]
    runs, words = names_and_settings([word for word in arguments if word != "--wandb"])
    for line in write_comparison(runs, page_spec([*words, *asked]), progress=bar):
        print(line)


if __name__ == "__main__":
    run_command(main)
