import numpy as np
import pytest
import torch
import xarray as xr

from slime.checkpoint import build_stepper, shape_of
from slime.errors import SlimeError
from slime.fit import evaluate, fit, persistence
from slime.nets import NetSpec
from slime.optim import OptimSpec
from slime.scale import Standardizer
from slime.score import skill
from slime.split import Split
from slime.stream import WindowStream
from slime.variants import train_net
from slime.windows import WindowSpec

WINDOW, NET = WindowSpec(n_in=2), NetSpec(kind="patch_mlp", kernel=3, width=8, depth=2)
OPTIM = OptimSpec(epochs=4, batch_size=4, lr=0.05, warmup=0.0)
CUT = {"train": Split("train", 0, 20), "val": Split("val", 22, 30)}


def drifting_movie(n=30):
    t, y, x = np.mgrid[:n, :4, :6]
    frames = np.sin(2 * np.pi * (x - t) / 6) + 0.1 * np.cos(y)
    return xr.DataArray(frames[:, None].astype("float32"), dims=("time", "channel", "y", "x"))


def test_a_net_is_trained_as_fit_trains_it_and_its_best_epoch_kept():
    movie = drifting_movie().assign_coords(channel=["light"])
    found = train_net([movie], [CUT], WINDOW, NET, OPTIM, seed=3, keep_snapshots=True)
    train = WindowStream([movie], [CUT["train"]], WINDOW, batch_size=4, seed=3)
    val = WindowStream([movie], [CUT["val"]], WINDOW, batch_size=4)
    torch.manual_seed(3)
    plain = build_stepper(NET, shape_of(WINDOW, train), Standardizer.fit([movie], [CUT["train"]]))
    fresh = {name: value.clone() for name, value in plain.state_dict().items()}
    states, losses = [], []
    for record in fit(plain, train, val, OPTIM, seed=3):
        states.append({name: value.clone() for name, value in plain.state_dict().items()})
        losses.append(record.val_loss)
    assert found.records.val_loss.tolist() == losses
    best = states[int(np.argmin(losses))]
    for name, value in found.stepper.state_dict().items():
        assert torch.equal(value, best[name])
        assert torch.equal(found.snapshots[0][name], fresh[name])
        assert torch.equal(found.snapshots[4][name], states[-1][name])
    assert sorted(found.snapshots) == [0, 1, 2, 3, 4]
    assert found.n_weights == sum(w.numel() for w in plain.parameters())
    still = evaluate(persistence, val).total()
    kept = skill(evaluate(found.stepper, val).total(), still, pool=True)[0, 0]
    assert kept == pytest.approx(found.records.val_skill[int(np.argmin(losses))], abs=1e-6)


def test_snapshots_are_left_out_unless_asked_for_and_training_ends_by_patience():
    movie = drifting_movie().assign_coords(channel=["light"])
    impatient = OptimSpec(epochs=9, batch_size=4, lr=3.0, patience=1)
    found = train_net([movie], [CUT], WINDOW, NET, impatient)
    assert found.snapshots == {}
    best = int(found.records.val_loss.argmin())
    assert len(found.records) == best + 2 < 9  # the last epoch was not the best
    val = WindowStream([movie], [CUT["val"]], WINDOW, batch_size=4)
    kept, still = (evaluate(step, val).total() for step in (found.stepper, persistence))
    expected = found.records.val_skill[best]
    assert skill(kept, still, pool=True)[0, 0] == pytest.approx(expected, abs=1e-6)


def test_splits_that_no_movie_has_are_named():
    movie = drifting_movie().assign_coords(channel=["light"])
    with pytest.raises(SlimeError, match="no movie has a val split"):
        train_net([movie], [{"train": CUT["train"]}], WINDOW, NET, OPTIM)
