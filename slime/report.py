"""One self-contained page of a run, rebuilt from its folder alone; and the runs side by side."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined
from omegaconf import OmegaConf

from slime.errors import SlimeError
from slime.files import write_text
from slime.plots import (
    duration_text,
    lead_text,
    number_text,
    numbers_of,
    rows_where,
    skill_text,
)

SCORE_COLUMNS = (
    *("model", "seed", "movie", "split", "channel"),
    *("lead", "score", "value", "low", "high"),
)
NUMBERS = ("seed", "lead", "value", "low", "high")
FIGURES = {
    "skill_by_lead.png": "Skill against persistence by lead, for every model.",
    "strip.png": "Truth, forecast and errors at several leads, beside the error of persistence.",
    "rollout.gif": "A rollout: truth, forecast and error, frame by frame.",
    "learning_curves.png": "Train loss, validation skill and learning rate by epoch.",
    "landscape.png": "The loss on a plane of weights through the trained net.",
    "movie.png": "Frames of the movie as stored, evenly spaced.",
    "splits.png": "Which frames were trained on, validated on and tested on.",
}
OTHER_SCORES = ("mae", "rmse", "r2", "vrmse", "pearson", "skill_ridge")
MIME = {".png": "image/png", ".gif": "image/gif"}


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
    ledger: Sequence[Mapping[str, Any]]
    missing: Sequence[str]

    @property
    def name(self) -> str:
        """The run's own name, else its folder's."""
        return str(self.about.get("name") or self.path.name)

    @property
    def net(self) -> str | None:
        """The name of our net in the tables, where known."""
        return self.about.get("net", {}).get("kind") or self.config.get("net", {}).get("kind")

    @property
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


class Cell(NamedTuple):
    """A model's skill and MSE at one lead: text, and whether it is the best of its column."""

    skill: str
    interval: str
    mse: str
    is_best: bool


def write_page(run: Path) -> Path:
    """Write `report.html` into a run's folder from what lies there, aside first, then renamed.

    Whatever is missing (an unfinished run) is said on the page.

    Raises:
        SlimeError: there is no such folder.
    """
    folder = read_run(run)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = files("slime").joinpath("report.html.j2").read_text(encoding="utf-8")
    text = environment.from_string(template).render(_page(folder))
    page = folder.path / "report.html"
    write_text(page, text)
    return page


def compare(runs: Sequence[Path]) -> pd.DataFrame:
    """Scores of several runs as one tidy table: a row per run, seed, movie, lead, channel, score.

    Runs without scores (unfinished, failed) have no rows and stand in `.attrs["unfinished"]`,
    each with the reason. Runs are named by their folder; by their path where two names are equal.

    Raises:
        SlimeError: a folder that does not exist.
    """
    paths = [Path(run) for run in runs]
    names = [p.resolve().name for p in paths]
    labels = [str(p) if names.count(n) > 1 else n for p, n in zip(paths, names, strict=True)]
    tables, unfinished = [], []
    for path, label in zip(paths, labels, strict=True):
        folder = read_run(path)
        if folder.scores is None or folder.scores.empty:
            why = [m for m in folder.missing if m.startswith("scores.csv")]
            unfinished.append(f"{label}: {why[0] if why else 'scores.csv is empty'}")
        else:
            tables.append(folder.scores.assign(run=label))
    columns = ["run", *SCORE_COLUMNS]
    nothing = pd.DataFrame({column: [] for column in columns})
    stacked = pd.concat(tables, ignore_index=True) if tables else nothing
    table = cast(pd.DataFrame, stacked[columns])
    table.attrs["unfinished"] = unfinished
    return table


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
        scores=found.scores("scores.csv"),
        ledger=found.lines("ledger.jsonl", needed=False),
        missing=found.missing,
    )


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

    def mapping(self, name: str) -> Mapping[str, Any]:
        text = self.text(name)
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

    def scores(self, name: str) -> pd.DataFrame | None:
        if not (self.path / name).is_file():
            self.missing.append(f"{name} is missing: the run was not scored")
            return None
        words: Any = {c: str for c in SCORE_COLUMNS if c not in NUMBERS}
        blank: Any = {c: ["", "nan", "NaN", "None"] for c in NUMBERS}
        try:  # a movie may be called "001" or "NA": words stay words
            table = pd.read_csv(
                self.path / name, dtype=words, na_values=blank, keep_default_na=False
            )
            kinds: Any = dict.fromkeys(NUMBERS, float) | {"seed": "Int64", "lead": "Int64"}
            return cast(pd.DataFrame, table[[*SCORE_COLUMNS]]).astype(kinds)
        except (ValueError, KeyError, TypeError, pd.errors.ParserError) as error:
            self.missing.append(f"{name} cannot be read ({error})")
            return None

    def _json(self, text: str, name: str) -> Any:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            self.missing.append(f"{name} cannot be read (cut off?)")
            return None


