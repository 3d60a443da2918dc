"""How many blocks are mixed at once, and how many read ahead: what a memory budget allows."""

from collections.abc import Sequence
from typing import NamedTuple

import xarray as xr

from slime.errors import SlimeError
from slime.frames import enough_gib, reading_nbytes
from slime.reader import READ_AHEAD

ENOUGH = 4  # blocks to mix before a second one is read ahead
PLENTY = 24  # blocks to mix and to read ahead before blocks are longer than they need to be
EDGES = 3  # of a block in memory: its own, and those kept of its segment's first and latest
SHORTEST = 8  # frames; shorter blocks cost more per read than they add to the shuffle
LONG_NBYTES = 4 << 20  # a read of that many bytes is worth its own cost


class Mixing(NamedTuple):
    """Blocks in memory that windows are drawn from, and blocks that are being read beside them."""

    n_live: int
    n_ahead: int


def block_length(frame_nbytes: int, span: int, memory_budget: int) -> int:
    """Frames that a block should have: no fewer than a window's edge, longer where all is roomy.

    Many short blocks mix better than a few long ones, but each read has a cost of its own.
    """
    roomy = memory_budget // (PLENTY * frame_nbytes) - EDGES * (span - 1)
    return max(SHORTEST, span - 1, min(roomy, LONG_NBYTES // frame_nbytes))


def mixing(
    movies: Sequence[xr.DataArray],
    ranges: Sequence[Sequence[tuple[int, int]]],
    frame_nbytes: Sequence[int],
    *,
    span: int,
    memory_budget: int,
) -> Mixing:
    """As many blocks as the budget holds: two of them being read where enough are left to mix.

    Args:
        ranges: for each movie its blocks as (start, stop).
        frame_nbytes: for each movie the bytes that a frame takes in memory.
        span: frames that a window spans; as many less one are kept of a block for its neighbours.

    Raises:
        SlimeError: not even one block fits, or a chunk of it, decoded, does not.
    """
    block = edge = working = least_working = 0
    for movie, blocks, frame in zip(movies, ranges, frame_nbytes, strict=True):
        if blocks:
            n = max(b - a for a, b in blocks)
            block, edge = max(block, n * frame), max(edge, (span - 1) * frame)
            working = max(working, reading_nbytes(movie, n))
            least_working = max(least_working, reading_nbytes(movie, n, side_by_side=False))
    # the only block in memory has no first one before it whose edge waits for the end
    room, each = memory_budget + edge, block + EDGES * edge
    for n_ahead, least in ((READ_AHEAD, ENOUGH), (1, 1)):
        n_live = (room - n_ahead * (block + edge)) // each
        if n_live >= least and n_ahead * working <= memory_budget:
            return Mixing(n_live, n_ahead)
    need = max(each - edge, least_working)
    if need <= memory_budget:
        return Mixing(room // each, 0)
    raise SlimeError(
        f"memory_budget={memory_budget} bytes is too small: the block of frames that one window "
        f"needs takes {need}. data.memory_gib={enough_gib(need)} would do, or a store with shorter "
        "chunks, which scripts/ingest_movie.py writes"
    )
