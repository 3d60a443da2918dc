"""Who delivers windows: slime, loops over frames in memory, and peers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
import zarr
from torch.utils.data import DataLoader, Dataset

from benchmarks import decoders
from benchmarks.feed import N_IN, N_OUT, SPAN, Epochs, Feed, Parts
from slime.movie import open_movie
from slime.split import Split
from slime.stream import WindowStream
from slime.windows import WindowSpec

_PAST, _FUTURE = "input_fields", "output_fields"  # The Well's names


def slime(feed: Feed, *, resident: bool) -> Epochs:
    """A WindowStream: blocks under the budget, or everything in memory."""
    movie = open_movie(feed.store)
    spec = WindowSpec(n_in=N_IN, n_out=N_OUT)
    stream = WindowStream(
        [movie],
        [Split("train", 0, feed.n_frames, str(movie.name))],
        spec,
        batch_size=feed.batch_size,
        seed=0,
        memory_budget=2 * feed.n_frames * feed.size**2 * 4 if resident else feed.budget,
    )
    assert stream.resident == resident

    def epoch() -> Iterator[Parts]:
        for batch in stream:
            yield batch.past, batch.future
            del batch  # so that its memory can be used again

    return epoch


def reused(feed: Feed) -> Epochs:
    """The limit: windows copied from frames in memory into two batches in turn."""
    frames: Any = decoders.pixels(feed)[:]
    shape = (feed.batch_size, SPAN, feed.size, feed.size)
    buffers = np.zeros((2, *shape), frames.dtype)
    counter = iter(range(1 << 30))

    def epoch() -> Iterator[Parts]:
        starts = feed.drawn(next(counter))
        for i, begin in enumerate(range(0, len(starts), feed.batch_size)):
            chosen = starts[begin : begin + feed.batch_size]
            batch = buffers[i % 2, : len(chosen)]
            for window, start in zip(batch, chosen, strict=True):
                np.copyto(window, frames[start : start + SPAN])
            yield (torch.from_numpy(batch),)

    return epoch


def fresh(feed: Feed) -> Epochs:
    """The usual loop: slices of frames in memory, stacked into a new batch."""
    frames: Any = decoders.pixels(feed)[:]
    counter = iter(range(1 << 30))

    def epoch() -> Iterator[Parts]:
        starts = feed.drawn(next(counter))
        for begin in range(0, len(starts), feed.batch_size):
            chosen = starts[begin : begin + feed.batch_size]
            yield (torch.from_numpy(np.stack([frames[s : s + SPAN] for s in chosen])),)

    return epoch


class RandomReads(Dataset):
    """Each window read from the store when it is asked for."""

    def __init__(self, array: zarr.Array):
        self.array = array

    def __getitem__(self, start: int) -> torch.Tensor:
        return torch.from_numpy(np.asarray(self.array[start : start + SPAN]))


def random_reads(feed: Feed) -> Epochs:
    """A DataLoader (no worker) over random reads of a zarr array."""
    return _loaded(feed, RandomReads(decoders.pixels(feed)))


def xbatcher(feed: Feed) -> Epochs:
    """xbatcher's MapDataset, one generator for past and future, without dask below it."""
    import xarray as xr
    from xbatcher import BatchGenerator
    from xbatcher.loaders.torch import MapDataset

    movie = xr.open_zarr(feed.store, consolidated=False, chunks=None)["movie"]
    sizes: dict[Any, int] = {"time": SPAN, "y": feed.size, "x": feed.size}
    overlap: dict[Any, int] = {"time": SPAN - 1}
    return _loaded(feed, MapDataset(BatchGenerator(movie, sizes, overlap)))


def well(feed: Feed) -> Epochs:
    """The Well's dataset without grids and boundaries, under a DataLoader."""
    from the_well.data import WellDataset

    without: dict[str, Any] = {"return_grid": False, "boundary_return_type": None}
    windows = WellDataset(path=str(feed.well), n_steps_input=N_IN, n_steps_output=N_OUT, **without)
    return _loaded(feed, windows, lambda batch: (batch[_PAST][..., 0], batch[_FUTURE][..., 0]))


def _loaded(
    feed: Feed, windows: Dataset, parts: Callable[[Any], Parts] = lambda batch: (batch,)
) -> Epochs:
    counter = iter(range(1 << 30))

    def epoch() -> Iterator[Parts]:
        order = feed.drawn(next(counter))
        for batch in DataLoader(windows, batch_size=feed.batch_size, sampler=order):
            yield parts(batch)

    return epoch


@dataclass(frozen=True)
class Contestant:
    """One row of the table; `open` gives a function of which each call is an epoch.

    Attributes:
        gives: windows, or all frames once (a plain decode).
        slow: measured on a part of the windows.
        needs: modules without which it cannot run.
        environment: variables of the process that it runs in.
    """

    key: str
    label: str
    open: Callable[[Feed], Epochs]
    gives: Literal["windows", "frames"] = "windows"
    slow: bool = False
    needs: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


OWN, ZARRS, ZARR = ({"SLIME_ENGINE": name} for name in ("auto", "zarrs", "zarr"))
FASTER = {"ZARR_CODEC_PIPELINE__PATH": decoders.ZARRS_PIPELINE}
_stream, _resident = partial(slime, resident=False), partial(slime, resident=True)
_of_zarrs, _of_tensorstore = ("zarrs",), ("tensorstore",)
CONTESTANTS = (
    Contestant("slime", "slime, streaming", _stream, environment=OWN),
    Contestant(
        "slime-zarrs", "slime, streaming, zarrs", _stream, needs=_of_zarrs, environment=ZARRS
    ),
    Contestant("slime-zarr", "slime, streaming, zarr-python", _stream, environment=ZARR),
    Contestant("resident", "slime, resident", _resident),
    Contestant("reused", "in memory, batches reused", reused),
    Contestant("fresh", "in memory, fresh batches", fresh),
    Contestant("own", "decode only, slime", decoders.own, "frames", environment=OWN),
    Contestant("zarrs", "decode only, zarrs", decoders.zarrs, "frames", needs=_of_zarrs),
    Contestant("zarr", "decode only, zarr-python", decoders.zarr_python, "frames"),
    Contestant(
        "tensorstore",
        "decode only, tensorstore",
        decoders.tensorstore,
        "frames",
        needs=_of_tensorstore,
    ),
    Contestant("well", "The Well's dataset, HDF5", well, slow=True, needs=("the_well", "h5py")),
    Contestant("xbatcher", "xbatcher and DataLoader", xbatcher, slow=True, needs=("xbatcher",)),
    Contestant("random", "DataLoader, random zarr reads", random_reads, slow=True),
    Contestant(
        "xbatcher-zarrs",
        "xbatcher and DataLoader, zarrs",
        xbatcher,
        slow=True,
        needs=("xbatcher", "zarrs"),
        environment=FASTER,
    ),
    Contestant(
        "random-zarrs",
        "DataLoader, random zarr reads, zarrs",
        random_reads,
        slow=True,
        needs=_of_zarrs,
        environment=FASTER,
    ),
)
