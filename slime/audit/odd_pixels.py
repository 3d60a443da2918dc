"""Pixels that do not see the dish: dead and stuck ones, hot ones, and areas that never change."""

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import label

from slime.audit.findings import Finding, some_of
from slime.audit.measures import Measures
from slime.audit.pixel_maps import PixelMaps

N_STILL = 8  # frames that a pixel must hold its value in to be called dead
LIVELY = 4  # values that the neighbours of a dead pixel must range over: fewer, and chance may
# hold a pixel still in a dim 8-bit movie
LONE = 16  # pixels side by side that may be dead; more never changing are an area
AROUND = 20  # of the 24 pixels around it that must be that lively
MOST_FAR = 0.01  # share of pixels that may be hot; above, lone dots are the texture
MOSTLY = 0.5  # share of frames in which a hot pixel stands out: cells may pass over it in others
STILL_AREA = 0.001  # share of a picture that must never change to be worth a word


def pixel_findings(measures: Measures, n_usable: int, channels: list[str]) -> list[Finding]:
    """Dead and hot pixels by place, and areas that never change."""
    if measures.maps is None or n_usable < N_STILL:
        return []
    found = []
    for c, name in enumerate(channels):
        dead, hot = dead_pixels(measures.maps, c), hot_pixels(measures.maps, c)
        for kind, where, what in (
            ("dead pixel", dead, "keep one value while all around them change"),
            ("hot pixel", hot & ~dead, "stand far out from all their neighbours"),
        ):
            places = [f"y {y} x {x}" for y, x in np.argwhere(where)]
            if places:
                advice = (
                    f"channel {name}: {len(places)} pixels {what} ({some_of(places)}): leave them "
                    "out with data.mask, or put the median of their neighbours there"
                )
                found.append(Finding(kind, (), "warning", advice, tuple(places)))
        still = _still(measures.maps, c) & ~dead
        if STILL_AREA < still.mean() < 1:
            advice = (
                f"channel {name}: {100 * still.mean():.2g} % of the pixels never change (outside "
                "of a dish, a scale bar?): leave them out of losses and scores with data.mask"
            )
            found.append(Finding("still area", (), "note", advice))
    return found


def _still(maps: PixelMaps, channel: int) -> Bool[np.ndarray, "y x"]:
    return maps.counted[channel] & (maps.low[channel] == maps.high[channel])


def dead_pixels(maps: PixelMaps, channel: int) -> Bool[np.ndarray, "y x"]:
    """Pixels (lone, or a line of them) that never change where all around do.

    A pixel at a value that its neighbours have as their lowest or highest, such as the black of
    a movie without noise, may just never have been visited: it is not called dead.
    """
    still, low, high = _still(maps, channel), maps.low[channel], maps.high[channel]
    if not still.any() or min(still.shape) < 5:
        return np.zeros_like(still)
    reach = high.astype(float) - low if maps.high.dtype.kind == "f" else high - low.astype(float)
    least = np.nextafter(0, 1) if maps.high.dtype.kind == "f" else LIVELY
    groups: np.ndarray = label(still, np.ones((3, 3)))[0]  # pyright: ignore
    dead = np.zeros_like(still)
    for k in np.flatnonzero(np.bincount(groups.ravel())[1:] <= LONE) + 1:
        for y, x in np.argwhere(groups == k):
            near = (slice(max(y - 2, 0), y + 3), slice(max(x - 2, 0), x + 3))
            other = ~still[near]
            lively = (reach[near] >= least) & other
            unvisited = ((low[near] == low[y, x]) | (high[near] == low[y, x])) & other
            dead[y, x] = lively.sum() >= AROUND * other.size / 25 and unvisited.sum() < 2
    return dead


def hot_pixels(maps: PixelMaps, channel: int) -> Bool[np.ndarray, "y x"]:
    """Pixels that stand out from their neighbours in most of the frames looked at."""
    hot = maps.counted[channel] & (maps.n_far[channel] >= MOSTLY * max(maps.n_looked, 1))
    if maps.n_looked < N_STILL or hot.mean() > MOST_FAR:
        return np.zeros_like(hot)
    return hot
