import builtins
import random

import numpy as np
import pytest
import torch

from foundations.toys import (
    ArrayDataset,
    blobs,
    by_class,
    circles,
    line,
    moons,
    seed_everything,
    split,
    split_sizes,
)


def test_1200_points_give_840_180_and_180():
    parts = split(*moons(seed=3), seed=3)
    assert [len(part.x) for part in parts] == [840, 180, 180]


def test_no_pair_is_in_two_parts_and_none_is_lost():
    x = torch.arange(31)[:, None]
    parts = split(x, 10 * x, (0.5, 0.3, 0.2), seed=1)
    assert sorted(torch.cat([p.x for p in parts]).flatten().tolist()) == list(range(31))
    assert all((p.y == 10 * p.x).all() for p in parts)
    assert not torch.equal(parts.train.x, split(x, x, (0.5, 0.3, 0.2), seed=2).train.x)


@pytest.mark.parametrize("shares", [(0.7, 0.2, 0.2), (0.7, 0.2, 0.05), (1.2, -0.1, -0.1)])
def test_shares_that_do_not_add_up_to_1_are_refused(shares):
    with pytest.raises(ValueError, match=r"shares .* add up to .*; none below 0 and a sum of 1"):
        split_sizes(100, shares)


def test_circles_have_their_radii():
    points = circles(400, noise=0.0)
    radius = points.x.norm(dim=1)
    assert torch.allclose(radius, torch.where(points.y == 1, 0.4, 1.0))


def test_blobs_stand_in_where_scikit_learn_is_absent(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    for made in (moons(2000, seed=5), circles(2000, seed=5)):
        assert torch.equal(made.x, blobs(2000, seed=5).x)
        centres = [cloud.mean(axis=0) for cloud in by_class(made).values()]
        assert np.allclose(centres, [[-2, -2], [2, 2]], atol=0.15)  # 1 / sqrt(1000) = 0.03


def test_the_line_has_its_noise():
    x, y = line(20_000, seed=1)
    rest = y - 2.2 * x + 0.7
    assert abs(float(rest.std()) - 0.35) < 0.006  # 0.35 / sqrt(40 000) = 0.0018
    assert x.min() >= -2
    assert x.max() <= 2


def test_a_dataset_gives_an_item_of_each_array():
    items = ArrayDataset(np.arange(6.0).reshape(3, 2), torch.tensor([5, 6, 7]))
    assert len(items) == 3
    x, y = items[2]
    assert x.tolist() == [4, 5]
    assert y == 7
    with pytest.raises(ValueError, match=r"arrays of one length are needed, not of \[3, 2\]"):
        ArrayDataset(np.zeros(3), np.zeros(2))


def test_one_seed_repeats_every_draw():
    def draws():
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    seed_everything(4)
    first = draws()
    assert draws() != first
    seed_everything(4, deterministic=True)
    assert draws() == first
    assert torch.are_deterministic_algorithms_enabled()
    seed_everything(4)
    assert not torch.are_deterministic_algorithms_enabled()
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])
