"""Contestants of the landscape benchmark compute what they are measured at."""

import numpy as np
import pytest
import torch

from benchmarks.landscape_tools import CONTESTANTS, Case, _total, usual_loop
from benchmarks.landscapes import GOALS, goal_rows
from slime.landscape import loss_plane
from slime.nets import build_net
from slime.scale import Standardizer
from slime.stepper import Stepper


@pytest.fixture
def case():
    torch.manual_seed(0)
    net = build_net("frame_mlp", n_in=1, channels=1, size=(4, 5), width=6, depth=2)
    scale = Standardizer(*(torch.ones(1) for _ in range(3)))
    past = torch.randn(7, 1, 1, 4, 5)
    return Case(Stepper(scale, net).eval(), past, torch.randn(7, 1, 4, 5), 3)


@pytest.mark.filterwarnings("default")  # peers' own
@pytest.mark.parametrize("name", CONTESTANTS)
def test_each_contestant_gives_a_plane_of_losses(case, name):
    if CONTESTANTS[name].missing:
        pytest.skip(f"{CONTESTANTS[name].needs} is not installed")
    plane = CONTESTANTS[name].plane(case)(3)
    if name == "forward passes alone":
        assert plane is None
        return
    losses = np.asarray(plane[0] if isinstance(plane, tuple) else plane)
    assert losses.shape == (3, 3)
    if name == "loss-landscapes":  # no cell of its is the net itself
        assert np.isfinite(losses).all()
        return
    assert losses[1, 1] == pytest.approx(_total(case.stepper, case.pairs), rel=0.01)


def test_the_usual_loop_computes_the_same_plane(case):
    own = loss_plane(case.stepper, case.batches, n_points=3, radius=0.5)
    losses = usual_loop(case)(3)
    assert losses[:, 1] == pytest.approx(own.values[:, 1], rel=1e-5)


def test_goals_are_medians_of_ratios_within_rounds():
    rows = [
        {"slime": 1.0, "forward passes alone": 2.0, "Landscaper": 3.0, "loss-landscapes": 2.5},
        {"slime": 2.0, "forward passes alone": 2.5, "Landscaper": 3.0, "loss-landscapes": 9.0},
        {"slime": 1.0, "forward passes alone": 5.0, "Landscaper": 9.0, "loss-landscapes": 9.0},
    ]
    for row in rows:
        row["usual loop"] = 21.0
    found = {
        (r["case"][:3], r["over"]): (r["value"], r["met"])
        for r in goal_rows({goal.case: rows for goal in GOALS})
    }
    # 1/2, 2/2.5, 1/5; best peers 2.5/1, 3/2, 9/1; loops 21, 10.5, 21
    assert found["MLP", "forward passes alone"] == (0.5, True)
    assert found["MLP", "best peer"] == (2.5, True)
    assert found["MLP", "usual loop"] == (21, True)
    none = goal_rows({goal.case: [{"slime": 1.0, "forward passes alone": 2.0, "usual loop": 1}]
                      for goal in GOALS})  # fmt: skip
    assert [r["value"] for r in none if r["over"] == "best peer"] == [None, None]
    assert not any(r["met"] for r in none if r["over"] == "best peer")