def _page(folder: RunFiles) -> dict[str, Any]:
    """All that the template shows, as text."""
    leads = _table_leads(folder)
    return {
        "run": folder,
        "about": {"net": {}, "windows": {}, "splits": [], **folder.about},
        "headline": folder.about.get("headline") or headline(folder),
        "sentences": _sentences(folder),
        "openings": openings(folder),
        "leads": [lead_text(lead, folder.lead_s) for lead in leads],
        "table": _table(folder, leads),
        "parts": _parts(folder),
        "others": _others(folder),
        "figures": _figures(folder.path),
        "best": _best_epoch(folder),
        "movies": _movie_facts(folder.about.get("movies", [])),
        "again": folder.about.get("commands", {}),
        "git": _git(folder.environment),
        "phases": _phases(folder.about.get("seconds", {})),
        "notes": _notes(folder),
    }


def headline(folder: RunFiles) -> str:
    """How much better than persistence at lead 1, with interval, unit, split and seeds."""
    rows = _pooled(folder, "skill", model=folder.net, lead=1)
    skill = _mean_of(rows)
    if skill is None:
        return "No forecast has been scored yet."
    side = "lower" if skill >= 0 else "higher"
    where = f"on the {_split_words(folder.split)}"
    spread = _interval(rows)
    sure = f"{folder.level}interval {spread}, 1 seed" if spread else "no interval, 1 seed"
    if len(rows) > 1:
        sure = f"{spread} over {len(rows)} seeds"
    verdict = "" if skill > 0 else " Repeating the last frame is at least as good."
    return (
        f"At {lead_text(1, folder.lead_s)} the {folder.net}'s squared error is "
        f"{abs(skill) * 100:.0f} % {side} than that of persistence {where} "
        f"(skill {skill_text(skill)}, {sure}).{verdict}"
    )


def openings(folder: RunFiles) -> Mapping[str, Any]:
    """Whether and how often the test split was opened: text, its openings, and if it is loud."""
    mine = {line.get("split_hash") for line in folder.ledger if _is_of(line, folder)}
    lines = [line for line in folder.ledger if not mine or line.get("split_hash") in mine]
    n_times = max([len(lines), *(int(line.get("opening") or 0) for line in lines)])
    scored = folder.scores is not None and "test" in set(folder.scores["split"])
    if n_times == 0 and scored:
        text, loud = "Test was scored, but the ledger is missing: openings unknown", True
    elif n_times == 0:
        text, loud = "Test not opened", False
    elif n_times == 1:
        text, loud = f"Test opened once ({lines[0].get('time', 'time unknown')})", False
    else:
        text = f"Test opened {n_times} times: its scores may be fitted to it"
        loud = True
    if n_times and not scored:
        by_us = any(_is_of(line, folder) for line in lines)
        text += "; its scores are missing here" if by_us else "; test not opened by this run"
    columns = list(dict.fromkeys(key for line in lines for key in line))
    return {"text": text, "loud": loud, "lines": lines, "columns": columns}


def _is_of(line: Mapping[str, Any], folder: RunFiles) -> bool:
    return Path(str(line.get("run", ""))).name in (folder.path.resolve().name, folder.name)


def _sentences(folder: RunFiles) -> list[str]:
    """The numbers behind the headline, each with unit, lead, split, baseline and seed count."""
    said = []
    for lead in _table_leads(folder)[:1] + _table_leads(folder)[1:][-1:]:
        of_lead = {
            score: _mean(folder, score, folder.net, lead)
            for score in ("mse", "skill", "skill_ridge")
        }
        if of_lead["mse"] is None or of_lead["skill"] is None:
            continue
        ridge = of_lead["skill_ridge"]
        against = f", {skill_text(ridge)} over the ridge stencil" if ridge is not None else ""
        said.append(
            f"MSE {number_text(of_lead['mse'])} ({folder.unit}, squared) at "
            f"{lead_text(lead, folder.lead_s)}, skill {skill_text(of_lead['skill'])} over "
            f"persistence{against}, {_split_words(folder.split)}, {_seeds(folder)}."
        )
    return said


