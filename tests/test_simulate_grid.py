"""Grid operations against closed forms and scipy."""

import math

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from slime.simulate.grid import gradient, laplacian, point_counts, smoothed, torus_laplacian


def _indices(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.arange(height, dtype=torch.float64)[:, None].expand(height, width)
    x = torch.arange(width, dtype=torch.float64)[None, :].expand(height, width)
    return y, x


def test_laplacian_of_a_quadratic_is_constant_inside():
    y, x = _indices(5, 7)
    field = (y**2 + 3 * x**2 + x * y - 4 * x)[None]
    assert torch.equal(laplacian(field)[0, 1:-1, 1:-1], torch.full((3, 5), 8.0).double())


def test_cosine_modes_are_eigenvectors_so_no_flux_leaves():
    # cos(pi k (i + 1/2) / n) under reflecting ends: eigenvalue 2 cos(pi k / n) - 2 on each axis
    y, x = _indices(6, 9)
    mode = torch.cos(math.pi * 2 * (y + 0.5) / 6) * torch.cos(math.pi * 3 * (x + 0.5) / 9)
    rate = 2 * math.cos(math.pi * 2 / 6) - 2 + 2 * math.cos(math.pi * 3 / 9) - 2
    torch.testing.assert_close(laplacian(mode[None]), rate * mode[None], rtol=0, atol=1e-13)


def test_diffusion_keeps_the_sum():
    field = torch.rand(2, 5, 4, generator=torch.Generator().manual_seed(0)).double()
    total = laplacian(field).sum(dim=(1, 2))
    torch.testing.assert_close(total, torch.zeros(2).double(), rtol=0, atol=1e-13)


def test_gradient_of_a_plane_is_its_slope_along_x_then_y():
    y, x = _indices(4, 5)
    slope = gradient((2 * x - 3 * y)[None], dx=0.5)
    assert torch.equal(slope[0, 0, :, 1:-1], torch.full((4, 3), 4.0).double())
    assert torch.equal(slope[0, 1, 1:-1], torch.full((2, 5), -6.0).double())


def test_smoothing_agrees_with_scipy_up_to_the_mirrored_edges():
    field = np.random.default_rng(1).random((2, 7, 20))
    ours = smoothed(torch.from_numpy(field), sigma_px=2.0).numpy()
    theirs = gaussian_filter(field, (0, 2.0, 2.0), mode="reflect", truncate=4)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13)
    np.testing.assert_allclose(ours.sum(axis=(1, 2)), field.sum(axis=(1, 2)), rtol=1e-12)


def test_points_are_counted_in_their_square_and_none_is_lost():
    # x, y in mm with squares of 0.5: columns 0, 2, 2 and the far wall, which is in the last square
    places = torch.tensor([[[0.1, 0.1], [1.2, 0.6], [1.4, 0.9], [1.5, 1.0]]])
    counts = point_counts(places, 0.5, (2, 3))
    assert counts.tolist() == [[[1, 0, 0], [0, 0, 3]]]


def test_points_of_two_movies_are_kept_apart():
    places = torch.tensor([[[0.1, 0.1]], [[0.6, 0.1]]])
    assert point_counts(places, 0.5, (1, 2)).tolist() == [[[1, 0]], [[0, 1]]]


def test_waves_on_a_torus_are_eigenvectors_and_keep_the_sum():
    # cos(2 pi k i / n + phase): eigenvalue 2 cos(2 pi k / n) - 2 on each axis
    y, x = _indices(6, 9)
    mode = torch.cos(math.tau * 2 * y / 6 + 0.3) * torch.cos(math.tau * 4 * x / 9 - 0.7)
    rate = 2 * math.cos(math.tau * 2 / 6) - 2 + 2 * math.cos(math.tau * 4 / 9) - 2
    torch.testing.assert_close(torus_laplacian(mode[None]), rate * mode[None], rtol=0, atol=1e-13)
    field = torch.rand(2, 5, 4, generator=torch.Generator().manual_seed(0)).double()
    total = torus_laplacian(field).sum(dim=(1, 2))
    torch.testing.assert_close(total, torch.zeros(2).double(), rtol=0, atol=1e-13)
