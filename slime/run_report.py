"""What a trained run is worth: scores, figures, page and the one line that sums it up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from slime.audit import AuditReport
from slime.checkpoint import SavedRun
from slime.config import RunConfig
from slime.files import read_lines, write_json, write_text
from slime.fit import Progress
from slime.gif import rollout_gif
from slime.landscape import loss_plane
from slime.plots import (
    Example,
    duration_text,
    forecast_strip,
    landscape_contour,
    learning_curves,
    movie_frames,
    save_figure,
    skill_by_lead,
    split_bars,
)
from slime.prepare import Prepared, describe_splits
from slime.report import write_page
from slime.results import (
    Arena,
    Forecaster,
    example_forecast,
    open_arena,
    scores_table,
    tally_models,
)
from slime.run_folder import command_line, hash_of, open_test
from slime.stepper import Step, Stepper
from slime.stream import WindowStream

STRIP_LEADS = (1, 2, 4, 8, 16, 32)


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
    """A scored run: its table, page and headline, and the headline's numbers by name."""

    scores: pd.DataFrame
    page: Path
    headline: str
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
    n_in = max(best.shape.n_in, *(rival.n_in for rival in rivals.values()))
    tables, notes, where = [], list(prepared.notes), None
    for name in ("val", "test") if open_test_split else ("val",):
        if name == "test":
            notes += _enter_ledger(run, prepared, best)
        where, said = open_arena(
            prepared.movies,
            prepared.splits,
            name,
            n_in=n_in,
            leads=config.score.leads,
            step=config.window.step,
            memory_budget=config.data.memory_budget,
            device=next(best.stepper.parameters()).device,
        )
        tallies = tally_models(models, where, progress=progress)
        variance = best.stepper.scale.std.double().cpu().numpy() ** 2
        table, reasons = scores_table(
            tallies,
            where,
            variance,
            seed=config.seed,
            n_draws=config.score.draws,
            level=config.score.level,
        )
        tables.append(table)
        notes += [*said, *(f"{name} split, {reason}" for reason in reasons)]
    assert where is not None
    scores = pd.concat(tables, ignore_index=True)
    write_text(run / "scores.csv", scores.to_csv(index=False))
    facts = describe_run(run, config, prepared, best.stepper)
    said = headline(scores, best.net.kind, where, config)
    write_json(run / "run.json", {**facts, "notes": notes, "headline": said})
    draw_figures(run, config, prepared, best, models, where, scores, progress=progress)
    numbers = {
        f"{row.split}/{row.score}@{row.lead}": row.value
        for row in scores.itertuples()
        if (row.model, row.movie, row.channel) == (best.net.kind, "all", "all")
    }
    return Outcome(scores, write_page(run), said, numbers)


def headline(
    scores: pd.DataFrame, model: str, where: Arena, config: RunConfig, *, lead: int = 1
) -> str:
    """One sentence: how much better than persistence on held-out frames, with its interval."""

    def of(score: str) -> pd.Series | None:
        row = scores[
            (scores.model == model)
            & (scores.movie == "all")
            & (scores.channel == "all")
            & (scores.split == where.name)
            & (scores.lead == lead)
            & (scores.score == score)
        ]
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
    ridge = of("skill_ridge")
    if ridge is not None:
        text += f"; over the ridge stencil {ridge.value:+.3f}{_interval_text(ridge)}"
    return text


def _interval_text(row: pd.Series, level: float | None = None) -> str:
    if not np.isfinite(row.low):
        return " (too few blocks for an interval)"
    share = f"{level:.0%} interval " if level is not None else ""
    return f" [{share}{row.low:+.3f} to {row.high:+.3f}]"


def describe_run(
    run: Path, config: RunConfig, prepared: Prepared, stepper: Stepper
) -> dict[str, Any]:
    """The facts of a run that its page shows: movies, splits, net, notes."""
    records = read_lines(run / "metrics.jsonl")
    best = [row["epoch"] for row in records if row["best"]]
    return {
        "name": run.name,
        "headline": None,
        "notes": prepared.notes,
        "movies": [
            _describe_movie(movie, report, store)
            for movie, report, store in zip(
                prepared.movies, prepared.reports, prepared.stores, strict=True
            )
        ],
        "splits": describe_splits(prepared.splits),
        "net": {
            "kind": config.net.kind,
            "head": config.net.head,
            "n_in": stepper.n_in,
            "parameters": sum(p.numel() for p in stepper.parameters()),
            "receptive_radius": getattr(stepper.net, "receptive_radius", None),
        },
        "best_epoch": best[-1] if best else None,
        "seconds": {"training": sum(row["seconds"] for row in records)},
        "commands": {"again": command_line()},
    }


