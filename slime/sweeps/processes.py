"""The runs of a sweep as processes, several at once, each tied to the life of the sweep."""

import os
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from slime.leash import GRACE_S
from slime.sweeps.journal import Ended
from slime.sweeps.plan import Planned

POLL_S = 0.05
LOGS = "logs"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
INTERRUPTED = 130
NEW_GROUP = 0x200  # what Windows calls CREATE_NEW_PROCESS_GROUP


@dataclass
class _Begun:
    """A process, what it runs, and where it writes."""

    run: Planned
    process: subprocess.Popen[Any]
    log: BinaryIO
    at: float


def run_all(
    runs: Sequence[Planned], folder: Path, *, jobs: int, threads: int, words: Sequence[str] = ()
) -> Generator[tuple[Planned, Ended], None, None]:
    """Run `jobs` at once and give each as it ends; those that run are stopped with the generator.

    A run writes into `folder`/NAME, goes on with what is there, and says what it says into
    `folder`/logs/NAME.log.

    Args:
        threads: of each run's arithmetic.
        words: of every run, after its own.
    """
    waiting, begun = list(runs), list[_Begun]()
    try:
        while waiting or begun:
            while waiting and len(begun) < jobs:
                begun.append(_begin(waiting.pop(0), folder, threads, words))
            for one in [b for b in begun if b.process.poll() is not None]:
                begun.remove(one)
                yield one.run, _end(one, folder)
            time.sleep(POLL_S)
    finally:
        _stop(begun)


def _begin(run: Planned, folder: Path, threads: int, words: Sequence[str]) -> _Begun:
    place, log = folder / run.name, log_path(folder, run)
    log.parent.mkdir(parents=True, exist_ok=True)
    again = ["resume=true"] if (place / "config.yaml").is_file() else []
    command = [sys.executable, "-m", "slime.leash", *run.words, *words, f"out={place}", *again]
    written = log.open("ab")
    # a group of its own: Ctrl-C reaches the sweep alone, which lets go of all its runs
    apart: dict[str, Any] = (
        {"process_group": 0} if os.name == "posix" else {"creationflags": NEW_GROUP}
    )
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=written,
        stderr=subprocess.STDOUT,
        env={**os.environ, **dict.fromkeys(THREADS, str(threads))},
        **apart,
    )
    return _Begun(run, process, written, time.monotonic())


def _end(one: _Begun, folder: Path) -> Ended:
    """How a process ended: code 1 is a finished training of which a control failed."""
    code, seconds = one.process.returncode, round(time.monotonic() - one.at, 1)
    _close(one)
    if code in (0, 1) and (code == 0 or (folder / one.run.name / "report.html").is_file()):
        return Ended("finished", code, seconds, "a control failed" if code else "")
    if code == INTERRUPTED:
        return Ended("unfinished", code, seconds, "interrupted")
    why = f"killed by signal {-code}" if code < 0 else _last_line(log_path(folder, one.run))
    return Ended("failed", code, seconds, why)


def _stop(begun: Sequence[_Begun]) -> None:
    """Let go of processes, and wait until they have saved what they have."""
    for one in begun:
        if one.process.stdin is not None:
            one.process.stdin.close()
    for one in begun:
        try:
            one.process.wait(GRACE_S + 5)
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()
        _close(one)


def _close(one: _Begun) -> None:
    if one.process.stdin is not None:
        one.process.stdin.close()
    one.log.close()


def log_path(folder: Path, run: Planned) -> Path:
    """Where a run's output is kept."""
    return folder / LOGS / f"{run.name}.log"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "said nothing")
