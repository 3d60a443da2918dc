import copy
import io
import math

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from einops import rearrange
from landscape_nets import C, T, X, Y, make_batches, make_stepper, pixel_stepper, scale
from torch import nn
from tqdm import tqdm

from slime.errors import SlimeError
from slime.landscape import filter_normalised_direction, loss_line, loss_plane
from slime.landscape.directions import inner_product
from slime.landscape.grid import centred_axis
from slime.scale import Standardizer
from slime.score import horizon, mse, tally_windows
from slime.stepper import Stepper, rollout, weights_hash
from slime.stream import Batch


@pytest.fixture(autouse=True)
def _one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


class WeightNet(nn.Module):
    """Gives f(weight) at every pixel, whatever it is given."""

    def __init__(self, f, weight=1.0):
        super().__init__()
        self.weight, self.f = nn.Parameter(torch.full((1, 1), weight)), f

    def forward(self, past):
        return self.f(self.weight) * torch.ones_like(past[:, -1])


def unit_stepper(net: nn.Module, head="direct") -> Stepper:
    return Stepper(Standardizer(torch.zeros(C), torch.ones(C), torch.ones(C)), net, head=head)


def evaluation(stepper: Stepper, batches, lead=1) -> float:
    """The loss by the project's scores, in eval mode."""
    stepper = copy.deepcopy(stepper).eval()
    dtype = next(stepper.parameters()).dtype
    with torch.no_grad():
        tally = sum(
            tally_windows(
                rollout(stepper, b.past.to(dtype), lead), b.future[:, :lead].to(dtype),
                None if b.mask is None else b.mask[:, :lead], b.movie, b.start,
            )
            for b in batches
        )  # fmt: skip
    return float(mse(tally.total(), pool=True)[lead - 1, 0])


def moved(stepper: Stepper, *steps) -> Stepper:
    """A copy of the stepper with its net moved by (size, direction) steps."""
    stepper = copy.deepcopy(stepper)
    with torch.no_grad():
        for name, weight in stepper.net.named_parameters():
            for size, direction in steps:
                weight += size * direction[name]
    return stepper


def state_of(stepper: Stepper):
    """All that a landscape must leave alone: bytes, memory, modes, flags and gradients."""
    tensors = [*stepper.named_parameters(), *stepper.named_buffers()]
    return (
        [(n, t.detach().numpy().tobytes(), t.data_ptr(), t.requires_grad) for n, t in tensors],
        [(n, None if p.grad is None else p.grad.tolist()) for n, p in stepper.named_parameters()],
        [(n, m.training) for n, m in stepper.named_modules()],
    )


# --- directions ---


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(7, 5)
        self.conv = nn.Conv2d(4, 6, 3, groups=2)
        self.up = nn.ConvTranspose2d(3, 5, 2)
        self.up_groups = nn.ConvTranspose1d(4, 6, 3, groups=2)
        self.norm = nn.BatchNorm2d(6)


def unit_parts(name: str, weight: np.ndarray) -> list[np.ndarray]:
    """The weights of each output unit, written out kind by kind."""
    if name == "up.weight":
        return [weight[:, i] for i in range(5)]
    if name == "up_groups.weight":  # inputs 0, 1 feed outputs 0 to 2, inputs 2, 3 feed 3 to 5
        return [weight[:2, i] for i in range(3)] + [weight[2:, i] for i in range(3)]
    return list(weight)


def test_each_output_unit_moves_by_the_norm_of_its_own_weights():
    torch.manual_seed(0)
    net = Mixed()
    with torch.no_grad():  # units of very different size, so that a norm by tensor would show
        net.linear.weight *= torch.tensor([0.01, 1, 5, 20, 100])[:, None]
        net.up.weight *= torch.tensor([0.01, 1, 5, 20, 100])[:, None, None]
        net.up_groups.weight[:2] *= 50
    direction = filter_normalised_direction(net, 3)
    assert list(direction) == [name for name, _ in net.named_parameters()]
    for name in ("linear.weight", "conv.weight", "up.weight", "up_groups.weight"):
        weight = net.get_parameter(name).detach().numpy()
        step = direction[name].numpy()
        assert step.shape == weight.shape
        norms = [np.linalg.norm(part) for part in unit_parts(name, weight)]
        steps = [np.linalg.norm(part) for part in unit_parts(name, step)]
        np.testing.assert_allclose(steps, norms, rtol=1e-5)  # float32 weights


