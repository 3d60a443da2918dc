import re

import numpy as np
import pytest
import xarray as xr

from slime.errors import SlimeError
from slime.frames import GIB
from slime.mixing import Mixing, block_length, mixing

FRAME = 1000  # bytes


def mixed(budget, block=10, span=3):
    movie = xr.DataArray(np.zeros((200, 1, 10, 100), "u1"), dims=("time", "channel", "y", "x"))
    ranges = [[(a, a + block) for a in range(0, 200, block)]]
    return mixing([movie], ranges, [FRAME], span=span, memory_budget=budget)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        # a block of 10 frames with 3 edges of 2 (one less in all) for each block that is mixed,
        # and with one for each that is read ahead
        (14_000, Mixing(1, 0)),
        (25_999, Mixing(1, 0)),
        (26_000, Mixing(1, 1)),
        (85_999, Mixing(4, 1)),
        (86_000, Mixing(4, 2)),
        (182_000, Mixing(10, 2)),
    ],
)
def test_the_budget_is_spent_on_blocks_to_mix_and_to_read_ahead(budget, expected):
    assert mixed(budget) == expected
    assert (expected.n_live * 16 - 2 + expected.n_ahead * 12) * FRAME <= budget


def test_below_one_block_it_is_refused():
    with pytest.raises(
        SlimeError, match=r"memory_budget=13999 bytes .* takes 14000\..*ingest_movie"
    ):
        mixed(13_999)


@pytest.mark.parametrize("block", range(10, 60, 7))
def test_the_advice_holds_a_budget_that_will_do(block):
    with pytest.raises(SlimeError) as refused:
        mixed(1, block=block)
    words = re.search(r"data\.memory_gib=(\S+) would do", str(refused.value))
    assert mixed(int(float(words[1]) * GIB), block=block).n_live >= 1


@pytest.mark.parametrize(
    ("budget", "span", "frames"),
    [
        (0, 2, 8),  # never shorter
        (0, 30, 29),  # nor than a window's edge
        (24 * 20 * FRAME, 2, 17),  # 24 blocks of 17 frames with their edges fill the budget
        (10**12, 2, 4194),  # a read of 4 MiB
    ],
)
def test_blocks_are_short_where_the_budget_is(budget, span, frames):
    assert block_length(FRAME, span, budget) == frames
