import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr

from slime.checkpoint import Shape, build_stepper
from slime.devices import pick_device
from slime.errors import SlimeError
from slime.fit import evaluate, fit, persistence
from slime.nets import NetSpec
from slime.optim import OptimSpec, learning_rate
from slime.scale import Standardizer
from slime.score import mse
from slime.split import Split
from slime.stepper import rollout
from slime.stream import Batch, WindowStream
from slime.symmetry import turned
from slime.windows import WindowSpec

SPEC = WindowSpec(n_in=2, n_out=1)
OPTIM = OptimSpec(epochs=3, batch_size=4, lr=1e-2, patience=9)


def drifting_movie(n=30):
    """A pattern that moves one pixel a frame, so that a net has something to learn."""
    t, y, x = np.mgrid[:n, :4, :6]
    frames = np.sin(2 * np.pi * (x - t) / 6) + 0.1 * np.cos(y)
    return xr.DataArray(frames[:, None].astype("float32"), dims=("time", "channel", "y", "x"))


def streams(seed=0):
    movie = drifting_movie()
    train = WindowStream([movie], [Split("train", 0, 20)], SPEC, batch_size=4, seed=seed)
    val = WindowStream([movie], [Split("val", 22, 30)], SPEC, batch_size=4)
    return movie, train, val


def fresh(movie, seed=0, **net):
    torch.manual_seed(seed)
    scale = Standardizer.fit([movie], [Split("train", 0, 20)])
    spec = NetSpec(**({"kind": "cnn", "width": 6, "depth": 3} | net))
    return build_stepper(spec, Shape(2, ("0",), 4, 6), scale)


def trained(epochs=3, resume=None, stepper=None, **changes):
    movie, train, val = streams()
    stepper = stepper or fresh(movie, dropout=0.2)
    optim = dataclasses.replace(OPTIM, **changes)
    records = []
    for record in fit(stepper, train, val, optim, seed=0, resume=resume):
        records.append(record)
        if len(records) == epochs:
            break
    return stepper, records


def test_training_beats_persistence_on_a_moving_pattern():
    _, records = trained(epochs=12, lr=2e-2)
    assert records[-1].val_skill > 0.5
    assert records[-1].val_loss < records[0].val_loss


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema": 0.9, "noise": 0.3},
        {"memory_format": "channels_last", "precision": "bfloat16", "ema": 0.9},
    ],
    ids=str,
)
def test_a_run_that_goes_on_from_a_record_ends_bitwise_as_one_never_stopped(changes):
    whole, all_records = trained(epochs=3, **changes)
    half, first = trained(epochs=1, **changes)
    resumed, rest = trained(epochs=2, resume=first[-1].resume, stepper=half, **changes)
    assert all(
        torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True)
    )
    numbers = [(r.epoch, r.step, r.train_loss, r.val_loss, r.lr, r.best) for r in all_records]
    again = [(r.epoch, r.step, r.train_loss, r.val_loss, r.lr, r.best) for r in first + rest]
    assert numbers == again


def test_the_same_seed_gives_the_same_losses_digit_for_digit():
    assert trained(epochs=2)[1][-1].train_loss == trained(epochs=2)[1][-1].train_loss


def test_the_first_loss_of_a_forecast_of_no_change_is_one():
    movie, train, val = streams()
    stepper = fresh(movie)
    for last in (stepper.net.layers[-1], stepper.net.stencil):
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.zeros_(last.bias)
    first = next(iter(fit(stepper, train, val, dataclasses.replace(OPTIM, lr=1e-30), seed=0)))
    # a residual head that says 0 is persistence: squared changes over their mean square
    assert first.train_loss == pytest.approx(1, rel=1e-3)
    assert first.val_skill == pytest.approx(0, abs=1e-6)


def test_the_best_epoch_is_the_one_of_least_validation_loss():
    _, records = trained(epochs=3)
    losses = [r.val_loss for r in records]
    assert [r.best for r in records] == [v == min(losses[: i + 1]) for i, v in enumerate(losses)]


def test_a_loss_that_is_not_finite_stops_with_its_place():
    with pytest.raises(SlimeError, match=r"not finite by batch \d+ of 5 of epoch 1"):
        trained(lr=1e30, clip=0.0, warmup=0.0, epochs=3)


