"""Cells of a grid kept in a file while they are computed, so that a kill loses seconds at most."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from slime.errors import SlimeError
from slime.files import read_lines, write_text

Point = tuple[int, ...]  # a cell's place in the grid
EVERY_S = 1.0  # between writes: a plane of a small net has thousands of cells a second


class KeptCells:
    """What is known of a grid, and the file that grows with it; a context.

    The file's first line says which grid it is: the net, the windows, the loss, axes, directions.

    Raises:
        SlimeError: the file holds cells of another grid, or something else.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]):
        self.path, self.known = path, dict[Point, float]()
        line = json.dumps(identity, sort_keys=True, default=str)
        if path.exists():
            rows = read_lines(path)
            if not rows or "grid" not in rows[0]:
                raise SlimeError(f"{path} does not hold cells of a loss landscape: name another")
            held = json.loads(rows[0]["grid"])
            others = [key for key, value in json.loads(line).items() if held.get(key) != value]
            if others:
                raise SlimeError(
                    f"{path} holds cells of another grid ({', '.join(sorted(others))} differ): "
                    "delete it to begin anew, or name another"
                )
            self.known = {tuple(row["cell"]): float(row["loss"]) for row in rows[1:]}
        self._new = list[tuple[Point, float]]()
        kept = "".join(_line(point, loss) for point, loss in self.known.items())
        write_text(path, json.dumps({"grid": line}) + "\n" + kept)  # a line cut short is gone
        self._written = time.monotonic()

    def add(self, point: Point, loss: float) -> None:
        """A cell more; on disk within seconds."""
        self.known[point] = loss
        self._new.append((point, loss))
        if time.monotonic() - self._written > EVERY_S:
            self._write()

    def _write(self) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(_line(point, loss) for point, loss in self._new))
        self._new, self._written = [], time.monotonic()

    def __enter__(self) -> "KeptCells":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._new:
            self._write()


def _line(point: Point, loss: float) -> str:
    return json.dumps({"cell": [int(i) for i in point], "loss": np.float64(loss).item()}) + "\n"
