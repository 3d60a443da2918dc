import numpy as np
import pytest
from dishes import dish, movie

from slime.audit.measures import measure
from slime.likeness import find_likenesses


def thumbs(*movies):
    return [measure(movie(pixels))[1].thumb for pixels in movies]


BASE = dish(seed=3, n_frames=100)
NOISE = np.random.default_rng(0).normal(0, 100, (60, 96, 128))
COPIES = {
    "8 bits of every second frame": (np.asarray(BASE[::2] // 16, "uint8"), 2, 0),
    "every seventh frame from 3": (BASE[3::7] * 2.0, 7, 3),
    "another curve of gray": (np.sqrt(BASE) * 20, 1, 0),
    "later frames in noise": (
        BASE[40:] + NOISE,
        1,
        40,
    ),
    "binned by 2": (BASE.reshape(100, 48, 2, 64, 2).mean(axis=(2, 4)), 1, 0),
    "shifted by 2 pixels": (np.roll(BASE, 2, axis=2), 1, 0),
}


@pytest.mark.parametrize(("copy", "every", "offset"), COPIES.values(), ids=COPIES)
def test_copies_are_found_with_the_line_that_they_lie_on(copy, every, offset):
    (like,) = find_likenesses(thumbs(BASE, copy))
    assert (like.one, like.other, like.every, like.offset) == (0, 1, every, offset)
    assert like.correlation > 0.7
    (back,) = find_likenesses(thumbs(copy, BASE))
    expected = offset if back.one == 1 else -offset  # seen from the copy
    assert (back.every, back.offset) == (every, expected)


def test_dishes_under_one_lamp_that_bleaches_are_unlike():
    lamp = np.linspace(1, 0.6, 80)[:, None, None]
    dishes = [dish(seed=s, n_frames=80, step_px=0.3) * lamp for s in range(5)]
    assert find_likenesses(thumbs(*dishes)) == []


def test_movies_without_change_or_of_few_frames_are_like_nothing():
    still = np.broadcast_to(BASE[0], (20, 96, 128))
    assert find_likenesses(thumbs(still, still, BASE, BASE[:5])) == []


def test_other_grids_and_channels_are_not_compared():
    two = np.stack([BASE[:20], BASE[:20]], axis=1)
    assert find_likenesses(thumbs(BASE[:20], BASE[:20, :, :112], two)) == []
