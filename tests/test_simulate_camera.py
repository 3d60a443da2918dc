"""The camera's mean against hand arithmetic, its noise against the Poisson law."""

import numpy as np
import pytest

from slime.errors import SlimeError
from slime.simulate.camera import (
    CameraSpec,
    expected_counts,
    expose,
    illumination,
    noise_variance,
    reporter_light,
    spots,
)

PLAIN = CameraSpec(
    falloff=0.0, bleach_per_hour=0.0, read_noise_electrons=0.0, background_electrons=0.0
)


def test_a_spot_is_centred_on_its_cell_and_carries_its_brightness():
    image = spots(np.array([[7.3, 4.9]]), np.array([50.0]), (11, 16), sigma_px=1.0)
    y, x = np.arange(11) + 0.5, np.arange(16) + 0.5
    assert image.sum() == pytest.approx(50)
    assert (image.sum(axis=0) @ x) / 50 == pytest.approx(7.3)
    assert (image.sum(axis=1) @ y) / 50 == pytest.approx(4.9, abs=1e-3)  # 4 sigma meet the edge


def test_a_spot_at_the_wall_keeps_its_brightness():
    image = spots(np.array([[0.0, 0.0], [16.0, 11.0]]), np.array([5.0, 7.0]), (11, 16), 1.5)
    assert image.sum() == pytest.approx(12)


def test_the_reporter_is_dark_where_camp_is_high():
    assert reporter_light(np.array([0.0, 30.0, 90.0]), CameraSpec()).tolist() == [1.0, 0.5, 0.25]


def test_light_falls_from_the_centre_to_the_corners():
    light = illumination((3, 5), falloff=0.2)
    assert light[1, 2] == 1
    np.testing.assert_allclose(light[[0, 0, 2, 2], [0, 4, 0, 4]], 0.8)
    assert light[1, 0] == pytest.approx(0.9)


def test_each_channel_sums_to_the_light_of_its_cells():
    places = np.array([[4.2, 3.1], [8.8, 5.0], [5.5, 4.5], [9.9, 2.2]])
    b = np.full((8, 14), 30.0)
    counts = expected_counts(places, b, PLAIN, seconds=0.0) - 100
    assert counts[0].sum() == pytest.approx(2 * 2000)  # half of 4 cells carry the marker
    assert counts[1].sum() == pytest.approx(4 * 2000 / 2)  # all carry the reporter, at half light


def test_the_reporter_reads_the_camp_of_its_own_place():
    b = np.zeros((8, 14))
    b[2, 9] = 90.0
    counts = expected_counts(np.array([[9.9, 2.2]]), b, PLAIN, seconds=0.0) - 100
    assert counts[1].sum() == pytest.approx(2000 / 4)


def test_the_label_bleaches_by_its_share_an_hour_and_the_background_does_not():
    camera = CameraSpec(falloff=0.0, bleach_per_hour=0.2)
    places, b = np.array([[4.5, 4.5]]), np.zeros((9, 9))
    background = 81 * (200 + 100)
    first = expected_counts(places, b, camera, seconds=0.0)[1].sum() - background
    after = expected_counts(places, b, camera, seconds=3600.0)[1].sum() - background
    assert after / first == pytest.approx(0.8)


def test_the_variance_of_counts_is_that_of_electrons_and_readings():
    camera = CameraSpec(electrons_per_count=2.0, read_noise_electrons=6.0)
    expected = np.full((1, 200, 250), 100.0 + 400.0)
    frame = expose(expected, camera, np.random.default_rng(0)).frame.astype(float)
    # 800 electrons and 36 of reading over 2^2, plus 1/12 of rounding; 50,000 pixels: 4 sigma 2.5 %
    assert frame.var() == pytest.approx((800 + 36) / 4 + 1 / 12, rel=0.025)
    assert frame.mean() == pytest.approx(500, abs=4 * np.sqrt(209 / 50_000))
    assert np.unique(noise_variance(expected, camera)).tolist() == [(800 + 36) / 4 + 1 / 12]


def test_a_full_pixel_is_held_and_counted():
    camera = CameraSpec(bits=12)
    expected = np.full((2, 3, 4), 500.0)
    expected[1, 2, :3] = 9000.0
    exposure = expose(expected, camera, np.random.default_rng(0))
    assert exposure.n_saturated == 3
    assert exposure.frame[1, 2, :3].tolist() == [4095] * 3
    assert exposure.frame.dtype == np.uint16


def test_a_pixel_just_at_the_largest_count_is_saturated():
    # no electrons and no read noise: every pixel reads the offset
    camera = CameraSpec(bits=12, offset_counts=4095.0, read_noise_electrons=0.0)
    exposure = expose(np.full((1, 2, 3), 4095.0), camera, np.random.default_rng(0))
    assert exposure.n_saturated == 6


def test_the_noise_of_a_frame_depends_on_its_generator_alone():
    expected = np.full((2, 3, 4), 500.0)
    frames = [
        expose(expected, PLAIN, np.random.default_rng((3, index))).frame for index in (0, 0, 1)
    ]
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 10}, "bits is 10; a camera here has 12 or 16"),
        ({"labelled_fraction": 0.0}, "labelled_fraction is 0.0; it must be a number above 0"),
        ({"falloff": 1.0}, "falloff is 1.0; it must be a number at least 0 and below 1"),
        ({"spot_sigma_px": 0.0}, "spot_sigma_px is 0.0"),
        ({"offset_counts": -1.0}, "offset_counts is -1.0"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(change, message):
    with pytest.raises(SlimeError, match=message):
        CameraSpec(**change)
