"""A sweep file in wandb's format, read as wandb reads it, and refused where it needs a server."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from slime.errors import SlimeError, nearest
from slime.sweeps.parameters import Parameter, read_parameters

TOLD = ("name", "description", "project", "entity", "apiVersion", "kind")  # for the server alone
KEYS = ("program", "command", "method", "parameters", "metric", "run_cap", *TOLD)
SERVER = ("early_terminate", "scheduler", "metrics", "controller", "job", "image_uri")
METRIC = ("name", "goal", "target", "impute", "impute_while_running")
METHODS = ("grid", "random")


@dataclass(frozen=True)
class Metric:
    """What runs are ranked by, as wandb names it; `target` ends the sweep where it is reached."""

    name: str
    goal: str = "minimize"
    target: float | None = None

    def better(self, one: float, other: float) -> bool:
        """Whether one value is better than another."""
        return one > other if self.goal == "maximize" else one < other

    def reached(self, value: float | None) -> bool:
        """Whether a value is as good as the target."""
        if value is None or self.target is None:
            return False
        return value == self.target or self.better(value, self.target)


@dataclass(frozen=True)
class SweepFile:
    """What a sweep file says that can be run here.

    Attributes:
        command: the words of a run's command, with wandb's macros.
        run_cap: runs at most.
    """

    path: Path
    program: str
    command: tuple[str, ...]
    method: str
    parameters: tuple[Parameter, ...]
    metric: Metric | None
    run_cap: int | None


def read_sweep(path: str | Path) -> SweepFile:
    """A sweep file, checked.

    Raises:
        SlimeError: no such file, no YAML, an unknown key or method, one that needs wandb's server,
            or a value that cannot be.
    """
    tree = _read_tree(Path(path))
    for key in tree:
        if key in SERVER:
            raise SlimeError(f"{path}: {key} needs wandb's server: wandb sweep {path}")
        if key not in KEYS:
            raise SlimeError(f"{path}: there is no key {key}{nearest(str(key), KEYS)}")
    try:
        return SweepFile(
            Path(path),
            _program(tree),
            _command(tree),
            _method(tree),
            tuple(read_parameters(tree.get("parameters"))),
            _metric(tree),
            _run_cap(tree),
        )
    except SlimeError as error:
        raise SlimeError(f"{path}: {error}") from error


def _read_tree(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        beside = path.parent.glob("sweep*.yaml") if path.parent.is_dir() else ()
        raise SlimeError(f"there is no sweep {path}{nearest(path.name, [p.name for p in beside])}")
    try:
        # as wandb does, for whom 1e-3 is a word
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SlimeError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(tree, Mapping) or not tree:
        raise SlimeError(f"{path} holds no sweep: it needs program, command, method, parameters")
    return tree


def _program(tree: Mapping[str, Any]) -> str:
    program = tree.get("program")
    if not isinstance(program, str) or not program:
        raise SlimeError("program is missing: scripts/train_slime.py, for instance")
    return program


def _command(tree: Mapping[str, Any]) -> tuple[str, ...]:
    words = tree.get("command")
    if not isinstance(words, list) or "${args_no_hyphens}" not in words:
        raise SlimeError(
            "command must hold ${args_no_hyphens}: settings are written key=value, as in "
            "[${env}, ${interpreter}, ${program}, ${args_no_hyphens}]"
        )
    if "${program}" not in words:
        raise SlimeError("command must hold ${program}")
    return tuple(map(str, words))


def _method(tree: Mapping[str, Any]) -> str:
    method = tree.get("method")
    if method == "bayes":
        raise SlimeError("method bayes needs wandb's server; grid and random run here")
    if method not in METHODS:
        raise SlimeError(f"method {method} is none of grid, random{nearest(str(method), METHODS)}")
    return str(method)


def _metric(tree: Mapping[str, Any]) -> Metric | None:
    given = tree.get("metric")
    if given is None:
        return None
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise SlimeError(f"metric {given} must have a name")
    for key in given:
        if key not in METRIC:
            raise SlimeError(f"metric has no {key}{nearest(str(key), METRIC)}")
    goal, target = given.get("goal", "minimize"), given.get("target")
    if goal not in ("minimize", "maximize"):
        raise SlimeError(f"metric: goal {goal} must be minimize or maximize")
    if target is not None and not isinstance(target, (int, float)):
        raise SlimeError(f"metric: target {target} is no number")
    return Metric(given["name"], goal, target)


def _run_cap(tree: Mapping[str, Any]) -> int | None:
    cap = tree.get("run_cap")
    if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
        raise SlimeError(f"run_cap {cap} must be a whole number above 0")
    return cap
