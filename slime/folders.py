"""Folders to write into: refused in one line where they cannot be."""

import os
from pathlib import Path

from slime.errors import SlimeError


def check_place(path: Path) -> None:
    """Refuse a path that cannot be made, before anything is computed for it. Nothing is written.

    Raises:
        SlimeError: a folder above it is a file, or cannot be written to.
    """
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise SlimeError(f"out={path} cannot be made: {there} is not a directory")
    if not os.access(there, os.W_OK | os.X_OK):
        raise SlimeError(f"out={path} cannot be made: {there} cannot be written to")


def make_folder(path: Path) -> None:
    """The folder, with those above it.

    Raises:
        SlimeError: a part of the path is a file, or lies where no folders are made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
        raise SlimeError(f"the folder {path} cannot be made: {error.strerror}") from error
