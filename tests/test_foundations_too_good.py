"""Exercise F: a perfect score is explained by controls, not by a leak."""

import numpy as np
import pytest
import torch

from foundations.images import clean_images, dots_and_rings, parted, tiny_cnn
from foundations.too_good import (
    against_shuffled,
    brightness_alone,
    clean_twins,
    exact_twins,
    few_filters,
    fresh_net,
    near_twins,
    pixels_alone,
)


def test_there_are_192_clean_images_all_different():
    images, labels = clean_images()
    assert len(np.unique(images.reshape(192, -1), axis=0)) == 192
    # 8 x 8 centres; one pixel lit, or 16 in a ring of either radius
    assert np.bincount(labels).tolist() == [64, 128]
    assert {int(i.sum()) for i in images[labels == 0]} == {1}
    assert {int(i.sum()) for i in images[labels == 1]} == {16}
    ring = images[64]  # radius 2 about (4, 4)
    assert np.array_equal(ring[:9, :9], ring[:9, :9].T)
    assert np.array_equal(ring[:9, :9], np.rot90(ring[:9, :9]))


def test_images_are_drawn_by_seed_noisy_and_within_0_and_1():
    images = dots_and_rings(400, seed=3)
    assert torch.equal(images.pixels, dots_and_rings(400, seed=3).pixels)
    assert images.pixels.shape == (400, 1, 16, 16)
    assert 0 <= images.pixels.min() < images.pixels.max() <= 1
    assert 0.4 < images.labels.float().mean() < 0.6  # 4 standard errors
    assert [len(part) for part in parted(2500)] == [1750, 375, 375]
    assert sorted(torch.cat(parted(2500)).tolist()) == list(range(2500))


def test_nearly_every_test_image_has_a_clean_twin_in_train_and_none_an_exact_one():
    images = dots_and_rings()
    twins = clean_twins(images)
    # a ring has 1750 draws of 1 in 256 to be in train: 1 - (255 / 256) ** 1750 = 0.999
    assert twins.figure > 0.98
    assert not twins.passed
    assert exact_twins(images).figure == 0
    quiet = dots_and_rings(noise=0.0)
    assert exact_twins(quiet).figure == clean_twins(quiet).figure


def test_brightness_alone_tells_dots_from_rings():
    verdict = brightness_alone(dots_and_rings(), ours=1.0)
    assert verdict.figure == 1
    assert not verdict.passed


def test_a_fresh_net_begins_at_log_2_and_learns_a_batch_by_heart():
    assert [verdict.passed for verdict in fresh_net(dots_and_rings(400))] == [True, True]
    assert tiny_cnn()(torch.zeros(3, 1, 16, 16)).shape == (3, 2)


def test_the_nearest_image_of_train_is_a_twin():
    images = dots_and_rings()
    assert near_twins(images).figure > 0.97
    # at a noise that drowns the dots, the nearest is any image
    assert near_twins(dots_and_rings(600, noise=2.0)).figure < 0.5


def test_a_linear_law_of_pixels_tells_dots_from_rings():
    assert pixels_alone(dots_and_rings(600), ours=1.0).figure > 0.97


def test_right_answers_are_as_good_as_any_against_shuffled_labels():
    labels = dots_and_rings().labels
    # 2500 labels: 0.5, standard error 0.01
    assert against_shuffled(labels, labels) == pytest.approx(0.5, abs=0.04)


def test_a_smaller_net_has_the_filters_asked_for():
    net = few_filters(3)
    assert net(torch.zeros(5, 1, 16, 16)).shape == (5, 2)
    assert sum(p.numel() for p in net.parameters()) == 3 * 9 + 3 + 2 * (64 * 3) + 2


def test_the_controls_are_the_very_functions_that_slime_asks_of_movies():
    from foundations import fair, too_good
    from slime.sanity import cheap, trained, trials

    assert too_good.overlap is fair.overlap is cheap.overlap
    assert too_good.shuffled_targets is trials.shuffled_targets
    assert fair.trivial_features is trained.trivial_features
    assert too_good.initial_loss is cheap.initial_loss
    assert too_good.overfit_one_batch is trials.overfit_one_batch
