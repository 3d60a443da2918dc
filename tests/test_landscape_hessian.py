"""The loss's curvature against closed forms, whole Hessians by autograd, and matrices by hand."""

import copy
import math

import numpy as np
import pytest
import torch
from landscape_nets import C, T, X, Y, make_batches, make_stepper, pixel_stepper, scale
from torch import nn
from torch.func import functional_call

from slime.errors import SlimeError
from slime.landscape import hessian_directions, hessian_spectrum, loss_line, loss_plane
from slime.landscape.density import add_density, lanczos_measure
from slime.landscape.hessian import extreme_eigenpairs
from slime.nets import build_net
from slime.stepper import Stepper, rollout

N = C * (T * C + 1)  # parameters of the pixel net


def by_rows(past):
    """What each output of the pixel net is made of: standardised frames given, and 1."""
    mean, std = scale().mean[:, None, None].double(), scale().std[:, None, None].double()
    given = ((past.double() - mean) / std).flatten(1, 2)
    rows = given.permute(0, 2, 3, 1).reshape(-1, T * C)
    return torch.cat([rows, torch.ones(len(rows), 1)], dim=1)


def bowl_hessian(batches):
    """2 / n sum of x x', times the squared unit of each channel, in the order weight, bias."""
    rows = torch.cat([by_rows(b.past) for b in batches])
    unit = scale().delta_std.double()
    inner = rows.T @ rows * 2 / (len(rows) * C)
    whole = torch.zeros(N, N, dtype=torch.float64)
    place = [[c * T * C + i for i in range(T * C)] + [C * T * C + c] for c in range(C)]
    for c in range(C):
        for i, a in enumerate(place[c]):
            for j, b in enumerate(place[c]):
                whole[a, b] = unit[c] ** 2 * inner[i, j]
    return whole.numpy()


