"""Plain full decodes: every frame once, block by block of whole chunks, into nothing."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import zarr

from benchmarks.feed import Epochs, Feed, Parts
from slime.movie import open_movie

AT_ONCE = 2  # blocks in flight
ZARRS_PIPELINE = "zarrs.ZarrsCodecPipeline"


def pixels(feed: Feed) -> Any:
    """The movie's zarr array, read by the pipeline that zarr is set to."""
    return zarr.open_group(feed.store, mode="r")["movie"]


def own(feed: Feed) -> Epochs:
    """Blocks read by slime's decoder in two threads, each into fresh memory."""
    return _threaded(feed, open_movie(feed.store).variable[:, 0])


def zarr_python(feed: Feed) -> Epochs:
    """Blocks read by zarr-python in two threads."""
    return _threaded(feed, pixels(feed))


def zarrs(feed: Feed) -> Epochs:
    """Blocks read through the zarrs pipeline in two threads."""

    with zarr.config.set({"codec_pipeline.path": ZARRS_PIPELINE}):
        return _threaded(feed, pixels(feed))


def tensorstore(feed: Feed) -> Epochs:
    """Blocks read by tensorstore, which decodes in threads of its own."""
    import tensorstore as ts

    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(feed.store / "movie")},
        "context": {"data_copy_concurrency": {"limit": AT_ONCE}},
    }
    array = ts.open(spec, read=True).result()
    return _in_flight(feed, lambda start, stop: array[start:stop].read().result)


def _threaded(feed: Feed, array: Any) -> Epochs:
    pool = ThreadPoolExecutor(AT_ONCE)

    def read(start: int, stop: int) -> Any:
        return np.asarray(array[start:stop])

    return _in_flight(feed, lambda start, stop: pool.submit(read, start, stop).result)


def _in_flight(feed: Feed, ask: Callable[[int, int], Callable[[], Any]]) -> Epochs:
    """Blocks in time order, the next ones asked for while one is awaited."""
    length = feed.layout.block_frames()

    def epoch() -> Iterator[Parts]:
        waiting: deque[Callable[[], Any]] = deque()
        for start in range(0, feed.n_frames, length):
            waiting.append(ask(start, min(start + length, feed.n_frames)))
            if len(waiting) > AT_ONCE:
                yield (waiting.popleft()(),)
        while waiting:
            yield (waiting.popleft()(),)

    return epoch
