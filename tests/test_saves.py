import errno
import os

import pytest
import torch

from slime.checkpoint import Shape, build_stepper, load_run
from slime.errors import StoreError
from slime.files import read_lines
from slime.fit import Record
from slime.nets import NetSpec
from slime.run.saves import Saves, load_last
from slime.scale import Standardizer
from slime.stepper import weights_hash
from slime.tracking import Tracker, TrackingSpec

NET, SHAPE = NetSpec(kind="cnn", width=2, depth=2), Shape(1, ("0",), 4, 5)


def record(epoch, best):
    numbers = dict.fromkeys(
        ("train_loss", "val_loss", "val_mse", "val_skill", "lr", "grad_norm", "seconds",
         "windows_per_s", "wait_share"), 1.0,
    )  # fmt: skip
    resume = {"epoch": epoch, "epochs_since_best": 0, "within": None}
    return Record(epoch=epoch, step=epoch, best=best, epochs_since_best=0, resume=resume, **numbers)


@pytest.fixture
def saves(tmp_path):
    torch.manual_seed(0)
    stepper = build_stepper(NET, SHAPE, Standardizer(*(torch.ones(1) for _ in range(3))))
    return Saves(tmp_path, stepper, net=NET, shape=SHAPE, config="", n_snapshots=2, n_epochs=4)


@pytest.fixture
def run(saves, tmp_path):
    """Three epochs, of which the first is the best, and a save within the fourth."""
    with Tracker(tmp_path, TrackingSpec(wandb="disabled"), {}) as tracker:
        for epoch in (1, 2, 3):
            with torch.no_grad():
                next(saves.stepper.parameters()).fill_(epoch)
            saves.epoch(record(epoch, epoch == 1), tracker)
    saves.last({"epoch": 3, "within": {"batches": 5}})
    return tmp_path


def test_an_epoch_leaves_what_to_go_on_from_the_one_before_the_best_and_snapshots(run):
    epochs = {path.name: load_run(path).epoch for path in run.rglob("*.pt")}
    assert epochs == {"last.pt": 3, "before.pt": 3, "best.pt": 1, "00002.pt": 2}
    assert load_run(run / "before.pt").resume["within"] is None
    assert load_run(run / "snapshots" / "00002.pt").resume is None
    assert [row["epoch"] for row in read_lines(run / "metrics.jsonl")] == [1, 2, 3]


def test_a_run_goes_on_from_its_last_save(run):
    saved, said = load_last(run)
    assert (saved.resume["within"], said) == ({"batches": 5}, [])


def test_what_a_kill_left_half_written_is_removed(run):
    (run / "snapshots" / ".00004.pt.77.aside.pt").write_bytes(b"half")
    assert load_last(run)[1] == []
    assert sorted(path.name for path in (run / "snapshots").iterdir()) == ["00002.pt"]


def test_a_run_that_saved_nothing_begins_anew(tmp_path):
    assert load_last(tmp_path) == (None, [])


def test_a_damaged_last_checkpoint_falls_back_to_the_one_before_and_says_so(run):
    (run / "last.pt").write_bytes((run / "last.pt").read_bytes()[:-99])
    saved, said = load_last(run)
    assert saved.resume["within"] is None
    assert len(said) == 1
    assert "last.pt cannot be used" in said[0]
    assert "goes on from before.pt, saved after epoch 3" in said[0]
    # the damaged one is kept aside, and never takes the place of the whole one
    assert (run / "last.pt.damaged").exists()
    assert load_last(run)[1] == []


def test_two_damaged_ones_fall_back_to_the_best(run):
    for name in ("last.pt", "before.pt"):
        (run / name).write_bytes(b"")
    saved, said = load_last(run)
    assert saved.epoch == 1
    assert "goes on from best.pt, saved after epoch 1" in said[0]
    assert not (run / "last.pt").exists()


def test_no_whole_checkpoint_is_an_error_that_names_each(run):
    for name in ("last.pt", "before.pt", "best.pt"):
        (run / name).write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"last\.pt .*before\.pt .*best\.pt .*another out="):
        load_last(run)


def test_a_damaged_best_checkpoint_is_told_before_training_goes_on(run):
    (run / "best.pt").write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"best\.pt cannot be used"):
        load_last(run)


def test_a_full_disk_at_any_write_leaves_a_whole_run_to_go_on_from(saves, run, monkeypatch):
    """Each write, flush and rename of an epoch and of a save fails once."""
    whole = load_last(run)[0]
    real = {"replace": os.replace, "fsync": os.fsync}
    calls = [0, 0]  # so far, and the one that fails

    def failing(name):
        def call(*words):
            calls[0] += 1
            if calls[0] == calls[1]:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real[name](*words)

        return call

    for name in real:
        monkeypatch.setattr(os, name, failing(name))
    n_failed = 0
    with Tracker(run, TrackingSpec(wandb="disabled"), {}) as tracker:
        for calls[1] in range(1, 99):
            calls[0] = 0
            try:
                saves.epoch(record(4, best=True), tracker)
            except OSError:
                n_failed += 1
            else:
                break
            saved, said = load_last(run)
            assert said == []
            assert saved.epoch in (3, 4)
            assert saved.epoch == 4 or weights_hash(saved.stepper.state_dict()) == weights_hash(
                whole.stepper.state_dict()
            )
            assert load_run(run).epoch in (1, 4)
    # best.pt, a snapshot, a line and .next.pt: flushed and renamed; then two renames
    assert n_failed == 2 + 2 + 1 + 2 + 2
