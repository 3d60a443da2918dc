"""Costly sums of a batch: values in order, gradients, anomalies; and that masks hold in all."""

import numpy as np
import pytest
import torch
from scipy import stats

from slime.details import Details, gradient_sums, wasserstein_frames
from slime.score import SUMS
from slime.spectra import Waves
from slime.wave_scores import WaveSums, wave_scores
from slime.yardstick import Yardstick

B, LEADS, C, Y, X = 3, 4, 2, 12, 15
YARDSTICK = Yardstick(np.ones(C), np.zeros(C), np.array([9.0, 5.0]), np.zeros(C))


@pytest.fixture
def frames() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(5)
    truth = 30 + 2 * rng.normal(size=(B, LEADS, C, Y, X))
    forecast = truth + 0.3 + rng.normal(size=truth.shape)
    return torch.tensor(forecast).float(), torch.tensor(truth).float()


def tally(forecast, truth, mask=None, climate=None, leads=(1, 2, 4)):
    start = torch.arange(len(truth))
    details = Details(leads, YARDSTICK, Waves(Y))
    return details.tally(forecast, truth, mask, torch.zeros_like(start), start, climate)


def test_w1_agrees_with_scipy(frames):
    forecast, truth = (f[:, 0] for f in frames)
    found = wasserstein_frames(forecast, truth)
    for b, c in np.ndindex(B, C):
        p, y = (f[b, c].double().numpy().ravel() for f in (forecast, truth))
        assert found[b, c].item() == pytest.approx(stats.wasserstein_distance(p, y), rel=1e-6)


def test_w1_does_not_see_where_values_lie_and_sees_an_offset(frames):
    _, truth = (f[:, 0] for f in frames)
    assert not wasserstein_frames(truth.flip(-1), truth).any()
    np.testing.assert_allclose(wasserstein_frames(truth + 3, truth), 3, rtol=1e-5)


def test_w1_under_a_mask_is_that_of_the_pixels_that_count(frames):
    forecast, truth = (f[:, 0] for f in frames)
    mask = torch.rand(truth.shape, generator=torch.Generator().manual_seed(0)) < 0.7
    mask[1, 0] = False
    dirty = (torch.where(mask, v, bad) for v, bad in ((forecast, torch.nan), (truth, 1e9)))
    found = wasserstein_frames(*dirty, mask)
    assert found[1, 0].isnan()
    p, y = (f[2, 1][mask[2, 1]].double().numpy() for f in (forecast, truth))
    assert found[2, 1].item() == pytest.approx(stats.wasserstein_distance(p, y), rel=1e-6)
    forecast[0, 0, 1, 1] = torch.inf
    assert wasserstein_frames(forecast, truth)[0, 0] == torch.inf


def test_gradients_of_a_ramp():
    ramp = 2 * torch.arange(X).expand(1, 1, Y, X) + 3.0 * torch.arange(Y)[:, None]
    error, own = gradient_sums(ramp + 7, ramp)[0, :, 0].tolist()
    assert error == 0
    # 12 rows of 14 steps of 2, 15 columns of 11 steps of 3
    assert own == 12 * 14 * 4 + 15 * 11 * 9
    # around the edges: a step back by 28 in each row, by 33 in each column
    _, around = gradient_sums(ramp, ramp, periodic=True)[0, :, 0].tolist()
    assert around == own + 12 * 28**2 + 15 * 33**2
    mask = torch.ones(ramp.shape, dtype=torch.bool)
    mask[..., 4, 5] = False  # which takes two pairs of each axis
    _, masked = gradient_sums(ramp, torch.where(mask, ramp, 1e9), mask)[0, :, 0].tolist()
    assert masked == own - 2 * 4 - 2 * 9


def test_details_are_of_their_leads(frames):
    forecast, truth = frames
    held = tally(forecast, truth, leads=(1, 4))
    assert held.sums.shape == (B, len(held.names), 2, C)
    np.testing.assert_allclose(held["w1"][:, 1], wasserstein_frames(forecast[:, 3], truth[:, 3]))
    square = (forecast[:, 3].double() - truth[:, 3]).square().sum((-2, -1))
    np.testing.assert_allclose(held["square"][:, 1], square, rtol=1e-12)
    assert held.names[: len(SUMS)] == SUMS


def test_acc_is_the_correlation_of_anomalies_and_not_of_frames(frames):
    forecast, truth = frames
    climate = 40 * torch.rand(B, C, Y, X, generator=torch.Generator().manual_seed(1))
    found = tally(forecast + climate[:, None], truth + climate[:, None], climate=climate)["acc"]
    for b, c in np.ndindex(B, C):
        p, y = (f[b, 1, c].double().numpy().ravel() for f in frames)
        assert found[b, 1, c] == pytest.approx(stats.pearsonr(p, y).statistic, abs=1e-4)
    assert np.isnan(tally(forecast, truth)["acc"]).all()


def test_details_do_not_depend_on_how_windows_are_batched_nor_on_garbage_under_the_mask(frames):
    forecast, truth = frames
    mask = torch.rand(truth.shape, generator=torch.Generator().manual_seed(2)) < 0.8
    whole = tally(forecast, truth, mask)
    dirty = (torch.where(mask, v, bad) for v, bad in ((forecast, torch.nan), (truth, 1e7)))
    np.testing.assert_allclose(tally(*dirty, mask).sums, whole.sums, rtol=1e-6, atol=1e-6)
    parts = [tally(forecast[a:b], truth[a:b], mask[a:b]) for a, b in ((0, 2), (2, 3))]
    for part, rows in zip(parts, (slice(0, 2), slice(2, 3)), strict=True):
        np.testing.assert_allclose(part.sums, whole.sums[rows], rtol=1e-6, atol=1e-9)


def test_scores_of_waves_are_found_under_the_tally_s_names(frames):
    forecast, truth = frames
    held = tally(forecast, truth)
    own = Waves(Y).sums(forecast[:, 1].double(), truth[:, 1].double()).sum(dim=0).numpy()
    wanted = dict(wave_scores(WaveSums(own[:, None], Waves(Y).names)))
    for name, value in wave_scores(WaveSums(held.total(), held.names)):
        np.testing.assert_allclose(value[1], wanted[name][0], rtol=1e-6, err_msg=name)
