"""Compiled steps against those of torch, and compilers that are not there or do not work."""

import os
import shutil
import sys

import pytest
import torch

from slime.simulate.kernel import NoKernelError, _built, build_kernel
from slime.simulate.martiel_goldbeter import (
    Kinetics,
    Signal,
    reacted,
    resting_signal,
    strip_pulse,
)
from slime.simulate.movies import one_thread
from slime.simulate.sgro import FIELDS, advanced, initial_state
from slime.simulate.sgro_spec import SgroSpec


@pytest.fixture(autouse=True)
def _on_one_thread():
    with one_thread():
        yield


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def kernel(request):
    try:
        return build_kernel(request.param)
    except NoKernelError as error:
        pytest.skip(str(error))


# float64: a step rounds to 1e-16, and 1000 steps of a wave gather some ten times as much
ALIKE = {torch.float32: 2e-5, torch.float64: 2e-12}
DISH = {"dt_min": 0.004, "dx_mm": 0.04}


def _wave(dtype: torch.dtype, y: int = 9, x: int = 37) -> tuple[Signal, torch.Tensor]:
    """Two dishes with rough receptors and uneven cells, and a wave that starts at the left."""
    signal = strip_pulse(resting_signal(Kinetics(), (2, y, x), dtype=dtype), n_columns=3)
    rough = torch.rand(2, 2, y, x, generator=torch.Generator().manual_seed(0)).to(dtype)
    return signal._replace(rho=signal.rho * (1 - 0.3 * rough[0])), 0.13 + 0.1 * rough[1]


@pytest.mark.parametrize("shape", [(9, 37), (1, 5), (4, 1), (16, 16)])
def test_compiled_reactions_are_those_of_torch(kernel, shape):
    signal, secretion = _wave(kernel.dtype, *shape)
    kinetics = Kinetics(k1_per_min=0.05, l1=8.0, l2=0.01, c=7.0, epsilon=1.3, alpha=2.0, theta=0.02)
    told = {**DISH, "n_steps": 1000, "secretion": secretion}
    by_torch = reacted(signal, kinetics, **told)
    by_kernel = reacted(signal, kinetics, **told, kernel=kernel)
    assert by_torch.g.max() > 2 * by_torch.g.min() or min(shape) == 1  # a wave under way
    for one, other in zip(by_kernel, by_torch, strict=True):
        torch.testing.assert_close(one, other, rtol=ALIKE[kernel.dtype], atol=0)


def test_fields_given_are_left_as_they_were_and_need_not_be_contiguous(kernel):
    signal, secretion = _wave(kernel.dtype, 16, 16)
    turned = Signal(*(field.mT for field in signal))
    before = [field.clone() for field in turned]
    told = {**DISH, "n_steps": 5}
    new = reacted(turned, Kinetics(), secretion=secretion.mT, kernel=kernel, **told)
    plain = reacted(signal, Kinetics(), secretion=secretion, kernel=kernel, **told)
    for given, old, one, other in zip(turned, before, new, plain, strict=True):
        assert torch.equal(given, old)
        # neighbours are added in another order
        torch.testing.assert_close(one.mT, other, rtol=ALIKE[kernel.dtype], atol=0)


def test_a_movie_is_bitwise_the_same_alone_in_a_batch_and_in_parts(kernel):
    signal, secretion = _wave(kernel.dtype)
    one_of_two = Signal(*(field[1:] for field in signal))
    together = reacted(signal, Kinetics(), **DISH, n_steps=50, secretion=secretion, kernel=kernel)
    told = {**DISH, "secretion": secretion[1:], "kernel": kernel}
    alone = reacted(one_of_two, Kinetics(), n_steps=50, **told)
    in_parts = reacted(one_of_two, Kinetics(), n_steps=20, **told)
    in_parts = reacted(in_parts, Kinetics(), n_steps=30, **told)
    for both, one, parts in zip(together, alone, in_parts, strict=True):
        assert torch.equal(both[1:], one)
        assert torch.equal(one, parts)


