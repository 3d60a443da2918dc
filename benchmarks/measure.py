"""One contestant in a process of its own: opened once, then an epoch at each word from outside.

The parent keeps the contestants of a layout open and lets them run in turn, so that a change of
the machine's pace falls on all of them.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.feed import SPAN, Feed, Parts
from benchmarks.feeds import CONTESTANTS, Contestant
from benchmarks.movies import Layout
from slime.errors import SlimeError

DONE = "\x1edone "  # opens a line that carries a reply; anything else is a library's talk


class Worker:
    """The process of one contestant: it imports at once and opens the store when it is told."""

    def __init__(self, contestant: Contestant, feed: Feed):
        order = {
            **feed._asdict(),
            "store": str(feed.store),
            "well": str(feed.well),
            "layout": vars(feed.layout),
            "contestant": contestant.key,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.measure", json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **contestant.environment},
        )

    def open(self) -> dict[str, Any]:
        """Open the store; gives `load_s`, or `refused` with the reason."""
        return self._told("open")

    def epoch(self) -> dict[str, Any]:
        """One epoch, checked: wall and CPU seconds, bytes read, peak memory, windows."""
        return self._told("epoch")

    def _told(self, word: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self._reply()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)

    def _reply(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(DONE):
                return json.loads(line.removeprefix(DONE))
        raise RuntimeError(f"{self.process.args} ended with exit code {self.process.wait()}")


def missing(contestant: Contestant) -> str:
    """Modules that a contestant needs and that are not installed."""
    return ", ".join(name for name in contestant.needs if find_spec(name) is None)


def check_delivery(contestant: Contestant, feed: Feed, seen: Sequence[np.ndarray]) -> int:
    """The number of windows, once each (or each frame) is seen to be there once and right.

    A plain decode counts as all the windows of its frames.

    Raises:
        RuntimeError: one is missing, repeated, or holds other frames.
    """
    n_all = feed.n_frames - SPAN + 1
    first, last = np.concatenate(seen, axis=1)
    if contestant.gives == "frames":
        right, n = np.arange(feed.n_frames), n_all
    else:
        right, n = np.sort(first[:, 0])[:, None] + np.arange(SPAN), feed.n_windows
        order = np.argsort(first[:, 0], kind="stable")
        first, last = first[order], last[order]
        if len(first) != n or len(np.unique(first[:, 0])) != n:
            raise RuntimeError(f"{contestant.key}: a window is missing or comes twice")
    if not (np.array_equal(first, right) and np.array_equal(last, right + 0.5)):
        raise RuntimeError(f"{contestant.key}: frames are missing or wrong")
    return n


def corners(parts: Parts, gives: str) -> np.ndarray:
    """First and last pixel of each frame delivered, `corner (b) t`: they hold its number."""
    if gives == "frames":
        (block,) = parts
        return np.stack([block[:, 0, 0], block[:, -1, -1]])
    ends = [
        np.stack([np.asarray(part[..., i, i]).reshape(len(part), -1) for i in (0, -1)])
        for part in parts
    ]
    return np.concatenate(ends, axis=2)


def run_epoch(contestant: Contestant, feed: Feed, epochs: Any) -> dict[str, Any]:
    """An epoch with what it took; the check comes after the clock has stopped."""
    seen = []
    read, cpu, began = _bytes_read(), _cpu_s(), time.perf_counter()
    for parts in epochs():
        seen.append(corners(parts, contestant.gives))
        del parts
    wall_s = time.perf_counter() - began
    cpu, read = _cpu_s() - cpu, _bytes_read() - read
    n = check_delivery(contestant, feed, seen)
    return {"wall_s": wall_s, "cpu_s": cpu, "read_bytes": read, "windows": n}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _bytes_read() -> int:
    return _proc("io", "rchar")


def memory_bytes(name: str) -> int:
    """A line of /proc/self/status in bytes: VmRSS now, VmHWM at most."""
    return _proc("status", name) * 1024


def _proc(file: str, name: str) -> int:
    for line in Path(f"/proc/self/{file}").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise SlimeError(f"/proc/self/{file} has no {name}: memory and reads are measured on Linux")


def forget_peak() -> int:
    """Count the peak of memory from here on; gives what is in use now."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory_bytes("VmRSS")


def _reply(answer: dict[str, Any]) -> None:
    sys.stdout.write(f"{DONE}{json.dumps(answer)}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve epochs of one contestant until stdin is closed."""
    order = json.loads(sys.argv[1])
    key = order.pop("contestant")
    contestant = next(c for c in CONTESTANTS if c.key == key)
    order |= {"store": Path(order["store"]), "well": Path(order["well"])}
    feed = Feed(**(order | {"layout": Layout(**order["layout"])}))
    torch.set_num_threads(1)
    for name in contestant.needs:
        __import__(name)
    sys.stdin.readline()
    bare, began = forget_peak(), time.perf_counter()
    try:
        epochs = contestant.open(feed)
    except SlimeError as error:
        return _reply({"refused": str(error)})
    _reply({"load_s": time.perf_counter() - began})
    for _ in sys.stdin:
        answer = run_epoch(contestant, feed, epochs)
        _reply(answer | {"peak_bytes": memory_bytes("VmHWM") - bare})


if __name__ == "__main__":
    main()