def test_biases_and_other_weights_of_one_axis_stay_and_buffers_have_no_direction():
    net = Mixed()
    nn.init.zeros_(net.linear.bias)  # a zero bias is no error
    direction = filter_normalised_direction(net, 0)
    still = {name for name, step in direction.items() if not step.any()}
    assert still == {n for n, p in net.named_parameters() if p.ndim == 1}
    assert not any("running" in name for name in direction)


def test_a_unit_of_zero_weights_does_not_move():
    net = nn.Linear(3, 2)
    nn.init.zeros_(net.weight[1])
    step = filter_normalised_direction(net, 0)["weight"]
    assert step[1].tolist() == [0, 0, 0]
    assert step[0].all()


def test_directions_are_gaussian_and_of_both_signs():
    net = nn.Linear(40_000, 1, bias=False)
    step = filter_normalised_direction(net, 5)["weight"][0].double()
    z = step / step.square().mean().sqrt()
    # Shares of a normal law within 0, 1 and 2 standard deviations; 5 standard errors are 0.0125.
    assert float((z < 0).double().mean()) == pytest.approx(0.5, abs=0.0125)
    assert float((z.abs() < 1).double().mean()) == pytest.approx(0.6827, abs=0.0125)
    assert float((z.abs() < 2).double().mean()) == pytest.approx(0.9545, abs=0.0125)


def test_directions_depend_on_their_seed_alone():
    net, random_state = Mixed(), torch.get_rng_state()
    one = filter_normalised_direction(net, 7)
    torch.manual_seed(123)
    again, second, other = (filter_normalised_direction(net, s) for s in ((7, 0), (7, 1), 8))
    name = "linear.weight"
    assert torch.equal(one[name], again[name])
    assert not torch.equal(one[name], second[name])
    assert not torch.equal(one[name], other[name])
    assert not torch.equal(second[name], other[name])
    in_double = filter_normalised_direction(copy.deepcopy(net).double(), 7)[name]
    assert in_double.dtype == torch.float64
    torch.testing.assert_close(in_double.float(), one[name])
    torch.set_rng_state(random_state)
    filter_normalised_direction(net, 7)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_complex_weights_move_by_their_norm_too():
    net = nn.Module()
    net.spectrum = nn.Parameter(torch.randn(3, 4, dtype=torch.complex64))
    step = filter_normalised_direction(net, 0)["spectrum"]
    assert step.dtype == torch.complex64
    squares = net.spectrum.detach().abs().square()
    torch.testing.assert_close(step.abs().square().sum(1), squares.sum(1))
    assert inner_product([step], [step]) == pytest.approx(float(squares.sum()), rel=1e-6)


# --- axes ---


