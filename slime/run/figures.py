"""All figures of a run, drawn into its folder."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from slime.arena import Arena, Forecaster
from slime.checkpoint import SavedRun
from slime.config import RunConfig
from slime.example import Example
from slime.files import read_lines
from slime.landscape import loss_plane, trajectory_plane
from slime.plots import (
    forecast_strip,
    landscape_contour,
    learning_curves,
    movie_frames,
    save_figure,
    skill_by_lead,
    split_bars,
)
from slime.plots.coverage import coverage_by_lead
from slime.plots.gif import rollout_gif
from slime.plots.landscape_lines import plane_figure
from slime.plots.rollouts import rollout_page
from slime.plots.waves import power_by_wave
from slime.prepare import Prepared
from slime.progress import Progress
from slime.results import example_forecast
from slime.rollout_scores import Observed
from slime.run.calibrated import COVERAGE
from slime.run.examples import save_example
from slime.run.facts import describe_run
from slime.run.snapshots import load_snapshots
from slime.score_rows import rows_where
from slime.stream import WindowStream

STRIP_LEADS = (1, 2, 4, 8, 16, 32)
WAVE_LEADS = (1, 8, 32)


def draw_figures(
    run: Path,
    config: RunConfig,
    prepared: Prepared,
    best: SavedRun,
    models: Mapping[str, Forecaster],
    where: Arena,
    scores: pd.DataFrame,
    waves: pd.DataFrame,
    *,
    observed: Observed | None = None,
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
    save_example(run, shown, leads, channel)
    rollout_gif(figures / "rollout.gif", shown, channel)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    skill_by_lead(figure.add_subplot(), scores, where.name, net=best.net.kind, lead_s=shown.lead_s)
    save_figure(figure, figures / "skill_by_lead.png")
    if len(rows_where(scores, score=f"coverage_{COVERAGE}", split="test")):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.add_subplot()
        coverage_by_lead(axes, scores, "test", nominal=COVERAGE, lead_s=shown.lead_s)
        save_figure(figure, figures / "coverage.png")
    power = power_by_wave(
        waves,
        WAVE_LEADS,
        split=where.name,
        channel=shown.channels[channel],
        net=best.net.kind,
        lead_s=shown.lead_s,
    )
    save_figure(power, figures / "waves.png")
    if observed is not None and observed.shown:
        page = rollout_page(observed.shown, best.net.kind, observed.where)
        save_figure(page, figures / "observables.png")
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

    batches = list(islice(windows, 1))
    plane = loss_plane(
        best.stepper,
        batches,
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
    snapshots = load_snapshots(path.parent.parent)
    if len(snapshots) >= 3:
        n = config.landscape.points
        way = trajectory_plane(best.stepper, snapshots, batches, n_points=n, progress=watched)
        save_figure(plane_figure({"training": way}), path.with_name("trajectory.png"))