@pytest.mark.parametrize("shape", [(5, 37), (1, 6), (3, 1)])
def test_compiled_excitations_are_those_of_torch_with_the_same_noise(kernel, shape):
    spec = SgroSpec(*shape, noise=0.5, gamma=0.55, c0=1.1, diffusion_px2=3.0)
    minutes = 1500 * spec.dt * spec.time_unit_min
    by_torch = advanced(initial_state(spec, [5, 6], dtype=kernel.dtype), spec, minutes)
    by_kernel = advanced(initial_state(spec, [5, 6], dtype=kernel.dtype), spec, minutes, kernel)
    assert by_torch.activator.max() > 0  # cells have fired
    assert by_kernel.minutes == by_torch.minutes
    # noise pushes cells over the edge of firing, where a difference grows a hundredfold
    rtol = 100 * ALIKE[kernel.dtype]
    for name in FIELDS:
        torch.testing.assert_close(
            getattr(by_kernel, name), getattr(by_torch, name), rtol=rtol, atol=rtol
        )
    for one, other in zip(by_kernel.generators, by_torch.generators, strict=True):
        assert torch.equal(one.get_state(), other.get_state())


def test_the_logarithm_in_float_is_right_to_its_last_digits():
    try:
        kernel = build_kernel()
    except NoKernelError as error:
        pytest.skip(str(error))
    # only the drive is left: A = dt gain ln(1 + S / K_d) after one step from A = R = 0
    signal = torch.logspace(-9, 30, 4000, dtype=torch.float64).float()[None]
    a, r, kicks = (torch.zeros_like(signal) for _ in range(3))
    rows = torch.empty(3 * 4002)
    constants = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    wanted = torch.log((1 + signal).double())
    kernel.run("excite", (a, r, signal, kicks, rows), (1, 4000), constants)
    torch.testing.assert_close(a.double(), wanted, rtol=3e-7, atol=0)
    bad = torch.tensor([[-2.0, float("nan"), -1.5, 0.0]])
    a, r, kicks = (torch.zeros_like(bad) for _ in range(3))
    kernel.run("excite", (a, r, bad, kicks, rows), (1, 4), constants)
    assert a.isnan().tolist() == [[True, True, True, False]]  # as torch.log1p


def test_the_same_compiler_makes_the_same_code(kernel):
    _built.cache_clear()
    assert build_kernel(kernel.dtype).digest == kernel.digest


def test_fields_of_another_kind_are_refused(kernel):
    other = torch.float64 if kernel.dtype == torch.float32 else torch.float32
    with pytest.raises(ValueError, match=f"a field is {other} on cpu"):
        kernel.run("react", [torch.zeros(3, 3, dtype=other)], (3, 3, 1), [])
    with pytest.raises(ValueError, match=r"strides \(1, 4\)"):
        kernel.run("react", [torch.zeros(3, 4, dtype=kernel.dtype).mT], (4, 3, 1), [])


def _script(tmp_path, body: str) -> str:
    """A compiler made of Python, as $CC names it."""
    path = tmp_path / "compiler.py"
    path.write_text(f"import sys\nif '--version' in sys.argv: sys.exit(print('mock 1.0'))\n{body}")
    return f"'{sys.executable}' '{path}'"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.exit('no more licences')", "ended with 1: no more licences"),
        ("pass", "what .* made cannot be loaded"),
        ("open(sys.argv[sys.argv.index('-o') + 1], 'w').write('x')", "made cannot be loaded"),
    ],
)
def test_a_broken_compiler_is_told_in_one_line(tmp_path, monkeypatch, body, message):
    monkeypatch.setenv("CC", _script(tmp_path, body))
    with pytest.raises(NoKernelError, match=message) as caught:
        build_kernel()
    assert "\n" not in str(caught.value)


def test_a_compiler_that_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NoKernelError, match="no-such-compiler cannot be run: No such file"):
        build_kernel()
    monkeypatch.delenv("CC")
    _built.cache_clear()
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(NoKernelError, match=r"cc cannot be run.*gcc cannot.*clang cannot"):
        build_kernel(torch.float64)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no cc on the path")
def test_a_compiler_that_does_not_know_its_processor_is_asked_without(tmp_path, monkeypatch):
    refuse = (
        "import subprocess\nif '-march=native' in sys.argv: sys.exit('unknown -march')\n"
        "sys.exit(subprocess.run(['cc', *sys.argv[1:]]).returncode)"
    )
    monkeypatch.setenv("CC", _script(tmp_path, refuse))
    kernel = build_kernel()
    assert kernel.compiler == "mock 1.0"
    signal, secretion = _wave(torch.float32)
    told = {**DISH, "n_steps": 20, "secretion": secretion}
    pairs = zip(
        reacted(signal, Kinetics(), **told, kernel=kernel),
        reacted(signal, Kinetics(), **told),
        strict=True,
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=2e-5, atol=0)
