"""Networks: the skeleton of what is bright, its length, nodes, ends and loops."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Num
from scipy.ndimage import label

from slime.observables.fields import check_positive, counted, smoothed
from slime.observables.mounds import otsu_threshold
from slime.observables.skimage import needed_skimage

EIGHT = np.ones((3, 3))


class Network(NamedTuple):
    """The skeleton of one frame.

    Attributes:
        length_um: of all links between neighbouring pixels, 1 along an axis and sqrt 2 across.
        n_nodes: places where three links or more meet; touching ones are one.
        n_ends: pixels with one link.
        n_loops: meshes, by the Euler characteristic: pieces less it.
        n_pieces: connected parts.
    """

    length_um: float
    n_nodes: int
    n_ends: int
    n_loops: int
    n_pieces: int
    skeleton: Bool[np.ndarray, "y x"]


def find_network(
    frame: Num[np.ndarray, "y x"],
    *,
    pixel_um: float | int,
    threshold: float | int | None = None,
    sigma_px: float | int = 0,
    mask: Bool[np.ndarray, "y x"] | None = None,
) -> Network:
    """The network of the pixels above a threshold (Otsu's by default), thinned to lines.

    Thinning shortens a line's ends by about half of its width; edges of a mask cut lines.

    Raises:
        SlimeError: scikit-image is not installed.
    """
    check_positive(pixel_um=pixel_um)
    morphology = needed_skimage("morphology")
    field = counted(frame[None], None if mask is None else mask[None])[0].astype(np.float64)
    field = smoothed(field, sigma_px)
    level = otsu_threshold(field) if threshold is None else threshold
    return measure_skeleton(np.asarray(morphology.skeletonize(field > level), bool), pixel_um)


def measure_skeleton(skeleton: Bool[np.ndarray, "y x"], pixel_um: float | int) -> Network:
    """Length, nodes, ends and loops of lines one pixel wide.

    A diagonal link counts only where no way around its corner exists, so that a bend is not
    counted twice.
    """
    euler_number = needed_skimage("measure").euler_number
    degree, length = _links(skeleton)
    pieces: Any = label(skeleton, structure=EIGHT)
    nodes: Any = label(degree >= 3, structure=EIGHT)
    n_pieces = int(pieces[1])
    return Network(
        length * pixel_um,
        int(nodes[1]),
        int((degree == 1).sum()),
        n_pieces - int(euler_number(skeleton, connectivity=2)),
        n_pieces,
        skeleton,
    )


def _links(skeleton: Bool[np.ndarray, "y x"]) -> tuple[Int[np.ndarray, "y x"], float]:
    """Links of each pixel to its neighbours, 0 off the skeleton, and their length in pixels."""
    s = skeleton
    down, right = s[:-1] & s[1:], s[:, :-1] & s[:, 1:]
    falls = s[:-1, :-1] & s[1:, 1:] & ~s[:-1, 1:] & ~s[1:, :-1]
    rises = s[1:, :-1] & s[:-1, 1:] & ~s[:-1, :-1] & ~s[1:, 1:]
    degree = np.zeros(s.shape, int)
    for link, one, other in (
        (down, np.s_[:-1, :], np.s_[1:, :]),
        (right, np.s_[:, :-1], np.s_[:, 1:]),
        (falls, np.s_[:-1, :-1], np.s_[1:, 1:]),
        (rises, np.s_[1:, :-1], np.s_[:-1, 1:]),
    ):
        degree[one] += link
        degree[other] += link
    straight, across = int(down.sum() + right.sum()), int(falls.sum() + rises.sum())
    return degree, float(straight + np.sqrt(2) * across)
