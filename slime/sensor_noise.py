"""The noise of a camera's pixels, estimated from the frames to train on.

No forecast can remove it from the frame it is scored against. The estimate takes what changes from
one frame to the next as a checkerboard does, pixel against pixel. It assumes that noise is
independent from pixel to pixel and from frame to frame, and that in half of the pixels of a like
level nothing else is so fine: what flickers pixel by pixel, as cells of one pixel do, counts as
noise, and noise that was smoothed away by a projection or a codec does not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Shaped

from slime.frames import blank_frames, chunk_grid, read_frames
from slime.progress import Progress
from slime.split import Split

N_TRIPLES = 24  # runs of three frames that are looked at in a movie's train split
N_DETAILS = 1 << 16  # values taken of each
N_LEVELS = 16  # groups of equal count, by level
LEAST_PER_LEVEL = 100
GAUSS_HALF = 0.142646  # mean square of the smaller half of a unit Gaussian's values
STILL = 1.1  # ratios above which an estimate holds motion


@dataclass(frozen=True)
class SensorNoise:
    """Noise variance of each channel as a straight line over the level of light, movie units.

    Attributes:
        level, variance: a point of the line; of an estimate the means of the train frames.
        slope: variance a level.
        lowest, highest: levels beyond which the line is not followed.
        doubts: for each channel why the estimate may be too high; '' where nothing speaks for it.
    """

    level: Float[np.ndarray, " c"]
    variance: Float[np.ndarray, " c"]
    slope: Float[np.ndarray, " c"]
    lowest: Float[np.ndarray, " c"]
    highest: Float[np.ndarray, " c"]
    doubts: tuple[str, ...] = ()

    def at(self, level: Float[np.ndarray, "*any c"]) -> Float[np.ndarray, "*any c"]:
        """The variance at levels of light, also the mean one of pixels of that mean level."""
        held = np.clip(level, self.lowest, self.highest)
        return np.maximum(self.variance + self.slope * (held - self.level), 0)


Triple = tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"], Float[np.ndarray, " _"]]


def estimate_noise(
    movies: Sequence[xr.DataArray],
    splits: Sequence[Split | None],
    *,
    progress: Progress | None = None,
) -> list[SensorNoise | None]:
    """The noise of each movie from frames of its split (train); None of all where none has any.

    A movie without such a split (held out whole) gets what the others' frames tell together. Of a
    movie 24 runs of three frames are read, spread over its split.

    Raises:
        StoreError: a chunk cannot be read.
    """
    places = [
        [] if cut is None else _triples(movie, cut)
        for movie, cut in zip(movies, splits, strict=True)
    ]
    turns = [(i, place) for i, of_movie in enumerate(places) for place in of_movie]
    found: list[list[list[Triple]]] = [[] for _ in movies]
    watched = progress(turns, len(turns), "estimating the noise") if progress else turns
    for i, starts in watched:
        found[i] += _details(movies[i], starts)
    together = _fitted([triple for of_movie in found for triple in of_movie])
    return [_fitted(of_movie) or together for of_movie in found]


def _triples(movie: xr.DataArray, split: Split) -> list[list[int]]:
    """First frames of runs of three that are not blank, those of one chunk together."""
    chunk, offset = chunk_grid(movie)
    blank = blank_frames(movie, split.start, split.stop)
    last = split.stop - 3
    wanted = np.unique(np.linspace(split.start, max(last, split.start), N_TRIPLES).astype(int))
    groups: dict[int, list[int]] = {}
    for start in wanted.tolist():
        end = start + chunk - (start - offset) % chunk  # of its chunk
        start = max(min(start, end - 3), split.start) if chunk >= 3 else start
        first = start - split.start
        if start <= last and not blank[first : first + 3].any():
            groups.setdefault((start - offset) // chunk, []).append(start)
    return [sorted(set(starts)) for starts in groups.values()]


def _details(movie: xr.DataArray, starts: Sequence[int]) -> list[list[Triple]]:
    """For each run of frames and each channel: level, and the fine part of changes."""
    first = starts[0]
    pixels, mask = read_frames(movie, first, starts[-1] + 3)
    found = []
    for start in starts:
        rows = slice(start - first, start - first + 3)
        counts = None if mask is None else mask[rows]
        found.append(
            [
                _fine_changes(pixels[rows, c], None if counts is None else counts[:, c])
                for c in range(pixels.shape[1])
            ]
        )
    return found


def _fine_changes(
    frames: Shaped[np.ndarray, "3 y x"], counts: Bool[np.ndarray, "3 y x"] | None
) -> Triple:
    """Mean levels of squares of 3 x 3 pixels, and their checkered changes over 1 and 2 frames.

    Each of the two has the variance of one frame's noise where nothing moves.
    """
    height, width = (n - 2 for n in frames.shape[1:])
    if height < 1 or width < 1:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    every = max(1, math.ceil(math.sqrt(height * width / N_DETAILS)))
    shape = (3, 3, -(-height // every), -(-width // every))
    sums = np.zeros((3, *shape[2:]))
    known = np.ones(shape[2:], bool)
    for dy, a in enumerate((1, -2, 1)):
        for dx, b in enumerate((1, -2, 1)):
            near = slice(dy, dy + height, every), slice(dx, dx + width, every)
            before, middle, after = frames[:, near[0], near[1]].astype(np.float64)
            sums += np.stack(
                [(before + middle + after) / 27, a * b * (after - middle), a * b * (after - before)]
            )
            if counts is not None:
                known &= counts[:, near[0], near[1]].all(axis=0)
    level, one, two = sums[:, known] / np.array([1.0, math.sqrt(72), math.sqrt(72)])[:, None]
    return level, one, two


def _fitted(triples: Sequence[Sequence[Triple]]) -> SensorNoise | None:
    """The line of each channel through the groups of like level; None without enough pixels."""
    lines: list[Any] = []
    for of_channel in zip(*triples, strict=True):
        joined = [np.concatenate(part) for part in zip(*of_channel, strict=True)]
        if len(joined[0]) < LEAST_PER_LEVEL:
            return None
        lines.append(_line(*joined))
    if not lines:
        return None
    *numbers, doubts = zip(*lines, strict=True)
    return SensorNoise(*(np.array(column) for column in numbers), doubts=doubts)


def _line(
    level: Float[np.ndarray, " n"], one: Float[np.ndarray, " n"], two: Float[np.ndarray, " n"]
) -> tuple[float, float, float, float, float, str]:
    """Mean level and variance, slope, range of levels, and doubts.

    A group's variance is that of a Gaussian with the same smaller half of values, so that what
    moves in less than half of its pixels does not count.
    """
    n_groups = max(1, min(N_LEVELS, len(level) // LEAST_PER_LEVEL))
    groups = np.array_split(np.argsort(level, kind="stable"), n_groups)
    levels = np.array([level[g].mean() for g in groups])
    near, far = (np.array([_half_variance(part[g]) for g in groups]) for part in (one, two))
    apart = levels - levels.mean()
    spread = float((apart**2).sum())
    slope = float(apart @ near) / spread if spread > 0 else 0.0
    ends = float(levels.min()), float(levels.max())
    doubts = _doubts(float(near.mean()), float(far.mean()), float((one**2).mean()))
    return float(levels.mean()), float(near.mean()), slope, *ends, doubts


def _half_variance(detail: Float[np.ndarray, " n"]) -> float:
    smaller = np.sort(detail**2)[: detail.size // 2]
    return float(smaller.mean() / GAUSS_HALF)


def _doubts(near: float, far: float, whole: float) -> str:
    said = []
    if far > STILL * near:
        said.append(f"fine detail varies {_ratio(far, near)} as much over two frames as over one")
    if whole > STILL * near:
        said.append(f"all pixels together {_ratio(whole, near)} as much as the quieter half tells")
    return "; ".join(said)


def _ratio(a: float, b: float) -> str:
    return f"{a / b:.3g} times" if b > 0 else "infinitely"
