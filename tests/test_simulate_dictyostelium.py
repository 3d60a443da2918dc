"""Cells that move, relay and are kept; movies that depend on their seed alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from slime.errors import SlimeError
from slime.observables import activation_times, crossing_periods, period_map, wave_speed
from slime.simulate.dictyostelium import (
    DictyosteliumState,
    advanced,
    batched,
    density,
    drift,
    field_state,
    initial_state,
    moved,
    one_movie,
    simulate,
)
from slime.simulate.dictyostelium_spec import DictyosteliumSpec
from slime.simulate.grid import point_counts, smoothed
from slime.simulate.movies import one_thread
from tests.kernels import kernel_here

SMALL = DictyosteliumSpec(height_px=9, width_px=13, chemotaxis_start_min=0.0)


@pytest.fixture(autouse=True)
def _on_one_thread():
    with one_thread():
        yield


def _same(one: DictyosteliumState, other: DictyosteliumState, m: int) -> bool:
    """Whether movie `m` of one state is bitwise the only movie of the other."""
    pairs = zip(one.signal, other.signal, strict=True)
    fields_agree = all(torch.equal(a[m], b[0]) for a, b in pairs)
    return fields_agree and torch.equal(one.cells_mm[m], other.cells_mm[0])


def test_the_density_of_cells_is_that_of_the_full_dish():
    assert DictyosteliumSpec().n_cells == 40_000
    assert DictyosteliumSpec().n_pulses == 8
    quarter = DictyosteliumSpec(height_px=64, width_px=64)
    assert (quarter.n_cells, quarter.n_pulses) == (10_000, 2)


def test_a_movie_is_bitwise_the_same_alone_and_in_a_batch():
    together = advanced(initial_state(SMALL, [5, 6, 7]), SMALL, 1.0)
    alone = advanced(initial_state(SMALL, [6]), SMALL, 1.0)
    assert _same(together, alone, 1)
    assert not _same(together, alone, 0)


def test_a_saved_state_goes_on_bitwise_alike():
    start = advanced(initial_state(SMALL, [5, 6]), SMALL, 0.5)
    saved = one_movie(start, 1)
    onward = advanced(start, SMALL, 0.5)
    resumed = advanced(batched([saved]), SMALL, 0.5)
    assert _same(onward, resumed, 1)


def test_a_batch_has_one_time():
    first = one_movie(initial_state(SMALL, [0]), 0)
    with pytest.raises(ValueError, match=r"stand at .* but a batch has one time"):
        batched([first, first | {"minutes": 1.0}])


def test_no_cell_is_lost_or_leaves():
    state = advanced(initial_state(SMALL, [1, 2]), SMALL, 2.0)
    assert state.cells_mm.shape == (2, SMALL.n_cells, 2)
    assert state.cells_mm.min() >= 0
    assert bool((state.cells_mm <= torch.tensor([13 * 0.05, 9 * 0.05])).all())
    # float32: 117 squares, each rounded to 6e-8
    mean = density(state, SMALL).mean(dim=(1, 2))
    torch.testing.assert_close(mean, torch.ones(2), rtol=0, atol=1e-5)


def test_frames_come_at_the_interval():
    states = simulate(SMALL, field_state(SMALL), n_frames=3, frame_interval_s=6.0)
    assert [state.minutes for state in states] == pytest.approx([0.1, 0.2, 0.3])


def test_random_motion_spreads_as_its_diffusion_constant():
    spec = DictyosteliumSpec(height_px=400, width_px=400)
    middle = torch.full((1, 20_000, 2), 10.0)
    generator = torch.Generator().manual_seed(3)
    shift = moved(middle, None, [generator], spec, minutes=5.0) - 10.0
    # variance 2 D t on each axis; standard error sqrt(2 / 40,000) = 0.7 %, so 4 sigma is 3 %
    assert shift.var().item() == pytest.approx(2 * 1.5e-4 * 5, rel=0.03)


def test_walls_reflect():
    spec = replace(SMALL, motility_mm2_per_min=0.0)  # 0.65 mm wide, 0.45 mm high
    cells = torch.tensor([[[0.01, 0.2], [0.64, 0.2]]])
    velocity = torch.zeros(1, 2, 9, 13)
    velocity[:, 0, :, :6], velocity[:, 0, :, 6:] = -0.03, 0.03
    new = moved(cells, velocity, [torch.Generator()], spec, minutes=1.0)
    # 0.01 - 0.03 -> 0.02; 0.64 + 0.03 -> 0.65 - 0.02
    torch.testing.assert_close(new, torch.tensor([[[0.02, 0.2], [0.63, 0.2]]]))


def test_cells_take_the_velocity_of_their_place():
    spec = replace(SMALL, motility_mm2_per_min=0.0)
    y = (torch.arange(9) + 0.5) * 0.05
    x = (torch.arange(13) + 0.5) * 0.05
    velocity = torch.stack([x.expand(9, 13), 2 * y[:, None].expand(9, 13)])[None]
    cells = torch.tensor([[[0.31, 0.12], [0.2, 0.33]]])
    new = moved(cells, velocity, [torch.Generator()], spec, minutes=0.1)
    torch.testing.assert_close(new, cells * torch.tensor([1.1, 1.2]))


def test_cells_climb_a_steep_rising_front_at_their_speed_and_else_stay():
    x = torch.arange(13) * 0.05
    steep, shallow = (2.0 * x).expand(1, 9, 13), (0.9 * x).expand(1, 9, 13)
    rising, falling = torch.full((1, 9, 13), 0.3), torch.full((1, 9, 13), -0.3)
    velocity = drift(steep, rising, SMALL)[0, :, 1:-1, 1:-1]
    torch.testing.assert_close(velocity[0], torch.full((7, 11), 0.012))
    assert not velocity[1].any()
    assert not drift(steep, falling, SMALL).any()
    assert not drift(shallow, rising, SMALL).any()


def test_cells_follow_waves_only_after_the_start_of_chemotaxis():
    spec = replace(SMALL, motility_mm2_per_min=0.0, chemotaxis_start_min=0.5, move_min=0.05)
    start = initial_state(spec, [4])
    waiting = advanced(start, spec, 0.5)
    still = (waiting.cells_mm - start.cells_mm).abs().max().item()
    moving = (advanced(waiting, spec, 0.5).cells_mm - start.cells_mm).abs().max().item()
    assert still < 1e-6  # the walls round a place to float32, some 3e-8 mm a move
    assert moving > 1e-3


def test_a_wave_draws_cells_towards_its_source():
    spec = DictyosteliumSpec(height_px=8, width_px=80, chemotaxis_start_min=0.0)
    spec = replace(spec, motility_mm2_per_min=0.0, rho_low=0.9, pulses_per_mm2=0.0)
    start = initial_state(spec, [0])
    quiet = field_state(spec).signal
    b, g = quiet.b.clone(), quiet.g.clone()
    b[:, :, :6], g[:, :, :6] = 100.0, 8.0
    state = advanced(replace(start, signal=quiet._replace(b=b, g=g)), spec, 8.0)
    met = (start.cells_mm[0, :, 0] > 0.8) & (start.cells_mm[0, :, 0] < 2.0)
    shift = (state.cells_mm - start.cells_mm)[0, met, 0]
    assert shift.max() < 0
    assert shift.mean() < -0.003  # at least a quarter of a minute on the front at 0.012 mm/min


def test_the_field_alone_has_density_one():
    spec = replace(SMALL, cells_per_mm2=0.0)
    assert torch.equal(density(field_state(spec), spec), torch.ones(1, 9, 13))
    moved_on = advanced(field_state(spec), spec, 0.5)
    for now, before in zip(moved_on.signal, field_state(spec).signal, strict=True):
        torch.testing.assert_close(now, before, rtol=1e-5, atol=0)


def test_the_receptors_start_between_their_limits_and_pulses_are_few():
    state = initial_state(DictyosteliumSpec(height_px=32, width_px=40), [0])
    assert state.signal.rho.min().item() == pytest.approx(0.25)
    assert state.signal.rho.max().item() == pytest.approx(0.9)
    # one disc of 0.15 mm on a grid of 0.05: pi 3^2 = 28 points, fewer at a wall
    assert 6 <= int((state.signal.g == 8).sum()) <= 34


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dt_min": 0.03}, "dt_min is 0.03, but with dx_mm = 0.05 the step is stable only up to"),
        ({"height_px": 2}, "height_px is 2; it must be a number at least 4"),
        ({"density_low": 1.2}, "density_low is 1.2; it must be a number at least 0 and at most 1"),
        ({"rho_low": 0.95}, "rho_low is 0.95; it must be a number at least 0 and at most 0.9"),
    ],
)
def test_a_setting_out_of_range_is_named_with_what_would_be_right(change, message):
    with pytest.raises(SlimeError, match=message):
        DictyosteliumSpec(**change)


def test_the_stability_limit_is_where_the_shortest_wave_stops_decaying():
    # at the limit dt (8 D / dx^2 + k_e) = 2 the checkerboard is multiplied by -1 in each step
    limit = 2 / (8 * 0.024 / 0.05**2 + 9.0)
    DictyosteliumSpec(dt_min=limit * 0.999)
    with pytest.raises(SlimeError, match="stable only"):
        DictyosteliumSpec(dt_min=limit * 1.001)


EVERY_MIN = 0.25


@pytest.fixture(scope="module")
def gathering() -> tuple[list[DictyosteliumState], np.ndarray]:
    """Three dishes at 80 and 139 min, and b (dish, t, y, x) from 30 to 80 min."""
    spec, kernel, seen = DictyosteliumSpec(), kernel_here(), []
    with one_thread():
        state = advanced(initial_state(spec, [0, 1, 2]), spec, 30.0, kernel)
        for _ in range(round(50 / EVERY_MIN)):
            state = advanced(state, spec, EVERY_MIN, kernel)
            seen.append(state.signal.b.numpy().copy())
        return [state, advanced(state, spec, 59.0, kernel)], np.stack(seen, axis=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_cells_gather_as_fast_as_known(gathering):
    spec, found = DictyosteliumSpec(), []
    for state in gathering[0]:
        counts = point_counts(state.cells_mm, spec.dx_mm, spec.shape)
        relative = counts / counts.mean(dim=(1, 2), keepdim=True)
        found.append(smoothed(relative, 1.0).var(dim=(1, 2)).mean().item())
    # at 80 and 139 min with sigma 1 px, within 20 %; 1 / (4 pi) / 2.44 = 0.033 is shot noise
    assert 0.23 * 0.8 < found[0] < 0.28 * 1.2
    assert 0.75 * 0.8 < found[1] < 0.81 * 1.2


@pytest.mark.slow
def test_the_density_of_cells_that_gather_is_conserved_to_rounding(gathering):
    spec = DictyosteliumSpec()
    for state in gathering[0]:
        counts = point_counts(state.cells_mm, spec.dx_mm, spec.shape)
        assert counts.sum(dim=(1, 2)).tolist() == [40_000] * 3
        # float32: 16,384 squares, each of up to 34 sums, rounded to 6e-8 of at most some 20
        mean = density(state, spec).double().mean(dim=(1, 2))
        torch.testing.assert_close(mean, torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_waves_that_gather_cells_have_the_known_period_and_speed(gathering):
    """From 30 to 80 min; later mounds send waves faster, every 4.9 min from 60 min on."""
    periods, intervals, speeds = [], [], []
    for b in gathering[1]:
        period = period_map(b, frame_interval_s=60 * EVERY_MIN)
        assert np.isfinite(period).mean() > 0.9
        times = activation_times(b, frame_interval_s=60 * EVERY_MIN, mask=np.isfinite(period))
        speed = wave_speed(times, pixel_um=50.0)
        periods.append(np.nanmedian(period) / 60)
        intervals.append(np.nanmedian(crossing_periods(times)) / 60)
        speeds.append(np.nanmedian(speed) * 0.06)
    # known as 5.2 to 5.4 min and 0.25 to 0.31 mm/min: 3 % and 5 % to either side, means of 3 seeds
    for found in (periods, intervals):
        assert 5.2 * 0.97 < np.mean(found) < 5.4 * 1.03
    assert 0.25 * 0.95 < np.mean(speeds) < 0.31 * 1.05
