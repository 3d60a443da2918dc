"""Lines and planes through several nets, against closed forms and each net's own evaluation."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from landscape_nets import C, make_batches, make_stepper, pixel_stepper
from torch import nn

from slime.errors import SlimeError
from slime.fit import evaluate
from slime.landscape import loss_between, loss_plane, plane_through, trajectory_plane
from slime.scale import Standardizer
from slime.score import mse
from slime.stepper import Stepper


class Well(nn.Module):
    """The square of its weight at every pixel: with truth 1 the loss is (w^2 - 1)^2."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, 1), weight, dtype=torch.float64))

    def forward(self, past):
        return self.weight**2 * torch.ones_like(past[:, -1])


def well(weight):
    scale = Standardizer(torch.zeros(C), torch.ones(C), torch.ones(C))
    return Stepper(scale, Well(weight), head="direct")


def ones():
    return [b._replace(future=torch.ones_like(b.future)) for b in make_batches((2,))]


def own_loss(stepper, batches):
    batches = [
        b._replace(future=b.future[:, :1], mask=None if b.mask is None else b.mask[:, :1])
        for b in batches
    ]
    return float(mse(evaluate(stepper, batches).total(), pool=True)[0, 0])


def turned(stepper, seed, size=0.3):
    """A copy with other weights everywhere, gate and biases too."""
    other = copy.deepcopy(stepper)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            weight += size * torch.randn(weight.shape, generator=rng).to(weight)
    return other


def distance(one, other):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return math.sqrt(sum(float((a - b).detach().double().square().sum()) for a, b in pairs))


def test_two_wells_have_the_barrier_between_them():
    line = loss_between(well(-1.0), well(1.0).state_dict(), ones(), n_points=5, beyond=0.25)
    assert line["alpha"].values.tolist() == [-0.25, 0, 0.25, 0.5, 0.75, 1, 1.25]
    at = 2 * line["alpha"].values - 1
    assert line.values == pytest.approx((at**2 - 1) ** 2)
    assert line.attrs["barrier"] == pytest.approx(1)
    assert line.attrs["distance"] == pytest.approx(2)


def test_the_barrier_is_above_the_line_between_unequal_ends():
    # from w = 0, loss 1, to w = 1, loss 0: (w^2 - 1)^2 - (1 - w) is 5/16 at most, w in quarters
    line = loss_between(well(0.0), well(1.0).state_dict(), ones(), n_points=5)
    rise = [(w * w - 1) ** 2 - (1 - w) for w in (0, 0.25, 0.5, 0.75, 1)]
    assert line.attrs["barrier"] == pytest.approx(max(rise))
    assert max(rise) == pytest.approx(0.1289, abs=1e-4)


def test_a_bowl_lies_below_the_line_between_its_ends():
    one = pixel_stepper()
    line = loss_between(one, turned(one, 0).state_dict(), make_batches(), n_points=9, beyond=0)
    # L = l0 + s g + s^2 q rises by -q s (1 - s): the least of it is next to an end, at s = 1/8
    q = 2 * (line.values[0] - 2 * line.values[4] + line.values[-1])
    assert q > 0
    assert line.attrs["barrier"] == pytest.approx(-q * 7 / 64, rel=1e-9)


@pytest.mark.parametrize("head", ["residual", "gated"])
def test_the_ends_are_the_two_nets(head):
    one, batches = make_stepper(head=head), make_batches(masked=True)
    other = turned(one, 4)
    line = loss_between(one, other.state_dict(), batches, n_points=3, beyond=0)
    assert line.values[0] == pytest.approx(own_loss(one, batches), rel=1e-6)
    assert line.values[-1] == pytest.approx(own_loss(other, batches), rel=1e-5)
    assert line.attrs["distance"] == pytest.approx(distance(one, other), rel=1e-5)


def test_a_plane_through_three_nets_keeps_their_distances_and_losses():
    one, batches = pixel_stepper(), make_batches()
    nets = [one, turned(one, 1), turned(one, 2)]
    states = [net.state_dict() for net in nets[1:]]
    before = copy.deepcopy(one.state_dict())
    plane = plane_through(one, states, batches, n_points=5)
    assert all(torch.equal(v, before[k]) for k, v in one.state_dict().items())
    places = np.stack([plane.attrs["net_alpha"], plane.attrs["net_beta"]], axis=1)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        apart = np.linalg.norm(places[i] - places[j])
        assert apart == pytest.approx(distance(nets[i], nets[j]), rel=1e-9)
    assert plane.attrs["net_loss"] == pytest.approx([own_loss(n, batches) for n in nets])
    # a bowl of six numbers: fitted to the grid, it holds at the nets too
    alpha, beta = np.meshgrid(plane["alpha"], plane["beta"], indexing="ij")
    terms = [np.ones(25), alpha.ravel(), beta.ravel()]
    terms += [terms[1] ** 2, terms[2] ** 2, terms[1] * terms[2]]
    bowl = np.linalg.lstsq(np.stack(terms, 1), plane.values.ravel(), rcond=None)[0]
    x, y = places.T
    told = np.stack([np.ones(3), x, y, x**2, y**2, x * y], 1) @ bowl
    assert told == pytest.approx(plane.attrs["net_loss"], rel=1e-9)
    assert plane.attrs["cosine"] == pytest.approx(0, abs=1e-12)


