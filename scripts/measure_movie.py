"""What a biologist measures: python scripts/measure_movie.py STORE out=PATH [key=value ...].

Waves, singularities, mounds and structure of each channel, with units and intervals, as tables;
--help lists every key.
"""

from collections.abc import Sequence
from pathlib import Path

from slime.arguments import wants_help
from slime.audit_stores import folder_name
from slime.command import run_command
from slime.observables.command import (
    help_text,
    measure_store,
    parse_words,
    silences,
    write_tables,
)
from slime.observables.table import table_text
from slime.plots import save_figure
from slime.plots.observables import observables_page
from slime.progress import bar


def main(words: Sequence[str]) -> int:
    """Measure every movie of a store, print the table and write it."""
    if wants_help(words):
        print(help_text())
        return 0
    store, spec = parse_words(words)
    measured = measure_store(store, spec, progress=bar)
    for of_movie in measured:
        label = folder_name(str(of_movie.movie.name))
        folder = Path(spec.out) if spec.out else Path("measured") / label
        folder = folder / label if spec.out and len(measured) > 1 else folder
        write_tables(of_movie, folder)
        for line in silences(of_movie.movie):
            print(f"note: {line}")
        for one in of_movie.channels:
            print(
                f"{of_movie.movie.name}, channel {one.field.channel}: "
                f"{len(one.field.frames)} frames"
            )
            if one.field.note:
                print(f"note: {one.field.note}")
            print(table_text(one.rows))
            picture = folder / f"observables_{folder_name(one.field.channel)}.png"
            save_figure(
                observables_page(one, f"{of_movie.movie.name}, {one.field.channel}"), picture
            )
        print(f"  {folder / 'observables.csv'}, and a picture of each channel")
    return 0


if __name__ == "__main__":
    run_command(main)
