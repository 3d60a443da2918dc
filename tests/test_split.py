from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from slime.errors import SlimeError
from slime.split import (
    Split,
    Timeline,
    check_shares,
    decorrelation_frames,
    movie_splits,
    temporal_splits,
    twin_splits,
)

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def frames(split):
    return set(range(split.start, split.stop))


@st.composite
def shares(draw):
    weights = draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    return {f"part {i}": w / sum(weights) for i, w in enumerate(weights)}


@given(n=st.integers(1, 400), shares=shares(), gap=st.integers(0, 30))
def test_splits_share_no_frame_and_lie_gap_frames_apart(n, shares, gap):
    try:
        cut = list(temporal_splits(n, shares, gap=gap).values())
    except SlimeError:
        # refused only where some share of the frames left is less than one and a half frames
        assert min(shares.values()) * (n - gap * (len(shares) - 1)) < 1.5
        return
    assert [s.name for s in cut] == list(shares)
    assert cut[0].start == 0
    assert cut[-1].stop == n
    for before, after in pairwise(cut):
        assert after.start - before.stop == gap
    for s in cut:  # each is within a frame of its share
        assert abs(len(s) - shares[s.name] * (n - gap * (len(cut) - 1))) <= 1
        assert s.gap == (gap if len(cut) > 1 else None)


def test_the_splits_of_a_hundred_frames():
    cut = temporal_splits(100, SHARES, gap=5, movie="dish")
    # 90 frames are left: 63, then 13.5 and 13.5 with the border rounded to the even frame 76
    assert [(s.start, s.stop, s.movie, s.gap) for s in cut.values()] == [
        (0, 63, "dish", 5),
        (68, 81, "dish", 5),
        (86, 100, "dish", 5),
    ]
    assert len(cut["train"]) == 63


@pytest.mark.parametrize(
    ("n", "shares", "gap", "message"),
    [
        (100, SHARES, -1, r"data\.gap=-1 must be 0 or more"),
        (100, SHARES, 60, r"2 gaps of 60 leave 0 for 3 splits; a smaller data\.gap"),
        (5, SHARES, 0, r"5 frames: data\.shares\.val=0\.15 of the 5 .* less than one frame"),
        (100, {}, 0, r"data\.shares is empty"),
        (100, {"train": 1.5, "val": -0.5}, 0, r"data\.shares\.val=-0\.5 must be above 0"),
        (100, {"train": 0.7, "val": 0.2}, 0, r"sum to 0\.9, but must sum to 1"),
        (100, {"train": float("nan")}, 0, r"must be above 0"),
    ],
)
def test_cuts_that_cannot_be_are_refused(n, shares, gap, message):
    with pytest.raises(SlimeError, match=message):
        temporal_splits(n, shares, gap=gap)


def test_shares_keep_their_order():
    assert list(check_shares({"b": 0.5, "a": 0.5})) == ["b", "a"]


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 5), (6, 5)])
def test_a_split_holds_a_frame(start, stop):
    with pytest.raises(SlimeError, match="must start at 0 or later and hold a frame"):
        Split("train", start, stop, "dish")


@given(
    n=st.integers(12, 300),
    every=st.fractions(Fraction(1, 6), 12, max_denominator=6),
    offset=st.integers(-100, 300),
    n_twin=st.integers(1, 300),
    gap=st.integers(0, 40),
)
def test_no_frame_of_a_twin_is_on_the_other_side(n, every, offset, n_twin, gap):
    try:
        cut = temporal_splits(n, SHARES, gap=gap)
    except SlimeError:
        return
    twin = twin_splits(cut, Timeline(every, offset), n_twin, "twin")
    side = {f: name for name, s in cut.items() for f in frames(s)}
    own_side = {f: name for name, s in twin.items() for f in frames(s)}
    assert sum(len(s) for s in twin.values()) == len(own_side)  # its own splits share none
    for j in range(n_twin):
        at = offset + every * j
        within = [name for name, s in cut.items() if s.start <= at < s.stop]
        assert own_side.get(j) == (within[0] if within else None)
        if at.denominator == 1 and j in own_side:  # the very same frame
            assert side[int(at)] == own_side[j]
    parts = list(twin.values())
    for before, after in pairwise(parts):
        assert before.gap is not None
        assert after.start - before.stop >= before.gap
    for s in parts:
        assert s.gap == gap // every


@given(
    a=st.tuples(st.fractions(Fraction(1, 9), 9), st.fractions(-50, 50)),
    b=st.tuples(st.fractions(Fraction(1, 9), 9), st.fractions(-50, 50)),
    frame=st.integers(0, 100),
)
def test_timelines_compose_and_invert_exactly(a, b, frame):
    one, two = Timeline(*a), Timeline(*b)
    on_two = one.offset + one.every * frame
    both = one.on(two)
    assert both.offset + both.every * frame == two.offset + two.every * on_two
    assert one.inverse().on(one) == one.on(one.inverse()) == Timeline()


def named_movies(in_memory, numbered, *experiments):
    return [
        in_memory(numbered(3 + i), f"m{i}").assign_attrs(experiment=e)
        for i, e in enumerate(experiments)
    ]


@given(names=st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=12), seed=st.integers(0, 99))
def test_an_experiment_lies_whole_on_one_side(names, seed):
    movies = [
        xr.DataArray(
            np.zeros((4 + i, 1, 4, 5)), dims=("time", "channel", "y", "x"), name=f"m{i}"
        ).assign_attrs(experiment=name)
        for i, name in enumerate(names)
    ]
    if len(set(names)) < 3:
        with pytest.raises(SlimeError, match=r"needs at least 3 experiments .* data\.split=time"):
            movie_splits(movies, SHARES, seed=seed)
        return
    cut = movie_splits(movies, SHARES, seed=seed)
    assert cut == movie_splits(movies, SHARES, seed=seed)
    assert {name for c in cut for name in c} == set(SHARES)
    for name in set(names):
        sides = {side for c, n in zip(cut, names, strict=True) if n == name for side in c}
        assert len(sides) == 1
    for i, c in enumerate(cut):
        (split,) = c.values()
        assert (split.start, split.stop, split.gap, split.movie) == (0, 4 + i, None, f"m{i}")


def test_whole_experiments_are_shared_out_by_their_number(in_memory, numbered):
    movies = named_movies(in_memory, numbered, *(str(i) for i in range(20)))
    cut = movie_splits(movies, SHARES, seed=3)
    counts = {name: sum(name in c for c in cut) for name in SHARES}
    assert counts == {"train": 13, "val": 3, "test": 4}  # one each, then 0.7, 0.15, 0.15 of 17
    assert cut != movie_splits(movies, SHARES, seed=4)


def test_decorrelation_is_where_the_autocorrelation_is_gone():
    assert decorrelation_frames(np.arange(50) * 3.0, most=9) == 0  # a line has no rest
    wave = np.sin(2 * np.pi * np.arange(400) / 20)
    assert decorrelation_frames(wave, most=9) == 5  # a quarter of its period of 20
    assert decorrelation_frames(wave, most=3) == 3
    noise = np.random.default_rng(0).normal(size=2000)
    assert decorrelation_frames(noise, most=9) == 1
    wave[7] = np.nan
    assert decorrelation_frames(wave, most=9) == 5
    assert decorrelation_frames(wave[:3], most=9) == 0
