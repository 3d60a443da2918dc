"""Run the exercises and set their figures beside those of a reference run.

python -m foundations [NUMBER ...] [out=PATH]

Without a number, the table of all; exit code 1 when a row is out of its band. With one, its rows,
errata and figure, shown in a window, or saved where there is no display or out=PATH names a file.
With several or none, out=PATH is a folder for all their figures.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib import pyplot
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.registry import BackendFilter, backend_registry
from matplotlib.figure import Figure

from foundations.exercise import Outcome, drawn
from foundations.registry import UnknownExerciseError, exercise, exercises
from foundations.table import count_text, header, lines, told


class UsageError(ValueError):
    """A word of the command line that cannot be meant so."""


def main(words: Sequence[str]) -> int:
    """Run what is asked for; gives the exit code, 1 when a row is out of its band."""
    if {"-h", "--help", "help"} & set(words):
        print(__doc__)
        return 0
    numbers, out = _parsed(words)
    chosen = [exercise(number) for number in numbers] or list(exercises().values())
    if out is not None:
        _check_out(out, alone=len(chosen) == 1)
    print(header(), flush=True)
    n_rows = n_out = 0
    for one in chosen:
        outcome = one.run()
        for line in lines(one, outcome):
            print(line, flush=True)
        n_rows += len(outcome.rows)
        n_out += sum(not row.passed for row in outcome.rows)
        if numbers:
            for text in told(outcome):
                print(text)
        if len(chosen) == 1:
            _show(outcome, out, one.id)
        elif out is not None:
            save(outcome, out / f"{one.id}.png")
    print(count_text(n_out, n_rows))
    return 1 if n_out else 0


def _parsed(words: Sequence[str]) -> tuple[list[str], Path | None]:
    numbers, out = [], None
    for word in words:
        key, is_set, value = word.partition("=")
        if not is_set:
            numbers.append(word)
        elif key == "out" and value:
            out = Path(value)
        else:
            raise UsageError(f"{word!r}: the one setting is out=PATH")
    return numbers, out


def _check_out(out: Path, *, alone: bool) -> None:
    """Refuse what no figure can be saved as, before anything is computed."""
    known = FigureCanvasBase.get_supported_filetypes()
    if alone and out.suffix[1:].lower() not in known:
        raise UsageError(f"out={out}: a figure is saved as one of {', '.join(sorted(known))}")
    if not alone and out.exists() and not out.is_dir():
        raise UsageError(f"out={out} is a file; the figures of several exercises need a folder")


def _show(outcome: Outcome, out: Path | None, number: str) -> None:
    """A window where there is a display and no file is asked for; else the file, named."""
    window = None if out else _window()
    if window is not None:
        outcome.draw(window)
        pyplot.show()
        return
    path = out or Path(f"{number}.png")
    save(outcome, path)
    print(f"figure: {path}")


def _window() -> Figure | None:
    """An empty figure in a window of its own; None where there is no display."""
    windowed = backend_registry.list_builtin(BackendFilter.INTERACTIVE)
    try:
        if pyplot.get_backend().lower() in {name.lower() for name in windowed}:
            return pyplot.figure(figsize=(6.4, 4.0), layout="constrained")
    except ImportError:  # a windowed backend was asked for by name, but cannot be had here
        pass
    return None


def save(outcome: Outcome, path: Path) -> None:
    """The figure of an outcome as a file, written aside and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.{os.getpid()}.aside{path.suffix}")
    try:
        drawn(outcome).savefig(aside, dpi=110)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def ended() -> int:
    """The exit code of the command line; a user's mistake is told in one line."""
    try:
        return main(sys.argv[1:])
    except (UnknownExerciseError, UsageError, OSError) as error:
        print(f"foundations: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("foundations: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(ended())
