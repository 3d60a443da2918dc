"""Figures as notebooks keep them: pictures of few colours, a third as large as a plain PNG."""

import io
from dataclasses import dataclass, field

from matplotlib.figure import Figure
from PIL import Image

from slime.errors import SlimeError


@dataclass(frozen=True)
class Picture:
    """A PNG that a notebook shows where it is a cell's last value."""

    png: bytes = field(repr=False)
    width_px: int
    height_px: int

    def _repr_png_(self) -> bytes:
        return self.png


def shown(figure: Figure, *, width_px: int = 900, n_colours: int = 256) -> Picture:
    """The figure drawn `width_px` wide in up to 256 colours, rare ones kept; undithered.

    Raises:
        SlimeError: no pixel, or a number of colours that a palette cannot have.
    """
    if width_px < 1:
        raise SlimeError(f"width_px={width_px} must be at least 1")
    if not 2 <= n_colours <= 256:
        raise SlimeError(f"n_colours={n_colours} must be from 2 to 256")
    plain = io.BytesIO()
    figure.savefig(plain, format="png", dpi=width_px / figure.get_figwidth(), facecolor="white")
    drawn = Image.open(plain).convert("RGB")
    few = drawn.quantize(
        n_colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE, kmeans=2
    )
    small = io.BytesIO()
    few.save(small, format="png", optimize=True)
    return Picture(small.getvalue(), *few.size)
