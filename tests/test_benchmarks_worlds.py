"""The loop that the Physarum world is timed against follows the same rule."""

import json

import numpy as np
import pytest
import torch

from benchmarks import worlds
from slime.errors import SlimeError
from slime.simulate.physarum import advanced, initial_state
from slime.simulate.physarum_spec import PhysarumSpec


def test_the_loop_over_agents_follows_the_rule_of_the_world():
    # one agent is never refused, and half a turn to the left is half a turn to the right: no chance
    spec = PhysarumSpec(height_px=21, width_px=23, population=0.002, rotation_deg=180.0)
    start = initial_state(spec, [0])
    start.trail.copy_(torch.rand(1, 21, 23, generator=torch.Generator().manual_seed(1)))
    places, heading = start.agents_px[0].double().numpy(), start.heading[0].double().numpy()
    trail, taken = start.trail[0].double().numpy(), np.zeros((21, 23), bool)
    taken[places[0, 1].astype(int), places[0, 0].astype(int)] = True
    for _ in range(30):
        worlds.step_in_turn(trail, taken, places, heading, np.arange(1), worlds.constants_of(spec))
    state = advanced(start, spec, 30)
    np.testing.assert_allclose(state.trail[0].numpy(), trail, rtol=1e-4)
    np.testing.assert_allclose(state.agents_px[0].numpy(), places, atol=1e-3)
    assert taken.sum() == 1


def test_rates_are_written_with_ratios(tmp_path, monkeypatch):
    monkeypatch.setattr(worlds, "find_spec", lambda name: None)  # compiling takes long
    worlds.main([f"out={tmp_path}", "size=20", "steps=2", "rounds=2"])
    assert (
        len(json.loads((tmp_path / "worlds.json").read_text())["agents_per_s"]["slime, torch"]) == 2
    )
    assert "| slime, torch |" in (tmp_path / "worlds.md").read_text()
    assert "numba is not installed" in (tmp_path / "worlds.md").read_text()


def test_a_dish_too_small_is_refused():
    with pytest.raises(SlimeError, match="size=5 steps=300 rounds=5: the first must be"):
        worlds.main(["size=5"])
