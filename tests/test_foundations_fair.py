"""The fair set: one brightness, no place on two sides; and exercise F as a whole."""

import numpy as np
import pytest
import torch

from foundations.exercise import drawn
from foundations.explained import too_good
from foundations.fair import (
    discs_and_rings,
    law,
    parted_by_place,
    places,
    shared_places,
)
from foundations.images import clean_images, parted

IMAGES = discs_and_rings(1200, seed=2)


def test_discs_are_as_bright_as_rings_and_filled():
    images, labels = clean_images(dot_pixels=16)
    assert set(images.sum(axis=(1, 2))) == {16}
    assert len(np.unique(images.reshape(192, -1), axis=0)) == 192
    # image i is at place i % 64: rows of 4 to 11, columns of 4 to 11
    for i in (0, 9, 63):
        y, x = 4 + i // 8, 4 + i % 8
        assert images[i, y, x] == 1
        assert images[64 + i, y, x] == images[128 + i, y, x] == 0
    assert labels[:64].sum() == 0


def test_no_place_is_in_two_parts_unless_rows_are_parted_at_random():
    rows = parted_by_place(IMAGES, seed=1)
    assert sorted(torch.cat(rows).tolist()) == list(range(1200))
    assert [len(np.unique(places(IMAGES)[part])) for part in rows] == [45, 9, 10]
    assert shared_places(IMAGES, rows).figure == 0
    assert shared_places(IMAGES, parted(1200)).figure == 1


def test_brightness_and_lines_fail_where_places_are_held_out():
    rows = parted_by_place(IMAGES, seed=1)
    flat = IMAGES.pixels.flatten(1)
    bright = law(IMAGES, rows, flat.sum(dim=1, keepdim=True), 1.0)
    lines = law(IMAGES, rows, flat, 1.0)
    # chance on about 190 images: 0.5, standard error 0.036
    assert 0.35 < bright.figure < 0.65
    assert lines.figure < 0.65
    assert bright.passed
    assert lines.passed
    seen = law(IMAGES, parted(1200), flat, 1.0)
    assert seen.figure > 0.65  # 180 images: 0.5 is four standard errors off
    assert not seen.passed


@pytest.mark.slow
def test_every_row_of_exercise_f_is_in_its_band():
    outcome = too_good()
    assert [row.name for row in outcome.rows if not row.passed] == []
    assert all(len(row.ours) >= 3 for row in outcome.rows)
    assert len(outcome.errata) == 2
    drawn(outcome).canvas.draw()
