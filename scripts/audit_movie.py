"""Say what is wrong with movies: python scripts/audit_movie.py STORE [STORE ...] [key=value ...].

Exit code 0 where there is nothing but notes, 1 where there are warnings or errors.
"""

from collections.abc import Sequence
from pathlib import Path

from slime.arguments import wants_help
from slime.audit_stores import (
    audit_stores,
    folder_name,
    help_text,
    parse_words,
    table_text,
    write_tables,
)
from slime.command import run_command
from slime.plots import save_figure
from slime.plots.audit import audit_page
from slime.progress import bar
from slime.schedule import HELP, pick_scheduler, scheduler

USAGE = (
    "usage: python scripts/audit_movie.py STORE [STORE ...] [out=PATH] [key=value ...] "
    "[--scheduler tcp://HOST:PORT]"
)


def main(words: Sequence[str]) -> int:
    """Audit each store, compare them, and write a table and a picture of each."""
    if wants_help(words):
        print(help_text(USAGE, HELP))
        return 0
    address, rest = pick_scheduler(words)
    stores, spec = parse_words(rest)
    with scheduler(address) as executor:
        audited = audit_stores(stores, spec, executor=executor, progress=bar)
    for store, report in audited:
        alone = len(audited) == 1 and spec.out
        folder = Path(spec.out or "audit") / ("" if alone else folder_name(report.movie))
        write_tables(report, store, folder)
        save_figure(audit_page(report), folder / "audit.png")
        print(table_text(report))
        print(f"  {folder / 'audit.png'}")
    return int(any(f.severity != "note" for _, report in audited for f in report.findings))


if __name__ == "__main__":
    run_command(main)
