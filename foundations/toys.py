"""Section 1: toy sets of points, a Dataset over arrays, a seeded split, one function for seeds."""

import random
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

CIRCLE_FACTOR = 0.4  # radius of the inner circle over the outer one's
N_POINTS, NOISE = 1200, 0.25
SHARES = (0.7, 0.15, 0.15)


class Points(NamedTuple):
    """Points in the plane and their class, 0 or 1."""

    x: Float[Tensor, "n 2"]
    y: Int[Tensor, " n"]


class Pairs(NamedTuple):
    """Inputs and targets along their first axis."""

    x: Tensor
    y: Tensor


class Parts(NamedTuple):
    """Train, validation and test: each inputs and targets."""

    train: Pairs
    val: Pairs
    test: Pairs


class ArrayDataset(Dataset):
    """A Dataset over arrays of one length; an item is a tensor of each.

    Raises:
        ValueError: arrays of different lengths, or none.
    """

    def __init__(self, *arrays: np.ndarray | Tensor):
        lengths = [len(array) for array in arrays]
        if len(set(lengths)) != 1:
            raise ValueError(f"arrays of one length are needed, not of {lengths}")
        self.tensors = tuple(torch.as_tensor(array) for array in arrays)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, i: int) -> tuple[Tensor, ...]:
        return tuple(tensor[i] for tensor in self.tensors)


def moons(n: int = N_POINTS, *, noise: float = NOISE, seed: int = 0) -> Points:
    """Two interleaved half circles, by scikit-learn; blobs where it is not installed."""
    try:
        from sklearn.datasets import make_moons
    except ImportError:
        return blobs(n, seed=seed)
    return _points(*map(np.asarray, make_moons(n, noise=noise, random_state=seed)))


def circles(n: int = N_POINTS, *, noise: float = NOISE, seed: int = 0) -> Points:
    """A circle of radius 0.4 (class 1) in one of radius 1; blobs without scikit-learn."""
    try:
        from sklearn.datasets import make_circles
    except ImportError:
        return blobs(n, seed=seed)
    made = make_circles(n, noise=noise, factor=CIRCLE_FACTOR, random_state=seed)
    return _points(*map(np.asarray, made))


def blobs(n: int = N_POINTS, *, seed: int = 0) -> Points:
    """Two Gaussian clouds of deviation 1 around (-2, -2) and (2, 2), half of the points each."""
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.arange(n) % 2)
    return _points(draw.normal(0, 1, (n, 2)) + (4 * labels - 2)[:, None], labels)


def _points(x: np.ndarray, y: np.ndarray) -> Points:
    return Points(torch.from_numpy(x).float(), torch.from_numpy(y).long())


def line(
    n: int = 600, *, a: float = 2.2, b: float = -0.7, noise: float = 0.35, seed: int = 0
) -> Pairs:
    """y = a x + b + Gaussian noise at x uniform on [-2, 2]; both of shape (n, 1)."""
    draw = np.random.default_rng(seed)
    x = draw.uniform(-2, 2, (n, 1))
    y = a * x + b + draw.normal(0, noise, (n, 1))
    return Pairs(torch.from_numpy(x).float(), torch.from_numpy(y).float())


def split_sizes(n: int, shares: tuple[float, ...]) -> list[int]:
    """Whole numbers of `n` items for each share; they add up to `n`.

    >>> split_sizes(1200, (0.7, 0.15, 0.15))
    [840, 180, 180]

    Raises:
        ValueError: shares that are below 0 or do not add up to 1.
    """
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(
            f"shares {shares} add up to {sum(shares):g}; none below 0 and a sum of 1 are needed"
        )
    borders = [round(n * float(at)) for at in np.cumsum((0.0, *shares))]
    return [stop - start for start, stop in pairwise(borders)]


def split(
    x: Tensor, y: Tensor, shares: tuple[float, float, float] = SHARES, *, seed: int = 0
) -> Parts:
    """Train, validation and test at random, without a pair in two of them.

    Raises:
        ValueError: as split_sizes.
    """
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    rows = order.split(split_sizes(len(x), shares))
    return Parts(*(Pairs(x[r], y[r]) for r in rows))


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed Python, NumPy's legacy state and torch on the CPU and every GPU.

    Args:
        deterministic: refuse from now on operations without a deterministic algorithm.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what libraries without generators draw from
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    torch.use_deterministic_algorithms(deterministic)


def by_class(points: Points) -> Mapping[int, np.ndarray]:
    """The points of each class, for scatter plots."""
    return {int(c): points.x[points.y == c].numpy() for c in points.y.unique()}
