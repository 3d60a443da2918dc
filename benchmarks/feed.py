"""What is to be delivered, and what a delivery is."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.movies import Layout

N_IN, N_OUT = 4, 1
SPAN = N_IN + N_OUT

# One delivery: arrays or tensors `b t y x` (a channel may stand before y), in order along t;
# a plain decode delivers `t y x`.
Parts = Sequence[Any]
Epochs = Callable[[], Iterator[Parts]]


class Feed(NamedTuple):
    """What is to be delivered: windows of 4 + 1 frames of a store, in batches."""

    store: Path
    well: Path
    layout: Layout
    n_frames: int
    size: int
    batch_size: int
    n_windows: int
    budget: int

    def drawn(self, epoch: int) -> list[int]:
        """First frames of the windows to deliver, in random order."""
        n_all = self.n_frames - SPAN + 1
        order = np.random.default_rng((0, epoch)).permutation(n_all)
        return order[: self.n_windows].tolist()
