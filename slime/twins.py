"""Movies that show the same frames: subsampled, shifted or cut copies of one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np
from jaxtyping import Int

from slime.frame_table import FrameTable
from slime.split import Timeline

MIN_SHARED = 3  # frames that two movies must share to be called twins


@dataclass(frozen=True)
class Link:
    """Two movies that share frames, by their places in a list, and where `other`'s lie on `one`'s.

    `timeline` is None where they are shared in no regular order.
    """

    one: int
    other: int
    timeline: Timeline | None
    n_shared: int


def find_links(tables: Sequence[FrameTable]) -> list[Link]:
    """Pairs of movies that share frames to the last bit; frames of one single value do not count.

    A few equal frames between long movies may be chance, a test picture for instance; all frames of
    a movie of one or two are enough.
    """
    links = []
    for one, other in combinations(range(len(tables)), 2):
        _, theirs = _equal_frames(tables[one], tables[other])
        shortest = min(len(tables[one].digest), len(tables[other].digest))
        n_shared = len(np.unique(theirs))
        if n_shared >= min(MIN_SHARED, shortest):
            links.append(Link(one, other, _alignment(tables[one], tables[other]), n_shared))
    return links


def _equal_frames(
    one: FrameTable, other: FrameTable
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """For each frame of `other` that `one` has too: its first place in `one`, and in `other`."""
    digests, first = np.unique(one.digest, return_index=True)
    theirs = np.flatnonzero(~other.uniform & np.isin(other.digest, digests))
    return first[np.searchsorted(digests, other.digest[theirs])], theirs


def _alignment(one: FrameTable, other: FrameTable) -> Timeline | None:
    """The line on which all of `other`'s shared frames lie, None where there is none.

    Frames that come more than once in a movie (a frozen camera) do not tell where they lie, but
    have to agree with those that do.
    """
    own, theirs = _equal_frames(one, other)
    single = _is_single(one.digest)[own] & _is_single(other.digest)[theirs]
    known_own, known = own[single], theirs[single]
    if len(known) < 2:
        return Timeline(1, int(own[0] - theirs[0])) if len(own) == 1 else None
    every = Fraction(int(known_own[-1] - known_own[0]), int(known[-1] - known[0]))
    if every <= 0:
        return None
    line = Timeline(every, int(known_own[0]) - every * int(known[0]))
    return line if all(_agrees(line, one, other, int(j)) for j in theirs) else None


def _agrees(line: Timeline, one: FrameTable, other: FrameTable, frame: int) -> bool:
    at = line.offset + line.every * frame
    inside = at.denominator == 1 and 0 <= at < len(one.digest)
    return inside and bool(one.digest[int(at)] == other.digest[frame])


def _is_single(digest: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(digest, return_inverse=True, return_counts=True)
    return counts[place] == 1
