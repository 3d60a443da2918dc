"""Ensembles: one simulated movie for each combination of seeds and settings, several at once."""

import math
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import product
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import RLock, Thread
from typing import Any, NamedTuple

from tqdm import tqdm

from slime.errors import SlimeError
from slime.progress import Progress
from slime.schedule import compute_blocks, scheduler, usable_cores
from slime.simulate.command import parse_command
from slime.simulate.movies import is_made, make_movies

SEEDS = "seeds"
LARGEST = 100_000  # movies of one ensemble
HELP = (
    "an ensemble: seeds=0:8 and settings with several values (9,11 or 0:4) make a movie for each\n"
    "combination in the folder out=, as many at once as there are cores"
)
WHOLE = ("out", "device")  # keys whose value is never a list


class Member(NamedTuple):
    """One movie of an ensemble."""

    world: str
    path: Path
    seed: int
    device: str
    settings: dict[str, Any]


def is_ensemble(words: Sequence[str]) -> bool:
    """Whether a command line asks for several combinations.

    >>> is_ensemble(["sgro", "out=a", "noise=0.1,0.2"]), is_ensemble(["sgro", "device=cuda:0"])
    (True, False)
    """
    pairs = (word.partition("=") for word in words if "=" in word)
    return any(key == SEEDS or _is_list(key, text) for key, _, text in pairs)


def parse_ensemble(words: Sequence[str]) -> list[Member]:
    """Every combination that the words name, checked; the last key given varies fastest.

    Raises:
        SlimeError: a list that names nothing or a value twice, `seed` or `n_movies` beside lists,
            too many combinations, or one that its world refuses.
    """
    fixed, lists = [], {}
    for word in words:
        key, equals, text = word.partition("=")
        if key in ("seed", "n_movies") and equals:
            raise SlimeError(f"{word} cannot stand in an ensemble: write seeds=0:8")
        if equals and (key == SEEDS or _is_list(key, text)):
            lists[key] = values_of(key, text)
        else:
            fixed.append(word)
    n_movies = math.prod(len(values) for values in lists.values())
    if n_movies > LARGEST:
        raise SlimeError(f"that is {n_movies} movies; an ensemble has at most {LARGEST}")
    lists = {key: values for key, values in lists.items() if key != SEEDS} | {
        SEEDS: lists.get(SEEDS, [0])
    }
    return [_member(fixed, dict(zip(lists, one, strict=True))) for one in product(*lists.values())]


def make_ensemble(
    members: Sequence[Member], *, address: str | None = None, progress: Progress | None = None
) -> list[Path]:
    """Make every movie that is not there yet, several at once, and return the paths of all.

    Each is a store of its own: those that are complete are left as they are, those that were left
    unfinished go on. All are checked before the first begins.

    Args:
        address: a dask scheduler, whose workers must see the same paths; None for processes here,
            one a core.

    Raises:
        SlimeError: a store holds another movie, the scheduler does not answer, or a process died.
    """
    missing = [member for member in members if not is_made(*member[:4], **member.settings)]
    if missing:
        n_workers = min(len(missing), usable_cores())
        with scheduler(address) if address else _processes(n_workers) as executor:
            made = compute_blocks(_tasks(missing), executor, n_at_once=len(missing))
            for _ in progress(made, len(missing), "movies") if progress else made:
                pass
    return [member.path for member in members]


def values_of(key: str, text: str) -> Sequence[int | float]:
    """The values of a list, written 9,11 or 0:8 or 0:8:2; a range leaves its end out.

    >>> values_of("seeds", "0:8:3"), values_of("noise", "0.1,2,3.0")
    (range(0, 8, 3), [0.1, 2, 3])

    Raises:
        SlimeError: no numbers, none at all, or one twice.
    """
    try:
        if ":" in text:
            values: Sequence[int | float] = range(*(int(end) for end in text.split(":")))
        else:
            numbers = [float(number) for number in text.split(",")]
            values = [int(v) if int(v) == v else v for v in numbers]  # NaN and inf are refused
    except (ValueError, TypeError, OverflowError) as error:
        raise SlimeError(f"{key}={text} is no list: write 9,11 or 0:8") from error
    if not values:
        raise SlimeError(f"{key}={text} names nothing: a range leaves its end out")
    if not isinstance(values, range) and len(set(values)) < len(values):
        raise SlimeError(f"{key}={text} names a value twice")
    return values


def _is_list(key: str, text: str) -> bool:
    return key not in WHOLE and ("," in text or ":" in text)


def _member(fixed: Sequence[str], chosen: dict[str, int | float]) -> Member:
    """One combination; its path tells what was chosen for it."""
    seed = chosen.pop(SEEDS)
    given = [f"{key}={value}" for key, value in chosen.items()]
    command = parse_command([*fixed, *given, f"seed={seed}"])
    out = next(word.partition("=")[2] for word in reversed(fixed) if word.startswith("out="))
    if out.endswith(".zarr") or Path(out).expanduser().is_file():
        raise SlimeError(f"out={out}: an ensemble goes into a folder, a store for each movie")
    name = " ".join([command.world, *given, f"seed={seed}"])
    path = Path(out).expanduser().resolve() / f"{name}.zarr"
    member = Member(command.world, path, command.seeds[0], command.device, command.settings)
    try:
        is_made(*member[:4], **member.settings)
    except SlimeError as error:
        raise SlimeError(f"{name}: {error}") from error
    return member


def _tasks(members: Sequence[Member]) -> Iterator[Callable[[], None]]:
    return (partial(_make, *member) for member in members)


def _make(world: str, path: Path, seed: int, device: str, settings: dict[str, Any]) -> None:
    make_movies(world, [path], seeds=[seed], device=device, **settings)


@contextmanager
def _processes(n_workers: int) -> Iterator[Executor]:
    """Processes of their own, which end with this one however it ends; stores outlive a kill."""
    others = set(active_children())
    pool = ProcessPoolExecutor(
        n_workers, mp_context=get_context("spawn"), initializer=_begin_worker
    )
    try:
        yield pool
    except BrokenProcessPool as error:
        raise SlimeError(
            "a process that made a movie was killed (is memory short?): the same command goes on"
        ) from error
    except BaseException:
        for child in set(active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # else an interrupt would begin the next movie
    tqdm.set_lock(RLock())  # its own lock is shared by processes, and left behind by a kill
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
