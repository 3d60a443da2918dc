"""Forecasts made to fail in each way, on a scene whose future is known, and the truth itself."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter

from slime.arena import open_arena
from slime.ceiling import Noise
from slime.failure_sums import failure_sums, radial_bins
from slime.failures import Failure, failure_text, find_failures, measured, name_failures
from slime.sensor_noise import SensorNoise
from slime.split import Split

SIGMA, LEADS = 2.0, 6


def scene(n=30, y=32, x=40):
    """Coarse waves that run along x and fine ones along both axes, about 100."""
    t, rows, columns = np.ogrid[:n, :y, :x]
    coarse = 40 * np.sin(2 * np.pi * (columns - 1.5 * t) / 20)
    return 100 + coarse + 15 * np.sin(2 * np.pi * (columns + rows - t) / 5) + 0.0 * rows


CLEAN = scene()
NOISY = CLEAN + SIGMA * np.random.default_rng(0).normal(size=CLEAN.shape)
STARTS = (0, 9, 20)


def windows(frames, first=1):
    rows = [frames[start + first : start + first + LEADS] for start in STARTS]
    return torch.from_numpy(np.stack(rows)[:, :, None])


def failures(ahead, truth=NOISY, noise=SIGMA**2, mask=None):
    """By kind, of a forecast `window lead y x` of the frames behind STARTS."""
    last = torch.from_numpy(truth[list(STARTS)][:, None])
    sums = failure_sums(torch.as_tensor(ahead), windows(truth), last, mask)
    noises = [np.full((LEADS, 1), noise)]
    return {f.kind: f for f in name_failures("net", "val", ["camp"], [sums], noises)}


def perfect():
    return windows(CLEAN).clone()


def test_the_truth_with_its_noise_or_without_fails_in_no_way():
    assert failures(windows(NOISY)) == {}
    assert failures(perfect()) == {}


def test_a_scene_of_noise_alone_is_judged_by_nothing():
    noise = np.random.default_rng(1).normal(100, SIGMA, CLEAN.shape)
    assert failures(windows(noise), truth=noise) == {}
    still = torch.from_numpy(noise[list(STARTS)])[:, None, None].expand_as(windows(noise))
    assert failures(still, truth=noise) == {}  # there is no change to miss


def test_a_forecast_without_its_fine_waves_is_blur_and_nothing_else():
    blurred = gaussian_filter(CLEAN, (0, 1.5, 1.5))
    named = failures(windows(blurred))
    assert set(named) == {"blur"}
    assert (named["blur"].first_lead, named["blur"].last_lead) == (1, LEADS)
    assert named["blur"].value < 0.05  # the filter leaves exp(-1.5^2 (2 pi / 3.5)^2) of that wave


def test_blur_that_sets_in_later_is_named_from_there_on():
    blurred = gaussian_filter(CLEAN, (0, 1.5, 1.5))
    ahead = perfect()
    ahead[:, 3:] = windows(blurred)[:, 3:]
    named = failures(ahead)
    assert (named["blur"].first_lead, named["blur"].last_lead) == (4, LEADS)


def test_detail_of_half_the_amplitude_keeps_a_quarter_of_its_power():
    half = 100 + 0.5 * (CLEAN - 100)
    value = failures(windows(half))["blur"].value
    assert value == pytest.approx(0.25, rel=0.05)


def test_repeating_the_last_frame_is_freeze_and_nothing_else():
    still = torch.from_numpy(NOISY[list(STARTS)])[:, None, None].expand(-1, LEADS, -1, -1, -1)
    named = failures(still)
    assert set(named) == {"freeze"}
    assert named["freeze"].value == 0


def test_growth_is_blow_up_and_nothing_else():
    gain = torch.arange(1.0, LEADS + 1)[:, None, None, None]
    named = failures(100 + gain * (perfect() - 100))
    assert set(named) == {"blow-up"}
    # the scatter grows as the square of 1, 2, 3 ...: 4 is passed at lead 3
    assert (named["blow-up"].first_lead, named["blow-up"].last_lead) == (3, LEADS)
    assert named["blow-up"].value == pytest.approx(36, rel=0.02)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_what_is_not_finite_is_blow_up_from_there_on_and_judged_by_nothing_else(value):
    ahead = perfect()
    ahead[1, 2:, 0, 5, 6] = value
    named = failures(ahead)
    assert set(named) == {"blow-up"}
    assert (named["blow-up"].first_lead, named["blow-up"].last_lead) == (3, LEADS)
    assert "not finite" in failure_text(named["blow-up"])
    assert named["blow-up"].row()["value"] == "not finite"


def test_an_offset_is_drift_and_nothing_else():
    spread = CLEAN[0].std()
    named = failures(perfect() - 0.5 * spread)
    assert set(named) == {"drift"}
    assert named["drift"].value == pytest.approx(0.5, rel=0.05)
    assert failures(perfect() + 0.2 * spread) == {}


def test_masked_pixels_do_not_count():
    mask = torch.ones(len(STARTS), LEADS, 1, *CLEAN.shape[1:], dtype=torch.bool)
    mask[..., 20:] = False
    ahead = perfect()
    ahead[..., 20:] = np.nan
    assert failures(ahead, mask=mask) == {}
    ahead[..., :20] += 60
    assert set(failures(ahead, mask=mask)) == {"drift"}


def test_the_power_of_all_rings_is_that_of_numpy():
    frame = CLEAN[:1, :, :31]
    sums = failure_sums(
        *(torch.from_numpy(frame[None, :, None]),) * 2, torch.zeros(1, 1, 32, 31), None
    )
    hann = np.hanning(34)[1:-1, None] * np.hanning(33)[1:-1]
    power = np.abs(np.fft.fft2((frame[0] - frame[0].mean()) * hann)) ** 2
    bins = radial_bins(32, 31)
    wanted = [power[bins == k].sum() for k in range(15)]
    np.testing.assert_allclose(sums.power[0, 0, 0], wanted)
    white = np.abs(np.fft.fft2(np.random.default_rng(2).normal(size=(4000, 32, 31)) * hann)) ** 2
    mean = [white.mean(axis=0)[bins == k].sum() for k in range(15)]
    np.testing.assert_allclose(sums.flat[0, 0], mean, rtol=0.05)


def test_rings_hold_each_wave_below_half_a_cycle_once():
    bins = radial_bins(8, 12)
    assert bins[0, 0] == -1
    assert bins[0, 1] == bins[1, 0] == 0  # 1/12 and 1/8 of a cycle a pixel; rings are 1/8 wide
    assert bins[2, 0] == 1
    assert bins[4, 0] == 3
    assert bins[4, 6] == -1
    assert bins.max() == 3


def film(frames=NOISY, name="a dish"):
    return xr.DataArray(
        frames[:, None].astype("float32"),
        dims=("time", "channel", "y", "x"),
        coords={"channel": ["camp"]},
        name=name,
        attrs={"frame_interval_s": 15.0},
    )


def test_models_are_rolled_out_over_movies_of_any_size_and_named_with_leads_and_channel():
    movies = [film(), film(NOISY[:, :20], "another")]
    where, _ = open_arena(
        movies,
        [{"val": Split("val", 0, 30)}] * 2,
        "val",
        n_in=2,
        leads=LEADS,
        step=1,
        memory_budget=1 << 24,
        device=torch.device("cpu"),
    )
    one = np.ones(1)
    line = SensorNoise(one, SIGMA**2 * one, 0 * one, -np.inf * one, np.inf * one, ("",))
    models = {
        "persistence": lambda _: lambda past: past[:, -1],
        "louder": lambda _: lambda past: 100 + 1.5 * (past[:, -1] - 100),
    }
    found = find_failures(models, where, Noise([line, None]))
    kinds = {(f.model, f.kind) for f in found}
    assert kinds == {("persistence", "freeze"), ("louder", "blow-up")}
    (still,) = [f for f in found if f.kind == "freeze"]
    assert still == Failure("persistence", "val", "camp", "freeze", 1, LEADS, 0.0, 0.1)
    assert failure_text(still).startswith(
        "persistence, channel camp: freeze at leads 1 to 6 (0; below 0.1): squared change"
    )


def test_figures_are_given_for_every_kind_and_lead():
    last = torch.from_numpy(NOISY[list(STARTS)][:, None])
    sums = failure_sums(perfect(), windows(NOISY), last, None)
    of = measured([sums], [np.full((LEADS, 1), SIGMA**2)])
    assert set(of) == {"blur", "freeze", "blow-up", "drift"}
    for kind, wanted in (("blur", 1), ("freeze", 1), ("blow-up", 1), ("drift", 0)):
        assert of[kind].shape == (LEADS, 1)
        np.testing.assert_allclose(of[kind][1:], wanted, atol=0.03)


def test_failures_far_ahead_are_found_where_a_movie_is_scored_so_far():
    """`short` is offset and holds no window of 12 leads; the forecast of `long` grows late."""
    long, short = film(CLEAN, "long"), film(CLEAN[:10], "short")
    cuts = [{"val": Split("val", 0, 30)}, {"val": Split("val", 0, 10)}]
    asked = {"n_in": 1, "step": 1, "memory_budget": 1 << 24, "device": torch.device("cpu")}
    where, _ = open_arena([long, short], cuts, "val", leads=4, **asked)
    far, _ = open_arena([long, short], cuts, "val", leads=12, **asked)
    assert (where.numbers, far.numbers) == ([0, 1], [0])

    def grows(past):
        return 100 + 1.15 * (past[:, -1] - 100)

    spread = CLEAN[0].std()
    models = {"grows": lambda _: grows, "off": lambda i: lambda past: past[:, -1] + i * spread}
    noise = Noise([None, None])
    near = find_failures(models, where, noise)
    assert max(f.last_lead for f in near) == 4
    found = {(f.model, f.kind): f for f in find_failures(models, where, noise, far=far)}
    # the variance grows as 1.15^(2 lead): 4 is passed at lead 5, 3.5 before
    louder = found["grows", "blow-up"]
    assert (louder.first_lead, louder.last_lead) == (5, 12)
    assert louder.value == pytest.approx(1.15**24, rel=0.1)
    drift = found["off", "drift"]  # of the short movie alone
    assert (drift.first_lead, drift.last_lead) == (1, 4)
    assert found["off", "freeze"].last_lead == 12
    assert ("grows", "blow-up") not in {(f.model, f.kind) for f in near}


def test_what_is_looked_at_no_further_adds_nothing_further_on():
    last = torch.from_numpy(NOISY[list(STARTS)][:, None])
    sums = failure_sums(perfect(), windows(NOISY), last, None)
    longer = sums.up_to(LEADS + 2)
    for part, more in zip(sums.parts, longer.parts, strict=True):
        axis = next(a for a in range(part.ndim) if part.shape[a] != more.shape[a])
        kept, added = np.split(more, [LEADS], axis=axis)
        np.testing.assert_array_equal(kept, part)
        assert added.shape[axis] == 2
        assert not added.any()
