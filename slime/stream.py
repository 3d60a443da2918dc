"""Batches of windows from movies of any size: resident where they fit, streamed by blocks else."""

import math
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from slime.batchable import check_batchable
from slime.errors import SlimeError
from slime.frames import GIB, chunk_frames, frame_nbytes, read_frames, reading_nbytes
from slime.movie import check_movie
from slime.plan import Epoch, epoch_plan, time_blocks
from slime.reader import READ_AHEAD, BlockReader, Held, read_whole
from slime.split import Split
from slime.windows import WindowSpec, starts_clear_of, window_starts

RING = 8  # batch buffers kept for reuse


class Batch(NamedTuple):
    """Windows in movie units, float32; `mask` is True where a target pixel counts."""

    past: Float[Tensor, "b t c y x"]
    future: Float[Tensor, "b lead c y x"]
    mask: Bool[Tensor, "b lead c y x"] | None
    movie: Int[Tensor, " b"]
    start: Int[Tensor, " b"]


class WindowStream(IterableDataset[Batch]):
    """All windows of the splits as batches, each exactly once an epoch.

    Where the splits fit `memory_budget` in their stored dtype they are decoded once, in the
    constructor, and shuffled fully; else blocks are read ahead in threads, each chunk once an
    epoch, and mixed (see slime.plan). Each `iter()` is the next epoch, in an order that depends on
    seed, epoch and budget alone; seed=None keeps time order. Windows that touch a frame marked in
    the movie's coord `blank` are left out.

    Iterate it, or `DataLoader(stream, batch_size=None)`. A batch's memory is used again once
    nothing refers to it.

    Args:
        movies: movies of equal channels and, without `crop`, equal size.
        splits: for each movie the frames to take windows from.
        memory_budget: bytes of decoded frames held at once, batches apart.
        crop: (height, width) in pixels cut from each window: at random, or from the middle where
            seed is None.
        device: where batches arrive.

    Raises:
        SlimeError: lists of unequal length, sizes that cannot share a batch, a gap shorter than
            span - 1, no window, pixels that are not finite, or a budget too small for the blocks
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
    ):
        self.movies, self.splits, self.spec = list(movies), list(splits), spec
        self.batch_size, self.seed, self.crop = batch_size, seed, crop
        self.memory_budget, self.device = memory_budget, torch.device(device)
        check_batchable(self.movies, self.splits, spec, crop)
        if batch_size < 1:
            raise SlimeError(f"optim.batch_size={batch_size} must be at least 1")
        if seed is not None and seed < 0:
            raise SlimeError(f"seed={seed} must be 0 or more")
        pairs = zip(self.movies, self.splits, strict=True)
        self.starts = [usable_starts(movie, split, spec) for movie, split in pairs]
        if not self.n_windows:
            raise SlimeError(
                f"no window of {spec.span} frames is free of blank frames in split "
                f"{self.splits[0].name!r}: a smaller window.n_in or step would do"
            )
        self._ranges = [
            time_blocks(s.start, s.stop, chunk_frames(m), spec.span)
            for m, s in zip(self.movies, self.splits, strict=True)
        ]
        self._epoch, self._batch, self._resumes = -1, 0, False
        self._ring: list[np.ndarray] = []
        self.wait_s, self.frames_read, self.blocks_held = 0.0, 0, 0
        nbytes = sum(
            len(s) * frame_nbytes(m) for m, s in zip(self.movies, self.splits, strict=True)
        )
        self.resident = nbytes <= memory_budget
        self._n_live = None if self.resident else self._live_blocks()
        self._held = self._whole() if self.resident else []

    @property
    def n_windows(self) -> int:
        """Windows in an epoch."""
        return sum(map(len, self.starts))

    def __len__(self) -> int:
        """Batches in an epoch; the last may be smaller."""
        return math.ceil(self.n_windows / self.batch_size)

    def state_dict(self) -> dict[str, int]:
        """The position: the epoch under way and the batches of it that were handed out."""
        return {"epoch": self._epoch, "batch": self._batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position: the next `iter()` gives what was left of that epoch.

        The order is the same for the same seed, movies and memory_budget.
        """
        self._epoch, self._batch = state["epoch"], state["batch"]
        self._resumes = self._epoch >= 0 and self._batch < len(self)

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
        rng = None if self.seed is None else np.random.default_rng((self.seed, number))
        rooms = [self._room(movie) for movie in self.movies]
        return epoch_plan(self.starts, self._ranges, rooms, self.spec.span, self._n_live, rng)

    def _room(self, movie: xr.DataArray) -> tuple[int, int]:
        """Pixels by which a crop may move in y and x."""
        height, width = self.crop or (movie.sizes["y"], movie.sizes["x"])
        return movie.sizes["y"] - height, movie.sizes["x"] - width

    def _live_blocks(self) -> int:
        """Blocks to mix: as many as the budget holds beside those that are being read."""
        edge = self.spec.span - 1
        live = reading = 0
        for movie, blocks in zip(self.movies, self._ranges, strict=True):
            n, frame = max(b - a for a, b in blocks), frame_nbytes(movie)
            live = max(live, (n + 4 * edge) * frame)  # with edges on both sides, held and kept
            reading = max(reading, (2 * n + 2 * edge) * frame + reading_nbytes(movie, n))
        n_live = (self.memory_budget - READ_AHEAD * reading) // max(live, 1)
        if n_live < 1:
            need = live + READ_AHEAD * reading
            raise SlimeError(
                f"memory_budget={self.memory_budget} bytes is too small: with blocks of {live} "
                f"bytes {need} are held; data.memory_gib of {need / GIB:.2g}, or a store with "
                "shorter chunks, would do"
            )
        return int(n_live)

    def _whole(self) -> list[Held]:
        self.frames_read += sum(map(len, self.splits))
        return [read_whole(m, blocks) for m, blocks in zip(self.movies, self._ranges, strict=True)]

    def _rows(self, i: int) -> tuple[int, int]:
        return i * self.batch_size, min((i + 1) * self.batch_size, self.n_windows)

    def _resident(self, epoch: Epoch, first: int) -> Iterator[Batch]:
        for i in range(first, len(self)):
            rows = self._rows(i)
            yield self._gather(epoch, rows, (self._held[m] for m in epoch.movie[slice(*rows)]))

    def _read(self, epoch: Epoch, first: int) -> Iterator[Batch]:
        n_held = (self._n_live or 1) + READ_AHEAD
        begin = first * self.batch_size
        with BlockReader(self.movies, epoch, self.spec.span, n_held, begin) as reader:
            try:
                for i in range(first, len(self)):
                    waited = reader.wait_s
                    batch = self._gather(epoch, self._rows(i), reader.rows(*self._rows(i)))
                    self.wait_s += reader.wait_s - waited
                    yield batch
                    del batch  # so that its memory can be used again
            finally:
                self.frames_read += reader.n_frames_read
                self.blocks_held = reader.most_held

    def _gather(self, epoch: Epoch, rows: tuple[int, int], held: Iterator[Held]) -> Batch:
        """The windows of these rows, each copied out of the frames that hold it."""
        spec, n, span = self.spec, rows[1] - rows[0], self.spec.span
        height, width = self.crop or self.movies[0].shape[2:]
        shape = (n, spec.n_frames, self.movies[0].sizes["channel"], height, width)
        pixels = self._buffer(shape, np.dtype("float32"))
        counts = None
        if any("mask" in m.coords for m in self.movies):
            counts = self._buffer((n, spec.n_out, *shape[2:]), np.dtype(bool))
        for k, block in enumerate(held):
            at = epoch.start[rows[0] + k] - block.first
            y, x = epoch.corner[rows[0] + k]
            area = (slice(None), slice(y, y + height), slice(x, x + width))
            window = block.frames[(slice(at, at + span, spec.step), *area)]
            np.copyto(pixels[k], window, casting="unsafe")
            if counts is not None:
                future = slice(at + spec.n_in * spec.step, at + span, spec.step)
                counts[k] = True if block.mask is None else block.mask[(future, *area)]
        both = torch.from_numpy(pixels).to(self.device, non_blocking=True)
        return Batch(
            both[:, : spec.n_in],
            both[:, spec.n_in :],
            None if counts is None else torch.from_numpy(counts).to(self.device),
            torch.from_numpy(epoch.movie[slice(*rows)].copy()).to(self.device),
            torch.from_numpy(epoch.start[slice(*rows)].copy()).to(self.device),
        )

    def _buffer(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array that no batch in use refers to: fresh pages cost more than the copy."""
        for spare in self._ring:
            # The ring's own reference, the loop's and getrefcount's argument: nobody else's.
            if spare.shape == shape and spare.dtype == dtype and sys.getrefcount(spare) == 3:
                return spare
        fresh = np.empty(shape, dtype)
        if len(self._ring) < RING:
            self._ring.append(fresh)
        return fresh


class WindowDataset(Dataset[tuple[Tensor, Tensor]]):
    """The windows of one split as (past `t c y x`, future `lead c y x`) pairs, by number.

    Holds the split's frames in memory, in their stored dtype: for small movies, notebooks and any
    DataLoader. Pairs are float32, in movie units; windows that touch a blank frame are left out.
    """

    def __init__(self, movie: xr.DataArray, split: Split, spec: WindowSpec):
        self.spec, self.starts = spec, usable_starts(check_movie(movie), split, spec)
        self._frames, _ = read_frames(movie, split.start, split.stop)
        self._first = split.start

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        at = int(self.starts[i]) - self._first
        window = self._frames[at : at + self.spec.span : self.spec.step]
        pixels = torch.from_numpy(window.astype(np.float32))
        return pixels[: self.spec.n_in], pixels[self.spec.n_in :]


def usable_starts(
    movie: xr.DataArray, split: Split, spec: WindowSpec
) -> Int[np.ndarray, " windows"]:
    """First frames of the split's windows that touch no blank frame."""
    starts = window_starts(split, spec)
    if "blank" not in movie.coords:
        return starts
    return starts_clear_of(starts, spec, np.asarray(movie["blank"].values, bool))
