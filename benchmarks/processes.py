"""Calls in processes of their own: spawned afresh, never forked."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Asked = TypeVar("Asked")
Told = TypeVar("Told")


def in_processes(
    call: Callable[[Asked], Told], asked: Sequence[Asked], *, n_at_once: int, fresh: bool
) -> Iterator[Told]:
    """What `call` says to each, in order; each in a new process where `fresh`."""
    with ProcessPoolExecutor(
        n_at_once,
        mp_context=multiprocessing.get_context("spawn"),
        max_tasks_per_child=1 if fresh else None,
    ) as pool:
        yield from pool.map(call, asked)
