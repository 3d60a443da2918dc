"""What a study has done so far: a small file for each of its cells, none of which is done twice."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from slime.errors import SlimeError
from slime.files import write_aside
from slime.run.folder import hash_of


class Cell(NamedTuple):
    """Plain numbers and words by name, and arrays."""

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Cells:
    """A folder of finished cells, each in a file named by what it is and a hash of its key.

    A cell is written aside and renamed: a kill leaves it done or not begun, and the study goes on.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def __contains__(self, key: tuple[str, Mapping[str, Any]]) -> bool:
        return self._path(*key).exists()

    def get(self, name: str, key: Mapping[str, Any], make: Callable[[], Cell]) -> Cell:
        """The cell of a name and key (plain values), made where it is not there.

        Raises:
            SlimeError: its file is damaged.
        """
        path = self._path(name, key)
        if not path.exists():
            facts, arrays = make()
            told = json.dumps({"key": dict(key), "facts": facts}, default=float)
            write_aside(path, lambda aside: _save(aside, {**arrays, "told": np.array(told)}))
        return _load(path)

    def _path(self, name: str, key: Mapping[str, Any]) -> Path:
        return self.folder / f"{name}-{hash_of(dict(key))}.npz"


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **dict(arrays))  # pyright: ignore[reportArgumentType]


def _load(path: Path) -> Cell:
    try:
        with np.load(io.BytesIO(path.read_bytes())) as held:
            arrays = {name: held[name] for name in held.files}
        told = json.loads(str(arrays.pop("told")))
    except Exception as error:
        raise SlimeError(
            f"{path} is damaged ({type(error).__name__}): delete it, and it is made again"
        ) from error
    return Cell(told["facts"], arrays)
