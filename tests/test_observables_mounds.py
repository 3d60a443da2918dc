"""Mounds at places that are written down, errors by hand, and when a variance has risen."""

import numpy as np
import pytest

from slime.errors import SlimeError
from slime.observables import (
    density_variance,
    find_mounds,
    matched_error,
    otsu_threshold,
    time_to_aggregation,
)

PLACES_PX = [(10.0, 12.5), (30.25, 40.0), (31.0, 70.5)]


def blobs(places=PLACES_PX, *, sigma=3.0, y=48, x=90, height=100.0, floor=10.0):
    rows, columns = np.mgrid[:y, :x]
    frame = np.full((y, x), floor)
    for row, column in places:
        frame += height * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
    return frame


def test_gaussian_blobs_are_found_where_they_are():
    found = find_mounds(blobs(), pixel_um=2.0, threshold=60.0, sigma_px=0)
    error = matched_error(found.position_um, 2.0 * np.array(PLACES_PX), max_um=10.0)
    assert (error.n_pairs, error.n_missed, error.n_extra) == (3, 0, 0)
    assert error.mean_um < 0.1  # a twentieth of a pixel: the threshold's edge is of whole pixels
    # above half of the height: a disc of radius sigma sqrt(2 ln 2), of which whole pixels are
    # counted
    radius_um = 2.0 * 3.0 * np.sqrt(2 * np.log(2))
    np.testing.assert_allclose(found.area_um2, np.pi * radius_um**2, rtol=0.1)


def test_smoothing_widens_a_blob_as_gaussians_add():
    found = find_mounds(
        blobs([(20.0, 40.0)], floor=0.0), pixel_um=1.0, threshold=18.0, sigma_px=4.0
    )
    # sigma 3 and 4 make 5, and the height falls by 9 / 25 to 36: half of it is 18
    assert found.area_um2[0] == pytest.approx(np.pi * 25 * 2 * np.log(2), rel=0.05)


def test_small_and_masked_mounds_are_left_out():
    frame = blobs()
    frame[5, 60] = 100.0
    threshold = {"pixel_um": 2.0, "threshold": 60.0, "sigma_px": 0}
    assert find_mounds(frame, **threshold).n == 4
    assert find_mounds(frame, **threshold, min_area_um2=5.0).n == 3
    mask = np.ones(frame.shape, bool)
    mask[:, :20] = False
    assert find_mounds(frame, **threshold, mask=mask).n == 3
    assert find_mounds(np.zeros((5, 6)), pixel_um=1.0).n == 0


def test_otsus_threshold_agrees_with_another_implementation():
    skimage = pytest.importorskip("skimage.filters")
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(10, 3, 5000), rng.normal(20, 4, 3000)])
    step = np.ptp(values) / 256
    assert otsu_threshold(values) == pytest.approx(skimage.threshold_otsu(values), abs=step)
    assert np.isnan(otsu_threshold(np.full(9, 3.0)))
    # two values: the middle of the gap between them
    assert otsu_threshold(np.array([0.0, 0, 0, 10, 10, np.nan])) == pytest.approx(5.0, abs=0.05)


def test_places_are_paired_so_that_the_sum_is_smallest():
    found = np.array([[0.0, 0.0], [0.0, 10.0], [50.0, 50.0]])
    true = np.array([[0.0, 4.0], [0.0, 11.0], [100.0, 0.0], [0.0, -3.0]])
    # greedy from the first would take 0-4 (4) and 10-11 (1); the best is -3-0 (3) and 11-10 (1)
    error = matched_error(found, true, max_um=20.0)
    assert (error.n_pairs, error.n_missed, error.n_extra) == (2, 2, 1)
    assert error.mean_um == pytest.approx(2.0)
    # 2 (3 + 1 + 10 * 3) / 7
    assert error.penalised_um == pytest.approx(68 / 7)


def test_nothing_found_costs_the_whole_penalty():
    none, true = np.zeros((0, 2)), np.array([[1.0, 2.0], [3.0, 4.0]])
    error = matched_error(none, true, max_um=20.0)
    assert (error.n_pairs, error.n_missed, error.penalised_um) == (0, 2, 20.0)
    assert np.isnan(error.mean_um)
    assert matched_error(true, true, max_um=20.0).penalised_um == 0
    far = np.array([[25.0, 2.0], [3.0, 4.0]])  # 24 um away: further than both penalties
    error = matched_error(far, true, max_um=20.0)
    assert (error.n_pairs, error.n_missed, error.n_extra) == (1, 1, 1)
    assert np.isnan(matched_error(none, none, max_um=20.0).penalised_um)
    with pytest.raises(SlimeError, match="max_um is 0"):
        matched_error(none, true, max_um=0.0)


def test_the_variance_of_the_density_is_relative_and_heeds_the_mask():
    frames = np.array([[[1.0, 3.0], [1.0, 3.0]], [[5.0, 5.0], [5.0, 5.0]]])
    np.testing.assert_allclose(density_variance(frames, sigma_px=0), [0.25, 0.0])
    mask = np.array([[True, False], [True, False]])
    np.testing.assert_allclose(density_variance(frames, sigma_px=0, mask=mask), [0.0, 0.0])
    assert np.isnan(density_variance(frames, sigma_px=0, mask=~mask & mask)).all()


def test_aggregation_is_timed_at_half_of_the_rise():
    rise = np.concatenate([np.full(20, 0.1), np.linspace(0.1, 0.9, 41), np.full(20, 0.9)])
    # half of the rise is 0.5, 20 of the 40 steps after frame 20
    assert time_to_aggregation(rise, frame_interval_s=60.0) == pytest.approx(40 * 60.0)
    assert np.isnan(time_to_aggregation(np.linspace(1.0, 1.9, 50), frame_interval_s=1.0))
    assert np.isnan(time_to_aggregation(rise[::-1], frame_interval_s=1.0))
    gap = rise.copy()
    gap[30:50] = np.nan  # on the straight line over the gap
    assert time_to_aggregation(gap, frame_interval_s=60.0) == pytest.approx(40 * 60.0)
    with pytest.raises(SlimeError, match="share is 1"):
        time_to_aggregation(rise, frame_interval_s=1.0, share=1.0)
