"""Half widths against the quantiles of noise of known size, and coverage on more of it."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from slime.conformal import ErrorCounts, covered, finite_sample_share
from slime.errors import SlimeError

SIGMA = np.array([0.5, 20.0])


def counted(seed, n=40, scale=(1.0, 1.0), mask=None, factor=1.0):
    """Errors of known size: sigma by channel, twice as large at lead 2."""
    draw = torch.Generator().manual_seed(seed)
    size = torch.tensor(SIGMA)[:, None, None] * torch.tensor([1.0, 2.0])[:, None, None, None]
    truth = torch.randn((n, 2, 2, 20, 30), generator=draw)
    error = factor * size * torch.randn(truth.shape, generator=draw)
    counts = ErrorCounts.none(np.array(scale), 2)
    for rows in (slice(0, 7), slice(7, n)):
        part = None if mask is None else mask[rows]
        counts.add((truth + error)[rows].float(), truth[rows], part)
    return counts


def test_the_half_width_of_gaussian_noise_is_its_quantile():
    found = counted(0).half_widths(0.9, np.array([1e9, 1e9]))
    wanted = norm.ppf(0.95) * SIGMA * np.array([[1], [2]])
    np.testing.assert_allclose(found, wanted, rtol=0.02)  # a bin, and 24 000 draws


def test_half_widths_do_not_depend_on_the_scale_of_the_bins():
    many = np.array([1e9, 1e9])
    plain, scaled = (
        counted(0, scale=s).half_widths(0.9, many) for s in ((1.0, 1.0), (0.37, 1900.0))
    )
    np.testing.assert_allclose(plain, scaled, rtol=0.02)


def test_intervals_cover_new_noise_as_often_as_they_say_and_twice_as_much_less_often():
    half = counted(0).half_widths(0.9, np.array([1e9, 1e9]))
    np.testing.assert_allclose(covered(counted(1), half), 0.9, atol=0.01)
    wide = covered(counted(1, factor=2.0), half)
    np.testing.assert_allclose(wide, 2 * norm.cdf(norm.ppf(0.95) / 2) - 1, atol=0.02)


def test_few_blocks_widen_intervals_by_the_finite_sample_rule():
    counts = counted(0)
    # ceil(21 x 0.9) = 19 of 20 blocks
    half = counts.half_widths(0.9, np.array([20.0, 8.9]))
    np.testing.assert_allclose(half[0], norm.ppf(1 - 0.05 / 2) * SIGMA, rtol=0.02)
    assert np.isinf(half[1]).all()  # ceil(9 x 0.9) = 9 of 8


@pytest.mark.parametrize(("n", "share"), [(9, 1), (10, 1), (19, 18 / 19), (99, 90 / 99)])
def test_the_finite_sample_share_by_hand(n, share):
    assert finite_sample_share(0.9, n) == pytest.approx(share)


def test_masked_pixels_count_for_nothing():
    mask = torch.zeros((40, 2, 2, 20, 30), dtype=torch.bool)
    mask[:, :, :, :5] = True
    counts = counted(0, mask=mask)
    assert (counts.counts.sum(axis=-1) == 40 * 5 * 30).all()
    none = counted(0, mask=torch.zeros_like(mask))
    assert np.isnan(none.half_widths(0.9, np.array([50.0, 50.0]))).all()


def test_a_diverged_forecast_is_covered_by_no_finite_interval():
    counts = ErrorCounts.none(np.ones(1), 1)
    truth = torch.zeros(1, 1, 1, 2, 2)
    wild = torch.tensor([0.0, 1.0, np.nan, np.inf]).reshape(1, 1, 1, 2, 2)
    counts.add(wild, truth, None)
    assert counts.half_widths(0.75, np.array([100.0])).item() == np.inf
    assert covered(counts, np.array([[2.0]])).item() == 0.5
    assert counts.half_widths(0.4, np.array([1e6])).item() == pytest.approx(1, rel=0.01)


def test_mistakes_are_told():
    with pytest.raises(SlimeError, match=r"coverage=90.0 must be between 0 and 1"):
        finite_sample_share(90.0, 10)
    with pytest.raises(SlimeError, match=r"scale=\[0.0\]"):
        ErrorCounts.none(np.zeros(1), 1)