@pytest.mark.parametrize(("n_points", "radius"), [(3, 1.0), (11, 0.3), (21, 0.7), (51, 1e-3)])
def test_axes_are_even_mirrored_and_have_an_exact_zero_in_the_middle(n_points, radius):
    axis = centred_axis(n_points, radius)
    assert len(axis) == n_points
    assert axis[n_points // 2] == 0
    assert (axis[0], axis[-1]) == (-radius, radius)
    assert (axis == -axis[::-1]).all()
    np.testing.assert_allclose(np.diff(axis), 2 * radius / (n_points - 1), rtol=1e-12)


def test_the_coordinates_are_the_axes():
    stepper, batches = make_stepper(), make_batches((2,))
    plane = loss_plane(stepper, batches, n_points=5, radius=0.3)
    assert plane.dims == ("alpha", "beta")
    assert plane["alpha"].values.tolist() == centred_axis(5, 0.3).tolist()
    assert plane["beta"].values.tolist() == centred_axis(5, 0.3).tolist()
    line = loss_line(stepper, batches, n_points=7, radius=2.0)
    assert line.dims == ("alpha",)
    assert line["alpha"].values.tolist() == centred_axis(7, 2.0).tolist()


@pytest.mark.parametrize("n_points", [10, 2, 1, 0, -3])
def test_a_grid_without_a_centre_is_refused(n_points):
    for draw in (loss_plane, loss_line):
        with pytest.raises(SlimeError, match=f"n_points={n_points} must be odd and at least 3"):
            draw(make_stepper(), make_batches(), n_points=n_points)


@pytest.mark.parametrize("radius", [0.0, -1.0, math.inf, math.nan])
def test_a_radius_that_is_no_length_is_refused(radius):
    with pytest.raises(SlimeError, match=r"radius=.* must be above 0"):
        loss_plane(make_stepper(), make_batches(), radius=radius)


# --- the loss ---


def quadratic_bowl(stepper, batches, axes, d1, d2):
    """mean (r + a u + b v)^2 from three sums of squares and three products, in NumPy."""
    past = np.concatenate([b.past.double().numpy() for b in batches])
    truth = np.concatenate([b.future[:, 0].double().numpy() for b in batches])
    mean, std, delta_std = (
        v.double().numpy()[:, None, None] for v in (stepper.scale.mean, stepper.scale.std,
                                                    stepper.scale.delta_std)
    )  # fmt: skip
    given = ((past - mean) / std).reshape(len(past), T * C, Y, X)
    unit = delta_std if stepper.head == "residual" else std
    offset = past[:, -1] if stepper.head == "residual" else mean

    def mixed(weights):
        matrix, bias = (weights[f"mix.{n}"].detach().numpy() for n in ("weight", "bias"))
        return np.einsum("oi,biyx->boyx", matrix[:, :, 0, 0], given) + bias[:, None, None]

    r = offset + unit * mixed(dict(stepper.net.named_parameters())) - truth
    u, v = unit * mixed(d1), unit * mixed(d2)
    counts = np.ones(truth.shape, bool)
    if batches[0].mask is not None:
        counts = np.concatenate([b.mask[:, 0].numpy() for b in batches])
    rr, uu, vv, ru, rv, uv = (
        (a * b)[counts].mean() for a, b in ((r, r), (u, u), (v, v), (r, u), (r, v), (u, v))
    )
    a, b = axes[:, None], axes[None, :]
    return rr + a**2 * uu + b**2 * vv + 2 * a * ru + 2 * b * rv + 2 * a * b * uv


@pytest.mark.parametrize("head", ["direct", "residual"])
@pytest.mark.parametrize("masked", [False, True])
def test_a_linear_net_has_the_quadratic_bowl_of_the_closed_form(head, masked):
    stepper, batches = pixel_stepper(head), make_batches(masked=masked)
    directions = [filter_normalised_direction(stepper.net, (4, i)) for i in (0, 1)]
    plane = loss_plane(stepper, batches, seed=4, n_points=7, radius=1.5)
    bowl = quadratic_bowl(stepper, batches, centred_axis(7, 1.5), *directions)
    np.testing.assert_allclose(plane.values, bowl, rtol=1e-10)  # float64 throughout


def test_given_directions_move_biases_and_are_not_made_orthogonal():
    stepper, batches = pixel_stepper(), make_batches()
    zeros = {name: torch.zeros_like(p) for name, p in stepper.net.named_parameters()}
    weight, bias = torch.zeros(C, T * C, 1, 1), torch.zeros(C)
    weight[0, 1], bias[1] = 3, 4
    d1, d2 = zeros | {"mix.weight": weight}, {"mix.weight": weight, "mix.bias": bias}
    plane = loss_plane(stepper, batches, n_points=5, directions=(d1, d2))
    doubled = [{n: s.double() for n, s in d.items()} for d in (d1, d2)]
    bowl = quadratic_bowl(stepper, batches, centred_axis(5, 1.0), *doubled)
    np.testing.assert_allclose(plane.values, bowl, rtol=1e-10)
    # (3, 0) and (3, 4): lengths 3 and 5, cosine 9 / 15.
    assert plane.attrs["alpha_norm"] == 3
    assert plane.attrs["beta_norm"] == 5
    assert plane.attrs["cosine"] == pytest.approx(0.6, rel=1e-15)
    assert plane.attrs["directions"] == "given"
    assert "seed" not in plane.attrs


@pytest.mark.parametrize("kind", ["cnn", "patch_mlp", "frame_mlp"])
@pytest.mark.parametrize(("lead", "masked"), [(1, False), (1, True), (3, True)])
def test_every_cell_is_the_evaluation_of_the_net_there(kind, lead, masked):
    stepper, batches = make_stepper(kind), make_batches(masked=masked)
    plane = loss_plane(stepper, batches, seed=2, n_points=5, radius=0.5, lead=lead, micro_batch=2)
    d1, d2 = (filter_normalised_direction(stepper.net, (2, i)) for i in (0, 1))
    expected = [
        [evaluation(moved(stepper, (a, d1), (b, d2)), batches, lead) for b in centred_axis(5, 0.5)]
        for a in centred_axis(5, 0.5)
    ]
    # float32 forecasts, summed in another order channels last.
    np.testing.assert_allclose(plane.values, expected, rtol=1e-5)
    assert plane.values[2, 2] == pytest.approx(evaluation(stepper, batches, lead), rel=1e-6)


@pytest.mark.parametrize("lead", [1, 3])
def test_the_centre_of_a_float64_net_is_its_evaluation_to_rounding(lead):
    stepper, batches = make_stepper(), make_batches(masked=True)
    stepper.net.double()
    plane = loss_plane(stepper, batches, n_points=3, lead=lead)
    assert plane.values[1, 1] == pytest.approx(evaluation(stepper, batches, lead), rel=1e-13)


def test_a_line_is_the_middle_column_of_the_plane_of_its_seed():
    stepper, batches = make_stepper(), make_batches()
    plane = loss_plane(stepper, batches, seed=6, n_points=5)
    line = loss_line(stepper, batches, seed=6, n_points=5)
    assert (line.values == plane.sel(beta=0).values).all()
    d = filter_normalised_direction(stepper.net, 6)
    given = loss_line(stepper, batches, direction=d, n_points=5)
    assert (given.values == line.values).all()
    assert line.attrs["seed"] == 6
    assert "seed" not in given.attrs
    assert "cosine" not in line.attrs


def test_cells_do_not_depend_on_the_order_in_which_they_are_computed():
    stepper, batches = make_stepper(), make_batches()
    plane = loss_plane(stepper, batches, n_points=5)
    seen = []

    def shuffled(points):
        seen.extend(points)
        return [points[i] for i in np.random.default_rng(0).permutation(len(points))] * 2

    again = loss_plane(stepper, batches, n_points=5, progress=shuffled)
    assert (plane.values == again.values).all()
    assert seen == [(i, j) for i in range(5) for j in range(5)]


def test_the_same_seed_gives_the_same_plane_and_another_seed_another():
    stepper, batches = make_stepper(), make_batches()
    one, again, other = (loss_plane(stepper, batches, seed=s, n_points=3) for s in (1, 1, 2))
    xr.testing.assert_identical(one, again)
    assert one.values[1, 1] == other.values[1, 1]
    away = np.ones((3, 3), bool)
    away[1, 1] = False
    assert (one.values != other.values)[away].all()


def test_only_counted_pixels_matter():
    stepper, batches = make_stepper(), make_batches(masked=True)
    plane = loss_plane(stepper, batches, n_points=3)
    spoilt = [b._replace(future=torch.where(b.mask, b.future, torch.nan)) for b in batches]
    assert (loss_plane(stepper, spoilt, n_points=3).values == plane.values).all()
    assert plane.attrs["n_pixels"] == sum(int(b.mask[:, 0].sum()) for b in batches)
    unmasked = loss_plane(stepper, [b._replace(mask=None) for b in batches], n_points=3)
    assert (unmasked.values != plane.values).all()
    assert unmasked.attrs["n_pixels"] == 7 * C * Y * X


def test_batches_are_taken_in_once_and_their_size_does_not_matter():
    stepper, (first, second) = make_stepper(), make_batches((4, 3))

    class Stream:
        n_iterated = 0

        def __iter__(self):
            self.n_iterated += 1
            yield from (first, second)

    stream = Stream()
    plane = loss_plane(stepper, stream, n_points=3)
    assert stream.n_iterated == 1
    past, future, movie, start = (
        torch.cat([getattr(b, name) for b in (first, second)])
        for name in ("past", "future", "movie", "start")
    )
    joined = Batch(past, future, None, movie, start)
    whole = loss_plane(stepper, iter([joined]), n_points=3, micro_batch=3)
    np.testing.assert_allclose(whole.values, plane.values, rtol=1e-6)  # float32 sums reordered
    assert whole.attrs == plane.attrs


def test_squares_are_summed_in_float64():
    (batch,) = make_batches((7,))
    truth = torch.zeros_like(batch.future)
    truth[0, 0, 0, 0, 0] = 10_001
    stepper = unit_stepper(WeightNet(lambda w: w))
    direction = {"weight": torch.ones(1, 1)}
    line = loss_line(stepper, [batch._replace(future=truth)], direction=direction, n_points=3)
    # At weight 1, 279 errors of 1 and one of -10000: 100000279 is no float32.
    assert line.values[1] == pytest.approx(100_000_279 / 280, rel=1e-14)


def test_a_perfect_net_has_a_loss_of_exactly_zero_at_the_centre():
    batches = [b._replace(future=torch.ones_like(b.future)) for b in make_batches()]
    stepper = unit_stepper(WeightNet(lambda w: w))
    step = {"weight": torch.ones(1, 1)}
    line = loss_line(stepper, batches, direction=step, n_points=5)
    assert line.values.tolist() == [1, 0.25, 0, 0.25, 1]
    assert line.attrs["n_nonfinite"] == 0


def test_losses_that_are_not_finite_stay_nan_and_are_counted():
    batches = [b._replace(future=torch.zeros_like(b.future)) for b in make_batches()]
    stepper = unit_stepper(WeightNet(torch.log))
    step = {"weight": torch.full((1, 1), 2.0)}
    line = loss_line(stepper, batches, direction=step, n_points=5)
    # Weights -1, 0, 1, 2, 3: log is NaN, -inf, 0, log 2, log 3.
    expected = [math.nan, math.nan, 0, math.log(2) ** 2, math.log(3) ** 2]
    np.testing.assert_allclose(line.values, expected, rtol=1e-6)  # float32 logarithms
    assert line.attrs["n_nonfinite"] == 2


# --- the stepper is left as it was ---


class NormNet(nn.Module):
    """With BatchNorm, dropout, and two buffers that count calls: in a new tensor, and in place."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(T * C, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.dropout = nn.Dropout2d(0.5)
        self.last = nn.Conv2d(6, C, 1)
        self.register_buffer("n_calls", torch.zeros(()))
        self.register_buffer("n_calls_in_place", torch.zeros(()))
        self.variances = []
        self.fail_at, self.failure = -1, RuntimeError

    def forward(self, past):
        self.n_calls = self.n_calls + 1
        self.n_calls_in_place += 1
        if self.n_calls == self.fail_at:
            raise self.failure("stop")
        self.variances.append(self.norm.running_var.tolist())
        hidden = self.norm(self.conv(rearrange(past, "b t c y x -> b (t c) y x")))
        return self.last(self.dropout(hidden.relu()))


def norm_stepper() -> Stepper:
    torch.manual_seed(0)
    net = NormNet()
    net.norm.running_var.copy_(torch.tensor([1e-4, 0.1, 1, 2, 5, 10]))  # small: a step would be NaN
    net.norm.running_mean.normal_()
    net.conv.bias.requires_grad_(False)
    stepper = Stepper(scale(), net, n_in=T).train()
    net.dropout.eval()
    net.last.weight.grad = torch.ones_like(net.last.weight)
    return stepper


def test_batch_norm_statistics_neither_move_nor_change_and_no_cell_is_nan():
    stepper, batches = norm_stepper(), make_batches()
    variance = stepper.net.norm.running_var.tolist()
    before = state_of(stepper)
    centre = evaluation(stepper, batches)
    plane = loss_plane(stepper, batches, n_points=5)
    assert state_of(stepper) == before
    assert all(v == variance for v in stepper.net.variances)
    assert plane.attrs["n_nonfinite"] == 0
    assert plane.values[2, 2] == pytest.approx(centre, rel=1e-6)
    assert loss_plane(stepper, batches, n_points=5).identical(plane)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("place", ["net", "progress"])
def test_an_interrupt_leaves_the_stepper_as_it_was(failure, place):
    stepper = norm_stepper()
    if place == "net":
        stepper.net.fail_at, stepper.net.failure = 8, failure

    def progress(points):
        for i, point in enumerate(points):
            if i == 3 and place == "progress":
                raise failure("stop")
            yield point

    before = state_of(stepper)
    with pytest.raises(failure, match="stop"):
        loss_plane(stepper, make_batches(), n_points=5, progress=progress)
    assert len(stepper.net.variances) > 3  # it was under way
    assert state_of(stepper) == before
    assert torch.is_grad_enabled()


def test_the_weights_do_move_meanwhile_and_the_scale_does_not():
    stepper = norm_stepper()
    trained = stepper.net.conv.weight.detach().clone()
    places, scales = [], []

    def progress(points):
        for point in points:
            yield point
            places.append((stepper.net.conv.weight - trained).abs().max().item())
            scales.append(stepper.scale.std.tolist())
            assert not stepper.net.dropout.training
            assert not stepper.net.norm.training

    loss_line(stepper, make_batches(), n_points=5, progress=progress)
    assert places[2] == 0
    assert all(p > 0 for p in places[:2] + places[3:])
    assert all(s == [4.0, 0.5] for s in scales)


def test_a_net_can_be_trained_on_after_its_landscape():
    stepper, batches = make_stepper(), make_batches()
    loss_line(stepper, batches, n_points=3)
    (stepper(batches[0].past) - batches[0].future[:, 0]).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in stepper.net.parameters())


def test_no_global_random_number_is_drawn():
    torch.manual_seed(0)
    stepper, batches = norm_stepper(), make_batches()
    before = torch.get_rng_state()
    loss_plane(stepper, batches, n_points=3)
    assert torch.equal(torch.get_rng_state(), before)


# --- what is kept with the grid ---


def test_the_attributes_say_which_model_windows_and_directions_it_was():
    stepper, batches = make_stepper(), make_batches()
    attrs = loss_plane(stepper, batches, seed=9, n_points=3, lead=2).attrs
    directions = [filter_normalised_direction(stepper.net, (9, i)) for i in (0, 1)]
    d1, d2 = (np.concatenate([s.double().numpy().ravel() for s in d.values()]) for d in directions)
    assert attrs["window_movie"] == [0, 0, 0, 2, 2, 2, 2]
    assert attrs["window_start"] == [40, 41, 42, 50, 51, 52, 60]
    assert (attrs["n_windows"], attrs["lead"], attrs["seed"]) == (7, 2, 9)
    assert attrs["n_parameters"] == len(d1)
    assert attrs["alpha_norm"] == pytest.approx(np.linalg.norm(d1), rel=1e-12)
    assert attrs["beta_norm"] == pytest.approx(np.linalg.norm(d2), rel=1e-12)
    cosine = d1 @ d2 / np.linalg.norm(d1) / np.linalg.norm(d2)
    assert attrs["cosine"] == pytest.approx(cosine, rel=1e-9)
    assert attrs["units"] == "movie units squared"
    assert attrs["model_sha256"] == weights_hash(stepper.state_dict())


def test_the_hash_tells_models_apart_and_knows_a_copy():
    stepper = make_stepper()
    digest = weights_hash(stepper.state_dict())
    assert len(digest) == 64
    assert weights_hash(copy.deepcopy(stepper).train().state_dict()) == digest
    assert weights_hash(copy.deepcopy(stepper).double().state_dict()) != digest
    for name, _ in [*stepper.named_parameters(), *stepper.named_buffers()]:
        other = copy.deepcopy(stepper)
        other.state_dict()[name].view(-1)[0].add_(1e-3)
        assert weights_hash(other.state_dict()) != digest


def test_a_plane_survives_zarr_and_netcdf(tmp_path):
    plane = loss_plane(make_stepper(), make_batches(), n_points=3)
    plane[0, 0] = math.nan
    store = zarr.storage.MemoryStore()
    plane.to_dataset().to_zarr(store, consolidated=False)
    xr.testing.assert_identical(xr.open_zarr(store, consolidated=False)["mse"].load(), plane)
    plane.to_netcdf(tmp_path / "plane.nc", engine="scipy")
    with xr.open_dataarray(tmp_path / "plane.nc", engine="scipy") as read:
        np.testing.assert_array_equal(read.values, plane.values)
        assert read.attrs["window_start"].tolist() == plane.attrs["window_start"]
        assert read.attrs["model_sha256"] == plane.attrs["model_sha256"]


def test_tqdm_can_show_the_progress():
    shown = io.StringIO()
    loss_plane(make_stepper(), make_batches(), n_points=3, progress=lambda p: tqdm(p, file=shown))
    assert "9/9" in shown.getvalue()


# --- refusals ---


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lead": 0}, "lead=0 must be from 1 to 3"),
        ({"lead": 4}, "lead=4 must be from 1 to 3"),
        ({"micro_batch": 0}, "micro_batch=0 must be at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, says):
    with pytest.raises(SlimeError, match=says):
        loss_plane(make_stepper(), make_batches(), **settings)


def test_windows_that_give_no_loss_are_refused():
    used_up = iter(make_batches())
    list(used_up)
    with pytest.raises(SlimeError, match="no window"):
        loss_plane(make_stepper(), used_up)
    blind = [b._replace(mask=torch.zeros_like(b.future, dtype=torch.bool)) for b in make_batches()]
    with pytest.raises(SlimeError, match="mask leaves out every pixel at lead 1"):
        loss_plane(make_stepper(), blind)


def test_a_net_that_cannot_move_is_refused():
    with pytest.raises(SlimeError, match="no parameters"):
        loss_plane(unit_stepper(nn.Identity()), make_batches())
    stepper = unit_stepper(WeightNet(lambda w: w, weight=0.0))
    with pytest.raises(SlimeError, match="zero in every parameter"):
        loss_plane(stepper, make_batches())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mix.bias": None}, "no step for 'mix.bias'"),
        ({"mix.wieght": torch.ones(1)}, "'mix.wieght', which is no parameter.*mean mix.weight"),
        ({"mix.bias": torch.ones(C + 1)}, r"'mix.bias' has shape \(3,\), the parameter has \(2,\)"),
        ({"mix.bias": torch.tensor([1.0, math.inf])}, "'mix.bias' is not finite"),
    ],
)
def test_directions_that_do_not_fit_the_net_are_refused(change, says):
    stepper = pixel_stepper()
    direction = filter_normalised_direction(stepper.net, 0) | change
    direction = {name: step for name, step in direction.items() if step is not None}
    before = state_of(stepper)
    with pytest.raises(SlimeError, match=says):
        loss_line(stepper, make_batches(), direction=direction)
    with pytest.raises(SlimeError, match="no step for"):
        loss_line(stepper, make_batches(), direction={})
    assert state_of(stepper) == before


# --- other losses, other precision ---


@pytest.mark.parametrize("kind", ["cnn", "frame_mlp"])
@pytest.mark.parametrize("masked", [False, True])
def test_a_horizon_on_a_plane_is_the_score_of_that_name(kind, masked):
    stepper, batches = make_stepper(kind), make_batches((4, 3), masked=masked)
    for b in batches:  # a truth that stays near what was given, so that some horizons are long
        rng = torch.Generator().manual_seed(len(b.start))
        noise = torch.randn(b.future.shape, generator=rng) * torch.tensor([3.0, 0.4])[:, None, None]
        b.future.copy_(b.past[:, -1:] + noise)
    how = {"loss": "horizon_0.75", "lead": 3, "n_points": 3, "radius": 1.0, "micro_batch": 2}
    plane = loss_plane(stepper, batches, seed=2, **how)
    d1, d2 = (filter_normalised_direction(stepper.net, (2, i)) for i in (0, 1))

    def scored(a, b):
        there = moved(stepper, (a, d1), (b, d2)).eval()
        with torch.no_grad():
            tally = sum(
                tally_windows(rollout(there, w.past, 3), w.future, w.mask, w.movie, w.start)
                for w in batches
            )
        return np.median(horizon(tally, 0.75)[0])

    axis = centred_axis(3, 1.0)
    assert plane.values.tolist() == [[scored(a, b) for b in axis] for a in axis]
    assert len(np.unique(plane.values)) > 1
    assert (plane.name, plane.attrs["units"]) == ("horizon_0.75", "frames")


def test_bfloat16_is_an_option_that_tells_its_error():
    stepper, batches = make_stepper(), make_batches()
    full = loss_plane(stepper, batches, n_points=5, seed=3)
    half = loss_plane(stepper, batches, n_points=5, seed=3, precision="bfloat16")
    at = np.ix_([0, 2, 4], [0, 2, 4])
    error = np.abs(half.values - full.values)[at] / full.values[at]
    assert 1e-6 < half.attrs["bfloat16_error"] < 0.1
    assert half.attrs["bfloat16_error"] == pytest.approx(error.max(), rel=1e-3)
    assert "bfloat16_error" not in full.attrs
    assert (full.attrs["precision"], half.attrs["precision"]) == ("float32", "bfloat16")


@pytest.mark.parametrize("loss", ["mae", "horizon_", "horizon_1.5", "horizon_high"])
def test_a_loss_that_there_is_not_is_refused(loss):
    with pytest.raises(SlimeError, match=f"loss='{loss}' is neither mse nor a horizon"):
        loss_line(make_stepper(), make_batches(), loss=loss)
