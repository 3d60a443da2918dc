from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slime.plan import (
    arrival_order,
    emission_keys,
    epoch_plan,
    segment_cuts,
    share_of,
    time_blocks,
    window_blocks,
)


@st.composite
def splits(draw):
    """Start, stop, frames in a chunk, span of a movie's windows, and where a chunk begins."""
    start = draw(st.integers(0, 40))
    span = draw(st.integers(2, 14))
    chunk = draw(st.integers(1, 20))
    stop = start + draw(st.integers(span, 150))
    return start, stop, chunk, span, draw(st.integers(0, chunk - 1))


@given(splits())
def test_blocks_cover_the_split_once_in_whole_chunks(split):
    start, stop, chunk, span, offset = split
    blocks = time_blocks(start, stop, chunk, max(8, span - 1), offset)
    assert [f for a, b in blocks for f in range(a, b)] == list(range(start, stop))
    assert all((a - offset) % chunk == 0 for a, _ in blocks[1:])
    assert all(b - a >= max(8, span - 1) for a, b in blocks[1:-1])
    # a chunk lies in one block
    owners = Counter()
    for a, b in blocks:
        owners.update({(f - offset) // chunk for f in range(a, b)})
    assert set(owners.values()) == {1}


@given(
    n_blocks=st.integers(1, 60), n_segments=st.integers(1, 30), seed=st.none() | st.integers(0, 9)
)
def test_segments_start_at_block_0_and_hold_two_blocks_each(n_blocks, n_segments, seed):
    rng = None if seed is None else np.random.default_rng(seed)
    cuts = segment_cuts(n_blocks, n_segments, rng)
    assert cuts[0] == 0
    assert all(np.diff([*cuts, n_blocks]) >= (2 if len(cuts) > 1 else 1))
    assert len(cuts) <= n_segments + 1


@st.composite
def epochs(draw):
    """Movies as (start, stop, chunk), span, blocks mixed, seed and hop."""
    span = draw(st.integers(2, 12))
    movies = []
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, 20))
        movies.append((start, start + draw(st.integers(span, 120)), draw(st.integers(1, 12))))
    seed = draw(st.none() | st.integers(0, 5))
    return movies, span, draw(st.integers(1, 12)), seed, draw(st.integers(1, 3))


def planned(movies, span, n_live, seed, hop):
    ranges = [time_blocks(a, b, chunk, max(8, span - 1)) for a, b, chunk in movies]
    starts = [np.arange(a, b - span + 1, hop) for a, b, _ in movies]
    rng = None if seed is None else np.random.default_rng(seed)
    plan = epoch_plan(starts, ranges, [(3, 2)] * len(movies), span, n_live, rng)
    return ranges, starts, plan


@settings(max_examples=200)
@given(epochs())
def test_each_window_comes_once_from_a_block_that_holds_it(epoch):
    movies, span, n_live, seed, hop = epoch
    ranges, starts, plan = planned(movies, span, n_live, seed, hop)
    wanted = Counter((i, int(s)) for i, own in enumerate(starts) for s in own)
    assert Counter(zip(plan.movie.tolist(), plan.start.tolist(), strict=True)) == wanted
    for movie, start, place in zip(plan.movie, plan.start, plan.block, strict=True):
        block = plan.order[place]
        assert block.movie == movie
        assert block.first <= start
        assert start + span <= block.last
    cores = Counter((b.movie, b.start, b.stop) for b in plan.order)
    assert cores == Counter((i, a, b) for i, own in enumerate(ranges) for a, b in own)
    assert (plan.corner >= 0).all()
    assert (plan.corner <= [3, 2]).all()


@settings(max_examples=200)
@given(epochs())
def test_the_frames_a_block_borrows_belong_to_one_block_read_before(epoch):
    movies, span, n_live, seed, hop = epoch
    *_, plan = planned(movies, span, n_live, seed, hop)
    for place, block in enumerate(plan.order):
        earlier = plan.order[:place]
        if block.before:
            lender = next(b for b in earlier if (b.movie, b.stop) == (block.movie, block.start))
            assert lender.start <= block.first
        if block.after:
            lender = next(b for b in earlier if (b.movie, b.start) == (block.movie, block.stop))
            assert lender.stop >= block.last


