from fractions import Fraction

import numpy as np
import pytest

from slime.frame_table import frame_table
from slime.split import Timeline
from slime.twins import find_links


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(1, 999, (60, 4, 5)).astype("uint16")


def links(in_memory, *movies):
    return find_links([frame_table(in_memory(pixels)) for pixels in movies])


COPIES = {
    "identical": (lambda p: p, 1, 0),
    "every fifth": (lambda p: p[::5], 5, 0),
    "every third from the second on": (lambda p: p[1::3], 3, 1),
    "cut": (lambda p: p[20:33], 1, 20),
    "subsampled end": (lambda p: p[31::4], 4, 31),
    "three frames": (lambda p: p[10:31:10], 10, 10),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found_and_lie_where_they_were_taken_from(in_memory, noise, copy):
    taken, every, offset = COPIES[copy]
    (link,) = links(in_memory, noise, taken(noise))
    assert (link.one, link.other) == (0, 1)
    assert link.timeline == Timeline(every, offset)
    assert link.n_shared == len(taken(noise))
    (back,) = links(in_memory, taken(noise), noise)
    assert back.timeline == Timeline(every, offset).inverse()


def test_two_subsampled_copies_share_the_frames_that_both_kept(in_memory, noise):
    (link,) = links(in_memory, noise[::2], noise[::3])
    assert link.timeline == Timeline(Fraction(3, 2))
    assert link.n_shared == 10  # every sixth of 60


def test_copies_are_found_through_blank_and_frozen_frames(in_memory, noise):
    noise[[0, 5, 6, 30]] = 0
    noise[10:16] = noise[10]  # a frozen camera
    (link,) = links(in_memory, noise, noise[::5])
    assert link.timeline == Timeline(5)


def test_unrelated_movies_with_common_blank_and_saturated_frames_are_no_twins(in_memory, noise):
    other = noise[::-1] + np.uint16(1000)
    for movie in (noise, other):
        movie[:10] = 0
        movie[20:30] = 65535
    assert links(in_memory, noise, other) == []


def test_two_common_frames_are_chance_three_are_not(in_memory, noise):
    other = noise + np.uint16(1000)
    other[:2] = noise[:2]
    assert links(in_memory, noise, other) == []
    other[2] = noise[2]
    (link,) = links(in_memory, noise, other)
    assert (link.timeline, link.n_shared) == (Timeline(), 3)


def test_a_movie_of_one_or_two_frames_is_a_twin_by_these(in_memory, noise):
    assert links(in_memory, noise, noise[[7]])[0].timeline == Timeline(1, 7)
    assert links(in_memory, noise, noise[[7, 17]])[0].timeline == Timeline(10, 7)


@pytest.mark.parametrize("how", ["shuffled", "reversed", "one frame elsewhere", "two parts"])
def test_frames_shared_out_of_order_have_no_timeline(in_memory, noise, how):
    order = np.arange(60)
    if how == "shuffled":
        order = np.random.default_rng(1).permutation(60)
    elif how == "reversed":
        order = order[::-1]
    elif how == "one frame elsewhere":
        order[30] = 59
        order = order[:59]
    else:
        order = np.concatenate([order[:20], order[40:]])
    (link,) = links(in_memory, noise, noise[order])
    assert link.timeline is None


def test_copies_of_another_type_or_byte_order_are_found(in_memory, noise):
    for dtype in ("float32", ">u2", "int64"):
        (link,) = links(in_memory, noise, noise[::4].astype(dtype))
        assert link.timeline == Timeline(4)
