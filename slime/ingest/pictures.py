"""PNG, JPEG and BMP pictures through Pillow, as stored."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image, UnidentifiedImageError

from slime.axes import Axis
from slime.errors import StoreError
from slime.ingest.source import Facts, RawArray, Source

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
COLOURS = {2: ("grey", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}


def read_picture(path: Path) -> Shaped[np.ndarray, "..."]:
    """The pixels of a PNG, JPEG or BMP as stored, axes y, x and then colour; palettes are undone.

    Raises:
        StoreError: no picture, or one of 16 bits a colour, which Pillow would cut to 8.
    """
    try:
        with Image.open(path) as picture:
            if _is_deep_colour(path):
                raise StoreError(
                    f"{path.name!r} has 16 bits a colour, which cannot be read whole here: save it "
                    "as TIFF"
                )
            if getattr(picture, "n_frames", 1) > 1:
                raise StoreError(f"{path.name!r} is an animation: save its frames as TIFF")
            if picture.mode in ("P", "PA", "CMYK", "YCbCr"):
                alpha = "transparency" in picture.info or picture.mode == "PA"
                return np.asarray(picture.convert("RGBA" if alpha else "RGB"))
            return np.asarray(picture)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise StoreError(f"{path.name!r} is no readable picture ({error}): put it back") from error


def _is_deep_colour(path: Path) -> bool:
    """Whether a PNG holds colours, or grey with alpha, of 16 bits: its header says so."""
    with path.open("rb") as file:
        head = file.read(26)
    return head[:4] == b"\x89PNG" and head[24] == 16 and head[25] != 0


def picture_source(path: Path) -> Source:
    """One picture, without a time axis."""
    pixels = read_picture(path)
    axes: tuple[Axis, ...] = ("y", "x", "channel") if pixels.ndim == 3 else ("y", "x")
    names = COLOURS.get(pixels.shape[-1], ()) if pixels.ndim == 3 else ()
    return Source(
        label=path.stem,
        kind="pictures",
        files=[path],
        axes=axes,
        shape=pixels.shape,
        dtype=pixels.dtype,
        opener=partial(_open_picture, path),
        facts=Facts(channels=names),
    )


def _open_picture(path: Path, stack: ExitStack) -> RawArray:
    return read_picture(path)