def _describe_movie(movie: Any, report: AuditReport, store: str) -> dict[str, Any]:
    return {
        "name": str(movie.name),
        "store": store,
        "frames": movie.sizes["time"],
        "channels": [str(c) for c in movie["channel"].values],
        "height": movie.sizes["y"],
        "width": movie.sizes["x"],
        "dtype": str(movie.dtype),
        "frame_interval_s": movie.attrs.get("frame_interval_s"),
        "pixel_um": movie.attrs.get("pixel_um"),
        "experiment": movie.attrs.get("experiment"),
        "n_blank": int(report.blank.sum()),
    }


def _enter_ledger(run: Path, prepared: Prepared, best: SavedRun) -> list[str]:
    frames = [
        report.table.digest[cut["test"].start : cut["test"].stop].tolist()
        for report, cut in zip(prepared.reports, prepared.splits, strict=True)
        if "test" in cut
    ]
    opening = open_test(
        run,
        split_hash=hash_of(frames),
        config_yaml=best.config,
        weights_hash=best.weights_hash,
    )
    if opening == 1:
        return []
    return [
        f"the test split has now been opened {opening} times (see ledger.jsonl): what was chosen "
        "after an earlier opening is no longer held out"
    ]


def draw_figures(
    run: Path,
    config: RunConfig,
    prepared: Prepared,
    best: SavedRun,
    models: Mapping[str, Forecaster],
    where: Arena,
    scores: pd.DataFrame,
    *,
    progress: Progress | None = None,
) -> None:
    """All figures of the page, into the run's folder."""
    figures = run / "figures"
    shown = example_forecast(models[best.net.kind], where)
    leads = [lead for lead in STRIP_LEADS if lead <= shown.n_leads]
    channel = _liveliest(shown)
    save_figure(movie_frames(where.movies[0]), figures / "movie.png")
    save_figure(learning_curves(read_lines(run / "metrics.jsonl")), figures / "learning_curves.png")
    save_figure(forecast_strip(shown, leads, channel), figures / "strip.png")
    rollout_gif(figures / "rollout.gif", shown, channel)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    skill_by_lead(figure.add_subplot(), scores, where.name, net=best.net.kind, lead_s=shown.lead_s)
    save_figure(figure, figures / "skill_by_lead.png")
    facts = describe_run(run, config, prepared, best.stepper)
    figure = Figure(figsize=(7.2, 0.9 + 0.45 * len(prepared.movies)), layout="constrained")
    split_bars(figure.add_subplot(), facts["splits"], facts["movies"])
    save_figure(figure, figures / "splits.png")
    if config.landscape.points:
        _draw_landscape(figures / "landscape.png", config, prepared, best, progress)


def _liveliest(shown: Example) -> int:
    """The channel that changes most over the example, in units of its own spread."""
    change = np.abs(shown.truth[-1] - shown.last_frame).mean(axis=(1, 2))
    return int(np.argmax(change / (shown.truth.std(axis=(0, 2, 3)) + 1e-12)))


def _draw_landscape(
    path: Path, config: RunConfig, prepared: Prepared, best: SavedRun, progress: Progress | None
) -> None:
    """The one-step loss on a few validation windows, around the best weights."""
    movies, splits = prepared.of("val")
    n = config.landscape.windows
    windows = WindowStream(
        movies,
        splits,
        config.window,
        batch_size=n,
        seed=config.seed,
        memory_budget=config.data.memory_budget,
        device=next(best.stepper.parameters()).device,
    )

    def watched(points: Sequence[Any]) -> Any:
        return progress(points, len(points), "loss landscape") if progress else points

    plane = loss_plane(
        best.stepper,
        islice(windows, 1),
        seed=config.seed,
        n_points=config.landscape.points,
        radius=config.landscape.radius,
        progress=watched,
    )
    store = path.parent.parent / "landscape.zarr"
    plane.to_dataset(name="loss").to_zarr(store, mode="w", consolidated=False)
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    landscape_contour(figure.add_subplot(), plane)
    save_figure(figure, path)
