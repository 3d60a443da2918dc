"""Pictures that a user gives for a correction: a dark frame, a flat field."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from jaxtyping import Float

from slime.errors import SlimeError
from slime.ingest.frames import Cut
from slime.ingest.pictures import read_picture


def given_picture(words: str, cut: Cut, key: str) -> Float[np.ndarray, "c y x"]:
    """An image of the size of the source's frames or of the crop, for one channel or all.

    Raises:
        SlimeError: no such file, or another size.
    """
    path = Path(words).expanduser()
    if not path.is_file():
        raise SlimeError(f"{key}={words}: there is no such image")
    pixels = _image(path)
    n_channels, height, width = cut.shape[1:]
    whole = cut.source.size("y"), cut.source.size("x")
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    if pixels.ndim == 3 and pixels.shape[1:] == whole:
        pixels = pixels[:, cut.y, cut.x]
    if pixels.ndim != 3 or pixels.shape[1:] != (height, width):
        raise SlimeError(
            f"{key}={words} has shape {pixels.shape}, but a frame is {whole[0]} x {whole[1]} pixels"
        )
    if len(pixels) == cut.source.size("channel") and len(pixels) > 1:
        pixels = pixels[list(cut.channels)]
    if len(pixels) not in (1, n_channels):
        raise SlimeError(f"{key}={words} holds {len(pixels)} pictures for {n_channels} channels")
    if not np.isfinite(pixels).all():
        raise SlimeError(f"{key}={words} holds NaN or infinite pixels")
    return pixels.astype(np.float32)


def _image(path: Path) -> Any:
    if path.suffix == ".npy":
        return np.squeeze(np.load(path, allow_pickle=False))
    if path.suffix.lower() in (".tif", ".tiff"):
        return np.squeeze(tifffile.imread(path))
    return read_picture(path)
