"""Small dishes whose mounds come where another channel flickered from the start."""

import numpy as np

from slime.aggregation import AggregationSpec, Dish, make_study

MINUTE = 60.0


def pixels(seed, *, t=12, y=16, x=16):
    """A movie (t, c, y, x): channel 1 flickers at two places, where channel 0 has mounds later."""
    rng = np.random.default_rng(seed)
    frames = 100 + rng.normal(0, 3, (t, 2, y, x))
    rows, columns = np.indices((y, x))
    places = zip(rng.permutation([3, 12]), rng.integers(3, x - 3, 2), strict=True)
    for at_y, at_x in places:
        blob = np.exp(-((rows - at_y) ** 2 + (columns - at_x) ** 2) / (2 * 1.5**2))
        growth = np.clip(np.arange(t) - t / 2, 0, None) / (t / 2)
        frames[:, 0] += 400 * growth[:, None, None] * blob
        frames[:, 1] += 200 * (np.arange(t) % 2)[:, None, None] * blob
    return frames.astype("uint16")


def dish(seed, split, name=None, **size):
    """That movie in memory, one pixel 100 um wide."""
    frames = pixels(seed, **size).astype(np.float32)
    return Dish(name or f"dish {seed}", split, frames, ("cells", "camp"), MINUTE, 100.0, 0)


def study(n_train=4, n_val=2, n_test=3, given=(3, 6), spec=None, **size):
    """A study of such dishes."""
    splits = ["train"] * n_train + ["val"] * n_val + ["test"] * n_test
    dishes = [dish(seed, split, **size) for seed, split in enumerate(splits)]
    return make_study(dishes, spec or AggregationSpec(given=list(given)))
