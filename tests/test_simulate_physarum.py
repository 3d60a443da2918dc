"""Agents that follow their trail: the rule in turn and at once, exact balances, the networks."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slime.errors import SlimeError
from slime.simulate.movies import one_thread
from slime.simulate.physarum import (
    Draws,
    PhysarumState,
    advanced,
    batched,
    granted,
    initial_state,
    laid,
    moved,
    occupancy,
    one_movie,
    spread,
    step,
    turned,
    wrapped,
)
from slime.simulate.physarum_spec import PhysarumSpec
from tests.jones import go_in_turn, mean_wavelength_px, sequential_trails, skeleton_pixels

SMALL = PhysarumSpec(height_px=9, width_px=13, population=0.4, sensor_offset_px=3.0)


@pytest.fixture(autouse=True)
def _on_one_thread():
    with one_thread():
        yield


def _same(one: PhysarumState, other: PhysarumState, m: int) -> bool:
    """Whether movie `m` of one state is bitwise the only movie of the other."""
    names = ("trail", "agents_px", "heading")
    return all(torch.equal(getattr(one, name)[m], getattr(other, name)[0]) for name in names)


@st.composite
def _crowds(draw):
    """Movies of agents on a line of points: where each stands, what it wants, when it asks."""
    n_points = draw(st.integers(1, 14))
    n_agents = draw(st.integers(1, n_points))
    wish = st.lists(st.integers(0, n_points - 1), min_size=n_agents, max_size=n_agents)

    def movie():
        here = draw(st.permutations(range(n_points)))[:n_agents]
        return here, draw(wish), draw(st.permutations(range(n_agents)))

    return n_points, [movie() for _ in range(draw(st.integers(1, 3)))]


@given(_crowds())
def test_all_at_once_go_as_one_after_the_other(crowds):
    n_points, movies = crowds
    here, there, order = (torch.tensor(one) for one in zip(*movies, strict=True))
    goes = granted(here, there, order, n_points)
    assert goes.tolist() == [go_in_turn(*movie) for movie in movies]


def test_a_queue_moves_up_only_in_the_order_of_turns():
    here, there = torch.tensor([[0, 1, 2, 3]]), torch.tensor([[1, 2, 3, 4]])
    front_first, back_first = torch.tensor([[3, 2, 1, 0]]), torch.tensor([[0, 1, 2, 3]])
    assert granted(here, there, front_first, 5).tolist() == [[True] * 4]
    assert granted(here, there, back_first, 5).tolist() == [[False, False, False, True]]


def test_who_asks_too_early_does_not_stand_in_the_way_of_who_asks_later():
    # the agent on point 1 leaves for 3; before that 0 wants its place in vain, after that 2 gets it
    here, there = torch.tensor([[0, 1, 2]]), torch.tensor([[1, 3, 1]])
    assert granted(here, there, torch.tensor([[0, 1, 2]]), 4).tolist() == [[False, True, True]]


def test_no_agent_is_lost_and_no_point_holds_two():
    state = initial_state(SMALL, [1, 2])
    assert SMALL.n_agents == 47  # 0.4 x 117 = 46.8
    for _ in range(100):
        state = step(state, SMALL)
        agents = occupancy(state, SMALL)
        assert agents.sum(dim=(1, 2)).tolist() == [47, 47]
        assert int(agents.max()) == 1
    assert state.n_steps == 100
    assert float(state.agents_px.min()) >= 0
    assert bool((state.agents_px < torch.tensor([13.0, 9.0])).all())


def test_a_full_dish_stands_still():
    full = replace(SMALL, population=1.0, step_px=2.0)
    start = initial_state(full, [3])
    state = advanced(start, full, 5)
    assert torch.equal(state.agents_px, start.agents_px)
    assert not state.trail.any()


def test_the_trail_gains_the_deposits_and_loses_its_decay():
    spec = replace(SMALL, deposit=3.0, decay=0.2)
    state = advanced(initial_state(spec, [4]), spec, 20)
    for _ in range(20):
        new = step(state, spec)
        n_went = int((new.agents_px != state.agents_px).any(dim=-1).sum())
        assert 0 < n_went < spec.n_agents
        balance = 0.8 * (state.trail.double().sum().item() + 3 * n_went)
        assert new.trail.double().sum().item() == pytest.approx(balance, rel=1e-5)
        state = new


def test_a_drop_spreads_over_nine_points_across_the_edges():
    trail = torch.zeros(1, 9, 13)
    trail[0, 0, 12] = 90.0
    expected = torch.zeros(1, 9, 13)
    for y in (8, 0, 1):
        for x in (11, 12, 0):
            expected[0, y, x] = 9.0  # 90 / 9 x (1 - 0.1)
    torch.testing.assert_close(spread(trail, SMALL), expected)


def test_places_come_back_across_the_edges():
    places = torch.tensor([[[-0.25, 9.5], [13.0, -1e-9], [28.0, -20.0]]])
    expected = torch.tensor([[[12.75, 0.5], [0.0, 0.0], [2.0, 7.0]]])
    assert torch.equal(wrapped(places, (9, 13)), expected)


def test_who_goes_lays_a_trail_where_it_arrives_and_who_is_refused_turns():
    agents = torch.tensor([[[12.5, 4.5], [3.5, 4.5], [4.5, 4.5]]])
    heading = torch.tensor([[0.0, 0.0, math.pi / 2]])
    chances = Draws(torch.tensor([[0, 1, 2]]), torch.full((1, 3), 2.0), torch.ones(1, 3))
    places, new, went = moved(agents, heading, chances, SMALL)
    # the first leaves at the right and comes in at the left; the second asks before the third left
    torch.testing.assert_close(places, torch.tensor([[[0.5, 4.5], [3.5, 4.5], [4.5, 5.5]]]))
    assert went.tolist() == [[True, False, True]]
    torch.testing.assert_close(new, torch.tensor([[0.0, 2.0, math.pi / 2]]))
    trail = laid(torch.zeros(1, 9, 13), places, went, SMALL)
    assert trail.nonzero().tolist() == [[0, 4, 0], [0, 5, 4]]
    assert trail.max() == 5


@pytest.mark.parametrize(
    ("less", "ahead", "more", "turn"),
    [
        (1, 3, 2, 0),  # most ahead
        (2, 1, 3, "either"),  # least ahead
        (1, 2, 3, 1),
        (3, 2, 1, -1),
        (2, 2, 2, 0),
        (1, 2, 2, 1),  # ahead is neither more than both nor less than both
        (2, 2, 1, -1),
        (2, 1, 2, "either"),
        (1, 2, 1, 0),
    ],
)
@pytest.mark.parametrize("side", [-1, 1])
def test_agents_turn_towards_more_trail(less, ahead, more, turn, side):
    spec = replace(SMALL, sensor_angle_deg=90.0, rotation_deg=30.0)
    trail = torch.zeros(1, 9, 13)
    # at (12, 4), along x: ahead across the edge at (2, 4), the sensors beside at y = 1 and 7
    trail[0, 4, 2], trail[0, 1, 12], trail[0, 7, 12] = ahead, less, more
    agents, sides = torch.tensor([[[12.5, 4.5]]]), torch.tensor([[float(side)]])
    new = turned(trail, agents, torch.tensor([[0.0]]), sides, spec).item()
    expected = (side if turn == "either" else turn) * math.pi / 6
    assert math.cos(new - expected) == pytest.approx(1, abs=1e-6)
    assert 0 <= new < 2 * math.pi + 1e-6


def test_agents_start_on_points_of_their_own_heading_anywhere():
    spec = PhysarumSpec(height_px=90, width_px=70)
    state = initial_state(spec, [0])
    assert state.agents_px.shape == (1, 945, 2)  # 0.15 x 6300
    assert int(occupancy(state, spec).max()) == 1
    # the mean of 945 random unit vectors: each axis has a standard error of 1 / sqrt(1890)
    mean = torch.stack([state.heading.cos().mean(), state.heading.sin().mean()])
    assert mean.abs().max() < 4 / math.sqrt(1890)


def test_a_movie_is_bitwise_the_same_alone_and_in_a_batch():
    together = advanced(initial_state(SMALL, [5, 6, 7]), SMALL, 30)
    alone = advanced(initial_state(SMALL, [6]), SMALL, 30)
    assert _same(together, alone, 1)
    assert not _same(together, alone, 0)


def test_a_saved_state_goes_on_bitwise_alike():
    start = advanced(initial_state(SMALL, [5, 6]), SMALL, 10)
    saved = one_movie(start, 1)
    onward = advanced(start, SMALL, 10)
    resumed = advanced(batched([saved]), SMALL, 10)
    assert _same(onward, resumed, 1)
    assert resumed.n_steps == 20


def test_a_batch_has_one_time():
    first = one_movie(initial_state(SMALL, [0]), 0)
    with pytest.raises(ValueError, match=r"stand at steps \[0, 1\], but a batch has one time"):
        batched([first, first | {"n_steps": 1}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height_px": 2}, "height_px is 2; it must be a number at least 3"),
        ({"population": 1.5}, "population is 1.5; it must be a number above 0 and at most 1"),
        ({"population": 0.001}, "population is 0.001: no agent on 117 grid points"),
        ({"decay": -0.1}, "decay is -0.1; it must be a number at least 0 and at most 1"),
        ({"step_px": 0.0}, "step_px is 0.0; it must be a number above 0"),
        ({"rotation_deg": math.nan}, "rotation_deg is nan"),
        ({"sensor_offset_px": -1.0}, "sensor_offset_px is -1.0"),
    ],
)
def test_a_constant_out_of_its_range_is_refused(change, message):
    with pytest.raises(SlimeError, match=message):
        replace(SMALL, **change)


def test_a_network_forms_within_a_hundred_steps():
    state = advanced(initial_state(PhysarumSpec(), [0]), PhysarumSpec(), 100)
    assert skeleton_pixels(state.trail[0].numpy()) == pytest.approx(2622, rel=0.25)


STEPS = (100, 500, 1000, 2000, 4000)
# Measured with another implementation of the rule, but for 951 (population 7 %), 949 and 863 (SA
# 90): there it has 792, 1029 and 1035, and a compiled loop over agents in turn these, as means of 6
# dishes (standard deviations 113, 55 and 68), which is what is wanted of agents that act at once.
TABLE = {
    "SA 45, SO 9": ({}, (2622, 1785, 1325, 1207, 1154), (21, 30)),
    "SA 22.5": ({"sensor_angle_deg": 22.5}, (2478, 1603, 1354, 1145, 1113), None),
    "population 7 %": ({"population": 0.07}, (2166, 1454, 1242, 951, 792), None),
    "SA 90": ({"sensor_angle_deg": 90.0}, (1516, 1035, 1004, 949, 863), (25, 34)),
    "SO 21": ({"sensor_offset_px": 21.0}, (1504, 1007, 959, 889, 769), (36, 41)),
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("row", TABLE)
def test_networks_have_the_measured_length_and_wavelength(row):
    change, lengths, wavelengths = TABLE[row]
    spec = PhysarumSpec(**change)
    state, found, waves = initial_state(spec, [0, 1, 2]), [], []
    for number in STEPS:
        state = advanced(state, spec, number - state.n_steps)
        trails = state.trail.double().numpy()
        found.append(np.mean([skeleton_pixels(trail) for trail in trails]))
        waves.append(np.mean([mean_wavelength_px(trail) for trail in trails]))
    print(row, np.round(found), np.round(waves, 1))
    assert found == pytest.approx(lengths, rel=0.15)
    if wavelengths:
        assert [waves[0], waves[-1]] == pytest.approx(wavelengths, rel=0.15)


@pytest.mark.slow
def test_networks_are_as_long_as_those_of_agents_one_after_the_other():
    spec, seeds = PhysarumSpec(), [10, 11, 12]
    in_turn = [
        [skeleton_pixels(trail) for trail in sequential_trails(200, 6000, (100, 400), seed)]
        for seed in seeds
    ]
    at_once = []
    state = initial_state(spec, seeds)
    for n_steps in (100, 300):
        state = advanced(state, spec, n_steps)
        at_once.append(np.mean([skeleton_pixels(trail) for trail in state.trail.numpy()]))
    # lengths vary by 2 % from seed to seed, the ratio of two means of 3 by 1.6 %
    assert np.mean(in_turn, axis=0) == pytest.approx(at_once, rel=0.06)
