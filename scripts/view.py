"""Look at a movie, or at a run's forecast beside the truth: python scripts/view.py STORE|RUN.

A page of this machine alone; only the frames that are looked at are read. With out=PATH.zarr the
same pictures are written as OME-Zarr, which napari and Fiji open. --help lists every key.
"""

from collections.abc import Sequence
from pathlib import Path

from slime.arguments import wants_help
from slime.command import run_command
from slime.devices import pick_device
from slime.run.measured import is_run
from slime.view.films import films_of_store, open_run
from slime.view.serve import serve
from slime.view.spec import help_text, parse_words
from slime.view.subject import Movies, Run, Subject
from slime.view.writing import write_movie, write_run


def main(words: Sequence[str]) -> None:
    """Open a store or a run, then serve its page, or write what would be looked at."""
    if wants_help(words):
        print(help_text())
        return
    name, spec = parse_words(words)
    subject: Subject
    if is_run(name):
        given = [word for word in words if word != name]
        trained = open_run(Path(name), given, device=pick_device("cpu"))
        subject = Run(trained, spec)
        if spec.out is not None:
            print(write_run(subject, Path(spec.out)))
            return
    else:
        subject = Movies(name, films_of_store(name, spec), spec)
        if spec.out is not None:
            print(write_movie(subject, Path(spec.out)))
            return
    serve(lambda: subject, port=spec.port, browser=spec.browser)


if __name__ == "__main__":
    run_command(main)
