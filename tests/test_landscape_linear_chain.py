"""Chains of linear layers on a grid: each cell against the evaluation of a net that was moved."""

import copy

import numpy as np
import pytest
import torch
from landscape_nets import C, T, X, Y, make_batches, scale
from torch import nn

from slime.landscape import linear_chain, loss_plane
from slime.landscape.linear_chain import linear_leaves
from slime.landscape.loss import hold_windows
from slime.score import mse, tally_windows
from slime.stepper import Stepper

N = C * Y * X


class Chain(nn.Module):
    """Layers over flattened frames."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, past):
        return self.layers(past.flatten(1)).view(-1, C, Y, X)


def plain():
    return [nn.Linear(T * N, 7), nn.GELU(), nn.Linear(7, N)]


def deep():
    return [
        nn.Linear(T * N, 9, bias=False),
        nn.ELU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(9, 5),
        nn.Tanh(),
        nn.ReLU(),
        nn.Linear(5, N, bias=False),
    ]


def stepper_of(layers, head="residual"):
    torch.manual_seed(3)
    return Stepper(scale(), Chain(*layers), head=head, n_in=T)


def drawn(net, seed, *, moved=None):
    """Normal steps for every parameter, biases too, or for those whose names are given alone."""
    rng = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(p.shape, generator=rng, dtype=torch.float64).to(p.dtype)
        * float(moved is None or any(part in name for part in moved))
        for name, p in net.named_parameters()
    }


def evaluated(stepper, batches, a, b, d1, d2):
    """In float64, of a copy that was moved there."""
    there = copy.deepcopy(stepper).double().eval()
    with torch.no_grad():
        for name, weight in there.net.named_parameters():
            weight += a * d1[name].double() + b * d2[name].double()
        tally = sum(
            tally_windows(
                there(w.past.double())[:, None], w.future[:, :1].double(),
                None if w.mask is None else w.mask[:, :1], w.movie, w.start,
            )
            for w in batches
        )  # fmt: skip
    return float(mse(tally.total(), pool=True)[0, 0])


@pytest.mark.parametrize("head", ["direct", "residual", "gated"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("layers", [plain, deep])
@pytest.mark.parametrize("double", [False, True])
def test_every_cell_is_the_evaluation_there(head, masked, layers, double, monkeypatch):
    monkeypatch.setattr(linear_chain, "IN_CACHE", 120)  # 3 windows at once
    monkeypatch.setattr("slime.landscape.grid.loss_now", None)  # not by forecasts
    stepper, batches = stepper_of(layers(), head), make_batches(masked=masked)
    if double:
        stepper.net.double()
    d1, d2 = drawn(stepper.net, 0), drawn(stepper.net, 1)
    plane = loss_plane(stepper, batches, directions=(d1, d2), n_points=3, radius=0.4)
    expected = [
        [evaluated(stepper, batches, a, b, d1, d2) for b in plane["beta"].values]
        for a in plane["alpha"].values
    ]
    np.testing.assert_allclose(plane.values, expected, rtol=1e-12 if double else 1e-6)


@pytest.mark.parametrize("moved", [["layers.0"], ["layers.3"], ["layers.6"], ["bias"]])
def test_layers_that_stay_give_what_they_gave(moved):
    stepper, batches = stepper_of(deep()), make_batches()
    d1, d2 = drawn(stepper.net, 0, moved=moved), drawn(stepper.net, 1, moved=moved)
    plane = loss_plane(stepper, batches, directions=(d1, d2), n_points=3)
    expected = [
        [evaluated(stepper, batches, a, b, d1, d2) for b in plane["beta"].values]
        for a in plane["alpha"].values
    ]
    np.testing.assert_allclose(plane.values, expected, rtol=1e-6)


def test_one_unit_for_all_channels_is_taken_out_of_the_sum():
    stepper, batches = stepper_of(plain()), make_batches()
    stepper.scale.delta_std.fill_(0.4)
    d1, d2 = drawn(stepper.net, 0), drawn(stepper.net, 1)
    plane = loss_plane(stepper, batches, directions=(d1, d2), n_points=3)
    assert plane.values[2, 0] == pytest.approx(evaluated(stepper, batches, 1, -1, d1, d2), rel=1e-6)


def test_a_loss_beyond_all_numbers_is_nan_and_the_net_stays():
    stepper, batches = stepper_of(plain()), make_batches()
    before = copy.deepcopy(stepper.state_dict())
    far = {name: 1e30 * step for name, step in drawn(stepper.net, 0).items()}
    plane = loss_plane(stepper, batches, directions=(far, drawn(stepper.net, 1)), n_points=3)
    assert plane.attrs["n_nonfinite"] == 6
    assert np.isfinite(plane.values[1]).all()
    assert all(torch.equal(v, before[k]) for k, v in stepper.state_dict().items())


class Skip(Chain):
    def forward(self, past):
        flat = past.flatten(1)
        return (self.layers(flat) + flat[:, N:]).view(-1, C, Y, X)


class Functional(Chain):
    def forward(self, past):
        first, _, last = self.layers
        return last(torch.relu(first(past.flatten(1)))).view(-1, C, Y, X)


class Twice(Chain):
    def forward(self, past):
        return super().forward(past) * 2


def tied():
    layers = [nn.Linear(T * N, T * N), nn.GELU(), nn.Linear(T * N, T * N), nn.Linear(T * N, N)]
    layers[2].weight = layers[0].weight
    return layers


@pytest.mark.parametrize(
    ("net", "layers"),
    [
        (Skip, plain()),
        (Functional, plain()),
        (Twice, plain()),
        (Chain, tied()),
        (Chain, [nn.Linear(T * N, 7), nn.LayerNorm(7), nn.Linear(7, N)]),
        (Chain, [nn.Linear(T * N, N)]),
        (Chain, [nn.Linear(T * N, 7), nn.Softmax(1), nn.Linear(7, N)]),
    ],
)
def test_any_other_net_is_evaluated_by_its_forecasts(net, layers):
    torch.manual_seed(0)
    stepper, batches = Stepper(scale(), net(*layers), n_in=T), make_batches()
    windows = hold_windows(batches, stepper, lead=1, micro_batch=32)
    assert linear_leaves(stepper, windows) is None
    d1, d2 = drawn(stepper.net, 0), drawn(stepper.net, 1)
    plane = loss_plane(stepper, batches, directions=(d1, d2), n_points=3, radius=0.3)
    there = evaluated(stepper, batches, 0.3, -0.3, d1, d2)
    assert plane.values[2, 0] == pytest.approx(there, rel=1e-5)


def test_a_rollout_is_evaluated_by_its_forecasts():
    stepper = stepper_of(plain())
    for lead, by_forecasts in ((1, False), (2, True)):
        windows = hold_windows(make_batches(), stepper, lead=lead, micro_batch=32)
        assert (linear_leaves(stepper, windows) is None) == by_forecasts
