"""The folder of a run: made once, held by one process, with all that is needed to repeat it."""

import hashlib
import importlib.metadata
import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from slime.errors import SlimeError
from slime.files import append_line, read_lines, write_json, write_text
from slime.folders import check_place
from slime.lock import HeldLock
from slime.zipped import ROOTS

SEEDS_FILE = "seeds.json"  # of a folder of runs that differ in their seed alone
SWEEP_FILE = "sweep.yaml"  # of a folder of runs that a sweep planned
HELD_ELSE = {  # what a folder holds besides a run, by a file in it
    SEEDS_FILE: "the runs of several seeds",
    SWEEP_FILE: "the runs of a sweep",
    **dict.fromkeys(ROOTS, "a zarr store"),
}
LIBRARIES = ("numpy", "zarr", "xarray", "dask", "scikit-learn", "matplotlib", "wandb")


class RunFolder:
    """A run's folder, locked while this process writes into it; use it as a context.

    Raises:
        SlimeError: the folder already holds a run and `resume` is false, holds none and `resume`
            is true, holds something else, cannot be made, or another process is writing into it.
    """

    def __init__(self, path: Path, *, resume: bool):
        self.path = path
        check_folder(path)
        held = (path / "config.yaml").exists()
        if held and not resume:
            raise SlimeError(
                f"out={path} already holds a run: resume=true goes on with it, another out= starts "
                "a new one"
            )
        if resume and not held:
            raise SlimeError(f"out={path} holds no run to resume: leave out resume=true")

    def __enter__(self) -> Path:
        try:
            (self.path / "figures").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SlimeError(f"out={self.path} cannot be made: {error.strerror}") from error
        self._lock = HeldLock(self.path / ".lock", f"out={self.path}")
        return self.path

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def check_folder(path: Path, *, own: str = "") -> None:
    """Refuse a folder for a run, or for several, before anything is computed for it.

    Args:
        own: the file by which it may be known to hold what is gone on with.

    Raises:
        SlimeError: it holds something else, or cannot be made.
    """
    for name, what in HELD_ELSE.items():
        if name != own and (path / name).exists():
            raise SlimeError(f"out={path} holds {what}: name a folder of its own, another out=")
    check_place(path)


def default_out(name: str) -> Path:
    """runs/<config>-<time>, with a number where that is taken."""
    stem = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, n = stem, 2
    while path.exists():
        path, n = stem.with_name(f"{stem.name}-{n}"), n + 1
    return path


def environment(device: torch.device) -> dict[str, Any]:
    """What a run ran on: versions, machine, git, command line."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "torch": torch.__version__,  # with its build, which the package's version leaves out
        **{name: _version(name) for name in LIBRARIES},
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        **git_state(),
        "command": command_line(),
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }
    return facts


def _version(name: str) -> str | None:
    """What is installed of a library; None where it is not."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def command_line() -> str:
    """The command that this process was started with, to be pasted into a shell."""
    return shlex.join(["python", *sys.argv])


def git_state() -> dict[str, Any]:
    """Commit and whether the work tree differs from it; None where there is no git."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(here), *words], capture_output=True, text=True, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    changed = git("status", "--porcelain")
    return {
        "git commit": git("rev-parse", "HEAD"),
        "git dirty": bool(changed) if changed is not None else None,
    }


def write_environment(run: Path, facts: Mapping[str, Any]) -> None:
    """environment.json; a resumed run keeps the first and adds the later ones under `resumed`."""
    path = run / "environment.json"
    if path.exists():
        first = json.loads(path.read_text(encoding="utf-8"))
        facts = {**first, "resumed": [*first.get("resumed", []), dict(facts)]}
    write_json(path, facts)


def hash_of(*parts: Any) -> str:
    """A short hash of plain values."""
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()[:16]


def names_apart(paths: Sequence[Path]) -> list[str]:
    """The folders' names; with as many folders above them as tell them apart.

    >>> names_apart([Path("/runs/cnn/seed0"), Path("/runs/unet/seed0")])
    ['cnn-seed0', 'unet-seed0']
    """
    parts = [path.resolve().parts for path in paths]
    n, names = 1, [path.resolve().name for path in paths]
    while len(set(names)) < len(names) and n < max(map(len, parts)):
        n += 1
        names = ["-".join(steps[-n:]) for steps in parts]
    return names


def open_test(run: Path, *, split_hash: str, config_yaml: str, weights_hash: str) -> int:
    """Enter into the ledger that the test split is opened; gives the how-manieth time it is.

    The ledger lies beside the runs, so that an opening by any of them counts; lines that are about
    the same split are copied into the run's folder. Seeds that one command trains open it once
    together: nothing can be chosen between them.
    """
    together = seeds_of(run)
    ledger = (run.parent if together is None else run.parent.parent) / "ledger.jsonl"
    before = [row for row in read_lines(ledger) if row.get("split_hash") == split_hash]
    row = {
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "run": run.name if together is None else f"{run.parent.name}/{run.name}",
        "split_hash": split_hash,
        "config_hash": hash_of(config_yaml),
        "weights_hash": weights_hash,
        **git_state(),
    }
    if together is not None:
        row["seeds"] = together["id"]
    row["opening"] = _opening(before, row)
    append_line(ledger, row)
    lines = [*before, row]
    write_text(run / "ledger.jsonl", "".join(json.dumps(r) + "\n" for r in lines))
    return row["opening"]


def seeds_of(run: Path) -> dict[str, Any] | None:
    """What the folder of several seeds that holds a run was begun with; None for a run alone."""
    file = run.resolve().parent / SEEDS_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _opening(before: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> int:
    """One more than there were, or that of the other seeds of the command, if this is its first."""
    others = [r for r in before if "seeds" in row and r.get("seeds") == row["seeds"]]
    if others and all(r["run"] != row["run"] for r in others):
        return others[0]["opening"]
    return max((int(r["opening"]) for r in before), default=0) + 1
