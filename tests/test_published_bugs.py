"""Sixteen mistakes of published forecasting code: each has a test that fails when it is made here.

Those that stand elsewhere are named in COVERED, by the mistake's number:

1. a layer's output is thrown away
2. test is run on the last weights, not the best
3. released weights do not give the released table
4. validation is normalised otherwise than train
5. validation is test
6. a sum over batches is divided by one batch too few
7. frames that were given are scored as predictions
8. a cosine is called a correlation
9. half of the spectrum is left out
10. SSIM guesses its range
11. a sum over pixels is called a mean
12. flat frames rule a relative error
13. a resumed training begins its schedule anew
14. the horizon counts all good leads, not those before the first bad one
15. windows that overlap are taken for independent
16. a movie's subsampled copy lies in another split
"""

import ast
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from spiral_run import SPLITS, TABLE, WEIGHTS, movie, scores

from slime.checkpoint import Shape, build_stepper, load_run, save_run
from slime.fit import evaluate
from slime.frame_scores import mean_of, terms_of, vrmse_frames
from slime.nets import NetKind, NetSpec, build_net
from slime.scale import Standardizer
from slime.score import mse, tally_windows, vrmse
from slime.split import Split
from slime.stream import WindowStream
from slime.windows import WindowSpec

COVERED = {
    1: {"test_nets": "test_every_parameter_gets_a_gradient"},
    5: {
        "test_split": "test_splits_share_no_frame_and_lie_gap_frames_apart",
        "test_sanity": "test_splits_that_overlap_are_found_by_pixels_and_by_number",
    },
    6: {
        "test_fit": "test_evaluation_does_not_depend_on_the_batch_size",
        "test_score": "test_scores_do_not_depend_on_how_windows_are_batched",
    },
    7: {"test_fit": "test_frames_given_are_not_scored"},
    8: {"test_score": "test_pearson_ignores_gain_and_offset_and_a_cosine_does_not"},
    9: {"test_spectra": "test_bands_add_up_to_the_mean_squared_error"},
    10: {"test_ssim": "test_ssim_does_not_change_with_the_unit_and_does_with_the_range"},
    11: {"test_score": "test_mse_does_not_depend_on_the_resolution"},
    13: {"test_fit": "test_a_run_that_goes_on_from_a_record_ends_bitwise_as_one_never_stopped"},
    14: {"test_score": "test_the_horizon_is_the_first_lead_below_the_threshold"},
    15: {"test_inference": "test_block_intervals_cover_the_true_mean_and_iid_ones_do_not"},
    16: {"test_experiments": "test_no_frame_trains_in_one_movie_and_tests_in_its_twin"},
}
HERE = {
    1: "test_every_layer_is_felt_in_the_forecast",
    2: "test_a_run_s_folder_gives_its_best_weights_and_not_its_last",
    3: "test_the_weights_that_are_kept_give_the_table_that_is_kept",
    4: "test_validation_is_scored_in_movie_units_under_the_scale_of_train",
    12: "test_flat_frames_rule_a_mean_of_ratios_and_neither_of_ours",
}