def _pooled(folder: RunFiles, score: str, **equal: Any) -> pd.DataFrame:
    """Rows of one score over all movies and channels, in the page's split."""
    if folder.scores is None or folder.split is None:
        return pd.DataFrame({column: [] for column in SCORE_COLUMNS})
    place = {"split": folder.split, "movie": "all", "channel": "all"}
    return rows_where(folder.scores, score=score, **place, **equal)


def _table_leads(folder: RunFiles) -> list[int]:
    """Doubling leads, and the last."""
    held = numbers_of(_pooled(folder, "mse"), "lead")
    leads = sorted({int(lead) for lead in held[np.isfinite(held)]})
    return [lead for lead in leads if lead & (lead - 1) == 0 or lead == leads[-1]]


def _table(folder: RunFiles, leads: Sequence[int]) -> list[Mapping[str, Any]]:
    """A row a model, ours first, persistence always: its skill and MSE at every lead."""
    held = list(dict.fromkeys(_pooled(folder, "mse")["model"]))
    if not held:
        return []
    models = [m for m in (folder.net, "persistence") if m is not None]
    models += [m for m in held if m not in models]
    best = {lead: _best_model(folder, lead) for lead in leads}
    return [
        {
            "model": model,
            "is_net": model == folder.net,
            "seeds": len(set(_pooled(folder, "mse", model=model)["seed"])),
            "cells": [_cell(folder, model, lead, best[lead] == model) for lead in leads],
        }
        for model in models
    ]


def _cell(folder: RunFiles, model: str, lead: int, is_best: bool) -> Cell:
    rows = _pooled(folder, "skill", model=model, lead=lead)
    mse = _mean(folder, "mse", model, lead)
    skill = _mean(folder, "skill", model, lead)
    if skill is None and model == "persistence" and mse is not None:
        skill = 0.0
    return Cell(
        "–" if skill is None else "0 (reference)" if model == "persistence" else skill_text(skill),
        "" if model == "persistence" or skill is None else _interval(rows) or "no interval",
        "not scored" if mse is None else f"MSE {number_text(mse)}",
        is_best,
    )


def _best_model(folder: RunFiles, lead: int) -> str | None:
    models = dict.fromkeys(str(m) for m in _pooled(folder, "mse", lead=lead)["model"])
    means = {model: _mean(folder, "mse", model, lead) for model in models}
    scored = {model: mean for model, mean in means.items() if mean is not None}
    return min(scored, key=scored.__getitem__) if scored else None


def _mean(folder: RunFiles, score: str, model: str | None, lead: int) -> float | None:
    """The mean over seeds; None where it was not scored."""
    return _mean_of(_pooled(folder, score, model=model, lead=lead))


def _mean_of(rows: pd.DataFrame) -> float | None:
    values = numbers_of(rows, "value")
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else None


def _interval(rows: pd.DataFrame) -> str:
    """'+0.350 to +0.470': of one seed its interval, of several their range; '' if unknown."""
    if len(rows) == 0:
        return ""
    low, high = ("low", "high") if len(rows) == 1 else ("value", "value")
    ends = numbers_of(rows, low).min(), numbers_of(rows, high).max()
    return " to ".join(skill_text(float(v)) for v in ends) if np.isfinite(ends).all() else ""


def _parts(folder: RunFiles) -> list[Mapping[str, str]]:
    """Our net by movie and channel at the first lead, where there is more than one."""
    if folder.scores is None or folder.split is None:
        return []
    rows = rows_where(folder.scores, model=folder.net, split=folder.split, lead=1)
    places = dict.fromkeys(zip(rows["movie"], rows["channel"], strict=True))
    found = []
    for movie, channel in places:
        part = rows_where(rows, movie=movie, channel=channel)
        skill, mse = (rows_where(part, score=score) for score in ("skill", "mse"))
        worth, error = _mean_of(skill), _mean_of(mse)
        if worth is not None and (movie, channel) != ("all", "all"):
            found.append(
                {
                    "movie": str(movie),
                    "channel": str(channel),
                    "skill": skill_text(worth),
                    "interval": _interval(skill),
                    "mse": "–" if error is None else number_text(error),
                }
            )
    return found


def _others(folder: RunFiles) -> Mapping[str, Any]:
    """The other scores at the first lead, and the horizon, a row a model."""
    scores = [s for s in OTHER_SCORES if len(_pooled(folder, s))]
    rows = []
    for model in (str(row["model"]) for row in _table(folder, [1])):
        values = [_mean(folder, score, model, 1) for score in scores]
        texts = ["–" if v is None else number_text(v) for v in values]
        if "skill_ridge" in scores and values[-1] is not None:
            texts[-1] = skill_text(values[-1])
        rows.append((model, [*texts, _horizon(folder, model)]))
    return {"scores": scores, "rows": rows}


