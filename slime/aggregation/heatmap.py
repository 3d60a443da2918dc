"""Maps that are high where mounds will be: made of known centres, and read for found ones."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import maximum_filter


class Peaks(NamedTuple):
    """Places (y, x) in pixels and the map's height there, the highest first."""

    places_px: Float[np.ndarray, "peak 2"]
    height: Float[np.ndarray, " peak"]

    def above(self, threshold: float | int) -> Float[np.ndarray, "peak 2"]:
        """The places of those higher than the threshold."""
        return self.places_px[self.height > threshold]


def heat_map(
    centres_px: Float[np.ndarray, "mound 2"], shape: tuple[int, int], sigma_px: float
) -> Float[np.ndarray, "y x"]:
    """A Gaussian of height 1 around every centre (y, x); the largest where they overlap."""
    y, x = np.indices(shape)
    found = np.zeros(shape)
    for at_y, at_x in centres_px:
        square = (y - at_y) ** 2 + (x - at_x) ** 2
        found = np.maximum(found, np.exp(-square / (2 * sigma_px**2)))
    return found


def find_peaks(heat: Float[np.ndarray, "y x"], *, apart_px: float | int) -> Peaks:
    """All local maxima (3 x 3) but those within `apart_px` of a higher one.

    Each is moved to the centre of what its 3 x 3 neighbourhood holds above that neighbourhood's
    lowest value, and stays where it is on flat ground. NaN is no peak.
    """
    field = np.where(np.isfinite(heat), heat, -np.inf)
    highest = (field == maximum_filter(field, 3, mode="nearest")) & np.isfinite(heat)
    at = np.argwhere(highest)
    at = at[np.argsort(-field[tuple(at.T)], kind="stable")]
    kept = np.zeros((0, 2), dtype=np.int64)
    for place in at:
        if not (np.hypot(*(kept - place).T) <= apart_px).any():
            kept = np.concatenate([kept, place[None]])
    places = np.array([_refined(field, place) for place in kept]).reshape(-1, 2)
    return Peaks(places, field[tuple(kept.T)].astype(np.float64))


def _refined(
    field: Float[np.ndarray, "y x"], place: Int[np.ndarray, " 2"]
) -> Float[np.ndarray, " 2"]:
    y, x = place
    rows, columns = slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2)
    around = field[rows, columns]
    known = np.isfinite(around)
    weight = np.where(known, around - around[known].min(), 0)
    if not weight.sum() > 0:
        return place.astype(np.float64)
    at_y, at_x = np.indices(around.shape)
    corner = np.array([rows.start, columns.start])
    shift = np.array([(at_y * weight).sum(), (at_x * weight).sum()]) / weight.sum()
    return corner + shift
