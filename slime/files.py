"""Files that a kill leaves whole: written aside, flushed to disk, then renamed."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from slime.folders import make_folder


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make the file under another name, then rename it over `path`."""
    make_folder(path.parent)
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside{path.suffix}")
    try:
        write(aside)
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """A whole text file, UTF-8."""
    write_aside(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """A whole JSON file."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """One JSON line at the end of a file, in one write, on disk when this returns."""
    make_folder(path.parent)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, default=str) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole JSON lines of a file; a last line cut short by a kill is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
