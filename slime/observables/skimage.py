"""scikit-image, which skeletons and flow need and nothing else does."""

from importlib import import_module
from typing import Any

from slime.errors import SlimeError


def needed_skimage(part: str) -> Any:
    """A module of scikit-image.

    Raises:
        SlimeError: it is not installed; the line says how to.
    """
    try:
        return import_module(f"skimage.{part}")
    except ImportError as error:
        raise SlimeError(
            "networks and flow need scikit-image: pip install 'slime[observe]'"
        ) from error
