"""Turn TIFF, pictures, video, HDF5, NumPy, ND2, CZI or zarr into a zarr store that streams well.

python scripts/ingest_movie.py SOURCE [SOURCE ...] out=PATH.zarr [key=value ...]
"""

import re
from collections.abc import Sequence
from pathlib import Path

from slime.command import run_command
from slime.errors import SlimeError
from slime.ingest import IngestSpec, ingest_movie
from slime.progress import bar
from slime.schedule import HELP, pick_scheduler
from slime.settings import settings_help, spec_from_words

USAGE = (
    "usage: python scripts/ingest_movie.py SOURCE [SOURCE ...] out=PATH.zarr [key=value ...]\n"
    f"       {HELP}\n\n"
    "SOURCE is a TIFF, a folder of pictures, a video, HDF5, .npy, .npz, ND2, CZI or a zarr store;\n"
    "several files are one movie, in natural order. An interrupted conversion goes on when it is\n"
    "started again with the same words. A key that is not given changes no pixel."
)


def main(words: Sequence[str]) -> int:
    """Convert one movie, telling what was chosen, and print where it is."""
    if not words or {"-h", "--help", "help"} & set(words):
        print(f"{USAGE}\n\nSettings (key=default, meaning):\n{settings_help(IngestSpec)}")
        return 0 if words else 2
    address, words = pick_scheduler(words)
    settings = [w for w in words if re.match(r"(data\.)?[a-z_]+=", w) and not Path(w).exists()]
    sources = [w for w in words if w not in settings]
    for word in sources:
        if word.startswith("-"):
            raise SlimeError(f"unknown option {word}: settings are written key=value; see --help")
    spec = spec_from_words(IngestSpec, [w.removeprefix("data.") for w in settings])
    try:
        path = ingest_movie(sources, spec, address=address, progress=bar, say=print)
    except SlimeError as error:
        raise type(error)(re.sub(r"\bdata\.(?=[a-z_]+\b)", "", str(error))) from error
    print(path)
    return 0


if __name__ == "__main__":
    run_command(main)