def test_a_training_lies_in_its_plane_with_its_own_losses():
    one, batches = pixel_stepper(), make_batches()
    d1, d2, d3 = (turned(one, i).state_dict() for i in (1, 2, 3))
    base, weights = one.state_dict(), [n for n, _ in one.named_parameters()]

    def at(*shares):
        state = dict(base)
        for name in weights:
            for share, d in zip(shares, (d1, d2, d3), strict=False):
                state[name] = state[name] + share * (d[name] - base[name])
        return state

    way = {1: at(3, 0.5), 4: at(2, 1), 9: at(1, 0.9), 12: at(0.3, 0.1)}
    plane = trajectory_plane(one, way, batches, n_points=3)
    assert sum(plane.attrs["explained"]) == pytest.approx(1)
    assert plane.attrs["snapshot_epoch"] == [1, 4, 9, 12]
    nets = [copy.deepcopy(one) for _ in way]
    for net, state in zip(nets, way.values(), strict=True):
        net.load_state_dict(state)
    reached = np.hypot(plane.attrs["snapshot_alpha"], plane.attrs["snapshot_beta"])
    assert reached == pytest.approx([distance(one, net) for net in nets], rel=1e-6)
    assert plane.attrs["snapshot_loss"] == pytest.approx([own_loss(n, batches) for n in nets])
    assert plane.attrs["snapshot_alpha"][0] > 0
    assert plane.values[1, 1] == pytest.approx(own_loss(one, batches))
    # with a third direction a snapshot leaves the plane: it keeps its own loss
    bent = trajectory_plane(one, {**way, 6: at(1, 1, 5)}, batches, n_points=3)
    assert 0.5 < sum(bent.attrs["explained"]) < 1
    other = copy.deepcopy(one)
    other.load_state_dict(at(1, 1, 5))
    assert bent.attrs["snapshot_loss"][-1] == pytest.approx(own_loss(other, batches))


def test_nets_that_do_not_fit_are_refused():
    one, batches = pixel_stepper(), make_batches()
    with pytest.raises(SlimeError, match="the two nets are the same"):
        loss_between(one, one.state_dict(), batches)
    with pytest.raises(SlimeError, match="not of one shape"):
        loss_between(one, make_stepper().state_dict(), batches)
    other = turned(one, 0)
    on_line = {n: 2 * v - one.state_dict()[n] for n, v in other.state_dict().items()}
    on_line |= {n: v for n, v in one.state_dict().items() if n.startswith("scale")}
    with pytest.raises(SlimeError, match="lie on one line"):
        plane_through(one, [other.state_dict(), on_line], batches)
    with pytest.raises(SlimeError, match="3 nets, but 2 were given"):
        plane_through(one, [other.state_dict()], batches)
    other.scale.std += 1
    with pytest.raises(SlimeError, match=r"differ in scale\.std"):
        loss_between(one, other.state_dict(), batches)
    with pytest.raises(SlimeError, match="3 snapshots, but there are 2"):
        trajectory_plane(one, {1: one.state_dict(), 2: one.state_dict()}, batches)
    with pytest.raises(SlimeError, match="no plane holds them"):
        trajectory_plane(one, dict.fromkeys((1, 2, 3), one.state_dict()), batches)


# --- statistics of normalisation layers ---


class Normed(nn.Module):
    def __init__(self, mean, variance):
        super().__init__()
        self.norm = nn.BatchNorm2d(C, affine=False)
        self.weight = nn.Parameter(torch.ones(1, 1))
        self.norm.running_mean.fill_(mean)
        self.norm.running_var.fill_(variance)

    def forward(self, past):
        return self.weight * self.norm(past[:, -1])


def normed(mean, variance, weight=1.0):
    scale = Standardizer(torch.zeros(C), torch.ones(C), torch.ones(C))
    stepper = Stepper(scale, Normed(mean, variance), head="direct").double()
    with torch.no_grad():
        stepper.net.weight.fill_(weight)
    return stepper


