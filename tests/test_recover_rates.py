"""sigma and k_e from movies of g: exact without noise, unbiased with it, else silent."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
import torch.autograd.forward_ad as forward
import xarray as xr
from scripts_by_name import script

from slime.command import run_command
from slime.errors import SlimeError
from slime.recover.newton import best_start, fit_rates, normal_sums
from slime.recover.observer import Seen, Setup, free_run, innovations, steps_between
from slime.recover.rates import noise_level, recover_rates
from slime.recover.rates_study import INTERVAL_S, known_signal
from slime.simulate import make_movies
from slime.simulate.dictyostelium import advanced, initial_state
from slime.simulate.dictyostelium_fields import FieldsSpec

MINUTES = INTERVAL_S / 60


@pytest.fixture(scope="module")
def main():
    return script("recover_physics")


@pytest.fixture(scope="module")
def dish():
    """15 min of g at sigma 0.6, k_e 7 on 12 x 12 points, from the first pulses on."""
    return known_signal(0.6, 7.0, seed=0, n_px=12, n_frames=61)


def a_setup(spec, warm_up=36):
    return Setup(spec, MINUTES, steps_between(spec, MINUTES), warm_up)


def unseen(frames):
    """The frames as they are, taken to be free of noise."""
    none = torch.zeros(len(frames))
    return Seen(frames, None, none, none)


def logs(*rates):
    return torch.tensor([rates]).log()


def test_without_noise_both_rates_are_exact_from_afar(dish):
    frames, spec = dish
    seen, setup = unseen(frames), a_setup(spec)
    start = best_start(seen, setup, frames.new_zeros(1, 0))
    assert (start - logs(0.6, 7.0)).abs().max() > 0.05
    fit = fit_rates(seen, setup, start)
    assert fit.settled.all()
    # the step is the world's own; what is left is the start of the hidden fields, forgotten as
    # exp(-9 min / 1 min), and float32
    assert fit.parameters.exp()[0].tolist() == pytest.approx([0.6, 7.0], rel=5e-4)
    assert fit.explained.item() > 0.999999


@pytest.mark.slow
def test_gain_and_offset_are_found_beside_the_rates(dish):
    frames, spec = dish
    stored = 300 * (frames + 0.4)
    rates = recover_rates(stored, a_setup(spec), free_response=True, n_copies=3, n_rounds=0)
    sigma, k_e, gain = rates.parameters[0, :3].exp().tolist()
    assert (sigma, k_e) == pytest.approx((0.6, 7.0), rel=0.01)
    assert gain == pytest.approx(300, rel=0.01)
    assert rates.parameters[0, 3].item() == pytest.approx(0.4, rel=0.01)


# torch scripts its own formulas the first time
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_differences_agree_with_the_derivative_of_the_simulator(dish):
    """Forward-mode differentiation of the same simulation in float64."""
    frames, spec = dish
    seen = Seen(frames[:, :14].double(), None, torch.tensor([0.02]), torch.zeros(1))
    setup, at = a_setup(spec, warm_up=3), logs(0.55, 7.5).double()
    slope = []
    for column in range(2):
        direction = torch.zeros_like(at)
        direction[0, column] = 1
        with forward.dual_level():
            dual = forward.make_dual(at, direction)
            missed = [m for _, m in innovations(seen, setup, dual)]
            pairs = [forward.unpack_dual(m) for m in missed]
        slope.append(torch.stack([-pair.tangent for pair in pairs]).flatten())
        residual = torch.stack([pair.primal for pair in pairs]).flatten()
    jacobian = torch.stack(slope, 1)
    sums = normal_sums(seen, setup, at)
    # central differences of 1e-3 err by 1e-6 of the third derivative
    assert torch.allclose(sums.curvature[0], jacobian.T @ jacobian, rtol=1e-4)
    assert torch.allclose(sums.slope[0], jacobian.T @ residual, rtol=1e-4, atol=1e-6)
    assert sums.squares.item() == pytest.approx(residual.square().sum().item(), rel=1e-9)


def test_each_movie_of_a_batch_is_fitted_as_if_alone(dish):
    frames, spec = dish
    other, _ = known_signal(0.5, 6.0, seed=3, n_px=12, n_frames=61)
    setup = a_setup(spec)
    both = fit_rates(unseen(torch.cat([frames, other])), setup, logs(0.55, 6.5).repeat(2, 1))
    alone = fit_rates(unseen(other), setup, logs(0.55, 6.5))
    assert both.parameters[1].tolist() == pytest.approx(alone.parameters[0].tolist(), abs=1e-4)
    assert both.parameters[1].exp().tolist() == pytest.approx([0.5, 6.0], rel=1e-3)


def test_a_free_run_is_the_movie_itself(dish):
    frames, spec = dish
    setup = a_setup(spec)
    seen = unseen(frames)
    again = free_run(seen, setup, logs(0.6, 7.0), 10)
    # the hidden fields are those of the world after the warm-up, so it goes on as the world does
    assert torch.allclose(again, frames[:, 36:46], atol=2e-3)
    assert (free_run(seen, setup, logs(0.6, 8.0), 10) - frames[:, 36:46]).abs().max() > 0.05


@pytest.mark.slow
def test_noise_biases_least_squares_and_the_copies_take_it_off(dish):
    frames, spec = dish
    generator = torch.Generator().manual_seed(3)
    seen = frames + 0.1 * torch.randn(frames.shape, generator=generator)
    rates = recover_rates(seen, a_setup(spec), n_copies=4, n_rounds=2)
    truth = logs(0.6, 7.0)
    off, plain = (rates.parameters - truth).abs(), (rates.fitted - truth).abs()
    assert plain[0, 0] > 0.03  # 3 %, and eight standard errors
    assert off[0, 0] < plain[0, 0] / 2
    low, high = rates.interval()
    assert (low < truth).all()
    assert (truth < high).all()


def test_the_noise_of_frames_is_told_from_their_slopes():
    y, x = np.mgrid[:50, :70]
    smooth = torch.from_numpy((0.3 * y - 0.2 * x)[None, None]).float()
    generator = torch.Generator().manual_seed(0)
    noisy = smooth + 0.7 * torch.randn(1, 20, 50, 70, generator=generator)
    assert noise_level(noisy).item() == pytest.approx(0.7, rel=0.02)
    assert noise_level(smooth).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.slow
def test_a_movie_of_noise_or_of_another_world_says_nan_and_why(dish):
    _, spec = dish
    generator = torch.Generator().manual_seed(0)
    noise = 1 + 0.1 * torch.randn(1, 30, 9, 9, generator=generator)
    phases = torch.arange(30)[:, None, None] * 2.1 + torch.arange(9)[:, None] * 0.4
    other = (2 + torch.sin(phases) * torch.ones(9))[None]
    setup = a_setup(spec, warm_up=20)
    for frames, why in ((noise, "nothing but noise"), (other, "does not follow the movie")):
        rates = recover_rates(frames, setup, n_copies=3, n_rounds=0)
        assert why in rates.reason[0]
        assert rates.parameters.isnan().all()
        assert rates.interval()[0].isnan().all()


def test_the_fields_of_the_world_are_stored_as_they_are(tmp_path):
    store = tmp_path / "f.zarr"
    common = {"n_frames": 3, "size_px": 9, "frame_interval_s": 6.0, "warm_up_min": 0.5}
    make_movies("dictyostelium_fields", [store], seeds=[4], show_hidden=1, **common)
    held = xr.open_zarr(store)
    assert held["movie"].dtype == np.float32
    assert held["channel"].values.tolist() == ["g", "b", "rho", "density"]
    spec = FieldsSpec(height_px=9, width_px=9)
    state = advanced(advanced(initial_state(spec, [4]), spec, 0.5), spec, 0.1)
    for name, field in state.signal._asdict().items():
        stored = held["movie"].isel(time=1).sel(channel=name).values
        assert np.array_equal(stored, field[0].numpy())
    assert (held["movie"].sel(channel="density") == 1).all()
    noisy = tmp_path / "n.zarr"
    make_movies("dictyostelium_fields", [noisy], seeds=[4], noise_g=0.3, **common)
    apart = (xr.open_zarr(noisy)["movie"].isel(channel=0) - held["movie"].sel(channel="g")).values
    assert apart.std() == pytest.approx(0.3, rel=0.2)  # of 243 draws: 14 % are three errors
    with pytest.raises(SlimeError, match="show_hidden is 2"):
        make_movies("dictyostelium_fields", [tmp_path / "x.zarr"], seeds=[0], show_hidden=2)


@pytest.mark.slow
def test_the_command_recovers_a_stored_movie(main, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = {"size_px": 12, "dx_mm": 0.1, "dt_min": 0.02, "move_min": 0.02, "k_e_per_min": 7.0}
    make_movies(
        "dictyostelium_fields",
        ["f.zarr"],
        seeds=[0],
        n_frames=45,
        warm_up_min=2.0,
        pulses_per_mm2=0.3,
        **settings,
    )
    assert main(["f.zarr", "copies=3", "warm_up_min=7", "out=seen"]) == 0
    table = pd.read_csv("seen/rates.csv").set_index("observable")
    assert table.value["sigma"] == pytest.approx(0.6, rel=5e-3)
    assert table.value["k_e"] == pytest.approx(7.0, rel=5e-3)
    assert table.low["k_e"] <= table.value["k_e"] <= table.high["k_e"]
    assert table.unit["k_e"] == "1/min"
    assert "constants from the store" in table.note["sigma"]
    assert (tmp_path / "seen" / "rates.png").stat().st_size > 10_000
    assert "sigma" in capsys.readouterr().out


def refusals():
    g = np.full((60, 5, 6), 0.5, np.float32)
    units = {"frame_interval_s": 15.0, "pixel_um": 100.0}
    return [
        (g, units | {"frame_interval_s": 300.0}, "frames 300 s apart: rates need 30 s or less"),
        (g, {"pixel_um": 100.0}, "give frame_interval_s=SECONDS"),
        (g, {"frame_interval_s": 15.0}, "give pixel_um=MICROMETRES"),
        (g[:30], units, r"has 30 frames, but 32 pass \(warm_up_min=8\)"),
        (1000 * g, units, "values up to 500, but g in K_R stays below 50; response=free"),
    ]


@pytest.mark.parametrize("case", range(5))
def test_a_movie_that_cannot_serve_is_refused_in_one_line(case, main, bare, monkeypatch, capsys):
    pixels, units, why = refusals()[case]
    words = [str(bare(pixels)), *(f"{name}={value}" for name, value in units.items())]
    monkeypatch.setattr("sys.argv", ["recover_physics.py", *words])
    with pytest.raises(SystemExit) as left:
        run_command(main)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert re.search(why, said)


def test_light_of_cells_is_refused(main, tmp_path):
    make_movies("dictyostelium", [tmp_path / "c.zarr"], seeds=[0], size_px=9, n_frames=2)
    with pytest.raises(SlimeError, match="channels cells, camp, but sigma and k_e need g"):
        main([str(tmp_path / "c.zarr")])


def test_words_that_make_no_sense_are_refused(main):
    for words, why in (
        ([], "name one store, not 0"),
        (["a", "study=rates"], "no store beside study=rates, not 1"),
        (["a", "copies=1"], "copies=1 must be 3 or above"),
        (["a", "warm_up_min=0"], "warm_up_min=0.0 must be above 0"),
        (["--fast"], "unknown option --fast"),
        (["a", "warmup_min=3"], "did you mean warm_up_min"),
    ):
        with pytest.raises(SlimeError, match=why):
            main(words)


def test_help_lists_every_key(main, capsys):
    assert main(["--help"]) == 0
    assert "warm_up_min=8.0" in capsys.readouterr().out
