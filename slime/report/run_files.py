"""A run's folder as read back: everything but its weights, and in words what it lacks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pandas as pd
from omegaconf import OmegaConf

from slime.errors import SlimeError
from slime.score_rows import COLUMNS, NUMBERS, rows_where


@dataclass(frozen=True)
class RunFiles:
    """What a run's folder holds; `missing` says in words what it does not."""

    path: Path
    about: Mapping[str, Any]
    environment: Mapping[str, Any]
    config_text: str
    config: Mapping[str, Any]
    epochs: Sequence[Mapping[str, Any]]
    scores: pd.DataFrame | None
    observables: pd.DataFrame | None
    ledger: Sequence[Mapping[str, Any]]
    controls: Sequence[Mapping[str, Any]]
    missing: Sequence[str]

    @property
    def name(self) -> str:
        """The run's own name, else its folder's."""
        return str(self.about.get("name") or self.path.name)

    @property
    def net(self) -> str | None:
        """The name of our net in the tables, where known."""
        return self.about.get("net", {}).get("kind") or self.config.get("net", {}).get("kind")

    @cached_property
    def pooled(self) -> pd.DataFrame | None:
        """Scores over all movies and channels in the page's split."""
        if self.scores is None or self.split is None:
            return None
        return rows_where(self.scores, split=self.split, movie="all", channel="all")

    @cached_property
    def split(self) -> str | None:
        """The split that the page is about: test where it was opened, else validation."""
        held = set() if self.scores is None else set(self.scores["split"])
        return next((s for s in ("test", "val", "train") if s in held), None)

    @property
    def lead_s(self) -> float | None:
        """Seconds a lead, where all movies have one and the same frame interval."""
        intervals = {m.get("frame_interval_s") for m in self.about.get("movies", [])}
        step = self.config.get("window", {}).get("step", 1)
        only = intervals.pop() if len(intervals) == 1 else None
        return float(only * step) if only else None

    @property
    def level(self) -> str:
        """'95 % ' of intervals, where the config says so."""
        level = self.config.get("score", {}).get("level")
        return f"{100 * level:g} % " if level else ""

    @property
    def unit(self) -> str:
        """What a pixel's value is, in words."""
        dtypes = sorted({str(m.get("dtype")) for m in self.about.get("movies", [])})
        return f"stored {' and '.join(dtypes)} values" if dtypes else "stored values"


def read_run(run: Path) -> RunFiles:
    """All of a run's folder but its weights.

    Raises:
        SlimeError: there is no such folder.
    """
    path = Path(run)
    if not path.is_dir():
        raise SlimeError(f"{path} is no run's folder")
    found = _Reading(path)
    config_text = found.text("config.yaml") or ""
    return RunFiles(
        path=path,
        about=found.mapping("run.json"),
        environment=found.mapping("environment.json"),
        config_text=config_text,
        config=found.config(config_text),
        epochs=found.lines("metrics.jsonl"),
        scores=found.scores("scores.csv", "the run was not scored"),
        observables=found.scores("observables.csv", None, ("unit", "note")),
        ledger=found.lines("ledger.jsonl", needed=False),
        controls=found.mapping("sanity.json", needed=False).get("verdicts", []),
        missing=found.missing,
    )


def read_controls(run: Path) -> Sequence[Mapping[str, Any]]:
    """What the run's controls came to, a row each; none where none was asked for."""
    return _Reading(Path(run)).mapping("sanity.json", needed=False).get("verdicts", [])


@dataclass
class _Reading:
    """Reads a folder's files, and collects what was missing or broken."""

    path: Path
    missing: list[str] = field(default_factory=list)

    def text(self, name: str, *, needed: bool = True) -> str | None:
        if not (self.path / name).is_file():
            if needed:
                self.missing.append(f"{name} is missing")
            return None
        return (self.path / name).read_text(encoding="utf-8", errors="replace")

    def mapping(self, name: str, *, needed: bool = True) -> Mapping[str, Any]:
        text = self.text(name, needed=needed)
        held = self._json(text, name) if text is not None else {}
        return held if isinstance(held, dict) else {}

    def lines(self, name: str, *, needed: bool = True) -> list[Mapping[str, Any]]:
        text = self.text(name, needed=needed) or ""
        held = [
            self._json(line, f"{name}, line {i}")
            for i, line in enumerate(text.splitlines(), 1)
            if line.strip()
        ]
        return [line for line in held if isinstance(line, dict)]

    def config(self, text: str) -> Mapping[str, Any]:
        try:
            held = OmegaConf.to_container(OmegaConf.create(text))
        except Exception as error:  # OmegaConf and its YAML reader raise many kinds
            self.missing.append(f"config.yaml cannot be read ({type(error).__name__})")
            return {}
        return {str(k): v for k, v in held.items()} if isinstance(held, dict) else {}

    def scores(
        self, name: str, without: str | None, more: Sequence[str] = ()
    ) -> pd.DataFrame | None:
        """A table of scores with `more` columns of words; `without` is what its lack means."""
        if not (self.path / name).is_file():
            self.missing += [f"{name} is missing: {without}"] if without else []
            return None
        words: Any = {c: str for c in (*COLUMNS, *more) if c not in NUMBERS}
        blank: Any = {c: ["", "nan", "NaN", "None"] for c in NUMBERS}
        try:  # a movie may be called "001" or "NA": words stay words
            table = pd.read_csv(
                self.path / name, dtype=words, na_values=blank, keep_default_na=False
            )
            kinds: Any = dict.fromkeys(NUMBERS, float) | {"seed": "Int64", "lead": "Int64"}
            return cast(pd.DataFrame, table[[*COLUMNS, *more]]).astype(kinds)
        except (ValueError, KeyError, TypeError, pd.errors.ParserError) as error:
            self.missing.append(f"{name} cannot be read ({error})")
            return None

    def _json(self, text: str, name: str) -> Any:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            self.missing.append(f"{name} cannot be read (cut off?)")
            return None
