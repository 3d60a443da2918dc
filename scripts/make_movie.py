"""Film a world with known truth into zarr: python scripts/make_movie.py WORLD out=PATH [key=value].

--help lists the worlds and every key. A run that was interrupted goes on when it is started again
with the same words.
"""

from collections.abc import Sequence

from slime.command import run_command
from slime.ensembles import HELP as ENSEMBLES
from slime.ensembles import is_ensemble, make_ensemble, parse_ensemble
from slime.errors import SlimeError
from slime.progress import bar
from slime.schedule import HELP, OPTION, pick_scheduler
from slime.simulate import make_movies, told_steps
from slime.simulate.command import help_text, parse_command


def main(words: Sequence[str]) -> int:
    """Make the movies that the words ask for, and print where they are."""
    if not words or {"-h", "--help"} & set(words):
        print(help_text(next((word for word in words if word[0] not in "-="), None)))
        print(f"\n{ENSEMBLES}\n{HELP}")
        return 0 if words else 2
    address, words = pick_scheduler(words)
    if is_ensemble(words):
        for path in make_ensemble(parse_ensemble(words), address=address, progress=bar):
            print(path)
        return 0
    if address:
        raise SlimeError(f"{OPTION} is for ensembles: give seeds=0:8, or a setting several values")
    world, paths, seeds, device, settings = parse_command(words)
    make_movies(world, paths, seeds=seeds, device=device, progress=True, **settings)
    for path, seed in zip(paths, seeds, strict=True):
        print(f"{path}  ({world}, seed {seed}; {told_steps(path)})")
    return 0


if __name__ == "__main__":
    run_command(main)
