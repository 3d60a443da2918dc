"""Windows picked one by one, as WindowStream does not offer: for studies of splits alone."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from slime.batchable import usable_starts
from slime.split import Split
from slime.stream import Batch
from slime.studies.worlds import World
from slime.windows import WindowSpec

Picked = Int[np.ndarray, "_ 2"]  # the movie's place and the first frame


class Films:
    """A world's frames in memory, up to the end of its validation split: of test none is read."""

    def __init__(self, world: World):
        self.world = world

    @cached_property
    def frames(self) -> list[Float[Tensor, "_ c y x"]]:
        """Of every movie, from frame 0 on."""
        ends = [cut["val"].stop for cut in self.world.prepared.splits]
        return [
            torch.from_numpy(movie[:end].values.astype(np.float32))
            for movie, end in zip(self.world.movies, ends, strict=True)
        ]

    def windows(self, spec: WindowSpec, name: str, part: tuple[float, float] = (0, 1)) -> Picked:
        """All windows inside a part of a split of every movie, as shares of its length."""
        found = []
        for i, (movie, cut) in enumerate(
            zip(self.world.movies, self.world.prepared.splits, strict=True)
        ):
            whole = cut[name]
            first, last = (whole.start + round(share * len(whole)) for share in part)
            starts = usable_starts(movie, Split(name, first, last, whole.movie), spec)
            found.append(np.stack([np.full(len(starts), i), starts], axis=1))
        return np.concatenate(found)

    def batches(
        self, picked: Picked, spec: WindowSpec, *, batch_size: int = 32, seed: int | None = None
    ) -> "PickedBatches":
        """Those windows in batches, shuffled anew each time where there is a seed."""
        return PickedBatches(self.frames, picked, spec, batch_size, seed)


class PickedBatches:
    """An iterable of Batches over picked windows."""

    def __init__(
        self,
        frames: list[Tensor],
        picked: Picked,
        spec: WindowSpec,
        batch_size: int,
        seed: int | None,
    ):
        self.frames, self.picked, self.spec = frames, picked, spec
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0

    def __len__(self) -> int:
        return -(-len(self.picked) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = np.arange(len(self.picked))
        if self.seed is not None:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        self.epoch += 1
        for first in range(0, len(order), self.batch_size):
            yield self._batch(self.picked[order[first : first + self.batch_size]])

    def _batch(self, picked: Picked) -> Batch:
        reach = self.spec.step * np.arange(self.spec.n_frames)
        windows = torch.stack([self.frames[movie][start + reach] for movie, start in picked])
        n_in, (movie, start) = self.spec.n_in, torch.from_numpy(picked).T
        return Batch(windows[:, :n_in], windows[:, n_in:], None, movie, start)
