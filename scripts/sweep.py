"""Run a sweep on this machine, from a file in wandb's format; started again, it goes on.

python scripts/sweep.py configs/sweep_NAME.yaml [STORE ...] [key=value ...]
"""

from collections.abc import Sequence

from slime.arguments import wants_help
from slime.command import run_command
from slime.progress import bar
from slime.settings import settings_help
from slime.sweeps.sweep import SweepSpec, read_words, run_sweep

USAGE = "usage: python scripts/sweep.py configs/sweep_NAME.yaml [STORE ...] [key=value ...]"


def main(words: Sequence[str]) -> int:
    """Run what is not done yet, and tell of all; gives 1 where a run failed."""
    if wants_help(words):
        print(f"{USAGE}\n\n{settings_help(SweepSpec)}\n\nother settings go to every run")
        return 0
    sweep = read_words(words)
    for line in run_sweep(sweep, progress=bar):
        print(line, flush=True)
    return 1 if "failed" in sweep.states.values() else 0


if __name__ == "__main__":
    run_command(main)
