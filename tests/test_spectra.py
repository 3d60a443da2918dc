"""Powers of waves against Parseval, single waves and windowed noise; scores from them by hand."""

import math

import numpy as np
import pytest
import torch

from slime.spectra import POWERS, Waves
from slime.wave_scores import WaveSums, h1, wave_scores

Y, X = 18, 24


@pytest.fixture
def frames() -> tuple[torch.Tensor, torch.Tensor]:
    """Forecast and truth (3, 2, 18, 24) about means that differ."""
    rng = np.random.default_rng(1)
    truth = 50 + 3 * rng.normal(size=(3, 2, Y, X))
    forecast = 0.7 * truth + 20 + rng.normal(size=truth.shape)
    return torch.tensor(forecast), torch.tensor(truth)


def wave(ky: int, kx: int, phase: float = 0.0) -> torch.Tensor:
    y, x = (torch.arange(n, dtype=torch.float64) / n for n in (Y, X))
    return torch.cos(2 * math.pi * (ky * y[:, None] + kx * x) + phase)[None, None]


def held(forecast, truth, waves: Waves, mask=None) -> WaveSums:
    sums = waves.sums(forecast, truth, mask).sum(dim=0).numpy()
    return WaveSums(sums[:, None], waves.names)


def scores(forecast, truth, waves: Waves, mask=None) -> dict[str, np.ndarray]:
    return {name: v[0] for name, v in wave_scores(held(forecast, truth, waves, mask))}


def test_bands_add_up_to_the_mean_squared_error(frames):
    forecast, truth = frames
    mse = (forecast - truth).square().mean(dim=(0, 2, 3)).numpy()
    found = scores(forecast, truth, Waves(Y, periodic=True))
    bands = ("low", "mid", "high")
    np.testing.assert_allclose(sum(found[f"spectral_mse_{b}"] for b in bands), mse, rtol=1e-12)
    np.testing.assert_allclose(sum(found[f"frmse_{b}"] ** 2 for b in bands), mse, rtol=1e-12)


@pytest.mark.parametrize("width", [24, 23])
def test_powers_of_all_bands_add_up_to_the_variance(width):
    truth = torch.tensor(np.random.default_rng(2).normal(size=(1, 1, Y, width)))
    sums = held(truth, truth, Waves(Y, periodic=True))
    for kind in ("", "fourier_"):
        total = sum(sums[f"truth_{kind}{band}"] for band in ("low", "mid", "high"))
        assert total.item() == pytest.approx(truth.var(correction=0).item(), rel=1e-12)


@pytest.mark.parametrize(
    ("ky", "kx", "band"),
    [(1, 0, "low"), (3, 0, "low"), (-3, 4, "mid"), (4, 0, "mid"), (0, 12, "mid"), (9, 12, "high")],
)
def test_a_wave_s_energy_lies_in_its_band_in_all_quadrants(ky, kx, band):
    # waves a frame of 18 pixels: 24 columns hold kx = 12 in 9 waves of 18 pixels
    sums = held(wave(ky, kx), wave(ky, kx), Waves(Y, periodic=True))
    share = {b: sums[f"truth_fourier_{b}"].item() for b in ("low", "mid", "high")}
    square = wave(ky, kx).square().mean().item()  # 1 / 2; of the corner's alternating wave 1
    assert share.pop(band) == pytest.approx(square, rel=1e-12)
    assert list(share.values()) == pytest.approx([0, 0], abs=1e-12)


def test_bands_are_equally_wide_in_log_k():
    # from 1/24 to sqrt(1/2) cycles a pixel: edges at 0.1072 and 0.2753
    for ky, kx, band in ((0, 2, "low"), (0, 3, "mid"), (0, 6, "mid"), (0, 7, "high")):
        sums = held(wave(ky, kx), wave(ky, kx), Waves(Y, periodic=True))
        assert sums[f"truth_{band}"].item() == pytest.approx(0.5)


def test_a_ring_holds_the_waves_of_its_length():
    waves = Waves(Y, periodic=True)
    sums = held(wave(4, 0), wave(4, 0), waves)
    rings = sums.rings("truth").ravel()
    assert waves.ring_k[rings.argmax()] == pytest.approx(4 / Y)
    assert rings.sum() == pytest.approx(0.5)


def test_the_window_keeps_what_does_not_wrap_around_out_of_high_waves():
    ramp = torch.linspace(0, 10, X).expand(1, 1, Y, X).double()
    raw, windowed = (held(ramp, ramp, Waves(Y, periodic=p)) for p in (True, False))

    def high(sums):
        of_bands = [sums[f"truth_{band}"].item() for band in ("low", "mid", "high")]
        return of_bands[2] / sum(of_bands)

    assert high(windowed) < high(raw) / 20


