"""Film a world with known truth into zarr: python scripts/make_movie.py WORLD out=PATH [key=value].

--help lists the worlds and every key. A run that was interrupted goes on when it is started again
with the same words.
"""

import sys
from collections.abc import Sequence

from slime.errors import SlimeError
from slime.simulate import make_movies
from slime.simulate.command import help_text, parse_command

DONE, USER_MISTAKE, INTERRUPTED = 0, 2, 130


def main(words: Sequence[str]) -> int:
    """Make the movies that the words ask for, and return the exit code."""
    if not words or {"-h", "--help"} & set(words):
        print(help_text(next((word for word in words if word[0] not in "-="), None)))
        return DONE if words else USER_MISTAKE
    try:
        world, paths, seeds, device, settings = parse_command(words)
        make_movies(world, paths, seeds=seeds, device=device, progress=True, **settings)
    except (SlimeError, OSError) as mistake:
        print(mistake, file=sys.stderr)
        return USER_MISTAKE
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last whole chunk", file=sys.stderr)
        return INTERRUPTED
    for path, seed in zip(paths, seeds, strict=True):
        print(f"{path}  ({world}, seed {seed})")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
