"""A sweep from its file to its table: what is done is skipped, what was stopped goes on."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from slime.arguments import load_config
from slime.demo import with_demo_stores
from slime.errors import SlimeError
from slime.files import write_text
from slime.folders import make_folder
from slime.lock import HeldLock
from slime.progress import Progress
from slime.run.folder import SWEEP_FILE, check_folder
from slime.schedule import usable_cores
from slime.settings import names_and_settings, setting, spec_from_words
from slime.sweeps.file import Metric, SweepFile, read_sweep
from slime.sweeps.journal import Ended, State, read_journal, state_of, write_end
from slime.sweeps.plan import OURS, Planned, plan
from slime.sweeps.processes import log_path, run_all
from slime.sweeps.values import metric_of

TABLE = "sweep.csv"


@dataclass(frozen=True)
class SweepSpec:
    """How a sweep is run here; all other settings are handed to its runs."""

    out: str | None = setting(None, "the sweep's folder, gone on with; runs/<file> by default")
    jobs: int | None = setting(None, "runs at once; by default as many as the cores allow")
    threads: int = setting(1, "threads of each run")
    runs: int | None = setting(None, "runs at most; by default the file's run_cap")
    draw_seed: int = setting(0, "of random draws: the same seed draws the same settings")
    retry: bool = setting(False, "run again what failed")
    wandb: Literal["online", "offline", "disabled"] = setting("offline", "where runs are mirrored")

    def __post_init__(self) -> None:
        for name in ("jobs", "threads", "runs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SlimeError(f"{name}={value} must be at least 1")
        if self.draw_seed < 0:
            raise SlimeError(f"draw_seed={self.draw_seed} must be 0 or more")


@dataclass(frozen=True)
class Sweep:
    """A sweep as it is run here: its file, its folder, its runs, and what was left out."""

    file: SweepFile
    spec: SweepSpec
    folder: Path
    runs: Sequence[Planned]
    notes: Sequence[str]

    @property
    def states(self) -> dict[str, State]:
        """What is known of each run, by its name."""
        journal = read_journal(self.folder)
        return {run.name: state_of(self.folder, run, journal) for run in self.runs}

    def value(self, run: Planned) -> float | None:
        """The metric of a run; None where it has none."""
        return (
            metric_of(self.folder / run.name, self.file.metric.name) if self.file.metric else None
        )


def read_words(words: Sequence[str]) -> Sweep:
    """The sweep of a command line `SWEEP.yaml [STORE ...] [key=value ...]`; nothing is begun.

    Raises:
        SlimeError: no sweep file, one that cannot be run, or a setting that cannot be.
    """
    names, settings = names_and_settings(words)
    files = [name for name in names if name.endswith((".yaml", ".yml"))]
    if len(files) != 1:
        raise SlimeError(f"name one sweep file, not {len(files)}: configs/sweep_window.yaml")
    own = {item.name for item in fields(SweepSpec)}
    ours = [word for word in settings if word.partition("=")[0] in own]
    spec = spec_from_words(SweepSpec, ours)
    file = read_sweep(files[0])
    given = [word for word in words if word not in (files[0], *ours)]
    runs, notes = plan(file, given, n_runs=spec.runs, seed=spec.draw_seed)
    if not Path(file.program).is_file():
        raise SlimeError(f"{file.path}: program {file.program} is not there")
    folder = Path(spec.out) if spec.out else Path("runs") / file.path.stem
    if (folder / "config.yaml").exists():
        raise SlimeError(f"out={folder} already holds a run: name another out= for a sweep")
    check_folder(folder, own=SWEEP_FILE)
    return Sweep(file, spec, folder, runs, notes)


def run_sweep(sweep: Sweep, *, progress: Progress | None = None) -> Iterator[str]:
    """Run what is not done yet; tells each run as it ends, and in the end all, the best first.

    Raises:
        SlimeError: another sweep writes into the folder.
    """
    make_folder(sweep.folder)
    lock = HeldLock(sweep.folder / ".lock", f"out={sweep.folder}")
    try:
        write_text(sweep.folder / SWEEP_FILE, sweep.file.path.read_text(encoding="utf-8"))
        yield from (f"note: {note}" for note in sweep.notes)
        yield from _run(sweep, progress)
        yield from _told(sweep)
    finally:
        lock.release()


def _run(sweep: Sweep, progress: Progress | None) -> Iterator[str]:
    states, spec = sweep.states, sweep.spec
    again = ("unfinished", "failed") if spec.retry else ("unfinished",)
    waiting = [run for run in sweep.runs if states[run.name] in again]
    jobs = spec.jobs or max(1, usable_cores() // spec.threads)
    done = sum(state == "finished" for state in states.values())
    n_runs = f"{len(sweep.runs)} runs, {done} finished, {len(waiting)} to run"
    yield f"{sweep.folder}: {n_runs}, {jobs} at once"
    if any(_reached(sweep, run) for run in sweep.runs if states[run.name] == "finished"):
        yield _TARGET
        return
    words = _last_words(sweep, waiting)
    ends = run_all(waiting, sweep.folder, jobs=jobs, threads=spec.threads, words=words)
    try:
        for run, ended in progress(ends, len(waiting), "runs") if progress else ends:
            write_end(sweep.folder, run, ended)
            yield _line(sweep, run, ended)
            if ended.state == "finished" and _reached(sweep, run):
                yield _TARGET
                return
    finally:
        ends.close()


_TARGET = "metric.target is reached: no more runs are begun"


def _reached(sweep: Sweep, run: Planned) -> bool:
    metric = sweep.file.metric
    return metric is not None and metric.target is not None and metric.reached(sweep.value(run))


def _last_words(sweep: Sweep, waiting: Sequence[Planned]) -> list[str]:
    """What every training is told last: the test split stays closed."""
    if Path(sweep.file.program).name != OURS:
        return []
    words = ["test=false", f"tracking.wandb={sweep.spec.wandb}"]
    for run in waiting[:1]:  # the demo's movies, before several runs make them at once
        with_demo_stores(load_config([*run.words[1:], *words])[0])
    return words


def _line(sweep: Sweep, run: Planned, ended: Ended) -> str:
    """A run that has ended, in one line."""
    if ended.state == "failed":
        return f"failed      {run.name}: {ended.why} ({log_path(sweep.folder, run)})"
    value = sweep.value(run)
    told = f", {sweep.file.metric.name} {value:.4g}" if sweep.file.metric and value else ""
    said = f", {ended.why}" if ended.why and ended.state == "finished" else ""
    return f"{ended.state:<12}{run.name}{told}, {ended.seconds:.0f} s{said}"


def sweep_table(sweep: Sweep) -> pd.DataFrame:
    """A row a run, the best first, then those without a value: state, settings, metric, time."""
    journal = read_journal(sweep.folder)
    rows: list[dict[str, Any]] = []
    for run in sweep.runs:
        held = journal.get(run.name)
        row: dict[str, Any] = {"run": run.name, "state": state_of(sweep.folder, run, journal)}
        row |= {name: str(value) for name, value in run.settings.items()}
        if sweep.file.metric is not None:
            row[sweep.file.metric.name] = sweep.value(run)
        rows.append(row | {"seconds": held and held.seconds, "why": held.why if held else ""})
    return pd.DataFrame(sorted(rows, key=lambda row: _rank(sweep.file.metric, row)))


def _rank(metric: Metric | None, row: Mapping[str, Any]) -> float:
    value = None if metric is None else row[metric.name]
    if metric is None or value is None:
        return math.inf
    return -value if metric.goal == "maximize" else value


def _told(sweep: Sweep) -> Iterator[str]:
    """Counts, what failed, the best run, and how to compare them."""
    table, folder, metric = sweep_table(sweep), sweep.folder, sweep.file.metric
    write_text(folder / TABLE, table.to_csv(index=False))
    counts = table["state"].value_counts().to_dict()
    for run, why in table.loc[table["state"] == "failed", ["run", "why"]].itertuples(index=False):
        yield f"failed: {run}: {why}; retry=true runs it again"
    yield f"{', '.join(f'{n} {state}' for state, n in counts.items())}; {folder / TABLE}"
    if "finished" not in counts:
        return
    best = table.iloc[0]
    if metric is not None and best[metric.name] is not None and math.isfinite(best[metric.name]):
        yield f"best {metric.name}: {best[metric.name]:.4g}, {folder / best['run']}"
    yield f"python scripts/compare_runs.py {shlex.quote(str(folder))} common=true"
