"""Set runs beside each other: one interval for runs that differ in their seed, and who beats whom.

python scripts/compare_runs.py RUN RUN ... [out=PATH] [split=test] [key=value ...]
"""

from collections.abc import Sequence

from slime.arguments import wants_help
from slime.command import run_command
from slime.run.compared import CompareSpec, compare_runs
from slime.settings import names_and_settings, settings_help, spec_from_words

USAGE = "usage: python scripts/compare_runs.py RUN RUN ... [out=PATH] [split=test] [key=value ...]"


def main(arguments: Sequence[str]) -> None:
    """Print the table of the pooled scores and the contests, and write all rows as CSV."""
    if wants_help(arguments):
        print(f"{USAGE}\n\n{settings_help(CompareSpec)}")
        return
    runs, words = names_and_settings(arguments)
    for line in compare_runs(runs, spec_from_words(CompareSpec, words)):
        print(line)


if __name__ == "__main__":
    run_command(main)
