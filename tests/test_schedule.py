"""Blocks computed by threads or by a dask scheduler: same order, same bound, same errors."""

import time
from collections.abc import Iterator
from functools import partial

import pytest

from slime.errors import SlimeError, StoreError
from slime.schedule import compute_blocks, pick_scheduler, scheduler


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as local:
        yield local.scheduler_address


@pytest.fixture(params=["threads", "distributed"])
def address(request) -> str | None:
    return None if request.param == "threads" else request.getfixturevalue("cluster")


def _late_square(i: int) -> int:
    time.sleep(0.02 if i % 3 == 0 else 0)  # so that tasks end in another order
    return i * i


CALLS: list[int] = []  # what tasks did, in this process also where a local cluster computes them


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def _note(i: int) -> None:
    CALLS.append(i)


def _fail() -> None:
    raise StoreError("chunk 3 is lost")


def test_results_come_in_the_order_of_the_tasks(address):
    with scheduler(address) as executor:
        tasks = (partial(_late_square, i) for i in range(13))
        assert list(compute_blocks(tasks, executor, n_at_once=4)) == [i * i for i in range(13)]


def test_equal_tasks_are_each_computed(address):
    with scheduler(address) as executor:
        list(compute_blocks([partial(_note, 1)] * 5, executor, n_at_once=2))
    assert CALLS == [1] * 5


@pytest.mark.parametrize("n_at_once", [1, 3])
def test_no_more_tasks_are_taken_than_may_be_in_flight(address, n_at_once):
    taken = []

    def tasks() -> Iterator[partial]:
        for i in range(9):
            taken.append(i)
            yield partial(_late_square, i)

    with scheduler(address) as executor:
        results = compute_blocks(tasks(), executor, n_at_once=n_at_once)
        assert taken == []
        for i in range(9):
            next(results)
            assert len(taken) == min(i + n_at_once, 9)


def test_a_task_that_fails_raises_its_own_error_and_the_rest_are_dropped(address):
    tasks = [_fail, *(partial(_note, i) for i in range(50))]
    with scheduler(address) as executor, pytest.raises(StoreError, match="chunk 3 is lost"):
        list(compute_blocks(tasks, executor, n_at_once=2))
    assert len(CALLS) <= 1


def test_a_caller_that_stops_early_leaves_the_rest_undone():
    with scheduler(None, n_threads=1) as executor:
        results = compute_blocks([partial(_note, i) for i in range(50)], executor, n_at_once=2)
        next(results)
        results.close()
    assert len(CALLS) <= 3


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch):
    monkeypatch.setattr("slime.schedule.WAIT_S", 0.3)
    expected = pytest.raises(SlimeError, match=r"tcp://127.0.0.1:9: no dask scheduler answers")
    with expected, scheduler("tcp://127.0.0.1:9"):
        pass


def test_a_scheduler_without_workers_is_refused():
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty:
        expected = pytest.raises(SlimeError, match="has no worker")
        with expected, scheduler(empty.scheduler_address):
            pass


def test_without_dask_distributed_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    expected = pytest.raises(SlimeError, match=r"pip install 'slime\[distributed\]'")
    with expected, scheduler("tcp://host:8786"):
        pass


class KilledWorker(Exception):
    """Named as the error of dask.distributed for a task whose workers died."""


def test_workers_that_die_are_one_line():
    def die() -> None:
        raise KilledWorker("attempted to run on 4 workers")

    expected = pytest.raises(SlimeError, match="workers of the dask scheduler went away")
    with expected, scheduler(None) as executor:
        list(compute_blocks([die], executor, n_at_once=1))


def test_at_least_one_task_must_be_in_flight():
    with scheduler(None) as executor, pytest.raises(ValueError, match="n_at_once is 0"):
        list(compute_blocks([], executor, n_at_once=0))


def test_the_option_is_taken_out_of_the_words():
    assert pick_scheduler(["a", "b=c"]) == (None, ["a", "b=c"])
    assert pick_scheduler(["--scheduler=tcp://h:1", "a"]) == ("tcp://h:1", ["a"])
    for words in (["a", "--scheduler"], ["--scheduler", "out=b.zarr"]):
        with pytest.raises(SlimeError, match="give tcp://HOST:PORT"):
            pick_scheduler(words)