def test_a_window_leaves_the_power_of_noise_as_it_is():
    n = 2000
    noise = torch.tensor(np.random.default_rng(3).normal(5, 2, size=(n, 1, Y, X)))
    sums = held(noise, noise, Waves(Y))
    total = sum(sums[f"truth_{band}"] for band in ("low", "mid", "high")).item() / n
    w = Waves(Y).window(Y, X)
    s1, s2, s3 = (w.pow(i).sum().item() for i in (1, 2, 3))
    taken_by_mean = 2 * s3 / (s1 * s2) - s2 / s1**2
    assert taken_by_mean < 0.03
    # about 114 free pixels a frame: the error of the variance is sqrt(2 / 228000), 0.3 %
    assert total == pytest.approx(4 * (1 - taken_by_mean), rel=0.012)


def test_masked_pixels_have_no_weight_and_their_lack_is_made_up_for():
    rng = np.random.default_rng(4)
    noise = torch.tensor(rng.normal(5, 2, size=(400, 1, Y, X)))
    mask = torch.tensor(rng.random(noise.shape) < 0.6)
    for periodic in (True, False):
        garbage = (torch.where(mask, noise, bad) for bad in (torch.nan, 1e9))
        sums = held(*garbage, Waves(Y, periodic=periodic), mask)
        total = sum(sums[f"truth_{band}"] for band in ("low", "mid", "high")).item() / 400
        assert total == pytest.approx(4, rel=0.05)  # of 110 to 260 pixels a mean takes some
        assert sums["error_high"].item() == 0
    empty = held(noise, noise, Waves(Y), torch.zeros_like(mask))
    assert not empty.sums.any()


def test_energy_ratio_shows_blur_and_coherence_error_shows_displacement(frames):
    _, truth = frames
    half = scores(0.5 * truth, truth, Waves(Y))
    for band in ("low", "mid", "high"):
        np.testing.assert_allclose(half[f"energy_ratio_{band}"], 0.25)
        np.testing.assert_allclose(half[f"coherence_error_{band}"], 0, atol=1e-12)
    np.testing.assert_allclose(half["log_spectral_distance"], math.log10(4))
    moved = scores(wave(0, 7, 0.8), wave(0, 7), Waves(Y, periodic=True))
    assert moved["energy_ratio_high"].item() == pytest.approx(1)
    assert moved["coherence_error_high"].item() == pytest.approx(1 - math.cos(0.8))


def test_log_spectral_distance_is_the_root_mean_square_over_rings():
    # two waves, each alone in its ring: 10 times and 100 times the power, other rings empty
    truth = wave(2, 0) + wave(5, 0)
    forecast = math.sqrt(10) * wave(2, 0) + 10 * wave(5, 0)
    sums = held(forecast, truth, Waves(Y, periodic=True))
    for power in ("forecast", "truth"):  # what rounding leaves in the other rings
        for i in range(1, 10):
            row = sums.names.index(f"{power}_{i}")
            sums.sums[row] = np.where(sums.sums[row] < 1e-20, 0, sums.sums[row])
    found = dict(wave_scores(sums))["log_spectral_distance"].item()
    assert found == pytest.approx(math.sqrt((1 + 4) / 2))


def test_relative_band_errors_are_errors_over_the_truth_s_squares(frames):
    forecast, truth = frames
    found = scores(forecast, truth, Waves(Y, periodic=True))
    sums = held(forecast, truth, Waves(Y, periodic=True))
    total = sum(sums[f"truth_{b}"] for b in ("low", "mid", "high")) + sums["truth_mean"]
    np.testing.assert_allclose(total[0], truth.square().mean(dim=(2, 3)).sum(dim=0), rtol=1e-12)
    np.testing.assert_allclose(
        found["spectral_nmse_low"],
        ((sums["error_low"] + sums["error_mean"]) / (sums["truth_low"] + sums["truth_mean"]))[0],
    )
    np.testing.assert_allclose(
        found["spectral_nmse_high"], (sums["error_high"] / sums["truth_high"])[0]
    )


def test_the_right_answer_scores_perfectly(frames):
    _, truth = frames
    for name, value in scores(truth, truth, Waves(Y)).items():
        wanted = 1 if name.startswith("energy_ratio") else 0
        np.testing.assert_allclose(value, wanted, atol=1e-12, err_msg=name)


def test_channels_pool_by_their_powers(frames):
    sums = held(*frames, Waves(Y))
    pooled = WaveSums(sums.sums, sums.names, pool=True)
    np.testing.assert_allclose(
        dict(wave_scores(pooled))["energy_ratio_mid"][0, 0],
        sums["forecast_mid"].sum() / sums["truth_mid"].sum(),
    )


def test_large_frames_have_no_more_rings_than_64_and_names_are_as_many_as_sums(frames):
    assert Waves(2048).n_rings == 64
    assert Waves(2048).ring_k[-1] == 0.5
    waves = Waves(Y)
    assert waves.sums(*frames).shape == (3, len(waves.names), 2)
    assert len(waves.names) == 1 + len(POWERS) * (1 + 9 + 3 + 3)


def test_h1_weighs_values_and_gradients_alike():
    names = ("square", "truth2", "gradient", "truth_gradient")
    sums = np.array([3.0, 40.0, 6.0, 60.0]).reshape(4, 1, 1)
    assert h1(WaveSums(sums, names)).item() == pytest.approx(0.3)  # sqrt(9 / 100)