def test_pixels_under_the_mask_teach_nothing():
    movie = drifting_movie()
    garbage = movie.copy(deep=True)
    garbage[:, :, :, 0] = 1e6
    mask = np.ones((4, 6), bool)
    mask[:, 0] = False
    losses = []
    for frames in (movie, garbage):
        masked = frames.assign_coords(mask=(("y", "x"), mask))
        train = WindowStream([masked], [Split("train", 0, 20)], SPEC, batch_size=4, seed=0)
        scale = Standardizer.fit([masked], [Split("train", 0, 20)])
        torch.manual_seed(0)
        stepper = build_stepper(
            NetSpec(kind="patch_mlp", kernel=1, width=4, depth=2), Shape(2, ("0",), 4, 6), scale
        )
        optim = dataclasses.replace(OPTIM, augment=False)
        losses.append(next(iter(fit(stepper, train, train, optim, seed=0))).val_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_unrolled_training_scores_each_lead():
    movie = drifting_movie()
    spec = WindowSpec(n_in=2, n_out=3)
    train = WindowStream([movie], [Split("train", 0, 20)], spec, batch_size=4, seed=0)
    val = WindowStream([movie], [Split("val", 22, 30)], spec, batch_size=4)
    record = next(iter(fit(fresh(movie), train, val, OPTIM, seed=0)))
    assert np.isfinite(record.val_loss)


def test_with_a_mean_of_weights_the_mean_is_validated_and_kept():
    stepper, records = trained(epochs=2, ema=0.9)
    plain, others = trained(epochs=2)
    # training goes its way as without: the mean is taken beside it
    assert [r.train_loss for r in records] == [r.train_loss for r in others]
    own = records[-1].resume["trained"]
    assert all(torch.equal(a, b) for a, b in zip(own, plain.parameters(), strict=True))
    _, _, val = streams()
    held = mse(evaluate(stepper, val).total(), pool=True)[0, 0]
    assert held == pytest.approx(records[-1].val_mse, rel=1e-6)
    assert records[-1].val_mse != others[-1].val_mse
    _, forgetful = trained(epochs=2, ema=1e-9)  # a mean of the last step alone
    assert forgetful[-1].val_mse == pytest.approx(others[-1].val_mse, rel=1e-5)


def test_noise_is_put_on_the_frames_given_alone_in_units_of_the_change(monkeypatch):
    movie, train, val = streams()
    stepper, seen = fresh(movie), []
    monkeypatch.setattr(
        "slime.objective.rollout",
        lambda step, past, n, **_: seen.append(past.clone()) or rollout(step, past, n),
    )
    next(iter(fit(stepper, train, val, dataclasses.replace(OPTIM, augment=False, noise=2.0))))
    _, clean, _ = streams()
    pairs = zip(seen[-len(clean) - len(val) :], clean, strict=False)
    noise = torch.cat([given - batch.past for given, batch in pairs])
    assert noise.std().item() == pytest.approx(2 * stepper.scale.delta_std.item(), rel=0.1)
    assert noise.mean().item() == pytest.approx(0, abs=0.2)  # 4 standard errors


def test_pushed_forward_each_lead_is_learned_by_its_own_step():
    # one weight w, a step is w * x: the error of lead 2, w * (w x) - y2, is differentiated with its
    # inner w x held fast
    weight = torch.tensor(0.5, requires_grad=True)
    x, y1, y2 = 4.0, 1.0, 3.0
    past = torch.full((1, 1, 1, 1, 1), x)
    future = torch.tensor([y1, y2])[None, :, None, None, None]
    slopes = {}
    for detach in (True, False):
        forecast = rollout(lambda past: weight * past[:, -1], past, 2, detach=detach)
        (slopes[detach],) = torch.autograd.grad((forecast - future).square().sum(), weight)
    w, first = 0.5, 2 * (0.5 * x - y1) * x
    assert slopes[True].item() == first + 2 * (w * w * x - y2) * (w * x)
    assert slopes[False].item() == first + 2 * (w * w * x - y2) * (2 * w * x)


def test_pushforward_is_heard(monkeypatch):
    movie = drifting_movie()
    spec = WindowSpec(n_in=2, n_out=3)
    losses = {}
    for pushforward in (True, False):
        train = WindowStream([movie], [Split("train", 0, 20)], spec, batch_size=4, seed=0)
        val = WindowStream([movie], [Split("val", 22, 30)], spec, batch_size=4)
        optim = dataclasses.replace(OPTIM, pushforward=pushforward)
        losses[pushforward] = next(iter(fit(fresh(movie), train, val, optim, seed=0)))
    assert losses[True].grad_norm < losses[False].grad_norm


def test_later_leads_come_in_after_their_share_of_the_steps():
    movie, losses = drifting_movie(), {}
    for n_out, share in ((1, 0.0), (3, 0.5), (3, 0.0)):
        last = 17 + n_out  # the same windows whatever n_out is
        windows = WindowSpec(n_in=2, n_out=n_out)
        train = WindowStream([movie], [Split("train", 0, last)], windows, batch_size=4, seed=0)
        val = WindowStream([movie], [Split("val", 22, 30)], windows, batch_size=4)
        optim = dataclasses.replace(OPTIM, epochs=2, unroll_after=share)
        records = list(fit(fresh(movie), train, val, optim, seed=0))
        losses[n_out, share] = [record.train_loss for record in records]
    assert losses[3, 0.5][0] == losses[1, 0.0][0] != losses[3, 0.0][0]
    assert losses[3, 0.5][1] > 1.5 * losses[1, 0.0][1]  # errors of three leads add up


def test_learning_rate_rises_and_falls_as_half_a_cosine():
    optim = OptimSpec(lr=1.0, warmup=0.1)
    rates = [learning_rate(step, 100, optim) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.5 * (1 + np.cos(np.pi * 89 / 90)))


def test_evaluation_does_not_depend_on_the_batch_size():
    movie = drifting_movie()
    stepper = fresh(movie)
    spec = WindowSpec(n_in=2, n_out=2)
    totals = []
    for size in (1, 3, 100):
        windows = WindowStream([movie], [Split("val", 22, 29)], spec, batch_size=size)
        totals.append(mse(evaluate(stepper, windows).total()))
    assert totals[0] == pytest.approx(totals[1], rel=1e-6)
    assert totals[0] == pytest.approx(totals[2], rel=1e-6)


def test_the_right_answer_scores_perfectly_and_a_shifted_one_does_not():
    movie = drifting_movie()
    windows = WindowStream(
        [movie], [Split("val", 0, 12)], WindowSpec(n_in=6, n_out=3), batch_size=5
    )
    # the pattern has a period of 6 frames, so the frame six steps back is the next one
    assert mse(evaluate(lambda past: past[:, -6], windows).total()).max() < 1e-12
    assert mse(evaluate(lambda past: past[:, -5], windows).total()).min() > 0.1


def test_frames_given_are_not_scored():
    movie = drifting_movie()
    seen = []
    windows = WindowStream([movie], [Split("val", 0, 6)], SPEC, batch_size=2)
    tally = evaluate(lambda past: seen.append(past) or past[:, -1], windows)
    assert tally["n"].sum() == len(tally) * 24  # one frame of 4 x 6 a window, no more


def test_a_module_is_left_in_its_mode():
    movie, _, val = streams()
    stepper = fresh(movie, dropout=0.5)
    for training in (True, False):
        stepper.train(training)
        evaluate(stepper, val)
        assert stepper.training == training


def test_no_window_is_an_error():
    with pytest.raises(SlimeError, match="no window to evaluate"):
        evaluate(persistence, [])


def batch_of(frames, mask=None):
    both = frames[None, :, None]
    return Batch(
        both[:, :1], both[:, 1:], mask, torch.zeros(1, dtype=int), torch.zeros(1, dtype=int)
    )


def test_the_eight_symmetries_of_a_square_are_all_there_and_different():
    square = torch.arange(18.0).reshape(2, 3, 3)
    turned_frames = [turned(batch_of(square), k).past[0, 0, 0] for k in range(8)]
    wanted = [torch.rot90(square[0], k) for k in range(4)]
    wanted += [torch.rot90(square[0].T, k) for k in range(4)]
    assert {tuple(f.flatten().tolist()) for f in turned_frames} == {
        tuple(f.flatten().tolist()) for f in wanted
    }


def test_past_future_and_mask_turn_together():
    frames = torch.arange(18.0).reshape(1, 3, 6)[:, :, :3].expand(2, 3, 3)
    for k in range(8):
        mask = (frames[None, 1:, None] > 5).clone()
        batch = turned(batch_of(frames, mask), k)
        assert torch.equal(batch.past[0, 0, 0], batch.future[0, 0, 0])
        assert torch.equal(batch.mask, batch.future > 5)


def test_a_rectangle_keeps_its_sides():
    assert all(turned(batch_of(torch.rand(2, 4, 5)), k).past.shape[-2:] == (4, 5) for k in range(8))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": 0}, "optim.epochs=0"),
        ({"lr": 0.0}, "optim.lr=0.0"),
        ({"lr": float("inf")}, "optim.lr=inf"),
        ({"weight_decay": -1.0}, "must be 0 or more"),
        ({"warmup": 1.0}, "optim.warmup=1.0"),
    ],
)
def test_training_settings_that_cannot_be_are_refused(changes, told):
    with pytest.raises(SlimeError, match=told):
        OptimSpec(**changes)


def test_an_absent_device_is_named():
    with pytest.raises(SlimeError, match="device=cudda"):
        pick_device("cudda")
    assert pick_device("cpu").type == "cpu"


PEAK_OF_EVALUATION = """
import resource, sys
import torch
from slime.fit import evaluate, persistence
from slime.stepper import rollout
from slime.stream import Batch

def batches(n):
    for i in range(n):
        frames = torch.randn(24, 2, 1, 256, 256)
        number = torch.arange(24 * i, 24 * i + 24)
        yield Batch(frames[:, :1], frames[:, 1:], None, torch.zeros(24, dtype=torch.int64), number)

torch.set_num_threads(1)
evaluate(persistence, batches(6))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
evaluate(persistence, batches(40))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in kB on Linux")
@pytest.mark.slow
def test_evaluation_of_more_windows_takes_no_more_memory():
    """Small arrays that outlive a batch would pin the memory of the large ones around them."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK_OF_EVALUATION], capture_output=True, text=True, check=True
    )
    a_batch_kb = 24 * 2 * 256 * 256 * 4 // 1024
    assert int(done.stdout) < 8 * a_batch_kb  # of 40 batches