@settings(max_examples=200)
@given(epochs())
def test_no_more_blocks_are_needed_at_once_than_are_mixed(epoch):
    movies, span, n_live, seed, hop = epoch
    *_, plan = planned(movies, span, n_live, seed, hop)
    first, last = {}, {}
    for row, place in enumerate(plan.block.tolist()):
        first.setdefault(place, row)
        last[place] = row
    reached = -1  # blocks are read in order: up to the furthest that was needed
    for row, place in enumerate(plan.block.tolist()):
        reached = max(reached, place)
        live = [p for p in last if p <= reached and last[p] >= row]
        assert len(live) <= max(n_live, 1)


@given(
    arrivals=st.lists(st.integers(0, 30), min_size=1, max_size=60),
    n_live=st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_keys_need_only_the_live_blocks(arrivals, n_live, seed):
    n_blocks = max(arrivals) + 1
    keys = emission_keys(np.array(arrivals), n_blocks, n_live, np.random.default_rng(seed))
    floor = np.floor(keys)
    assert (floor <= arrivals).all()
    assert (np.array(arrivals) < floor + n_live).all()
    if n_live >= n_blocks:
        assert ((keys >= 0) & (keys < 1)).all()  # a full shuffle


def test_without_a_seed_windows_come_movie_by_movie_in_time_order():
    *_, plan = planned([(5, 60, 4), (0, 33, 7)], 4, 3, None, 1)
    assert plan.movie.tolist() == sorted(plan.movie.tolist())
    for i in (0, 1):
        starts = plan.start[plan.movie == i]
        assert starts.tolist() == sorted(starts.tolist())
    assert (np.diff(plan.block) >= 0).all()
    assert set(map(tuple, plan.corner.tolist())) == {(1, 1)}  # the middle of (3, 2)


def test_the_plan_is_a_function_of_the_seed_alone():
    movies = [(0, 90, 3), (10, 70, 5)]
    one, again, other = (planned(movies, 4, 3, s, 1)[2] for s in (1, 1, 2))
    assert one.start.tolist() == again.start.tolist()
    assert one.order == again.order
    assert one.start.tolist() != other.start.tolist()


def test_movies_take_turns_in_proportion():
    ranges = [time_blocks(0, 1600, 8, 8), time_blocks(0, 400, 8, 8)]
    order = arrival_order(ranges, [2, 2], 10, np.random.default_rng(0))
    halves = [sum(b.movie for b in part) for part in (order[:125], order[125:])]
    assert sum(halves) == 50
    assert abs(halves[0] - 25) <= 8  # 3 sd of a draw of 125 from 250


def test_a_few_blocks_in_memory_hold_windows_of_all_times():
    *_, plan = planned([(0, 4000, 8)], 2, 16, 0, 1)
    early = plan.start[:1000]
    assert np.histogram(early, bins=8, range=(0, 4000))[0].min() > 40  # 125 each if uniform


def test_windows_of_two_blocks_belong_to_the_later_one():
    order = arrival_order([[(0, 8), (8, 16)]], [3], 1, None)
    assert window_blocks(order, 0, np.array([5, 6, 7, 8]), 3).tolist() == [0, 1, 1, 1]
    assert window_blocks(order, 0, np.zeros(0, int), 3).tolist() == []


@pytest.mark.parametrize("n", [200_000])
def test_a_long_movie_is_planned_in_little_time(n):
    import time

    began = time.perf_counter()
    planned([(0, n, 8)], 5, 40, 0, 1)
    assert time.perf_counter() - began < 10  # quadratic planning would take minutes


@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=4).filter(any),
    world_size=st.integers(1, 9),
)
def test_processes_share_all_windows_evenly(lengths, world_size):
    starts = [1000 * i + np.arange(n) for i, n in enumerate(lengths)]
    shares = [share_of(starts, rank, world_size) for rank in range(world_size)]
    sizes = [sum(map(len, share)) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    for i, all_of_movie in enumerate(starts):
        assert np.concatenate([share[i] for share in shares]).tolist() == all_of_movie.tolist()
