import copy

import pytest
import torch

from slime.errors import SlimeError
from slime.landscape.relabelled import relabelled
from slime.nets import build_net
from slime.scale import Standardizer
from slime.stepper import Stepper


def stepper_of(kind, **sizes):
    torch.manual_seed(0)
    net = build_net(kind, n_in=2, channels=1, size=(6, 7), width=5, **sizes)
    one = torch.ones(1)
    stepper = Stepper(Standardizer(0 * one, one, one), net, n_in=2)
    with torch.no_grad():
        for weight in stepper.parameters():
            weight.copy_(torch.randn(weight.shape))
    return stepper.eval()


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [("cnn", {"depth": 4}), ("cnn", {"dropout": 0.5}), ("patch_mlp", {}), ("frame_mlp", {})],
)
def test_other_weights_forecast_the_same(kind, sizes):
    stepper = stepper_of(kind, **sizes)
    state = relabelled(stepper, seed=1)
    own = stepper.state_dict()
    hidden = [name for name in own if name.startswith("net.layers") and name.endswith("bias")][:-1]
    assert hidden
    for name in hidden:
        assert not torch.equal(state[name], own[name])
        assert torch.equal(state[name].sort().values, own[name].sort().values)
    other = copy.deepcopy(stepper)
    other.load_state_dict(state)
    past = torch.randn(3, 2, 1, 6, 7)
    with torch.no_grad():
        torch.testing.assert_close(other(past), stepper(past), rtol=1e-4, atol=1e-4)


def test_nets_that_are_no_chain_are_refused():
    with pytest.raises(SlimeError, match="UNet is no chain of layers"):
        relabelled(stepper_of("unet"))
