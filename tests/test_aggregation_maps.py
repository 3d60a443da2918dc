"""Planes of a movie's first frames, and maps that are made of places and read for them."""

import numpy as np
import pytest
import torch
from gathered import study

from slime.aggregation import find_peaks, heat_map, summary_planes, turned_planes
from slime.aggregation.found import best_threshold
from slime.aggregation.summaries import SCALARS, vector_planes, wave_flux
from slime.batch import Batch
from slime.symmetry import turned


def wave(angle, n=40, y=40, x=44):
    """cos of a plane wave of 20 pixels and 20 frames that travels at `angle` from y to x."""
    t, rows, columns = np.indices((n, y, x))
    return np.cos(2 * np.pi / 20 * (rows * np.cos(angle) + columns * np.sin(angle) - t))


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0, 4.0])
def test_the_flux_of_a_wave_points_where_it_travels(angle):
    flux = wave_flux(wave(angle))[:, 8:-8, 8:-8].mean(axis=(1, 2))
    assert np.arctan2(flux[1], flux[0]) % (2 * np.pi) == pytest.approx(angle, abs=0.02)
    # -<I_t I_x> of cos(k x - w t) is w k / 2; smoothing by 1 px damps each factor by exp(-k^2 / 2)
    k = 2 * np.pi / 20
    assert np.hypot(*flux) == pytest.approx(k**2 / 2 * np.exp(-(k**2)), rel=0.05)


def test_a_dark_wave_has_the_flux_of_a_bright_one_and_one_frame_has_none():
    np.testing.assert_allclose(wave_flux(-wave(0.7)), wave_flux(wave(0.7)))
    assert not wave_flux(wave(0.7)[:1]).any()


def test_planes_hold_the_last_frame_mean_spread_change_and_time_left():
    frames = np.arange(6, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 4, 5), np.float32)
    planes = summary_planes(frames, 0.25)
    assert planes.shape == (SCALARS + 2 + 1, 4, 5)
    # 0 to 5: mean 2.5, variance 35 / 12, last third 4.5 minus first 0.5
    assert planes[:, 2, 3] == pytest.approx([5, 2.5, np.sqrt(35 / 12), 4, 0, 0, 0.25])


@pytest.mark.parametrize("symmetry", range(8))
def test_planes_of_a_turned_movie_are_the_turned_planes(symmetry):
    frames = np.random.default_rng(0).normal(size=(7, 2, 6, 6)).astype(np.float32)
    batch = torch.from_numpy(frames)[None]
    nothing = torch.zeros(1)
    other = turned(Batch(batch, batch, None, nothing.int(), nothing.int()), symmetry).past[0]
    expected = summary_planes(np.ascontiguousarray(other.numpy()), 0.5)
    found = turned_planes(summary_planes(frames, 0.5), symmetry)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert vector_planes(len(found)) == ([4, 10], [5, 11])


def test_a_map_is_one_at_a_centre_and_falls_off_as_a_gaussian():
    heat = heat_map(np.array([[2.0, 3.0], [9.0, 9.0]]), (12, 14), 2.0)
    assert heat[2, 3] == 1
    assert heat[9, 9] == 1
    assert heat[2, 5] == pytest.approx(np.exp(-0.5))
    assert heat_map(np.zeros((0, 2)), (3, 4), 2.0).max() == 0


def test_peaks_are_the_centres_that_a_map_was_made_of_highest_first():
    centres = np.array([[4.0, 4.0], [4.3, 14.6], [14.0, 0.0]])
    heat = heat_map(centres, (16, 20), 1.5)
    heat[:, 10:] *= 0.5
    found = find_peaks(heat, apart_px=3)
    assert found.height == pytest.approx([1, 1, 0.5], abs=0.05)
    np.testing.assert_allclose(found.places_px[[0, 2]], centres[[0, 1]], atol=0.2)
    # at the rim the 3 x 3 neighbourhood lacks a column: half a pixel inwards at most
    np.testing.assert_allclose(found.places_px[1], centres[2], atol=0.5)
    np.testing.assert_allclose(found.above(0.7), found.places_px[:2])


def test_of_two_near_peaks_the_higher_one_counts_and_nan_is_none():
    heat = np.zeros((9, 12))
    heat[4, 3], heat[4, 6], heat[4, 10] = 2, 1, 3
    assert find_peaks(heat, apart_px=3).above(0).round().tolist() == [[4, 10], [4, 3]]
    assert find_peaks(heat, apart_px=2.9).above(0).round().tolist() == [[4, 10], [4, 3], [4, 6]]
    heat[:, 9:] = np.nan
    assert find_peaks(heat, apart_px=3).above(0).round().tolist() == [[4, 3]]
    assert len(find_peaks(np.full((4, 5), np.nan), apart_px=3).height) == 0


def test_a_flat_map_has_peaks_no_nearer_than_allowed():
    places = find_peaks(np.ones((7, 8)), apart_px=2.5).places_px
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 99 * np.eye(len(places))
    assert apart.min() > 2.5
    assert len(places) >= 6


def test_the_threshold_is_the_one_of_least_error():
    one = study()
    val = one.of("val")
    maps = {}
    for i in val:  # the true centres at 2 and 3, false ones at 1
        true = one.truth[i].position_um / 100
        heat = 2 * heat_map(true, (16, 16), 1.0)
        far = np.argwhere(heat < 1e-3)
        heat[tuple(far[0])] += 1
        maps[i] = find_peaks(heat, apart_px=2)
    threshold, error = best_threshold(one, list(maps.items()))
    assert 1 < threshold < 2
    assert error < 30  # um; the pixel is 100 um wide, the found place finer


def test_where_nothing_is_right_nothing_is_found():
    one = study()
    i = one.of("val")[0]
    heat = np.zeros((16, 16))
    heat[8, 8] = 1  # no mound within 500 um of here: rows 3 and 12
    one.truth[i].position_um[:] = [[0, 0], [0, 1500]]
    peaks = find_peaks(heat, apart_px=99)
    threshold, error = best_threshold(one, [(i, peaks)])
    assert len(peaks.above(threshold)) == 0
    assert error == 500
