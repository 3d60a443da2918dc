"""Batches of windows from movies of any size: resident where they fit, streamed by blocks else."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch.utils.data import IterableDataset, get_worker_info

from slime.batch import Batch, Batches
from slime.batchable import check_batchable, usable_starts
from slime.crop import Crop, block_areas
from slime.errors import SlimeError
from slime.frames import GIB, chunk_grid
from slime.gather import Frames, Held
from slime.mixing import Mixing, block_length, mixing
from slime.movie import decoder
from slime.on_device import DeviceFrames, fits_on
from slime.plan import Epoch, epoch_plan, share_of, time_blocks
from slime.reader import BlockReader, read_whole
from slime.reuse import Memory, Room
from slime.split import Split
from slime.window_dataset import WindowDataset
from slime.windows import WindowSpec

__all__ = ["Batch", "WindowDataset", "WindowStream"]


class WindowStream(IterableDataset[Batch]):
    """All windows of the splits as batches, each exactly once an epoch.

    Where the splits fit `memory_budget` in their stored dtype they are decoded once, in the
    constructor, and shuffled fully (on a CUDA device with room they live there); else blocks are
    read ahead in threads, each chunk once an epoch, and mixed (see slime.plan). Each `iter()` is
    the next epoch, in an order that depends on seed, epoch, budget and world_size alone; seed=None
    keeps time order. Windows that touch a frame marked in the movie's coord `blank` are left out.

    Iterate it, or `DataLoader(stream, batch_size=None)`. A batch's memory is used again once
    nothing refers to it.

    Args:
        movies: movies of equal channels and, without `crop`, equal size.
        splits: for each movie the frames to take windows from.
        batch_size: windows in a batch, those of all ranks together.
        memory_budget: bytes of decoded frames held at once; batches and what the decoder itself
            needs for a chunk or two come on top.
        crop: (height, width) in pixels cut from each window: at random, or from the middle where
            seed is None. Spatial chunks that no crop touches are not read.
        device: where batches arrive.
        rank, world_size: which of how many processes this is. Each gets its part of the windows,
            none twice, and as many batches as the others (of nearly equal sizes; a batch may be
            empty where there are fewer windows than ranks). Resident, the ranks' i-th batches
            together are the i-th batch of one process; streamed, each rank reads a time of its own.

    Attributes:
        n_windows: windows in an epoch, of this rank.
        resident: whether the frames are held in memory.
        nbytes: bytes of all frames of the splits in their stored dtype.
        frames_read, wait_s: frames decoded, and seconds that batches waited for them, so far.

    Raises:
        SlimeError: lists of unequal length, sizes that cannot share a batch, a gap shorter than
            span - 1, no window, pixels that are not finite, or a budget too small for the block
            that one window needs.
    """

    def __init__(
        self,
        movies: Sequence[xr.DataArray],
        splits: Sequence[Split],
        spec: WindowSpec,
        *,
        batch_size: int,
        seed: int | None = None,
        memory_budget: int = 2 * GIB,
        crop: tuple[int, int] | None = None,
        device: str | torch.device = "cpu",
        rank: int = 0,
        world_size: int = 1,
    ):
        self.movies, self.splits, self.spec = list(movies), list(splits), spec
        self.batch_size, self.seed, self.crop = batch_size, seed, crop
        self.memory_budget, self.device = memory_budget, torch.device(device)
        self.rank, self.world_size = rank, world_size
        check_batchable(self.movies, self.splits, spec, crop)
        if batch_size < 1:
            raise SlimeError(f"optim.batch_size={batch_size} must be at least 1")
        if seed is not None and seed < 0:
            raise SlimeError(f"seed={seed} must be 0 or more")
        if not 0 <= rank < world_size:
            raise SlimeError(f"rank={rank} must be from 0 to {world_size - 1}, the world_size - 1")
        pairs = zip(self.movies, self.splits, strict=True)
        self.starts = [usable_starts(movie, split, spec) for movie, split in pairs]
        self._n_all = sum(map(len, self.starts))
        if not self._n_all:
            raise SlimeError(
                f"no window of {spec.span} frames is free of blank frames in split "
                f"{self.splits[0].name!r}: a smaller window.n_in or step would do"
            )
        self._epoch, self._batch, self._resumes = -1, 0, False
        self._crop = Crop(crop, drawn=seed is not None)
        self._batches = Batches(
            spec,
            (self.movies[0].sizes["channel"], *self._crop.size(self.movies[0])),
            masked=any("mask" in movie.coords for movie in self.movies),
            device=self.device,
        )
        self.wait_s, self.frames_read, self.blocks_held = 0.0, 0, 0
        nbytes = [self._crop.frame_nbytes(movie) for movie in self.movies]
        total = sum(len(s) * n for s, n in zip(self.splits, nbytes, strict=True))
        self.nbytes, self.resident = total, total <= memory_budget
        if not self.resident:
            self.starts = share_of(self.starts, rank, world_size)
        self._ranges = self._blocks(nbytes)
        self._mixing: Mixing | None = None
        self._held: list[Frames] = []
        self._on_device: DeviceFrames | None = None
        self._memory = Room(Memory(), Memory())  # kept from epoch to epoch
        if not self.resident:
            self._mixing = mixing(
                self.movies, self._ranges, nbytes, span=spec.span, memory_budget=memory_budget
            )
            return
        self._held = self._whole()
        if fits_on(self.device, total):
            self._on_device = DeviceFrames(self._held, self.device)
            self._held = []

    @property
    def n_windows(self) -> int:
        """Windows in an epoch, of this rank."""
        if not self.resident or self.world_size == 1:
            return sum(map(len, self.starts))
        return sum(b - a for a, b in (self._rows(i) for i in range(len(self))))

    def description(self) -> str:
        """How the frames are read, in a line: held or streamed, how far mixed, decoded by what."""
        size = f"{self.nbytes / GIB:.3g} GiB"
        names = {"direct": "slime", "zarr": "zarr-python", "memory": "nothing (given in memory)"}
        by = " and ".join(names.get(d, d) for d in sorted(set(map(decoder, self.movies))))
        shuffled = "in time order" if self.seed is None else "shuffled"
        if self._mixing is None:
            where = "in memory" if self._on_device is None else f"on {self.device}"
            fully = "" if self.seed is None else " fully"
            return f"all {size} of frames held {where}, {shuffled}{fully}, decoded by {by}"
        n_blocks = sum(map(len, self._ranges))
        longest = max(b - a for blocks in self._ranges for a, b in blocks)
        return (
            f"{size} of frames streamed within {self.memory_budget / GIB:.3g} GiB, {shuffled}: "
            f"{min(self._mixing.n_live, n_blocks)} of {n_blocks} blocks of up to {longest} frames "
            f"at a time, decoded by {by}"
        )

    def __len__(self) -> int:
        """Batches in an epoch; the last may be smaller."""
        return math.ceil(self._n_all / self.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """The position: the epoch under way and the batches of it that were handed out.

        Beside it stands what the order within an epoch depends on.
        """
        return {"epoch": self._epoch, "batch": self._batch, **self._order_depends_on()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a position: the next `iter()` gives what was left of that epoch.

        Raises:
            SlimeError: in the middle of an epoch, and this stream's order is another.
        """
        self._epoch, self._batch = state["epoch"], state["batch"]
        self._resumes = self._epoch >= 0 and self._batch < len(self)
        for name, value in self._order_depends_on().items():
            if self._resumes and self._batch and state.get(name, value) != value:
                raise SlimeError(
                    f"the stream was stopped within an epoch at {name}={state[name]}, and has "
                    f"{value} now: go on with the same movies and settings"
                )

    def _order_depends_on(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "windows": self._n_all,
            "world_size": self.world_size,
            "mixed_blocks": 0 if self._mixing is None else self._mixing.n_live,
        }

    def __iter__(self) -> Iterator[Batch]:
        if get_worker_info() is not None:
            raise SlimeError(
                "a WindowStream reads ahead in threads of its own: DataLoader(stream, "
                "batch_size=None, num_workers=0)"
            )
        if not self._resumes:
            self._epoch, self._batch = self._epoch + 1, 0
        self._resumes = False
        first = self._batch
        epoch = self._plan(self._epoch)
        for batch in self._resident(epoch, first) if self.resident else self._read(epoch, first):
            self._batch += 1
            yield batch

    def _plan(self, number: int) -> Epoch:
        n_live = None if self._mixing is None else self._mixing.n_live
        rng = None
        if self.seed is not None:
            own = (self.rank,) if self.rank and not self.resident else ()
            rng = np.random.default_rng((self.seed, number, *own))
        rooms = [self._crop.room(movie) for movie in self.movies]
        return epoch_plan(self.starts, self._ranges, rooms, self.spec.span, n_live, rng)

    def _blocks(self, nbytes: Sequence[int]) -> list[list[tuple[int, int]]]:
        """For each movie runs of whole chunks, over the frames that its windows need."""
        blocks = []
        each = zip(self.movies, self.splits, self.starts, nbytes, strict=True)
        for movie, split, starts, frame in each:
            first, stop = split.start, split.stop
            if not self.resident:
                if not len(starts):
                    blocks.append([])
                    continue
                first, stop = int(starts[0]), int(starts[-1]) + self.spec.span
            length, offset = chunk_grid(movie)
            wanted = block_length(frame, self.spec.span, self.memory_budget)
            blocks.append(time_blocks(first, stop, length, wanted, offset))
        return blocks

    def _whole(self) -> list[Frames]:
        self.frames_read += sum(map(len, self.splits))
        each = zip(self.movies, self._ranges, strict=True)
        return [read_whole(movie, blocks, self._crop.area(movie)) for movie, blocks in each]

    def _rows(self, i: int) -> tuple[int, int]:
        """The windows of the i-th batch, by their numbers in the epoch as this process plans it."""
        if self.resident:  # the epoch of all ranks: a part of each batch
            first = i * self.batch_size
            n = min(self.batch_size, self._n_all - first)
            part = n * self.rank // self.world_size, n * (self.rank + 1) // self.world_size
            return first + part[0], first + part[1]
        if self.world_size == 1:
            return i * self.batch_size, min((i + 1) * self.batch_size, self._n_all)
        n = sum(map(len, self.starts))
        return n * i // len(self), n * (i + 1) // len(self)

    def _resident(self, epoch: Epoch, first: int) -> Iterator[Batch]:
        held = [Held((frames,)) for frames in self._held]
        for i in range(first, len(self)):
            windows = epoch.windows(*self._rows(i))
            if self._on_device is not None:
                yield self._batches.on_device(windows, self._on_device)
            else:
                yield self._batches.gathered(windows, [[held[m] for m in windows.movie]])

    def _read(self, epoch: Epoch, first: int) -> Iterator[Batch]:
        assert self._mixing is not None
        begin = self._rows(first)[0]
        areas = block_areas(self.movies, epoch, self.crop, begin)
        n_held = self._mixing.n_live + self._mixing.n_ahead
        span = self.spec.span
        with BlockReader(
            self.movies, epoch, span, areas, n_held=n_held, begin=begin, room=self._memory
        ) as reader:
            try:
                for i in range(first, len(self)):
                    waited = reader.wait_s
                    rows = self._rows(i)
                    batch = self._batches.gathered(epoch.windows(*rows), reader.rows(*rows))
                    self.wait_s += reader.wait_s - waited
                    yield batch
                    del batch  # so that its memory can be used again
            finally:
                self.frames_read += reader.n_frames_read
                self.blocks_held = reader.most_held
