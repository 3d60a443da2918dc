"""The loops that the worlds are timed against follow the same rules."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import agents, lattices, worlds
from slime.errors import SlimeError
from slime.simulate.physarum import advanced, initial_state
from slime.simulate.physarum_spec import PhysarumSpec
from slime.simulate.sgro_spec import SgroSpec


def test_the_loop_over_agents_follows_the_rule_of_the_world():
    # one agent is never refused, and half a turn to the left is half a turn to the right: no chance
    spec = PhysarumSpec(height_px=21, width_px=23, population=0.002, rotation_deg=180.0)
    start = initial_state(spec, [0])
    start.trail.copy_(torch.rand(1, 21, 23, generator=torch.Generator().manual_seed(1)))
    places, heading = start.agents_px[0].double().numpy(), start.heading[0].double().numpy()
    trail, taken = start.trail[0].double().numpy(), np.zeros((21, 23), bool)
    taken[places[0, 1].astype(int), places[0, 0].astype(int)] = True
    for _ in range(30):
        agents.step_in_turn(trail, taken, places, heading, np.arange(1), agents.constants_of(spec))
    state = advanced(start, spec, 30)
    np.testing.assert_allclose(state.trail[0].numpy(), trail, rtol=1e-4)
    np.testing.assert_allclose(state.agents_px[0].numpy(), places, atol=1e-3)
    assert taken.sum() == 1


def _as_it_is(function):
    return function


def test_the_reaction_by_hand_is_that_of_torch():
    by_torch = lattices.reactions(11, None)(40)
    by_hand = lattices.reactions_by_hand(11, _as_it_is)(40)
    for one, other in zip(by_hand, by_torch, strict=True):
        np.testing.assert_allclose(one, other[0], rtol=2e-5)


def test_the_lattice_by_hand_is_that_of_torch_but_for_its_own_noise():
    quiet = replace(SgroSpec(height_px=7, width_px=9), noise=0.0, c0=0.2)  # fires by itself
    by_torch = lattices.excitations(quiet, None)(400)
    by_hand = lattices.excitations_by_hand(quiet, _as_it_is)(400)
    pairs = zip(by_hand, (by_torch.activator, by_torch.inhibitor, by_torch.signal), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other[0], rtol=2e-4, atol=1e-5)
    assert by_torch.activator.max() > 0


def test_the_noise_by_hand_is_normal():
    kicks = np.zeros(20_000, np.float32)
    lattices.normal_row(kicks, lattices.SEED)
    assert abs(kicks.mean()) < 0.03  # 4 standard errors of 1 / sqrt(20,000)
    assert kicks.std() == pytest.approx(1, abs=0.02)
    assert (kicks**4).mean() == pytest.approx(3, abs=0.3)


def test_rates_are_taken_in_turn_and_compared_within_a_round():
    order = []
    gos = {name: lambda n, name=name: order.append((name, n, sum(range(10**5)))) for name in "ab"}
    rates = worlds.in_turn(gos, 7, 100, 2)
    assert [(name, n) for name, n, _ in order] == [("a", 7), ("b", 7)] * 2
    assert all(len(found) == 2 for found in rates.values())
    # 2 / 4, 6 / 3 and 5 / 1: not 5 / 3, the ratio of the medians
    assert worlds.ratio({"a": [2, 6, 5], "b": [4, 3, 1]}, "a", "b") == 2
    assert worlds.ratio({"a": [1.0]}, "a", "b") is None


def test_goals_are_met_or_missed_or_not_measured():
    found = {"x": {"compiled": [3.0], "numba, by hand": [2.0]}, "y": {"compiled": [1.0]}}
    peaks = [{"world": w, "frames": n, "ratio": r} for w, n, r in (("a", 5, 1.0), ("a", 50, 1.2))]
    goals = worlds._goals(found, peaks)
    assert [(g["value"], g["met"]) for g in goals] == [(1.5, True), (None, None), (1.2, False)]


def test_rates_are_written_with_ratios(tmp_path, monkeypatch):
    monkeypatch.setattr(worlds, "find_spec", lambda name: None)  # compiling takes long
    monkeypatch.setattr(worlds, "LATTICES", (("Martiel-Goldbeter", 16), ("Sgro", 16)))
    asked = []
    row = {"world": "sgro", "frames": 3, "peak_mib": 20.0, "ratio": 1.0, "peaks": [1, 2]}
    monkeypatch.setattr(worlds, "measure_peaks", lambda *how: asked.append(how) or [row])
    words = ["size=20", "steps=2", "updates=512", "frames=3", "rounds=2"]
    worlds.main([f"out={tmp_path}", *words])
    told = json.loads((tmp_path / "worlds.json").read_text())
    assert len(told["agents_per_s"]["slime, torch"]) == 2
    assert len(told["cell_updates_per_s"]["Sgro, 16 x 16"]["torch"]) == 2
    assert asked == [(3, 64, 2)]
    text = (tmp_path / "worlds.md").read_text()
    assert "| slime, torch |" in text
    assert "numba is not installed" in text
    assert "| Sgro, 16 x 16: compiled / numba | >= 1 |  | not measured |" in text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_of_a_movie_does_not_grow_with_its_length():
    from benchmarks.worlds_memory import measure_peaks

    # from 160 frames on, when every buffer has been full; frames that were kept would add over 30 %
    for row in measure_peaks(160, 48, 1):
        assert row["ratio"] < 1.1


def test_a_dish_too_small_is_refused():
    with pytest.raises(SlimeError, match="size=5 steps=300 updates=30000000 frames=100 rounds=5: "):
        worlds.main(["size=5"])
