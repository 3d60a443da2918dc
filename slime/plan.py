"""The order in which an epoch reads blocks and emits windows: a pure function of (seed, epoch).

A split is cut in time into blocks of whole chunks, and these into segments, each read from front to
back by a head of its own; heads take turns at random. A window that reaches into the next block is
emitted from it, since the few frames before a block are kept from its predecessor, so that each
chunk is decoded once. Heads stand all over the movies, so that even a few blocks in memory hold
windows of all times: a movie that drifts is shuffled well by a small buffer. CorgiPile
(arXiv 2206.05830) shows why blocks must be mixed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Block:
    """Frames `start` to `stop` of a movie, read at once, with `before` and `after` kept ones."""

    movie: int
    start: int
    stop: int
    before: int = 0
    after: int = 0

    @property
    def first(self) -> int:
        """First frame held, kept ones included."""
        return self.start - self.before

    @property
    def last(self) -> int:
        """One past the last frame held, kept ones included."""
        return self.stop + self.after


def time_blocks(
    start: int, stop: int, chunk_frames: int, wanted: int, offset: int = 0
) -> list[tuple[int, int]]:
    """Runs of whole chunks that cover frames start to stop, each of at least `wanted` frames.

    Chunks begin at frame `offset`. The first and last run are cut at the range's ends.

    >>> time_blocks(5, 40, chunk_frames=16, wanted=8)
    [(5, 16), (16, 32), (32, 40)]
    """
    length = -(-wanted // chunk_frames) * chunk_frames
    edges = np.arange((start - offset) // length * length + offset, stop, length)
    starts = np.maximum(edges, start)
    return [(int(a), int(b)) for a, b in zip(starts, [*starts[1:], stop], strict=True) if a < b]


def segment_cuts(n_blocks: int, n_segments: int, rng: np.random.Generator | None) -> list[int]:
    """First blocks of segments of nearly equal length, at least two blocks each where possible.

    Cuts move at random from epoch to epoch, together, by up to half a segment either way.
    """
    shift = rng.random() - 0.5 if rng is not None else 0.0
    raw = np.floor((np.arange(1, n_segments) + shift) * n_blocks / n_segments).astype(int)
    cuts = [0]
    for cut in raw:
        if cut - cuts[-1] >= 2 and n_blocks - cut >= 2:
            cuts.append(int(cut))
    return cuts


def arrival_order(
    ranges: Sequence[Sequence[tuple[int, int]]],
    spans: Sequence[int],
    n_heads: int,
    rng: np.random.Generator | None,
) -> list[Block]:
    """Blocks of all movies in the order of reading; in time order where `rng` is None.

    Args:
        ranges: for each movie its blocks as (start, stop), in time order.
        spans: for each movie the frames that a window spans.
        n_heads: segments to open in all, at most; each movie has one at least.
    """
    n_all = sum(map(len, ranges))
    timed: list[tuple[float, int, Block]] = []
    for movie, (blocks, span) in enumerate(zip(ranges, spans, strict=True)):
        n_segments = max(1, min(len(blocks) // 2, n_heads * len(blocks) // max(n_all, 1)))
        cuts = segment_cuts(len(blocks), n_segments if rng is not None else 1, rng)
        for first, stop in zip(cuts, [*cuts[1:], len(blocks)], strict=True):
            n = stop - first
            turns = (np.arange(n) + (rng.random(n) if rng is not None else 0)) / n
            for i in range(n):
                a, b = blocks[first + i]
                before = min(span - 1, a - blocks[first][0])
                # A segment's end waits for the start of the next one, which has long been read.
                after = min(span - 1, blocks[-1][1] - b) if i == n - 1 else 0
                opening = i == 0 and len(cuts) > 1
                turn = movie + float(turns[i]) if rng is None else float(turns[i])
                timed.append(
                    (-1.0 if opening else turn, len(timed), Block(movie, a, b, before, after))
                )
    if rng is not None:
        lots = rng.random(len(timed))
        timed = [(t, lots[i] if t < 0 else i, b) for t, i, b in timed]
    return [block for _, _, block in sorted(timed, key=lambda entry: entry[:2])]


def window_blocks(
    order: Sequence[Block], movie: int, starts: Int[np.ndarray, " windows"], span: int
) -> Int[np.ndarray, " windows"]:
    """For each window of a movie the place in `order` of the block that emits it.

    A window inside one block belongs to it; one that reaches into the next belongs to that one if
    it holds the frames before it, else (at a segment's end) to the one in which it starts.
    """
    if not len(starts):
        return np.zeros(0, int)
    own = sorted(((b.start, place, b.before) for place, b in enumerate(order) if b.movie == movie))
    first, place, before = (np.array(column) for column in zip(*own, strict=True))
    in_block = np.searchsorted(first, starts, side="right") - 1
    out_block = np.searchsorted(first, starts + span - 1, side="right") - 1
    held_back = (before[out_block] > 0) | (in_block == out_block)
    return place[np.where(held_back, out_block, out_block - 1)]


def emission_keys(
    arrivals: Int[np.ndarray, " windows"], n_blocks: int, n_live: int, rng: np.random.Generator
) -> Float[np.ndarray, " windows"]:
    """Keys by which windows are sorted into an epoch, so that `n_live` blocks are mixed throughout.

    A window of the a-th block to arrive draws its key uniformly between a - n_live + 1 and a + 1,
    cut to the epoch, so that at key k only the blocks floor(k) to floor(k) + n_live - 1 are needed.
    With n_live >= n_blocks this is a full shuffle.
    """
    low = np.maximum(arrivals - n_live + 1, 0)
    high = np.minimum(arrivals + 1, max(n_blocks - n_live + 1, 1))
    return low + (high - low) * rng.random(len(arrivals))


class Windows(NamedTuple):
    """Some windows of an epoch: movie, first frame, and corner (y, x) of the area cut from it."""

    movie: Int[np.ndarray, " b"]
    start: Int[np.ndarray, " b"]
    corner: Int[np.ndarray, "b 2"]


@dataclass(frozen=True)
class Epoch:
    """One epoch: windows in order of emission, and their blocks in order of reading."""

    movie: Int[np.ndarray, " windows"]
    start: Int[np.ndarray, " windows"]
    block: Int[np.ndarray, " windows"]
    corner: Int[np.ndarray, "windows 2"]
    order: list[Block]

    def windows(self, first: int, stop: int) -> Windows:
        """The windows of these numbers, in order."""
        rows = slice(first, stop)
        return Windows(self.movie[rows], self.start[rows], self.corner[rows])


def epoch_plan(
    starts: Sequence[Int[np.ndarray, " _"]],
    ranges: Sequence[Sequence[tuple[int, int]]],
    rooms: Sequence[tuple[int, int]],
    span: int,
    n_live: int | None,
    rng: np.random.Generator | None,
) -> Epoch:
    """The windows of all movies in the order of an epoch.

    Args:
        starts: for each movie the first frames of its windows.
        ranges: for each movie its blocks as (start, stop), in time order.
        rooms: for each movie the pixels by which a crop may move in y and x.
        n_live: blocks to mix; None mixes all.
        rng: None keeps time order and crops the middle.
    """
    n_all = sum(map(len, ranges))
    mixed = n_all if n_live is None else n_live
    order = arrival_order(ranges, [span] * len(ranges), mixed, rng)
    movie = np.repeat(np.arange(len(starts)), [len(s) for s in starts])
    start = np.concatenate(list(starts))
    block = np.concatenate([window_blocks(order, i, s, span) for i, s in enumerate(starts)])
    room = np.array(list(rooms), int).reshape(-1, 2)[movie]
    if rng is None:
        return Epoch(movie, start, block, room // 2, order)
    keys = emission_keys(block, len(order), len(order) if n_live is None else n_live, rng)
    corner = rng.integers(0, room + 1)
    turn = np.argsort(keys, kind="stable")
    return Epoch(movie[turn], start[turn], block[turn], corner[turn], order)


def share_of(
    starts: Sequence[Int[np.ndarray, " _"]], rank: int, world_size: int
) -> list[Int[np.ndarray, " _"]]:
    """The windows of one of `world_size` processes: a run of them in time, as long as the others'.

    Runs keep the chunks that two processes both read down to those at their borders. Sizes differ
    by one window at most.
    """
    n = sum(map(len, starts))
    first, stop = n * rank // world_size, n * (rank + 1) // world_size
    before = np.cumsum([0, *map(len, starts)])[:-1].tolist()
    return [s[max(first - a, 0) : max(stop - a, 0)] for s, a in zip(starts, before, strict=True)]