def test_every_mistake_has_a_test_that_is_there():
    assert set(COVERED) | set(HERE) == set(range(1, 17))
    named = [pair for of in COVERED.values() for pair in of.items()]
    for module, name in [*named, *(("test_published_bugs", name) for name in HERE.values())]:
        text = (Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8")
        held = [n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
        assert name in held, f"{module}.{name}"


@pytest.mark.parametrize("kind", get_args(NetKind))
def test_every_layer_is_felt_in_the_forecast(kind):
    torch.manual_seed(0)
    net = build_net(kind, n_in=2, channels=1, width=4, depth=3, modes=2, size=(8, 8)).eval()
    for weights in net.parameters():  # what begins at zero is felt only once it is not
        torch.nn.init.normal_(weights, std=0.3)
    past = torch.randn(1, 2, 1, 8, 8)
    with torch.no_grad():
        whole = net(past)
        for name, weights in net.named_parameters():
            kept = weights.clone()
            weights.zero_()
            assert not torch.equal(net(past), whole), name
            weights.copy_(kept)


def test_a_run_s_folder_gives_its_best_weights_and_not_its_last(tmp_path):
    net, shape = NetSpec(width=4, depth=2), Shape(1, ("camp",), 8, 8)
    scale = Standardizer(*(torch.ones(1) for _ in range(3)))
    saved = {}
    for epoch, name in enumerate(("best", "last")):
        torch.manual_seed(epoch)
        stepper = build_stepper(net, shape, scale)
        saved[name] = save_run(tmp_path / f"{name}.pt", stepper, net=net, shape=shape, epoch=epoch)
    assert saved["best"] != saved["last"]
    loaded = load_run(tmp_path)
    assert (loaded.weights_hash, loaded.epoch) == (saved["best"], 0)


def test_the_weights_that_are_kept_give_the_table_that_is_kept():
    best = load_run(WEIGHTS).stepper
    found = scores(best, best.scale.std.double().numpy() ** 2)
    kept = pd.read_csv(TABLE)
    keys = ["model", "lead", "score"]
    pd.testing.assert_frame_equal(found[keys], kept[keys], check_dtype=False)
    # convolutions add up in another order elsewhere; eight leads on, that has grown
    np.testing.assert_allclose(found["value"], kept["value"], rtol=2e-3, atol=1e-4)
    skill = found[(found["model"] == "cnn") & (found["score"] == "skill")]["value"]
    assert (skill > 0.9).all()


def test_validation_is_scored_in_movie_units_under_the_scale_of_train():
    film = movie().astype("float32")
    film[80:] = 3 * film[80:] + 1000  # another light and contrast than in train
    scale = Standardizer.fit([film], [Split("train", 0, 72)])
    torch.manual_seed(0)
    shape = Shape(2, ("camp",), 20, 24)
    stepper = build_stepper(NetSpec(width=4, depth=2, head="direct"), shape, scale)
    val = WindowStream([film], [Split("val", 90, 100)], WindowSpec(n_in=2), batch_size=3)
    found = mse(evaluate(stepper, val).total()).item()
    frames = film.values.astype(np.float64)
    train = frames[:72]
    standard = torch.tensor((frames - train.mean()) / train.std()).float()
    with torch.no_grad():
        past = torch.stack([standard[90:98], standard[91:99]], dim=1)
        error = stepper.net(past) - standard[92:100]
    # float32, and frames of up to 2600 about a mean of 400
    assert found == pytest.approx(train.var() * error.square().mean().item(), rel=1e-4)


def test_flat_frames_rule_a_mean_of_ratios_and_neither_of_ours():
    rng = np.random.default_rng(0)
    signal = 10 * rng.normal(size=(8, 1, 1, 16, 16))
    flat = 0.1 * rng.normal(size=signal.shape)  # of less variance than the noise
    frames, noise = np.concatenate([signal, flat]), rng.normal(size=(16, 1, 1, 16, 16))
    variance = np.array([frames.var()])

    def tally(n):
        p, y = (torch.tensor(v[:n]) for v in (frames + noise, frames))
        return tally_windows(p, y, None, torch.zeros(n, dtype=torch.int64), torch.arange(n))

    both, alone = tally(16), tally(8)

    def mean(of, noise_variance):
        return mean_of(terms_of(vrmse_frames(of, np.array([noise_variance]))).sum(axis=0)).item()

    assert mean(alone, 1.0) == pytest.approx(0.1, rel=0.05)  # error 1 of a spread of 10
    assert mean(both, 0.0) > 4  # errors of 1 over a spread of 0.1, in half of the frames
    assert mean(both, 1.0) == mean(alone, 1.0)
    pooled = [vrmse(of.total(), variance).item() for of in (both, alone)]
    assert pooled[0] == pytest.approx(pooled[1], rel=0.02)


def test_persistence_is_scored_as_kept_without_a_net():
    # of the formula's frames alone: a changed table would be no fault of the weights
    kept = pd.read_csv(TABLE).set_index(["model", "lead", "score"])["value"]
    test = SPLITS["test"]
    frames = movie().values[test.start : test.stop].astype(np.float64)
    last = np.arange(len(frames) - 2 - 4 + 1) + 1  # of windows of 2 + 4 frames
    for lead in (1, 4):
        error = frames[last + lead] - frames[last]
        assert kept["persistence", lead, "mse"] == pytest.approx((error**2).mean(), rel=1e-6)
