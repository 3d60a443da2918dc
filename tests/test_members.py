"""Scores of ensembles against closed forms and sums over pairs."""

import math

import numpy as np
import pytest
import torch

from slime.errors import SlimeError
from slime.members import fair_crps, rollout_members, spread_over_error


def test_the_fair_crps_is_the_sum_over_pairs():
    draw = torch.Generator().manual_seed(0)
    members = torch.randn((5, 3, 4), generator=draw, dtype=torch.float64)
    truth = torch.randn((3, 4), generator=draw, dtype=torch.float64)
    apart = (members[:, None] - members[None]).abs().sum(dim=(0, 1))
    expected = (members - truth).abs().mean(dim=0) - apart / (2 * 5 * 4)
    torch.testing.assert_close(fair_crps(members, truth), expected)


@pytest.mark.parametrize("n_members", [2, 7])
def test_the_crps_of_a_gaussian_does_not_depend_on_the_number_of_members(n_members):
    sigma, y = 2.0, 1.0
    draw = torch.Generator().manual_seed(0)
    members = sigma * torch.randn((n_members, 400_000), generator=draw, dtype=torch.float64)
    z = y / sigma
    density, below = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi), (1 + math.erf(z / 2**0.5)) / 2
    # Gneiting & Raftery 2007, doi 10.1198/016214506000001437
    closed = sigma * (z * (2 * below - 1) + 2 * density - 1 / math.sqrt(math.pi))
    found = fair_crps(members, torch.full((400_000,), y, dtype=torch.float64)).mean()
    assert float(found) == pytest.approx(closed, rel=0.01)  # 3 standard errors of 2 members


def test_spread_tells_the_error_of_members_drawn_like_the_truth():
    draw = torch.Generator().manual_seed(0)
    fields = torch.randn((6, 200_000), generator=draw, dtype=torch.float64)
    assert spread_over_error(fields[:5], fields[5]) == pytest.approx(1, abs=0.01)
    assert spread_over_error(fields[:5] / 10, fields[5]) == pytest.approx(0.11, abs=0.01)


def test_each_member_is_fed_with_its_own_frames():
    doubled, tripled = (lambda past: 2 * past[:, -1]), (lambda past: 3 * past[:, -1])
    ahead = rollout_members([doubled, tripled], torch.ones(1, 1, 1, 2, 3), 3)
    assert ahead[:, 0, :, 0, 1, 2].tolist() == [[2, 4, 8], [3, 9, 27]]


def test_one_member_is_no_ensemble():
    one = torch.zeros(1, 4)
    for call in (
        lambda: fair_crps(one, one[0]),
        lambda: spread_over_error(one, one[0]),
        lambda: rollout_members([lambda past: past[:, -1]], torch.zeros(1, 1, 1, 2, 2), 1),
    ):
        with pytest.raises(SlimeError, match="ensemble of 1 members: at least 2"):
            call()
    assert np.isfinite(float(spread_over_error(torch.tensor([[0.0], [1.0]]), torch.ones(1))))
