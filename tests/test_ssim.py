"""SSIM against scikit-image and identities."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from slime.ssim import ssim_frames

RANGE = (40.0, 7.0)


@pytest.fixture(params=[500, 3], ids=["bright", "dark"])
def frames(request) -> tuple[torch.Tensor, torch.Tensor]:
    """Forecast and truth (3, 2, 17, 23) on a background, channels of unequal range."""
    rng = np.random.default_rng(0)
    scale = np.array([10.0, 2.0])[:, None, None]
    truth = request.param + scale * rng.normal(size=(3, 2, 17, 23)).cumsum(axis=-1)
    forecast = truth + scale * rng.normal(size=truth.shape)
    return torch.tensor(forecast, dtype=torch.float32), torch.tensor(truth, dtype=torch.float32)


def test_ssim_agrees_with_scikit_image(frames):
    forecast, truth = frames
    found = ssim_frames(forecast, truth, torch.tensor(RANGE))
    for n, c in np.ndindex(3, 2):
        wanted = structural_similarity(
            truth[n, c].double().numpy(),
            forecast[n, c].double().numpy(),
            data_range=RANGE[c],
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert found[n, c].item() == pytest.approx(wanted, abs=2e-5)  # float32


def test_ssim_of_a_frame_with_itself_is_one(frames):
    _, truth = frames
    np.testing.assert_allclose(ssim_frames(truth, truth, torch.tensor(RANGE)), 1, atol=1e-6)


def test_ssim_does_not_change_with_the_unit_and_does_with_the_range(frames):
    forecast, truth = frames
    own = ssim_frames(forecast, truth, torch.tensor(RANGE))
    scaled = ssim_frames(8 * forecast, 8 * truth, 8 * torch.tensor(RANGE))
    np.testing.assert_allclose(scaled, own, atol=1e-6)
    other = ssim_frames(forecast, truth, 30 * torch.tensor(RANGE))
    assert (other > own).all()  # a guessed range flatters


def test_garbage_under_the_mask_changes_nothing(frames):
    forecast, truth = frames
    mask = torch.ones(truth.shape, dtype=torch.bool)
    mask[:, :, 3, 4] = mask[:, 1, :, 15:] = False
    clean = ssim_frames(forecast, truth, torch.tensor(RANGE), mask)
    dirty = (torch.where(mask, v, bad) for v, bad in ((forecast, torch.nan), (truth, 1e9)))
    np.testing.assert_allclose(ssim_frames(*dirty, torch.tensor(RANGE), mask), clean, atol=1e-5)
    assert (clean < 1).all()


def test_flat_frames_differ_in_light_alone_whatever_is_masked():
    truth, mask = torch.full((1, 1, 15, 19), 6.0), torch.ones(1, 1, 15, 19, dtype=torch.bool)
    mask[..., ::2, ::3] = False
    c1 = (0.01 * 40) ** 2
    wanted = (2 * 8 * 6 + c1) / (64 + 36 + c1)
    found = ssim_frames(torch.where(mask, 8.0, 0.0), truth, torch.tensor([40.0]), mask)
    assert found.item() == pytest.approx(wanted, rel=1e-4)


def test_a_mask_that_cuts_half_a_frame_away_leaves_the_other_half_s_ssim(frames):
    forecast, truth = frames
    mask = torch.zeros(truth.shape, dtype=torch.bool)
    mask[..., :18] = True
    found = ssim_frames(forecast, truth, torch.tensor(RANGE), mask)
    # beside pixels whose neighbourhood is whole, those near the cut: they see less of it
    half = ssim_frames(forecast[..., :18], truth[..., :18], torch.tensor(RANGE))
    np.testing.assert_allclose(found, half, atol=0.1)
    everywhere = ssim_frames(forecast, truth, torch.tensor(RANGE), torch.ones_like(mask))
    whole = ssim_frames(forecast, truth, torch.tensor(RANGE))
    np.testing.assert_allclose(everywhere, whole, atol=1e-6)


def test_frames_too_small_or_all_masked_have_none_and_diverged_ones_nothing_in_common(frames):
    forecast, truth = (f.clone() for f in frames)
    assert ssim_frames(forecast[..., :10], truth[..., :10], torch.tensor(RANGE)).isnan().all()
    mask = torch.ones(truth.shape, dtype=torch.bool)
    mask[1] = False
    forecast[2] = torch.inf
    found = ssim_frames(forecast, truth, torch.tensor(RANGE), mask)
    assert found[1].isnan().all()
    assert (found[2] == 0).all()
    assert (found[0] > 0).all()
