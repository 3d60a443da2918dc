"""Film every world briefly, and write a page of pictures: python scripts/gallery.py [out=PATH].

only=spiral,sgro makes some of them. A run that was interrupted goes on when it is started again.
"""

from collections.abc import Sequence

from slime.arguments import wants_help
from slime.command import run_command
from slime.gallery import ENTRIES, USAGE, make_gallery, parse_words
from slime.progress import bar


def main(words: Sequence[str]) -> int:
    """Make the movies, pictures and the page, and print where it is."""
    if wants_help(words):
        print(USAGE)
        print("\n".join(f"  {entry.name:18} {entry.title}" for entry in ENTRIES))
        return 0
    print(make_gallery(*parse_words(words), progress=bar))
    return 0


if __name__ == "__main__":
    run_command(main)
