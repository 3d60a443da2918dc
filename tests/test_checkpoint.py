import pickle
import zipfile
from pathlib import Path
from typing import get_args

import pytest
import torch

from slime.checkpoint import Shape, build_stepper, load_run, save_run, stopped_early
from slime.errors import SlimeError, StoreError
from slime.nets import NetKind, NetSpec
from slime.optim import OptimSpec
from slime.scale import Standardizer
from slime.stepper import weights_hash

SHAPE = Shape(2, ("cells", "camp"), 12, 16, step=3, frame_interval_s=15.0, pixel_um=50.0)


def stepper(net, seed=0):
    torch.manual_seed(seed)
    scale = Standardizer(
        torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), torch.tensor([5.0, 6.0])
    )
    return build_stepper(net, SHAPE, scale)


@pytest.fixture
def saved(tmp_path):
    net = NetSpec(kind="cnn", width=4, depth=3)
    path = tmp_path / "best.pt"
    save_run(path, stepper(net), net=net, shape=SHAPE, config="seed: 1\n", epoch=7)
    return path


@pytest.mark.parametrize("kind", get_args(NetKind))
@pytest.mark.parametrize("head", ["direct", "residual", "gated"])
def test_a_loaded_run_forecasts_what_the_saved_one_did(tmp_path, kind, head):
    net = NetSpec(kind=kind, head=head, width=4, depth=3, dropout=0.5, modes=2, edges="circular")
    before = stepper(net).eval()
    if before.gate is not None:
        torch.nn.init.constant_(before.gate, 0.5)
    save_run(tmp_path / "best.pt", before, net=net, shape=SHAPE, resume={"epoch": 3})
    torch.manual_seed(99)
    after = load_run(tmp_path)
    past = torch.rand(3, 2, 2, 12, 16)
    assert torch.equal(after.stepper(past), before(past))
    assert (after.net, after.shape, after.resume) == (net, SHAPE, {"epoch": 3})
    assert not after.stepper.training


def test_config_and_epoch_come_back(saved):
    loaded = load_run(saved)
    assert (loaded.config, loaded.epoch) == ("seed: 1\n", 7)
    assert loaded.weights_hash == weights_hash(loaded.stepper.state_dict())


def test_every_flipped_bit_of_the_weights_is_noticed(saved):
    raw = bytearray(saved.read_bytes())
    with zipfile.ZipFile(saved) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    at = raw.find(largest.filename.encode()) + len(largest.filename) + 100
    for byte in range(at, at + 400, 40):
        flipped = bytearray(raw)
        flipped[byte] ^= 0b100
        saved.write_bytes(bytes(flipped))
        with pytest.raises(StoreError, match="cannot be used"):
            load_run(saved)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(saved, share):
    raw = saved.read_bytes()
    saved.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(StoreError, match="cannot be used"):
        load_run(saved)


def test_a_hostile_pickle_is_not_run(saved, tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"format": 1, "weights": Payload()}, saved)
    with pytest.raises(StoreError, match="cannot be used"):
        load_run(saved)
    assert not (tmp_path / "ran").exists()
    saved.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(StoreError, match="cannot be used"):
        load_run(saved)


def test_another_format_is_refused(saved):
    content = torch.load(saved, weights_only=True)
    torch.save({**content, "format": 99}, saved)
    with pytest.raises(StoreError, match="format 99"):
        load_run(saved)


def test_weights_that_do_not_match_their_hash_are_refused(saved):
    content = torch.load(saved, weights_only=True)
    name = next(iter(content["weights"]))
    content["weights"][name] = content["weights"][name] + 1
    torch.save(content, saved)
    with pytest.raises(StoreError, match="do not match their hash"):
        load_run(saved)


def test_a_run_that_had_stopped_early_is_known(saved):
    net = NetSpec(kind="cnn", width=4, depth=3)
    assert not stopped_early(load_run(saved), OptimSpec(patience=3))
    for since, stopped in ((2, False), (3, True)):
        save_run(saved, stepper(net), net=net, shape=SHAPE, resume={"epochs_since_best": since})
        assert stopped_early(load_run(saved), OptimSpec(patience=3)) == stopped
    assert not stopped_early(None, OptimSpec())


def test_no_checkpoint_says_so(tmp_path):
    with pytest.raises(SlimeError, match=r"there is no checkpoint .*best\.pt"):
        load_run(tmp_path)


def test_a_failed_save_leaves_the_old_checkpoint(saved, monkeypatch):
    before = saved.read_bytes()

    def full_disk(path, content):
        with path.open("wb") as file:
            file.write(content[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    net = NetSpec(kind="cnn", width=4, depth=3)
    with pytest.raises(OSError, match="No space left"):
        save_run(saved, stepper(net, seed=5), net=net, shape=SHAPE)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == ["best.pt"]
