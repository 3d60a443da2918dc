"""What the user may choose of how a movie is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Choices:
    """What the user may choose of how a movie is measured.

    Attributes:
        smooth_px: of the Gaussian over each frame before waves and mounds are looked for.
        falling: waves are dark.
        shortest_s, longest_s: periods looked for; None as in period_map.
        threshold: of a mound, movie units; None for Otsu's of the frame that varies most.
        min_area_um2: of a mound; None for the area of the smoothing (4 pi sigma^2).
    """

    smooth_px: float | int = 2.0
    falling: bool = False
    shortest_s: float | int | None = None
    longest_s: float | int | None = None
    threshold: float | int | None = None
    min_area_um2: float | int | None = None
