"""What public landscape tools get wrong, one test a defect: code that has it fails here.

Names begin with the tool. References are float64 evaluations of nets that were moved by hand.
"""

import copy
import gc
import math
from typing import get_args

import numpy as np
import pytest
import torch
from einops import rearrange
from landscape_nets import C, T, X, Y, make_batches, make_stepper, pixel_stepper, scale
from torch import nn

from slime.errors import SlimeError
from slime.landscape import (
    filter_normalised_direction,
    hessian_spectrum,
    loss_line,
    loss_plane,
    trajectory_plane,
)
from slime.landscape.hessian import extreme_eigenpairs
from slime.nets import NetKind, build_net
from slime.scale import Standardizer
from slime.stepper import Stepper

QUICK = ("frame_mlp", "cnn", "batch_norm")
KINDS = [
    *QUICK,
    *(pytest.param(k, marks=pytest.mark.slow) for k in get_args(NetKind) if k not in QUICK),
]


class Normed(nn.Module):
    """With BatchNorm, whose statistics are small enough for a step to turn them negative."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(T * C, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.last = nn.Conv2d(6, C, 1)
        self.norm.running_var.copy_(torch.tensor([1e-4, 0.1, 1, 2, 5, 10]))
        self.norm.running_mean.normal_()

    def forward(self, past):
        frames = rearrange(past, "b t c y x -> b (t c) y x")
        return self.last(self.norm(self.first(frames)).relu())


def stepper_of(kind: str) -> Stepper:
    torch.manual_seed(0)
    if kind == "batch_norm":
        return Stepper(scale(), Normed(), n_in=T)
    modes = {"modes": 2} if kind == "fno" else {}
    net = build_net(kind, n_in=T, channels=C, size=(Y, X), width=4, depth=3, kernel=3, **modes)
    return Stepper(scale(), net, n_in=T)


def reference(stepper, batches, *steps) -> float:
    """The mean over counted pixels in float64, of a copy in eval mode that was moved."""
    there = copy.deepcopy(stepper).double().eval()
    squares, n = 0.0, 0
    with torch.no_grad():
        for name, weight in there.net.named_parameters():
            for size, direction in steps:
                weight += size * direction[name].double()
        for b in batches:
            error = there(b.past.double()) - b.future[:, 0].double()
            counted = torch.ones_like(error) if b.mask is None else b.mask[:, 0].double()
            squares, n = squares + float((error.square() * counted).sum()), n + counted.sum()
    return float(squares / n)


def state_of(stepper):
    tensors = [*stepper.named_parameters(), *stepper.named_buffers()]
    return (
        [(n, t.detach().numpy().tobytes(), t.requires_grad) for n, t in tensors],
        [(n, m.training) for n, m in stepper.named_modules()],
    )


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_loss_landscapes_columns_are_not_shifted_each_cell_is_the_net_at_its_coordinates(
    kind, double
):
    stepper, batches = stepper_of(kind), make_batches((3, 2), masked=True)
    if double:
        stepper.net.double()
    d1, d2 = (filter_normalised_direction(stepper.net, (5, i)) for i in (0, 1))
    plane = loss_plane(stepper, batches, seed=5, n_points=5, radius=0.8)
    expected = [
        [reference(stepper, batches, (a, d1), (b, d2)) for b in plane["beta"].values]
        for a in plane["alpha"].values
    ]
    np.testing.assert_allclose(plane.values, expected, rtol=1e-10 if double else 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_landscapes_leaves_the_net_moved_ours_stays_bit_by_bit_after_ctrl_c_too(kind):
    stepper, batches = stepper_of(kind).train(), make_batches((2,))
    next(stepper.net.parameters()).requires_grad_(False)
    before = state_of(stepper)
    loss_plane(stepper, batches, n_points=3)
    assert state_of(stepper) == before

    def interrupted(points):
        yield from points[:4]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loss_plane(stepper, batches, n_points=3, progress=interrupted)
    assert state_of(stepper) == before


def test_loss_landscapes_directions_are_all_positive_ours_have_both_signs():
    direction = filter_normalised_direction(make_stepper().net, 0)
    entries = torch.cat([s.flatten() for s in direction.values() if s.any()])
    assert 0.4 < float((entries < 0).double().mean()) < 0.6


def test_loss_landscapes_fails_at_a_zero_bias_and_moves_others_ours_keeps_biases_in_place():
    stepper = make_stepper()
    biases = [name for name, p in stepper.net.named_parameters() if p.ndim == 1]
    nn.init.zeros_(stepper.net.get_parameter(biases[0]))
    direction = filter_normalised_direction(stepper.net, 0)
    assert biases
    assert not any(direction[name].any() for name in biases)
    assert np.isfinite(loss_line(stepper, make_batches(), n_points=3)).all()


def test_loss_landscapes_never_calls_eval_our_batch_norm_uses_and_keeps_its_statistics():
    stepper, batches = stepper_of("batch_norm").train(), make_batches()
    statistics = stepper.net.norm.running_mean.clone()
    line = loss_line(stepper, batches, n_points=3)
    assert float(line.sel(alpha=0)) == pytest.approx(reference(stepper, batches), rel=1e-6)
    assert torch.equal(stepper.net.norm.running_mean, statistics)
    assert stepper.net.norm.training


def test_loss_landscape_3d_perturbs_the_running_variance_ours_gives_no_nan_and_moves_no_buffer():
    stepper, seen = stepper_of("batch_norm"), []

    def watched(points):
        for point in points:
            yield point
            seen.append(stepper.net.norm.running_var.tolist())

    variance = stepper.net.norm.running_var.tolist()
    plane = loss_plane(stepper, make_batches(), n_points=9, radius=1.0, progress=watched)
    assert np.isfinite(plane).all()
    assert len(seen) == 81
    assert all(one == variance for one in seen)


class WeightNet(nn.Module):
    """Gives f(weight) at every pixel."""

    def __init__(self, f, weight=1.0):
        super().__init__()
        self.weight, self.f = nn.Parameter(torch.full((1, 1), weight)), f

    def forward(self, past):
        return self.f(self.weight) * torch.ones_like(past[:, -1])


def of_weight(f, weight=1.0) -> Stepper:
    ones = Standardizer(torch.zeros(C), torch.ones(C), torch.ones(C))
    return Stepper(ones, WeightNet(f, weight), head="direct")


STEP = {"weight": torch.ones(1, 1)}


def constant(value):
    return [b._replace(future=torch.full_like(b.future, value)) for b in make_batches((2,))]


def test_goldstein_s_mse_is_of_one_hot_classes_ours_is_of_frames_in_movie_units():
    line = loss_line(of_weight(lambda w: w), constant(4.0), direction=STEP, n_points=3)
    assert line.values.tolist() == [16, 9, 4]  # weights 0, 1, 2 against 4
    assert line.attrs["units"] == "movie units squared"


def test_goldstein_takes_a_loss_of_0_for_not_computed_ours_is_computed_and_kept_once(tmp_path):
    keep, seen = tmp_path / "cells.jsonl", []

    def watched(points):
        seen.extend(points)
        return points

    how = {"direction": STEP, "n_points": 5, "keep": keep, "progress": watched}
    stepper, batches = of_weight(lambda w: w), constant(1.0)
    for _ in range(2):
        line = loss_line(stepper, batches, **how)
        assert line.values.tolist() == [1, 0.25, 0, 0.25, 1]
        assert line.attrs["n_nonfinite"] == 0
    assert len(seen) == 5


def test_goldstein_s_defaults_give_nan_ours_are_normalised_and_finite():
    for kind in ("cnn", "fno", "batch_norm"):
        stepper = stepper_of(kind)
        direction = filter_normalised_direction(stepper.net, (0, 0))
        line = loss_line(stepper, make_batches((2,)), n_points=3)
        assert np.isfinite(line).all(), kind
        for name, weight in stepper.net.named_parameters():
            if weight.ndim >= 2:
                norms = (w.detach().flatten(1).norm(dim=1) for w in (weight, direction[name]))
                torch.testing.assert_close(*norms)


def test_goldstein_s_trajectory_is_drawn_at_the_plane_s_loss_ours_has_each_snapshot_s_own():
    one, batches = pixel_stepper(), make_batches()
    rng = torch.Generator().manual_seed(0)
    way = {}
    for epoch in range(1, 6):  # five random directions: none lies in a plane
        way[epoch] = {
            name: v + torch.randn(v.shape, generator=rng).to(v) * float(name.startswith("net"))
            for name, v in one.state_dict().items()
        }
    plane = trajectory_plane(one, way, batches, n_points=3)
    own = []
    for state in way.values():
        other = copy.deepcopy(one)
        other.load_state_dict(state)
        own.append(reference(other, batches))
    assert plane.attrs["snapshot_loss"] == pytest.approx(own, rel=1e-6)


@pytest.mark.parametrize("other", ["net", "seed", "windows", "loss", "radius"])
def test_goldstein_uses_stale_direction_files_ours_refuses_cells_of_another_grid(other, tmp_path):
    keep, stepper, batches = tmp_path / "cells.jsonl", make_stepper(), make_batches()
    loss_line(stepper, batches, n_points=3, keep=keep)
    how = {"seed": {"seed": 1}, "loss": {"loss": "horizon_0.5"}, "radius": {"radius": 2.0}}
    net = make_stepper(seed=1) if other == "net" else stepper
    windows = make_batches(seed=1, sizes=(4, 4)) if other == "windows" else batches
    with pytest.raises(SlimeError, match="cells of another grid"):
        loss_line(net, windows, n_points=3, keep=keep, **how.get(other, {}))


def test_landscaper_s_axes_are_5_percent_off_ours_are_the_steps_taken():
    # the loss is (1 + a - 4)^2: what a cell holds tells where it was taken
    line = loss_line(of_weight(lambda w: w), constant(4.0), direction=STEP, n_points=21, radius=0.7)
    np.testing.assert_allclose(3 - np.sqrt(line.values), line["alpha"], atol=1e-6)
    assert (line["alpha"].values[0], line["alpha"].values[-1]) == (-0.7, 0.7)


def test_landscaper_adds_noise_to_the_maximum_ours_is_the_loss_there_each_time():
    stepper, batches = make_stepper(), make_batches()
    planes = [loss_plane(stepper, batches, n_points=3) for _ in range(2)]
    assert (planes[0].values == planes[1].values).all()
    at = np.unravel_index(planes[0].values.argmax(), (3, 3))
    d1, d2 = (filter_normalised_direction(stepper.net, (0, i)) for i in (0, 1))
    a, b = (float(planes[0][name][i]) for name, i in zip(("alpha", "beta"), at, strict=True))
    highest = reference(stepper, batches, (a, d1), (b, d2))
    assert float(planes[0].max()) == pytest.approx(highest, rel=1e-6)


def test_landscaper_puts_the_mean_for_nan_ours_stays_nan_and_is_counted():
    line = loss_line(of_weight(torch.log), constant(0.0), direction=STEP, n_points=3, radius=2.0)
    # weights -1, 1, 3
    np.testing.assert_allclose(line.values, [math.nan, 0, math.log(3) ** 2], rtol=1e-6)
    assert line.attrs["n_nonfinite"] == 1


def test_landscaper_normalises_a_tensor_ours_each_output_unit():
    net = nn.Linear(9, 3)
    with torch.no_grad():
        net.weight *= torch.tensor([0.01, 1, 100])[:, None]
    step = filter_normalised_direction(net, 0)["weight"]
    torch.testing.assert_close(step.norm(dim=1), net.weight.detach().norm(dim=1))


def numbers_in_memory() -> int:
    storages = {
        t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
        for t in gc.get_objects()
        if type(t) in (torch.Tensor, nn.Parameter)
    }
    return sum(storages.values()) // 4


@pytest.mark.parametrize("kind", ["frame_mlp", pytest.param("cnn", marks=pytest.mark.slow)])
def test_loss_landscape_anim_holds_the_weights_of_all_cells_ours_of_a_few(kind):
    torch.manual_seed(0)
    net = build_net(kind, n_in=T, channels=C, size=(Y, X), width=64, depth=4)
    stepper, batches = Stepper(scale(), net, n_in=T), make_batches((2,))
    n_weights = sum(p.numel() for p in net.parameters())
    before, most = numbers_in_memory(), 0

    def watched(points):
        nonlocal most
        for i, point in enumerate(points):
            yield point
            if i == 60:
                most = max(most, numbers_in_memory() - before)

    loss_plane(stepper, batches, n_points=11, progress=watched)
    # a copy of them and two directions; along a row at most as many as are computed together
    assert 2 * n_weights < most < 40 * n_weights


def test_loss_landscape_anim_breaks_with_buffers_ours_does_not():
    stepper = stepper_of("batch_norm")
    assert dict(stepper.net.named_buffers())
    assert np.isfinite(loss_plane(stepper, make_batches(), n_points=3)).all()


def test_pyhessian_is_low_and_out_of_order_at_close_eigenvalues_ours_are_exact_and_in_order():
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.standard_normal((60, 60)))
    values = np.concatenate([[10.0, 9.99, 9.98, 9.97], np.linspace(-3, 9, 56)])
    matrix = turn * values @ turn.T
    start = rng.standard_normal(60)
    found, vectors = extreme_eigenpairs(lambda v: matrix @ v, start, 4, "LA")
    np.testing.assert_allclose(found, [10.0, 9.99, 9.98, 9.97], rtol=1e-6)
    np.testing.assert_allclose(vectors @ matrix, found[:, None] * vectors, atol=1e-4)


def test_pyhessian_s_trace_stops_by_chance_ours_takes_all_probes_and_tells_its_error():
    stepper, batches = pixel_stepper(), make_batches()
    probes = []

    def counted(numbers):
        for number in numbers:
            probes.append(number)
            yield number

    found = hessian_spectrum(
        stepper, batches, n_top=0, n_bottom=0, n_probes=30, n_lanczos=10, progress=counted
    )
    assert probes == list(range(30))
    # a probe's trace is the sum of nodes times weights times the number of weights
    each = (found["node"] * found["weight"]).sum("lanczos").values * found.attrs["n_numbers"]
    assert found["trace"].item() == pytest.approx(each.mean(), rel=1e-6)
    assert found["trace_se"].item() == pytest.approx(each.std(ddof=1) / math.sqrt(30), rel=1e-6)
    whole = hessian_spectrum(stepper, batches, n_top=10, n_bottom=0, n_probes=0)["top"].values
    assert abs(found["trace"].item() - whole.sum()) < 4 * found["trace_se"].item()
