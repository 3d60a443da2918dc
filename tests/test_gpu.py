"""What make gpu asks of a GPU, asked of the CPU and of tensors without values."""

import dataclasses
from contextlib import nullcontext
from pathlib import Path
from typing import get_args

import pytest
import torch

from benchmarks import gpu
from slime.arguments import load_config
from slime.epoch_sums import Sums
from slime.nets import NetKind, NetSpec, net_of
from slime.objective import training_loss
from slime.optim import OptimSpec
from slime.ranks import ALONE
from slime.scale import Standardizer
from slime.stepper import Stepper
from slime.stream import Batch
from slime.training import Training

CPU, META = torch.device("cpu"), torch.device("meta")
CONFIG = Path(__file__).resolve().parents[1] / "configs" / "gpu_24gb.yaml"


@pytest.fixture(scope="module")
def bench():
    return gpu.Bench(gpu.GpuSettings(size=8, batch_size=40))


def test_losses_are_compared_with_the_cpus(bench, monkeypatch):
    assert gpu.check_losses(bench, CPU).passed
    whole = bench.losses
    calls = []

    def wrong(device, optim):
        calls.append(device)
        return [loss * (1 + 0.01 * len(calls)) for loss in whole(device, optim)]

    monkeypatch.setattr(bench, "losses", wrong)
    found = gpu.check_losses(bench, CPU)
    assert not found.passed
    assert "differ from the CPU's by 9.9e-03, at most 1e-03" in found.says


def test_frames_that_are_not_held_on_the_device_are_noticed(bench):
    found = gpu.check_resident(bench, CPU)
    assert not found.passed  # held in memory, not on a device
    assert "held in memory" in found.says


def test_without_a_gpu_one_line_says_so(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 0
    assert capsys.readouterr().out == "no GPU here: nothing is checked\n"


def on_meta(net, size=16, n=3, n_in=2):
    """A stepper and a batch without values: whatever asks for one fails."""
    scale = Standardizer(*(torch.ones(1) for _ in range(3)))
    built = net if isinstance(net, torch.nn.Module) else net_of(
        net, n_in=n_in, channels=1, size=(size, size)
    )  # fmt: skip
    frames = torch.empty(n, n_in + 1, 1, size, size, device=META)
    number = torch.empty(n, dtype=torch.int64, device=META)
    batch = Batch(frames[:, :n_in], frames[:, n_in:], None, number, number)
    return Stepper(scale, built, "residual", n_in).to(META), batch


def take_steps(stepper, batch, **optim):
    spec = OptimSpec(**optim)
    training = Training(stepper, spec, seed=0, ranks=ALONE, resume=None)
    sums = Sums.to_begin(META)
    for step in range(2):
        for _ in range(spec.accumulate):
            training.gradients.add(training.seen(batch, 3, None))
        training.step(step, 2, sums)


@pytest.mark.parametrize("kind", get_args(NetKind))
def test_no_net_asks_for_a_value_in_a_step(kind, monkeypatch):
    # fno turns half precision off, which there is none of for meta
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    spec = NetSpec(kind=kind, width=4, depth=3, modes=2, dropout=0.1)
    take_steps(*on_meta(spec))


def test_no_step_asks_for_a_value_with_masks_means_and_parts():
    stepper, batch = on_meta(NetSpec(kind="cnn", width=4, depth=2))
    masked = batch._replace(mask=torch.empty_like(batch.future, dtype=torch.bool))
    take_steps(stepper, masked, accumulate=2, ema=0.9, memory_format="channels_last")


def test_a_net_that_asks_for_a_value_is_noticed():
    class Asking(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, past):
            return past[:, -1] * self.weight if past.sum() > 0 else past[:, -1]

    with pytest.raises(RuntimeError, match="meta"):
        take_steps(*on_meta(Asking()))


def test_the_config_for_24_gb_fits_them():
    """Bytes kept for the gradients of a batch, counted on tensors without values, in float32."""
    config, _ = load_config([str(CONFIG), "x.zarr"])
    stepper, batch = on_meta(
        config.net, size=config.data.window_size[0], n=config.optim.batch_size, n_in=4
    )
    kept = {}

    def count(tensor):
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    plain = dataclasses.replace(config.optim, precision="float32")
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        loss = training_loss(stepper, batch, plain)
    assert loss.requires_grad
    gib = sum(kept.values()) / 2**30
    assert 1 < gib < 6
    # frames, features, and as much again for what convolutions work in
    assert config.data.memory_gib + 2 * gib < 24 * 1e9 / 2**30
