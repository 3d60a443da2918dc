"""Other ways of computing a step give the same losses and gradients, and leave plain weights."""

from dataclasses import replace
from typing import get_args

import pytest
import torch

from slime.arithmetic import check_arithmetic, half_precision, training_step
from slime.batch import Batch
from slime.errors import SlimeError
from slime.fit import training_loss
from slime.nets import NetKind, build_net
from slime.optim import OptimSpec
from slime.scale import Standardizer
from slime.stepper import Stepper, weights_hash

CPU = torch.device("cpu")
PLAIN = OptimSpec(precision="float32")


def stepper(kind):
    torch.manual_seed(1)
    scale = Standardizer(*(torch.ones(1) for _ in range(3)))
    sizes = {"n_in": 2, "channels": 1, "size": (16, 12), "width": 6, "depth": 3, "modes": 3}
    return Stepper(scale, build_net(kind, **sizes), "residual", 2)


def batch():
    frames = torch.randn(3, 3, 1, 16, 12, generator=torch.Generator().manual_seed(0))
    which = torch.arange(3)
    return Batch(frames[:, :2], frames[:, 2:], None, which, which)


def gradient(kind, optim):
    net = stepper(kind)
    loss = training_loss(net, batch(), optim, training_step(net, optim, CPU))
    loss.backward()
    return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])


@pytest.mark.parametrize("kind", get_args(NetKind))
@pytest.mark.parametrize(
    ("change", "apart"),
    [({"memory_format": "channels_last"}, 1e-5), ({"precision": "bfloat16"}, 0.05)],
)  # float32 sums in another order; bfloat16 holds 8 bits, 1 part in 256
def test_gradients_are_those_of_plain_steps(kind, change, apart):
    plain = gradient(kind, PLAIN)
    other = gradient(kind, replace(PLAIN, **change))
    assert (other - plain).norm() < apart * plain.norm()


def test_bfloat16_is_taken_where_it_is_asked_for_and_rounds():
    assert not torch.equal(
        gradient("cnn", PLAIN), gradient("cnn", replace(PLAIN, precision="bfloat16"))
    )


def test_weights_laid_out_anew_are_the_same_weights():
    net = stepper("fno")
    names, before = list(net.state_dict()), weights_hash(net.state_dict())
    training_step(net, replace(PLAIN, memory_format="channels_last"), CPU)
    assert list(net.state_dict()) == names
    assert weights_hash(net.state_dict()) == before
    kernel = net.net.stencil.weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("precision", "autocast", "on_cpu", "on_cuda"),
    [
        ("auto", True, False, True),
        ("auto", False, False, False),
        ("float32", True, False, False),
        ("bfloat16", False, True, True),
    ],
)
def test_half_precision_is_the_default_on_cuda_alone(precision, autocast, on_cpu, on_cuda):
    optim = OptimSpec(precision=precision, autocast=autocast)
    assert half_precision(optim, "cpu") is on_cpu
    assert half_precision(optim, "cuda") is on_cuda


def test_what_cannot_be_is_refused_in_one_line(monkeypatch):
    mps, cuda = torch.device("mps"), torch.device("cuda")
    with pytest.raises(SlimeError, match=r"optim.precision=bfloat16 is for cpu and cuda, not mps"):
        check_arithmetic(OptimSpec(precision="bfloat16"), mps)
    with pytest.raises(SlimeError, match=r"optim.compile=true is for cpu and cuda, not mps"):
        check_arithmetic(OptimSpec(compile=True), mps)
    with pytest.raises(SlimeError, match="compiled steps want the other order"):
        check_arithmetic(OptimSpec(compile=True, memory_format="channels_last"), CPU)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SlimeError, match="needs the package triton on cuda"):
        check_arithmetic(OptimSpec(compile=True), cuda)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SlimeError, match=r"needs a C\+\+ compiler, and none of c\+\+, g\+\+"):
        check_arithmetic(OptimSpec(compile=True), CPU)


def test_a_net_that_cannot_be_compiled_is_told_in_one_line(monkeypatch):
    from torch._dynamo.exc import TorchDynamoException

    def broken(stepper, **how):
        def call(past):
            raise TorchDynamoException("no\nheader")

        return call

    monkeypatch.setattr("torch.compile", broken)
    monkeypatch.setattr("shutil.which", lambda name: name)
    step = training_step(stepper("cnn"), OptimSpec(compile=True), CPU)
    with pytest.raises(
        SlimeError, match=r"optim.compile=true: the net cannot be compiled: .*no header"
    ):
        step(batch().past)