def _horizon(folder: RunFiles, model: str) -> str:
    """How far a model's forecasts stay correlated with the truth, and how many never part."""
    scores = ("horizon_0.8", "censored_0.8")
    frames, never = (_mean_of(_pooled(folder, score, model=model)) for score in scores)
    if frames is None:
        return "–"
    after = f" ({duration_text(frames * folder.lead_s)})" if folder.lead_s else ""
    if never is None:
        return f"lead {frames:.3g}{after}"
    beyond = "beyond " if never >= 0.5 else ""
    return f"{beyond}lead {frames:.3g}{after}; {100 * never:.0f} % never"


def _figures(path: Path) -> dict[str, Mapping[str, str] | None]:
    """Every picture of the run inline, by file name; None for those that it lacks."""
    found: dict[str, Mapping[str, str] | None] = dict.fromkeys(FIGURES)
    folder = path / "figures"
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        if file.suffix in MIME and not file.name.startswith("."):
            encoded = base64.b64encode(file.read_bytes()).decode("ascii")
            found[file.name] = {
                "source": f"data:{MIME[file.suffix]};base64,{encoded}",
                "alt": FIGURES.get(file.name, file.stem.replace("_", " ")),
            }
    return found


def _best_epoch(folder: RunFiles) -> str:
    if not folder.epochs:
        return "No epoch is recorded."
    last = folder.epochs[-1].get("epoch", "?")
    best = [e for e in folder.epochs if e.get("best")][-1:]
    if not best:
        return f"{len(folder.epochs)} epochs recorded, the last {last}; none marked as the best."
    skill = best[0].get("val_skill")
    said = f", validation skill {skill_text(skill)} over persistence" if skill is not None else ""
    return f"Best epoch {best[0].get('epoch', '?')} of {len(folder.epochs)}{said}."


def _movie_facts(movies: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """What was seen, with units: by fact, one text a movie."""
    facts: dict[str, list[str]] = {}
    for movie in movies:
        interval, pixel = movie.get("frame_interval_s"), movie.get("pixel_um")
        n_frames, n_y, n_x = (movie.get(k) for k in ("frames", "height", "width"))
        lasts = f" ({duration_text(float(n_frames * interval))})" if n_frames and interval else ""
        sides = f" ({n_y * pixel:.4g} × {n_x * pixel:.4g} µm)" if pixel and n_y and n_x else ""
        for name, text in {
            "movie": movie.get("name", "?"),
            "frames": f"{n_frames}{lasts}",
            "blank frames": movie.get("n_blank", "?"),
            "channels": ", ".join(str(c) for c in movie.get("channels", [])),
            "height × width": f"{n_y} × {n_x} px{sides}",
            "stored as": movie.get("dtype", "?"),
            "frame interval": f"{interval:g} s" if interval else "unknown",
            "pixel size": f"{pixel:g} µm" if pixel else "unknown",
            "experiment": movie.get("experiment", "?"),
            "store": movie.get("store", "?"),
        }.items():
            facts.setdefault(name, []).append(str(text))
    return facts


def _git(environment: Mapping[str, Any]) -> str:
    commit = environment.get("git_commit") or environment.get("git commit")
    if not commit:
        return "unknown: the run was not made from a git checkout"
    dirty = environment.get("git_dirty") or environment.get("git dirty")
    return (
        f"{commit} with uncommitted changes: the commit alone does not repeat it"
        if dirty
        else str(commit)
    )


def _phases(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {duration_text(float(s))}" for name, s in seconds.items())


def _notes(folder: RunFiles) -> list[str]:
    """What the run said of itself, and what the page has to add."""
    said = [str(n) for n in folder.about.get("notes", [])]
    if _table_leads(folder) and folder.lead_s is None:
        said.append("Leads are in frames: the frame interval is unknown or differs between movies.")
    low = numbers_of(_pooled(folder, "skill", model=folder.net), "low")
    if len(low) and np.isnan(low).all():
        said.append("Skill has no interval: none was asked for, or the split holds too few blocks.")
    return said


def _split_words(split: str | None) -> str:
    return {"val": "validation split"}.get(str(split), f"{split} split")


def _seeds(folder: RunFiles) -> str:
    n_seeds = len(set(_pooled(folder, "mse", model=folder.net)["seed"]))
    return f"{n_seeds} seed" if n_seeds == 1 else f"{n_seeds} seeds"