def whole_hessian(stepper, batches, lead=1):
    """By autograd, of the mean over counted pixels written out."""
    names = [name for name, _ in stepper.net.named_parameters()]
    shapes = [p.shape for p in stepper.net.parameters()]

    def loss(flat):
        parts = flat.split([math.prod(s) for s in shapes])
        named = {f"net.{n}": p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        squares, counts = 0.0, 0
        for b in batches:
            ahead = rollout(lambda past: functional_call(stepper, named, (past,)), b.past, lead)
            error = ahead[:, -1] - b.future[:, lead - 1].double()
            kept = torch.ones_like(error) if b.mask is None else b.mask[:, lead - 1].double()
            squares, counts = squares + (error.square() * kept).sum(), counts + kept.sum()
        return squares / counts

    flat = torch.cat([p.detach().reshape(-1) for p in stepper.net.parameters()])
    return torch.autograd.functional.hessian(loss, flat).numpy()


def in_double(batches):
    return [b._replace(past=b.past.double()) for b in batches]


def test_the_bowl_of_a_linear_net_has_the_eigenvalues_of_the_closed_form():
    stepper, batches = pixel_stepper(), make_batches()
    values = np.linalg.eigvalsh(bowl_hessian(batches))
    found = hessian_spectrum(stepper, batches, n_top=3, n_bottom=2, n_probes=8, n_lanczos=N)
    assert found["top"].values == pytest.approx(values[::-1][:3], rel=1e-6)
    assert found["bottom"].values == pytest.approx(values[:2], rel=1e-6, abs=1e-6 * values[-1])
    assert found["trace"].item() == pytest.approx(values.sum(), abs=4 * found["trace_se"].item())
    # as many steps as parameters: nodes are eigenvalues, all of them where the probe has each
    near = np.abs(found["node"].values[..., None] - values).min(axis=-1)
    assert np.nanmax(near) < 1e-6 * values[-1]


@pytest.mark.parametrize(("kind", "lead", "masked"), [("cnn", 1, True), ("frame_mlp", 2, False)])
def test_a_net_has_the_eigenvalues_of_its_whole_hessian(kind, lead, masked):
    torch.manual_seed(0)
    net = build_net(kind, n_in=T, channels=C, size=(Y, X), width=2, depth=2, kernel=1)
    stepper = Stepper(scale(), net, n_in=T).double().eval()
    batches = make_batches((3, 2), masked=masked)
    values = np.linalg.eigvalsh(whole_hessian(stepper, in_double(batches), lead))
    assert values[0] < -1e-3 * values[-1]  # a saddle, so that the two ends differ in kind
    found = hessian_spectrum(stepper, batches, n_top=4, n_bottom=4, n_probes=0, lead=lead)
    close = {"rel": 1e-5, "abs": 1e-6 * values[-1]}
    assert found["top"].values == pytest.approx(values[::-1][:4], **close)
    assert found["bottom"].values == pytest.approx(values[:4], **close)
    assert found.attrs["lead"] == lead
    assert "trace" not in found


class Wave(nn.Module):
    """A complex weight: its square's real part times the last frame."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.6 + 0.8j, 0.3 - 0.1j]], dtype=torch.complex128))

    def forward(self, past):
        return past[:, -1] * (self.weight**3).sum().real


@pytest.mark.parametrize("kind", ["complex", "fno"])
def test_the_largest_eigenvalue_is_the_bend_of_the_loss_along_its_vector(kind):
    torch.manual_seed(0)
    net = Wave()
    if kind == "fno":
        net = build_net("fno", n_in=T, channels=C, size=(Y, X), width=2, depth=3, modes=2)
    stepper, batches = Stepper(scale(), net, n_in=T).double(), make_batches((2,))
    (direction,), (value,) = hessian_directions(stepper, batches, n=1)
    assert any(step.is_complex() for step in direction.values()) == (kind == "complex")
    line = loss_line(stepper, batches, direction=direction, n_points=3, radius=1e-3)
    bent = (line.values[0] - 2 * line.values[1] + line.values[2]) / 1e-6
    assert bent == pytest.approx(value, rel=1e-4)


def test_along_its_eigenvectors_a_bowl_bends_by_its_eigenvalues():
    stepper, batches = pixel_stepper(), make_batches()
    directions, values = hessian_directions(stepper, batches, n=2)
    plane = loss_plane(stepper, batches, directions=directions, n_points=3, radius=0.5)
    assert plane.attrs["alpha_norm"] == pytest.approx(1)
    assert plane.attrs["cosine"] == pytest.approx(0, abs=1e-6)
    loss = plane.values
    for value, (low, high) in zip(
        values, [(loss[0, 1], loss[2, 1]), (loss[1, 0], loss[1, 2])], strict=True
    ):
        # a parabola: L(-r) - 2 L(0) + L(r) is the eigenvalue times r squared
        assert low - 2 * loss[1, 1] + high == pytest.approx(value * 0.25, rel=1e-9)
    mixed = loss[2, 2] - loss[2, 0] - loss[0, 2] + loss[0, 0]
    assert mixed == pytest.approx(0, abs=1e-9 * values[0])


# --- matrices ---


def matrix_of(values, seed=0):
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
    return (turn * values) @ turn.T


def test_close_eigenvalues_come_exact_and_in_order():
    values = np.concatenate([np.linspace(0, 1, 60), [99.8, 99.9, 100.0]])
    matrix = matrix_of(values)
    start = np.random.default_rng(1).normal(size=63)
    found, vectors = extreme_eigenpairs(lambda v: matrix @ v, start, 3, "LA")
    assert found == pytest.approx([100.0, 99.9, 99.8], rel=1e-9)
    for value, vector in zip(found, vectors, strict=True):
        assert matrix @ vector == pytest.approx(value * vector, abs=1e-4)


def test_the_trace_has_the_error_that_hutchinsons_estimate_has():
    rng = np.random.default_rng(0)
    matrix = matrix_of(rng.normal(size=30) * 5)
    n = 2000
    runs = [lanczos_measure(lambda v: matrix @ v, rng.choice([-1.0, 1.0], 30), 1) for _ in range(n)]
    traces = np.array([trace for _, _, trace in runs])
    # over random signs the variance is twice the sum of squares beside the diagonal
    variance = 2 * ((matrix**2).sum() - (np.diag(matrix) ** 2).sum())
    assert traces.mean() == pytest.approx(np.trace(matrix), abs=4 * math.sqrt(variance / n))
    assert traces.var(ddof=1) == pytest.approx(variance, rel=0.15)  # 4 standard errors are 13 %


def test_the_density_is_one_in_all_and_has_the_moments_of_the_matrix():
    import xarray as xr

    rng = np.random.default_rng(0)
    matrix = matrix_of(np.concatenate([rng.normal(size=38), [25.0, 30.0]]))
    probes = [rng.choice([-1.0, 1.0], 40) for _ in range(3)]
    runs = [lanczos_measure(lambda v: matrix @ v, probe, 12) for probe in probes]
    for (nodes, weights, trace), probe in zip(runs, probes, strict=True):
        assert weights.sum() == pytest.approx(1)
        for power in range(1, 5):  # Gauss quadrature of 12 nodes is exact up to degree 23
            moment = probe @ np.linalg.matrix_power(matrix, power) @ probe / 40
            assert weights @ nodes**power == pytest.approx(moment, rel=1e-9)
        assert trace == pytest.approx(probe @ matrix @ probe)
    spectrum = xr.Dataset()
    add_density(spectrum, runs, 40, 4000)
    at, density = spectrum["eigenvalue"].values, spectrum["density"].values
    assert np.trapezoid(density, at) == pytest.approx(1, abs=1e-3)
    mean = np.mean([trace for _, _, trace in runs]) / 40
    assert np.trapezoid(density * at, at) == pytest.approx(mean, rel=1e-2)


def test_a_direction_that_the_matrix_keeps_ends_the_iteration():
    nodes, weights, _ = lanczos_measure(lambda v: 3 * v, np.ones(20), 8)
    assert nodes == pytest.approx([3])
    assert weights == pytest.approx([1])


# --- what is left alone, and refused ---


def test_the_stepper_is_left_as_it_was_and_frozen_weights_count():
    stepper, batches = make_stepper(), make_batches()
    first = next(stepper.net.parameters())
    first.requires_grad_(False)
    stepper.train()
    before = copy.deepcopy(stepper.state_dict())
    found = hessian_spectrum(stepper, batches, n_top=1, n_bottom=0, n_probes=1, n_lanczos=3)
    assert all(torch.equal(v, before[k]) for k, v in stepper.state_dict().items())
    assert all(p.grad is None for p in stepper.parameters())
    assert stepper.training
    assert not first.requires_grad
    first.requires_grad_(True)
    again = hessian_spectrum(stepper, batches, n_top=1, n_bottom=0, n_probes=1, n_lanczos=3)
    assert again["top"].item() == pytest.approx(found["top"].item(), rel=1e-6)
    with pytest.raises(KeyboardInterrupt):
        hessian_spectrum(stepper, batches, n_top=0, n_bottom=0, progress=interrupt)
    assert all(torch.equal(v, before[k]) for k, v in stepper.state_dict().items())
    assert stepper.training


def interrupt(probes):
    yield from list(probes)[:1]
    raise KeyboardInterrupt


def test_counts_that_cannot_be_are_refused():
    stepper, batches = pixel_stepper(), make_batches()
    with pytest.raises(SlimeError, match=f"n_top={N + 1}, but the net has {N} parameters"):
        hessian_spectrum(stepper, batches, n_top=N + 1)
    with pytest.raises(SlimeError, match="n_probes=-1 must be at least 0"):
        hessian_spectrum(stepper, batches, n_probes=-1)
    with pytest.raises(SlimeError, match="n_lanczos=0 must be at least 1"):
        hessian_spectrum(stepper, batches, n_lanczos=0)
    with pytest.raises(SlimeError, match="n_density=0 must be at least 1"):
        hessian_spectrum(stepper, batches, n_density=0)
    with pytest.raises(SlimeError, match="n=0 must be at least 1"):
        hessian_directions(stepper, batches, n=0)
    with pytest.raises(SlimeError, match=f"n={N + 1}, but the net has {N} parameters"):
        hessian_directions(stepper, batches, n=N + 1)
