"""Which runs are compared, under which names, and which are left out and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from slime.errors import SlimeError
from slime.files import read_lines
from slime.report.run_files import RunFiles, read_run
from slime.run.compared import FREE, named_apart, same_but_seed
from slime.run.folder import SEEDS_FILE, SWEEP_FILE
from slime.tallies import tallies_path

COMPARISON = "comparison.json"  # what tells a comparison's own folder
JOURNAL = "runs.jsonl"  # of a sweep
LONGEST = 48  # letters of a model's name


class LeftOut(NamedTuple):
    """A run that is not compared."""

    run: str
    why: str


@dataclass(frozen=True)
class Gathered:
    """Groups of finished runs that differ in their seed alone, by name, and what is left out.

    Attributes:
        split: the one they are compared on.
    """

    groups: Mapping[str, Sequence[RunFiles]]
    left_out: Sequence[LeftOut]
    split: str

    @property
    def paths(self) -> dict[str, list[Path]]:
        """The runs' folders by group."""
        return {name: [one.path for one in runs] for name, runs in self.groups.items()}

    @property
    def runs(self) -> list[RunFiles]:
        """All runs, group by group."""
        return [run for runs in self.groups.values() for run in runs]


def gather(words: Sequence[str], split: str | None) -> Gathered:
    """The finished runs among folders of runs, of several seeds and of sweeps.

    Args:
        split: by default test where a run has opened it, else val.

    Raises:
        SlimeError: no such folder, or no finished run.
    """
    if not words:
        raise SlimeError("name the runs to compare")
    found, left_out = _found(words)
    if split is None:
        split = "test" if any(tallies_path(run, "test").exists() for run in found) else "val"
    finished = []
    for run in found:
        if tallies_path(run, split).exists() and (run / "scores.csv").exists():
            finished.append(run)
        else:
            left_out.append(LeftOut(str(run), _why(run, split)))
    if not finished:
        told = "; ".join(f"{one.run}: {one.why}" for one in left_out[:3])
        raise SlimeError(f"no finished run with scores of its {split} split ({told})")
    groups = [[read_run(run) for run in runs] for runs in same_but_seed(finished).values()]
    names = names_of([runs[0] for runs in groups])
    return Gathered(dict(zip(names, groups, strict=True)), left_out, split)


def _found(words: Sequence[str]) -> tuple[list[Path], list[LeftOut]]:
    """The folders of runs, each once, and what failed before it had one."""
    runs: dict[Path, None] = {}
    left_out: dict[str, LeftOut] = {}
    for word in words:
        path = Path(word)
        if path.name == "ledger.jsonl" or (path / COMPARISON).is_file():
            continue  # lie beside runs, where runs/* finds them
        if not path.is_dir():
            raise SlimeError(f"there is no run in {path}")
        failed = {one.run: one for one in _failed(path)}
        for run in _inside(path):
            if (run / "config.yaml").is_file() and str(run) not in failed:
                runs[run] = None
            else:
                failed.setdefault(str(run), LeftOut(str(run), "not begun: it holds no config.yaml"))
        left_out |= failed
    return list(runs), list(left_out.values())


def _inside(path: Path) -> list[Path]:
    """The runs in a folder of several seeds or of a sweep, else the folder itself."""
    if not any((path / name).is_file() for name in (SEEDS_FILE, SWEEP_FILE)):
        return [path]
    inside = (one for one in sorted(path.iterdir()) if one.is_dir() and one.name != "logs")
    return [one for one in inside if not (one / COMPARISON).is_file()]


def _failed(path: Path) -> Iterator[LeftOut]:
    """The runs of a sweep that failed when they were last run."""
    last = {row["run"]: row for row in read_lines(path / JOURNAL) if "run" in row}
    for name, row in last.items():
        if row.get("state") == "failed":
            yield LeftOut(str(path / name), f"failed: {row.get('why')}")


def _why(run: Path, split: str) -> str:
    """Why a run has no scores of a split, in words."""
    if (run / "scores.csv").exists():
        return f"its {split} split was not scored"
    epochs, folder = read_lines(run / "metrics.jsonl"), read_run(run)
    planned = folder.config.get("optim", {}).get("epochs", "?")
    return f"unfinished: {len(epochs)} of at most {planned} epochs, not scored"


def names_of(firsts: Sequence[RunFiles]) -> list[str]:
    """A name for each group: its net, and what its settings have of their own where nets recur."""
    kinds = [str(run.net) for run in firsts]
    differing = differences(firsts)
    names = []
    for i, kind in enumerate(kinds):
        own = [
            f"{key.rpartition('.')[2]}={values[i]}"
            for key, values in differing.items()
            if key != "net.kind" and kinds.count(kind) > 1
        ]
        names.append(" ".join([kind, *own]))
    if len(set(names)) < len(names) or max(map(len, names)) > LONGEST:
        return named_apart(kinds, [run.path for run in firsts])
    return names


def differences(runs: Sequence[RunFiles]) -> dict[str, list[Any]]:
    """The settings of training in which runs differ, with every run's value."""
    flat = [dict(_flat(run.config)) for run in runs]
    keys = dict.fromkeys(key for one in flat for key in one)
    values = {key: [one.get(key) for one in flat] for key in keys}
    return {
        key: found
        for key, found in values.items()
        if key.split(".")[0] not in FREE
        and key != "data.memory_gib"
        and any(value != found[0] for value in found)
    }


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
