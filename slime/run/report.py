"""What a trained run is worth: scores, figures, page and the one line that sums it up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from slime.arena import Arena, Forecaster
from slime.ceiling import share_text
from slime.checkpoint import SavedRun
from slime.config import RunConfig
from slime.failures import Failure, failure_text, find_failures
from slime.files import write_json, write_text
from slime.prepare import Prepared
from slime.progress import Progress
from slime.report import write_page
from slime.report.controls import with_controls
from slime.rollout_scores import Observed, observe_rollouts
from slime.run.calibrated import interval_rows
from slime.run.facts import describe_run, earlier_failures
from slime.run.figures import draw_figures
from slime.run.folder import hash_of, open_test
from slime.run.kept import split_frames
from slime.run.scoring import contest, score_split
from slime.score_rows import rows_where
from slime.stepper import Step
from slime.texts import duration_text


@runtime_checkable
class Rival(Protocol):
    """A fitted baseline, as slime sees it: what it reads, and its step for a movie."""

    @property
    def n_in(self) -> int:
        """Frames that a step reads."""
        ...

    def for_movie(self, movie: int) -> Step:
        """The step for a movie of the run."""
        ...


@dataclass(frozen=True)
class Outcome:
    """A scored run: its table, page and headline, what had to be said, and numbers by name."""

    scores: pd.DataFrame
    page: Path
    headline: str
    notes: list[str]
    numbers: dict[str, float]


def report_run(
    run: Path,
    config: RunConfig,
    prepared: Prepared,
    best: SavedRun,
    rivals: Mapping[str, Rival],
    *,
    open_test_split: bool,
    progress: Progress | None = None,
) -> Outcome:
    """Score the best checkpoint and its rivals, draw the figures and write the page.

    The test split is touched only if `open_test_split`, and that is entered into the ledger first.
    """
    models: dict[str, Forecaster] = {best.net.kind: lambda _: best.stepper}
    models |= {name: rival.for_movie for name, rival in rivals.items()}
    reads = {best.net.kind: best.shape.n_in, **{name: one.n_in for name, one in rivals.items()}}
    of = contest(config, prepared, best, models, reads, progress=progress)
    tables, spectra, notes, where = [], [], list(prepared.notes), None
    observed: list[Observed] = []
    failures: list[Failure] = []
    for name in ("val", "test") if open_test_split else ("val",):
        if name == "test":
            notes += _enter_ledger(run, prepared, best)
        scored = score_split(run, name, of, progress=progress)
        where = scored.where
        about = {"n_draws": config.score.draws, "level": config.score.level}
        rows, short = interval_rows(run, best, where, seed=config.seed, **about)
        tables.append(
            pd.concat([scored.scores, rows], ignore_index=True) if len(rows) else scored.scores
        )
        notes += short
        spectra.append(scored.waves)
        notes += scored.notes
        failures += find_failures(models, where, of.noise, far=scored.far, progress=progress)
        if config.score.observables:
            observed.append(_observe(models, where, config, progress))
            notes += observed[-1].notes
    assert where is not None
    scores = _with_earlier(run / "scores.csv", tables)
    write_text(run / "scores.csv", scores.to_csv(index=False))
    waves = _with_earlier(run / "waves.csv", spectra)
    write_text(run / "waves.csv", waves.to_csv(index=False))
    if observed:
        measured = _with_earlier(run / "observables.csv", [one.table for one in observed])
        write_text(run / "observables.csv", measured.to_csv(index=False))
    facts = describe_run(run, config, prepared, best.stepper)
    said = with_controls(run, headline(scores, best.net.kind, where, config))
    notes += [
        f"{one.split} split, {failure_text(one)}" for one in failures if one.model == best.net.kind
    ]
    now = {split for table in tables for split in table["split"]}
    failed = {"failures": [*earlier_failures(run, now), *(one.row() for one in failures)]}
    write_json(run / "run.json", {**facts, **failed, "notes": notes, "headline": said})
    draw_figures(
        run,
        config,
        prepared,
        best,
        models,
        where,
        scores,
        waves,
        observed=observed[-1] if observed else None,
        progress=progress,
    )
    ours = rows_where(scores, model=best.net.kind, movie="all", channel="all")
    plain = ours[["split", "score", "lead", "value"]].itertuples(index=False, name=None)
    numbers = {f"{split}/{score}@{lead}": value for split, score, lead, value in plain}
    told = notes[len(prepared.notes) :]
    return Outcome(scores, write_page(run), said, told, numbers)


def _with_earlier(path: Path, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The tables under the file's rows of splits that are not in them: an opened test stays."""
    now = {split for table in tables for split in table["split"]}
    held = [table for table in tables if len(table)] or list(tables)
    if not path.exists():
        return pd.concat(held, ignore_index=True)
    before = pd.read_csv(path, keep_default_na=False, na_values=[""])
    kept = before.loc[[split not in now for split in before["split"]]]
    return pd.concat([kept, *held] if len(kept) else held, ignore_index=True)


def _observe(
    models: Mapping[str, Forecaster], where: Arena, config: RunConfig, progress: Progress | None
) -> Observed:
    return observe_rollouts(
        models,
        where,
        seed=config.seed,
        leads=config.score.rollout,
        auto=config.score.observables == "auto",
        progress=progress,
    )


def _enter_ledger(run: Path, prepared: Prepared, best: SavedRun) -> list[str]:
    opening = open_test(
        run,
        split_hash=hash_of(list(split_frames(prepared, "test").values())),
        config_yaml=best.config,
        weights_hash=best.weights_hash,
    )
    if opening == 1:
        return []
    return [
        f"the test split has now been opened {opening} times (see ledger.jsonl): what was chosen "
        "after an earlier opening is no longer held out"
    ]


def headline(
    scores: pd.DataFrame, model: str, where: Arena, config: RunConfig, *, lead: int = 1
) -> str:
    """One sentence: how much better than persistence on held-out frames, with its interval."""

    def of(score: str) -> pd.Series | None:
        place = {"movie": "all", "channel": "all", "split": where.name}
        row = rows_where(scores, model=model, lead=lead, score=score, **place)
        return None if row.empty else row.iloc[0]

    skill = of("skill")
    if skill is None or not np.isfinite(skill.value):
        return f"{model}: no skill at lead {lead} could be computed on the {where.name} split"
    interval_s = where.movies[0].attrs.get("frame_interval_s")
    ahead = f" ({duration_text(lead * config.window.step * interval_s)})" if interval_s else ""
    verb = "better" if skill.value > 0 else "worse"
    text = (
        f"{model}: {abs(skill.value):.1%} {verb} than persistence at lead {lead}{ahead}, "
        f"{where.name} split, seed {config.seed}: skill {skill.value:+.3f}"
        f"{_interval_text(skill, config.score.level)}"
    )
    text += share_text(scores, model, lead, where.name)
    ridge = of("skill_ridge")
    if ridge is not None:
        text += f"; over the ridge stencil {ridge.value:+.3f}{_interval_text(ridge)}"
    return text


def _interval_text(row: pd.Series, level: float | None = None) -> str:
    if not np.isfinite(row.low):
        return " (too few blocks for an interval)"
    share = f"{level:.0%} interval " if level is not None else ""
    return f" [{share}{row.low:+.3f} to {row.high:+.3f}]"
