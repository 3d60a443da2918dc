"""Where a pass over a movie is computed: threads of this process, or a dask scheduler elsewhere."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from slime.errors import SlimeError

OPTION = "--scheduler"
HELP = (
    "--scheduler tcp://HOST:PORT  compute on this dask.distributed scheduler, not in threads here"
)
WAIT_S = 10  # for a scheduler to answer

Result = TypeVar("Result")


@contextmanager
def scheduler(address: str | None = None, *, n_threads: int | None = None) -> Iterator[Executor]:
    """What computes blocks: threads here, or the workers of the scheduler at `address`.

    Workers must have slime installed and see the same paths as this process.

    Args:
        address: such as "tcp://host:8786"; None for threads of this process.
        n_threads: how many threads; as many as this process may use cores by default.

    Raises:
        SlimeError: dask.distributed is not installed, nothing answers at the address, or no
            worker is there.
    """
    if address is None:
        pool = ThreadPoolExecutor(n_threads or usable_cores(), thread_name_prefix="block")
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise SlimeError(
            f"{OPTION} {address} needs dask.distributed: pip install 'slime[distributed]'"
        ) from error
    try:
        client = Client(address, timeout=WAIT_S, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise SlimeError(
            f"{OPTION} {address}: no dask scheduler answers there ({type(error).__name__}); give "
            "its address as tcp://HOST:PORT"
        ) from error
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise SlimeError(f"{OPTION} {address} has no worker: start some with dask worker")
        yield client.get_executor(pure=False)


def compute_blocks(
    tasks: Iterable[Callable[[], Result]], executor: Executor, *, n_at_once: int
) -> Iterator[Result]:
    """The result of each task, in the order of the tasks, computed some ahead of the caller.

    Tasks are taken from the iterable only when there is room for them. At most `n_at_once` results
    are under way or waiting, beside the one that the caller holds; so memory is bounded whatever
    the number of tasks. Hide a movie in a `functools.partial`: dask would compute a chunked
    argument whole. Where the caller stops early or a task fails, those not yet begun are dropped.

    Raises:
        SlimeError: the scheduler or all its workers went away; else whatever the task raised.
    """
    if n_at_once < 1:
        raise ValueError(f"n_at_once is {n_at_once}; it must be at least 1")
    under_way: deque[Future[Result]] = deque()
    remaining = iter(tasks)
    try:
        while True:
            while len(under_way) < n_at_once and (task := next(remaining, None)) is not None:
                under_way.append(executor.submit(task))
            if not under_way:
                return
            yield _result(under_way.popleft())
    finally:
        for future in under_way:
            future.cancel()


def pick_scheduler(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The address after --scheduler on a command line (None without), and the other words.

    >>> pick_scheduler(["a.zarr", "--scheduler", "tcp://host:8786", "out=b"])
    ('tcp://host:8786', ['a.zarr', 'out=b'])

    Raises:
        SlimeError: no address follows, or one without ://.
    """
    address, others, rest = None, [], list(words)
    while rest:
        word = rest.pop(0)
        name, _, value = word.partition("=")
        if name != OPTION:
            others.append(word)
            continue
        address = value or (rest.pop(0) if rest else "")
        if "://" not in address:
            raise SlimeError(f"{OPTION} {address or '(nothing)'}: give tcp://HOST:PORT")
    return address, others


def _result(future: "Future[Result]") -> Result:
    try:
        return future.result()
    except CancelledError as error:
        raise SlimeError("the dask scheduler ended, or dropped a block: start it again") from error
    except Exception as error:
        if type(error).__name__ in ("KilledWorker", "CommClosedError", "NoValidWorkerError"):
            said = " ".join(str(error).split())[:160]
            raise SlimeError(
                f"the workers of the dask scheduler went away ({said}): "
                "give them more memory or start others, and run the same command again"
            ) from error
        raise


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
