"""Lines that are drawn, with their length, nodes and loops by hand; textures that are moved."""

import numpy as np
import pytest
from scipy.ndimage import fourier_shift, gaussian_filter, map_coordinates

from slime.errors import SlimeError
from slime.observables import find_network, mass_drift, measure_skeleton, optical_flow


def ladder():
    """A box of 20 x 30 steps with one rung: two meshes, two nodes; and a tail of 5 steps."""
    lines = np.zeros((40, 50), bool)
    lines[5:26, 10] = lines[5:26, 40] = lines[5:26, 25] = True
    lines[5, 10:41] = lines[25, 10:41] = True
    lines[26:31, 40] = True
    return lines


def test_a_drawn_network_has_its_length_nodes_and_loops():
    found = measure_skeleton(ladder(), pixel_um=2.0)
    # 2 x 20 + 2 x 30, the rung of 20 and the tail of 5
    assert found.length_um == pytest.approx(2 * (40 + 60 + 20 + 5))
    # both ends of the rung, and where the tail leaves the corner
    assert (found.n_nodes, found.n_ends, found.n_loops, found.n_pieces) == (3, 1, 2, 1)


def test_a_diagonal_is_as_long_as_it_is_and_pieces_are_counted():
    lines = np.zeros((30, 30), bool)
    for i in range(11):
        lines[2 + i, 2 + i] = True
        lines[2 + i, 28 - i] = True
    found = measure_skeleton(lines, pixel_um=1.0)
    assert found.length_um == pytest.approx(2 * 10 * np.sqrt(2))
    assert (found.n_nodes, found.n_ends, found.n_loops, found.n_pieces) == (0, 4, 0, 2)
    assert measure_skeleton(np.zeros((4, 5), bool), pixel_um=1.0).length_um == 0


def test_thick_noisy_lines_are_thinned_to_the_same_network():
    light = gaussian_filter(ladder().astype(float), 1.2)
    light += 0.01 * np.random.default_rng(0).standard_normal(light.shape)
    found = find_network(light, pixel_um=2.0)
    assert (found.n_loops, found.n_pieces, found.n_nodes) == (2, 1, 3)
    # six corners are cut by up to 2 - sqrt 2 steps of 2 um each, the tail's end by half a width
    assert found.length_um == pytest.approx(250, rel=0.05)
    mask = np.ones(light.shape, bool)
    mask[:, 30:] = False
    cut = find_network(light, pixel_um=2.0, mask=mask)
    assert cut.n_loops == 1


def texture(y=70, x=90):
    return gaussian_filter(np.random.default_rng(0).standard_normal((y, x)), 2.5, mode="wrap")


@pytest.mark.parametrize("method", ["ilk", "tvl1"])
def test_the_flow_of_a_moved_texture_is_its_velocity(method):
    before = texture()
    after = np.fft.ifft2(fourier_shift(np.fft.fft2(before), (0.8, -1.3))).real
    flow = optical_flow(before, after, frame_interval_s=10.0, pixel_um=5.0, method=method)
    inside = np.s_[10:-10, 10:-10]
    # within 10 %: sub-pixel motion is found on an interpolated picture
    assert np.median(flow.y_um_per_s[inside]) == pytest.approx(0.4, rel=0.1)
    assert np.median(flow.x_um_per_s[inside]) == pytest.approx(-0.65, rel=0.1)
    assert np.median(flow.speed_um_per_s[inside]) == pytest.approx(np.hypot(0.4, 0.65), rel=0.1)
    assert abs(np.mean(flow.divergence_per_s[inside])) < 1e-3


def test_what_draws_together_has_a_negative_divergence():
    before = texture()
    rows, columns = np.mgrid[:70, :90].astype(float)
    # a point at r is seen at 0.97 r from the middle: displacement -0.03 r, divergence -0.06
    away = (34.5 + (rows - 34.5) / 0.97, 44.5 + (columns - 44.5) / 0.97)
    after = map_coordinates(before, away, order=3, mode="wrap")
    flow = optical_flow(before, after, frame_interval_s=2.0, pixel_um=5.0)
    inside = np.s_[12:-12, 12:-12]
    assert np.mean(flow.divergence_per_s[inside]) == pytest.approx(-0.03, rel=0.15)


def test_flow_is_not_given_beside_masked_pixels_or_of_flat_frames():
    before = texture()
    mask = np.ones(before.shape, bool)
    mask[30, 40] = False
    flow = optical_flow(before, before, frame_interval_s=1.0, pixel_um=1.0, mask=mask, radius_px=4)
    missing = np.argwhere(np.isnan(flow.y_um_per_s))
    assert missing.min(axis=0).tolist() == [26, 36]
    assert missing.max(axis=0).tolist() == [34, 44]
    flat = optical_flow(0 * before, before, frame_interval_s=1.0, pixel_um=1.0)
    assert np.isnan(flat.speed_um_per_s).all()
    with pytest.raises(SlimeError, match=r"frames of \(70, 90\) and \(69, 90\)"):
        optical_flow(before, before[1:], frame_interval_s=1.0, pixel_um=1.0)


def test_mass_is_relative_to_the_first_frame():
    frames = np.array([[[1.0, 3.0]], [[2.0, 4.0]], [[3.0, 1.0]]])
    np.testing.assert_allclose(mass_drift(frames), [0, 0.5, 0])
    mask = np.array([[True, False]])
    np.testing.assert_allclose(mass_drift(frames, mask=mask), [0, 1, 2])
    assert np.isnan(mass_drift(0 * frames)).all()


def test_without_scikit_image_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skimage.measure", None)
    with pytest.raises(SlimeError, match=r"need scikit-image: pip install 'slime\[observe\]'"):
        measure_skeleton(ladder(), pixel_um=1.0)
