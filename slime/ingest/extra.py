"""Readers that are installed only where they are needed."""

from importlib import import_module
from pathlib import Path
from typing import Any

from slime.errors import SlimeError


def needed(package: str, path: Path | str, pip_name: str | None = None) -> Any:
    """The package that reads a file.

    Raises:
        SlimeError: it is not installed; the line says how to.
    """
    try:
        return import_module(package)
    except ImportError as error:
        name = pip_name or package
        raise SlimeError(
            f"{str(path)!r} needs the package {name}: pip install {name} (or 'slime[ingest]')"
        ) from error