def test_statistics_go_along_between_two_nets_and_stay_above_0_beyond():
    one, other = normed(1.0, 4.0, weight=1.0), normed(5.0, 0.01, weight=2.0)
    other.net.norm.num_batches_tracked += 7
    batches, seen = make_batches((2,)), []

    def watched(points):
        for point in points:
            yield point
            norm = one.net.norm
            seen.append((norm.running_mean[0].item(), norm.running_var[0].item()))

    before = copy.deepcopy(one.state_dict())
    line = loss_between(one, other.state_dict(), batches, n_points=3, beyond=0.5, progress=watched)
    # half a way: means by 2, variances by a factor of sqrt(0.01 / 4) = 1 / 20
    means, variances = [-1, 1, 3, 5, 7], [80, 4, 0.2, 0.01, 0.0005]
    assert np.array(seen) == pytest.approx(np.stack([means, variances], axis=1))
    assert line.values[1] == pytest.approx(own_loss(one, batches), rel=1e-9)
    assert line.values[3] == pytest.approx(own_loss(other, batches), rel=1e-6)  # float32 frames
    half = own_loss(normed(3.0, 0.2, weight=1.5), batches)
    assert line.values[2] == pytest.approx(half, rel=1e-6)
    assert "interpolated" in line.attrs["norm_statistics"]
    assert all(torch.equal(v, before[k]) for k, v in one.state_dict().items())


def test_a_plane_through_nets_with_statistics_meets_each_net():
    nets = [normed(0.0, 1.0), normed(1.0, 2.0), normed(-1.0, 0.5)]
    for i, net in enumerate(nets):  # three nets need two weights at least
        net.net.shift = nn.Parameter(torch.tensor([[float(i == 2)]], dtype=torch.float64))
        with torch.no_grad():
            net.net.weight.fill_(1 + (i == 1))
    batches = make_batches((2,))
    plane = plane_through(nets[0], [n.state_dict() for n in nets[1:]], batches, n_points=11)
    assert plane.attrs["net_loss"] == pytest.approx([own_loss(n, batches) for n in nets], rel=1e-6)
    # the second lies at alpha 1, beta 0: 4 of 5 steps to 1.25
    assert plane.attrs["net_alpha"] == pytest.approx([0, 1, 0])
    at_second = float(plane.isel(alpha=9, beta=5))
    assert float(plane["alpha"][9]) == pytest.approx(1)
    assert at_second == pytest.approx(plane.attrs["net_loss"][1], rel=1e-9)


# --- cells that are kept ---


def test_a_grid_goes_on_where_it_was_stopped(tmp_path):
    stepper, batches = make_stepper(), make_batches()
    whole = loss_plane(stepper, batches, n_points=5)
    keep, seen = tmp_path / "cells.jsonl", []

    def stopped(points):
        for i, point in enumerate(points):
            if i == 7:
                raise KeyboardInterrupt
            yield point

    def counted(points):
        seen.extend(points)
        return points

    with pytest.raises(KeyboardInterrupt):
        loss_plane(stepper, batches, n_points=5, progress=stopped, keep=keep)
    assert len(keep.read_text().splitlines()) == 8
    with keep.open("a") as file:
        file.write('{"cell": [1, 2], "lo')  # a kill in the middle of a line
    again = loss_plane(stepper, batches, n_points=5, progress=counted, keep=keep)
    assert len(seen) == 25 - 7
    assert again.identical(whole)
    once_more = loss_plane(stepper, batches, n_points=5, progress=counted, keep=keep)
    assert len(seen) == 25 - 7
    assert once_more.identical(whole)


def test_cells_are_never_mixed_with_another_grid(tmp_path):
    stepper, batches = make_stepper(), make_batches()
    keep = tmp_path / "cells.jsonl"
    loss_plane(stepper, batches, n_points=3, keep=keep)
    others = [
        (turned(stepper, 0), batches, {}, "model_sha256"),
        (stepper, batches, {"seed": 1}, "alpha direction, beta direction"),
        (stepper, batches, {"radius": 0.5}, "alpha axis, beta axis"),
        (stepper, batches, {"lead": 2}, "lead"),
        (stepper, make_batches((3, 3)), {}, "window_movie, window_start"),
    ]
    for net, windows, how, words in others:
        with pytest.raises(SlimeError, match=f"cells of another grid .*{words}"):
            loss_plane(net, windows, n_points=3, keep=keep, **how)
    (tmp_path / "other.jsonl").write_text(json.dumps({"epoch": 1}) + "\n")
    with pytest.raises(SlimeError, match="does not hold cells"):
        loss_plane(stepper, batches, n_points=3, keep=tmp_path / "other.jsonl")


def test_cells_that_are_not_finite_are_kept_as_such(tmp_path):
    step = {"weight": torch.full((1, 1), 1e200, dtype=torch.float64)}
    keep = tmp_path / "cells.jsonl"
    planes = [
        loss_plane(well(1.0), ones(), n_points=3, directions=(step, step), keep=keep)
        for _ in range(2)
    ]
    assert planes[0].attrs["n_nonfinite"] == 6
    assert planes[1].identical(planes[0])
