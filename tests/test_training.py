"""A training goes on bitwise from between any two of its steps; parts of a step are one batch."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

from slime.checkpoint import Shape, build_stepper, load_run, save_run
from slime.errors import SlimeError
from slime.fit import fit
from slime.nets import NetSpec
from slime.objective import training_loss, weighed_loss
from slime.optim import OptimSpec
from slime.pauses import Pauses
from slime.scale import Standardizer
from slime.split import Split
from slime.stream import Batch, WindowStream
from slime.windows import WindowSpec

SPEC = WindowSpec(n_in=2, n_out=1)
SHAPE = Shape(2, ("0",), 4, 6)
NET = NetSpec(kind="cnn", width=4, depth=2, dropout=0.2)
OPTIM = OptimSpec(epochs=2, batch_size=4, lr=1e-2, patience=9)
ALL = {"ema": 0.9, "noise": 0.3}


def movie(masked=True):
    t, y, x = np.mgrid[:30, :4, :6]
    frames = np.sin(2 * np.pi * (x - t) / 6) + 0.1 * np.cos(y)
    coords = {"mask": (("y", "x"), np.arange(24).reshape(4, 6) != 9)} if masked else {}
    return xr.DataArray(
        frames[:, None].astype("float32"), dims=("time", "channel", "y", "x"), coords=coords
    )


def streams(batch_size=4, masked=True, **more):
    train = WindowStream(
        [movie(masked)], [Split("train", 0, 20)], SPEC, batch_size=batch_size, seed=0, **more
    )
    val = WindowStream([movie(masked)], [Split("val", 22, 30)], SPEC, batch_size=4)
    return train, val


def fresh(**changes):
    torch.manual_seed(0)
    net = dataclasses.replace(NET, **changes)
    return build_stepper(net, SHAPE, Standardizer.fit([movie()], [Split("train", 0, 20)]))


class Stop(Exception):
    pass


class StopAfter(Pauses):
    """Saves after so many steps, and stops."""

    def __init__(self, steps, save):
        super().__init__(save, 1e9)
        self.steps, self.keep = steps, save

    def due(self):
        self.steps -= 1
        return self.steps == 0

    def save(self, state):
        self.keep(state)
        raise Stop


def ended(stepper, optim, pauses=None, resume=None, **more):
    """Weights, and the records without times."""
    records = fit(stepper, *streams(**more), optim, seed=0, resume=resume, pauses=pauses)
    rows = [record.row() for record in records]
    for row in rows:
        for name in ("seconds", "windows_per_s", "wait_share"):
            del row[name]
    return [w.clone() for w in stepper.parameters()], rows


CASES = {
    "all": (ALL, {}),
    "accumulated": ({**ALL, "accumulate": 2}, {}),
    "streamed": (ALL, {"memory_budget": 1600, "masked": False}),
}


@pytest.mark.parametrize(
    ("case", "stops"),
    [
        ("all", [2, 7]),
        # 5 batches an epoch: 4 places within each of two
        pytest.param("all", range(1, 9), marks=pytest.mark.slow),
        ("accumulated", [3]),
        ("streamed", [6]),
    ],
)
def test_a_training_stopped_between_two_steps_ends_bitwise_as_one_never_stopped(
    tmp_path, case, stops
):
    changes, more = CASES[case]
    optim = dataclasses.replace(OPTIM, **changes)
    assert streams(**more)[0].resident != bool(more)
    whole, rows = ended(fresh(), optim, **more)
    for steps in stops:
        half = fresh()

        def save(state, half=half):
            save_run(tmp_path / "last.pt", half, net=NET, shape=SHAPE, resume=state)

        with pytest.raises(Stop):
            ended(half, optim, pauses=StopAfter(steps, save), **more)
        saved = load_run(tmp_path / "last.pt")
        torch.manual_seed(99)  # whatever another process has drawn
        weights, rest = ended(saved.stepper, optim, resume=saved.resume, **more)
        assert all(torch.equal(a, b) for a, b in zip(whole, weights, strict=True))
        assert rows[saved.resume["epoch"] :] == rest


def test_a_checkpoint_without_a_place_is_refused():
    with pytest.raises(SlimeError, match="saved by an earlier slime"):
        ended(fresh(), OPTIM, resume={"epoch": 1, "best": 1.0, "epochs_since_best": 0})


@pytest.mark.parametrize(("size", "parts"), [(2, 2), (1, 4), (2, 3)])
def test_batches_accumulated_are_one_larger_batch(size, parts):
    optim = dataclasses.replace(OPTIM, batch_size=size, accumulate=parts)
    large, rows = ended(fresh(dropout=0.0), OPTIM, batch_size=size * parts)
    summed, again = ended(fresh(dropout=0.0), optim, batch_size=size)
    for a, b in zip(large, summed, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-4, atol=2e-6)  # sums in another order
    assert [r["step"] for r in rows] == [r["step"] for r in again]
    for one, other in zip(rows, again, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-4)
        assert one["lr"] == other["lr"]


def test_weighed_losses_of_parts_sum_to_the_loss_of_all():
    torch.manual_seed(0)
    past, future = torch.rand(5, 2, 1, 4, 6), torch.rand(5, 1, 1, 4, 6)
    number = torch.arange(5)
    stepper = fresh(dropout=0.0)
    for mask in (None, torch.rand(5, 1, 1, 4, 6) > 0.6):
        batch = Batch(past, future, mask, number, number)
        parts = [
            weighed_loss(stepper, Batch(*(None if v is None else v[a:b] for v in batch)), OPTIM)
            for a, b in ((0, 1), (1, 5))
        ]
        total = sum(loss for loss, _ in parts) / sum(weight for _, weight in parts)
        assert total.item() == pytest.approx(training_loss(stepper, batch, OPTIM).item(), rel=1e-6)


def test_parts_of_a_step_below_one_are_refused():
    with pytest.raises(SlimeError, match=r"optim\.accumulate=0 must be at least 1"):
        OptimSpec(accumulate=0)
