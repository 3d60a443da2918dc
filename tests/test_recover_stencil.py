"""Stencils and diffusion of fields made by known steps: exact without noise, unbiased with it."""

import numpy as np
import pandas as pd
import pytest
import zarr
from scipy.ndimage import convolve
from scripts_by_name import script

from slime.errors import SlimeError
from slime.recover.diffusion import fit_diffusion
from slime.recover.stencil import euler_power, learn_stencil, physics_of, propagator, ties
from slime.recover.stencil_study import SPREAD, diffusing
from slime.recover.truth import Trial, mean_interval, share_interval, summaries
from slime.simulate import make_movies

FIVE_POINTS = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])


@pytest.fixture
def main(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return script("recover_physics")


def fed_field(n_frames=14, y=17, x=23, spread=0.1, decay=0.07, feed=0.03, seed=0):
    """A field and its source, one explicit step a frame; both rough, no flux through the edges."""
    rng = np.random.default_rng(seed)
    source = rng.random((n_frames, y, x))
    field = [rng.random((y, x))]
    for t in range(n_frames - 1):
        lap = convolve(field[-1], FIVE_POINTS, mode="nearest")
        field.append(field[-1] * (1 - decay) + spread * lap + feed * source[t])
    return np.stack(field), source[None]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("instruments", [True, False])
def test_without_noise_the_step_itself_is_learned(symmetric, instruments):
    field, source = fed_field()
    learned = learn_stencil(field, 3, sources=source, symmetric=symmetric, instruments=instruments)
    step = np.zeros((3, 3))
    step[1, 1] = 1 - 0.07
    assert np.allclose(learned.weights, step + 0.1 * FIVE_POINTS, atol=1e-6)
    # fed now, not by its Laplacian and not by the next frame's
    assert learned.sources[0].tolist() == pytest.approx([0.03, 0, 0, 0], abs=1e-6)


@pytest.mark.parametrize("instruments", [True, False])
def test_without_noise_diffusion_and_decay_are_exact(instruments):
    field, source = fed_field()
    fitted = fit_diffusion(field, sources=source, n_steps=1, instruments=instruments)
    assert fitted.settled
    # spread, decay, the source now and then, a constant
    assert fitted.values.tolist() == pytest.approx([0.1, 0.07, 0.03, 0, 0], abs=1e-8)


def test_frames_several_steps_apart_give_the_power_of_the_step():
    field = diffusing(3, seed=1, n_frames=12, n_px=40)
    true = euler_power(7, 3, spread=SPREAD, decay=0.0)
    learned = learn_stencil(field, 7, instruments=False)
    assert np.linalg.norm(learned.weights - true) < 1e-6
    one_step = euler_power(7, 1, spread=SPREAD, decay=0.0)
    assert np.linalg.norm(true - one_step) > 0.1
    fitted = fit_diffusion(field, n_steps=3)
    assert fitted.values[0] == pytest.approx(3 * SPREAD, rel=1e-9)
    # taken for a field of nature: exp(D lap) is not (1 + D lap / 3)^3
    assert fit_diffusion(field).values[0] != pytest.approx(3 * SPREAD, rel=1e-3)


def test_the_power_is_what_the_step_does_to_a_point():
    """Another implementation: three convolutions of a lone point."""
    point = np.zeros((9, 9))
    point[4, 4] = 1
    for _ in range(3):
        point = 0.98 * point + 0.05 * convolve(point, FIVE_POINTS)
    assert np.allclose(euler_power(9, 3, spread=0.05, decay=0.02), point)
    assert np.allclose(euler_power(3, 3, spread=0.05, decay=0.02), point[3:6, 3:6])


def test_the_propagator_is_the_limit_of_ever_smaller_steps():
    # the first order of the difference halves with the step
    exact = propagator(9, diffusion=0.5, decay=0.2)
    off = [
        np.abs(euler_power(9, n, spread=0.5 / n, decay=0.2 / n) - exact).max() for n in (100, 200)
    ]
    assert off[1] < 2e-3
    assert off[0] / off[1] == pytest.approx(2, rel=0.02)
    wide = propagator(61, diffusion=2.0, decay=0.2)
    assert wide.sum() == pytest.approx(np.exp(-0.2))


def test_the_moments_of_a_stencil_are_its_physics():
    found = physics_of(propagator(61, diffusion=1.3, decay=0.4))
    assert found.diffusion == pytest.approx(1.3)
    assert found.decay == pytest.approx(0.4)
    found = physics_of(euler_power(21, 10, spread=0.08, decay=0.05), n_steps=10)
    assert found.diffusion == pytest.approx(0.8)
    assert found.decay == pytest.approx(0.5)
    shifted = np.zeros((5, 5))
    shifted[2, 1] = 1  # what stands to the left comes here
    found = physics_of(shifted)
    assert (found.drift_y, found.drift_x, found.diffusion) == (0, 1, 0)


def test_noise_fools_least_squares_and_not_the_instruments():
    off, plain, held = [], [], []
    for seed in range(8):
        field = diffusing(1, seed=seed, n_px=32, n_frames=14)
        rng = np.random.default_rng(seed)
        seen = field + 0.05 * rng.standard_normal(field.shape)
        fitted = fit_diffusion(seen, n_steps=1)
        low, high = fitted.interval(0)
        off.append(fitted.values[0] / SPREAD - 1)
        held.append(low < SPREAD < high)
        plain.append(fit_diffusion(seen, n_steps=1, instruments=False).values[0] / SPREAD - 1)
    assert min(plain) > 0.2
    mean, low, high = mean_interval(np.array(off))
    assert abs(mean) < 0.02
    assert low < 0 < high
    assert sum(held) >= 6  # of 8 at 95 %: fewer has a chance of 0.6 %


def test_intervals_cover_a_known_diffusion_as_often_as_they_say():
    held = []
    for seed in range(60):
        field = diffusing(2, seed=seed, n_px=16, n_frames=11)
        rng = np.random.default_rng(seed)
        fitted = fit_diffusion(field + 0.03 * rng.standard_normal(field.shape), n_steps=2)
        low, high = fitted.interval(0)
        held.append(low < 2 * SPREAD < high)
    # of 60 at 95 %: 52 or fewer has a chance of 0.8 %
    assert sum(held) > 52


def test_ties_are_the_turns_and_mirrors_of_a_square():
    assert ties(3).sum(0).tolist() == [1, 4, 4]
    assert ties(5).sum(0).tolist() == [1, 4, 4, 4, 8, 4]


def test_a_rim_where_the_edge_is_no_wall_is_left_out():
    field = diffusing(1, seed=2, n_px=60, n_frames=9)[:, 12:-12, 12:-12]
    whole = fit_diffusion(field, n_steps=1).values[0]
    inner = fit_diffusion(field, n_steps=1, rim=3).values[0]
    assert abs(inner / SPREAD - 1) < 1e-6
    assert abs(whole / SPREAD - 1) > 1e-4


def test_bias_and_coverage_are_counted_by_hand():
    def trial(value, low, high):
        return Trial("c", "D", 2.0, 0, value, low, high, 3.0, "")

    trials = [trial(2.2, 1.9, 2.5), trial(1.9, 1.8, 1.95), trial(np.nan, np.nan, np.nan)]
    found = {row[2]: row[3:] for row in summaries(trials)}
    assert found["bias"][0] == pytest.approx((0.1 - 0.05) / 2)
    assert found["bias_uncorrected"][0] == pytest.approx(0.5)
    assert found["coverage"][0] == 0.5
    assert found["silent"][0] == pytest.approx(1 / 3)
    assert found["half_width"][0] == pytest.approx((0.15 + 0.0375) / 2)
    # t of 1 degree of freedom at 97.5 % is 12.706; the standard error 0.075
    assert found["bias"][2] == pytest.approx(0.025 + 12.706 * 0.075, rel=1e-4)
    assert share_interval(np.ones(12, bool))[1] == pytest.approx(0.025 ** (1 / 12))


def test_the_command_finds_the_constants_of_the_world(main, tmp_path):
    make_movies(
        "dictyostelium_fields",
        ["f.zarr"],
        seeds=[1],
        size_px=24,
        n_frames=30,
        frame_interval_s=0.48,
        warm_up_min=1.0,
        pulses_per_mm2=2.0,
        show_hidden=1,
    )
    words = ["f.zarr", "what=stencil", "steps=1", "stencil_px=3", "fed_by=b", "out=seen"]
    assert main(words) == 0
    table = pd.read_csv("seen/stencil.csv").set_index("observable")
    assert table.value["diffusion"] == pytest.approx(0.024e6 / 60, rel=1e-3)  # um2 / s
    assert table.unit["diffusion"] == "um2/s"
    assert table.value["decay"] == pytest.approx(9 / 60, rel=1e-3)
    assert table.value["stencil_apart"] < 1e-3
    assert (tmp_path / "seen" / "stencil.png").stat().st_size > 10_000


def test_what_cannot_be_told_is_nan_with_the_reason(main, bare):
    rng = np.random.default_rng(0)
    store = bare(rng.random((12, 20, 20)).astype("float32") + 1)
    assert main([str(store), "what=stencil", "out=seen"]) == 0
    table = pd.read_csv("seen/stencil.csv").set_index("observable")
    assert np.isnan(table.value["diffusion"])
    assert "did not settle" in table.note["diffusion"] or "too little" in table.note["diffusion"]


def test_a_fed_field_with_frames_far_apart_gets_no_number(main, tmp_path):
    field, source = fed_field(decay=0.2)
    pixels = np.stack([field, source[0]], axis=1)[:, :, None].astype("float32")
    zarr.create_array(tmp_path / "fed.zarr", shape=pixels.shape, dtype="float32")[:] = pixels
    assert main(["fed.zarr", "what=stencil", "fed_by=1", "steps=1", "out=seen"]) == 0
    table = pd.read_csv("seen/stencil.csv").set_index("observable")
    assert np.isnan(table.value["diffusion"])
    assert "a fed field decays by 0.2 between frames" in table.note["diffusion"]
    assert "frames 0.5 times as far apart" in table.note["diffusion"]


def test_stores_that_hold_no_diffusion_are_refused(main, bare):
    flat = str(bare(np.ones((9, 12, 12), "float32"), name="flat.zarr"))
    short = str(bare(np.ones((5, 12, 12), "float32"), name="short.zarr"))
    two = str(bare(np.ones((9, 2, 1, 12, 12), "float32"), name="two.zarr"))
    for words, why in (
        ([flat], "is 1 everywhere: nothing diffuses"),
        ([short], "5 frames of 12 x 12: a stencil of 5 needs 8 frames"),
        ([two], "channels 0, 1: pick the one that diffuses, channels=NAME"),
        ([two, "fed_by=b"], "fed_by=b: .* has channels 0, 1"),
        ([flat, "stencil_px=4"], "stencil_px=4 must be odd"),
    ):
        with pytest.raises(SlimeError, match=why):
            main([words[0], "what=stencil", *words[1:]])


def test_a_study_writes_its_movies_and_its_summary(main, tmp_path, capsys):
    assert main(["study=stencil", "seeds=2", "out=known"]) == 0
    movies, summary = (
        pd.read_csv(tmp_path / "known" / f"{n}.csv") for n in ("stencil_movies", "stencil")
    )
    assert set(movies.parameter) == {"D"}
    assert len(movies) == 2 * movies.condition.nunique()
    bias = summary[(summary.score == "bias") & (summary.condition == "1 step, noise 0.01")]
    assert abs(bias.value.item()) < 0.01
    assert (tmp_path / "known" / "stencil.png").stat().st_size > 10_000
    assert "coverage" in capsys.readouterr().out
