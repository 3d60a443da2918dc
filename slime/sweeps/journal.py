"""What became of a sweep's runs: a line each time that one ends, which a kill leaves whole."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from slime.files import append_line, read_lines
from slime.sweeps.plan import Planned

JOURNAL = "runs.jsonl"
State = Literal["finished", "failed", "unfinished"]


class Ended(NamedTuple):
    """How a run ended; `why` is the last thing that it said where it failed."""

    state: State
    code: int
    seconds: float
    why: str = ""


def read_journal(folder: Path) -> dict[str, Ended]:
    """How each run of a sweep's folder ended the last time, by its name."""
    rows = read_lines(folder / JOURNAL)
    return {row["run"]: Ended(*(row[key] for key in Ended._fields)) for row in rows}


def write_end(folder: Path, run: Planned, ended: Ended) -> None:
    """Add how a run ended."""
    row: Mapping[str, Any] = {"run": run.name, **ended._asdict()}
    when = time.strftime("%Y-%m-%d %H:%M:%S %z")
    append_line(folder / JOURNAL, {**row, "ended": when, "settings": dict(run.settings)})


def state_of(folder: Path, run: Planned, journal: Mapping[str, Ended]) -> State:
    """What is known of a run: unfinished where it was not begun, or stopped on its way.

    A page, the last thing that a training writes, tells of an end that the journal was not told
    of, as the sweep was killed just then.
    """
    place, held = folder / run.name, journal.get(run.name)
    if held is not None and held.state == "failed":
        return "failed"
    if held is not None and held.state == "finished" and place.is_dir():
        return "finished"
    return "finished" if (place / "report.html").is_file() else "unfinished"
