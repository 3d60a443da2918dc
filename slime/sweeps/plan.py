"""Which runs a sweep consists of: their settings, commands and folders, before any is begun."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from slime.config import RunConfig
from slime.errors import SlimeError, nearest
from slime.run.folder import hash_of
from slime.settings import is_setting, settings_of
from slime.sweeps.file import SweepFile
from slime.sweeps.parameters import grid_values, quantile

OURS = "train_slime.py"
LONGEST = 60  # letters of a folder's name before its hash
ENVIRONMENT = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
SWEEPS_OWN = {
    "out": "each run of a sweep has a folder of its own",
    "resume": "a sweep goes on by itself",
    "test": "a sweep never opens the test split",
    "seeds": "sweep over seed: {values: [0, 1, 2]}",
}


@dataclass(frozen=True)
class Planned:
    """One run of a sweep.

    Attributes:
        name: its folder's, the same whenever the same settings are planned.
        settings: what the sweep chose, by the setting's name.
        words: the command after the interpreter: program and arguments.
    """

    name: str
    settings: Mapping[str, Any]
    words: tuple[str, ...]


def plan(
    sweep: SweepFile, given: Sequence[str] = (), *, n_runs: int | None = None, seed: int = 0
) -> tuple[list[Planned], list[str]]:
    """The runs of a sweep in order, none twice, and notes on what was left out.

    Args:
        given: words for every run, stores and settings.
        n_runs: runs at most; by default `run_cap`, and all of a grid.
        seed: of random draws; draw i depends on seed and i alone.

    Raises:
        SlimeError: a setting that there is not, one that is the sweep's own, or no end of runs.
    """
    _check_settings(sweep, given)
    most = min((n for n in (n_runs, sweep.run_cap) if n is not None), default=None)
    notes: list[str] = []
    if sweep.method == "grid":
        values = [grid_values(parameter) for parameter in sweep.parameters]
        chosen = [list(combination) for combination in product(*values)]
        if most is not None and most < len(chosen):
            notes.append(f"{most} of the grid's {len(chosen)} runs, the first")
    else:
        if most is None:
            raise SlimeError(f"{sweep.path}: random draws have no end; give run_cap, or runs=12")
        chosen = [_draw(sweep, seed, i) for i in range(most)]
    runs = [_planned(sweep, given, values) for values in chosen[:most]]
    once = {run.name: run for run in runs}
    if len(once) < len(runs):
        notes.append(f"{len(runs) - len(once)} draws are equal to others and are run once")
    return list(once.values()), notes


def _draw(sweep: SweepFile, seed: int, index: int) -> list[Any]:
    shares = np.random.default_rng((seed, index)).random(len(sweep.parameters))
    return [quantile(p, float(u)) for p, u in zip(sweep.parameters, shares, strict=True)]


def _planned(sweep: SweepFile, given: Sequence[str], values: Sequence[Any]) -> Planned:
    pairs = list(zip(sweep.parameters, values, strict=True))
    words = (*expanded(sweep, nested(pairs)), *given)
    short = "-".join(_short(p.name, v) for p, v in pairs if p.kind != "constant") or "run"
    short = re.sub(r"[^A-Za-z0-9._+-]+", "_", short)[:LONGEST].strip("._-")
    return Planned(
        f"{short}-{hash_of(words)[:8]}", {p.name: value for p, value in pairs}, tuple(words)
    )


def _short(name: str, value: Any) -> str:
    """A setting as part of a folder's name: cnn, n_in4, lr0.00213."""
    key = name.rpartition(".")[2]
    if isinstance(value, float):
        return f"{key}{value:.3g}"
    return value if isinstance(value, str) else f"{key}{value}"


def nested(pairs: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    """The values by name as wandb hands them on: those of nested parameters as a mapping."""
    tree: dict[str, Any] = {}
    for parameter, value in pairs:
        place = tree
        for key in parameter.path[:-1]:
            place = place.setdefault(key, {})
        place[parameter.path[-1]] = value
    return tree


def expanded(sweep: SweepFile, tree: Mapping[str, Any]) -> list[str]:
    """The words of a command from the program on, wandb's macros filled in.

    Raises:
        SlimeError: a macro that there is not, or one that does not write key=value.
    """
    said = {
        "${env}": [],
        "${interpreter}": [],
        "${program}": [sweep.program],
        "${args_no_hyphens}": [f"{key}={value}" for key, value in tree.items()],
    }
    words: list[str] = []
    for word in sweep.command:
        full = ENVIRONMENT.sub(lambda found: os.environ.get(found[1], found[1]), word)
        if full.startswith("${") and full not in said:
            raise SlimeError(
                f"{sweep.path}: command: {full} cannot be used, as settings are written key=value"
                f"{nearest(full, said)}"
            )
        words += said.get(full, [full])
    at = words.index(sweep.program)
    if any("python" not in Path(word).name for word in words[:at]):
        raise SlimeError(f"{sweep.path}: command: {words[0]} before ${{program}} is no python")
    return words[at:]


def _check_settings(sweep: SweepFile, given: Sequence[str]) -> None:
    """Refuse settings that training does not have, or that a sweep decides."""
    literal = [word for word in (*sweep.command, *given) if is_setting(word)]
    pairs = [tuple(word.split("=", 1)) for word in literal]
    chosen = [name for p in sweep.parameters for name in _names(p.name, p.given.get("value"))]
    for name in (*chosen, *(key for key, value in pairs if (key, value) != ("test", "false"))):
        if name in SWEEPS_OWN:
            raise SlimeError(f"{sweep.path}: {name} cannot be swept: {SWEEPS_OWN[name]}")
    if Path(sweep.program).name != OURS:
        return
    known = [name for name, *_ in settings_of(RunConfig)]
    for name in (*chosen, *(key for key, _ in pairs)):
        if not any(f"{name}.".startswith(f"{one}.") for one in known):
            hint = nearest(name, known)
            raise SlimeError(f"{sweep.path}: there is no setting {name}{hint} (--help lists all)")


def _names(name: str, value: Any) -> list[str]:
    """The settings that a parameter sets: more than one where its value is a mapping."""
    if isinstance(value, Mapping):
        return [full for key, part in value.items() for full in _names(f"{name}.{key}", part)]
    return [name]
