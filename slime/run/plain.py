"""A run in one call, for notebooks: trained, scored on validation and kept, without page or log."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slime.arena import Forecaster, for_all_movies
from slime.checkpoint import SavedRun, Shape, load_run, save_run
from slime.config import RunConfig, config_yaml
from slime.errors import SlimeError
from slime.files import write_text
from slime.prepare import Prepared
from slime.run.report import Rival
from slime.run.scoring import Contest, ScoredSplit, contest, score_split
from slime.score_rows import numbers_of
from slime.variants import Trained, train_net


@dataclass(frozen=True)
class PlainRun:
    """A trained net, the best checkpoint as it was written, and its scores beside the rivals'."""

    trained: Trained
    best: SavedRun
    meeting: Contest
    scored: ScoredSplit

    @property
    def models(self) -> Mapping[str, Forecaster]:
        """The net by its kind, and every rival by its name."""
        return self.meeting.models


def plain_run(
    folder: Path, config: RunConfig, prepared: Prepared, rivals: Mapping[str, Rival]
) -> PlainRun:
    """Train the net of a config, score it on val and write what other scripts read of a run.

    These are config.yaml, best.pt, metrics.jsonl, scores.csv, waves.csv and tallies_val.npz: such
    runs can be compared, and their landscapes drawn. scripts/train_slime.py adds controls, figures,
    the page and resuming; test stays closed.

    Args:
        rivals: fitted on the same train frames, persistence among them.

    Raises:
        SlimeError: the folder holds a run, data.crop is set, or persistence is missing; or as
            train_net.
    """
    if (folder / "config.yaml").exists():
        raise SlimeError(f"{folder} already holds a run: name another folder")
    if config.data.crop is not None:
        raise SlimeError(f"data.crop={config.data.crop}: a plain run trains on whole frames")
    if "persistence" not in rivals:
        raise SlimeError("rivals without persistence: skill is measured against it")
    trained = train_net(
        prepared.movies,
        prepared.splits,
        config.window,
        config.net,
        config.optim,
        seed=config.seed,
        memory_budget=config.data.memory_budget,
    )
    yaml = config_yaml(config)
    epochs, losses = (numbers_of(trained.records, name) for name in ("epoch", "val_loss"))
    folder.mkdir(parents=True, exist_ok=True)
    save_run(
        folder / "best.pt",
        trained.stepper,
        net=config.net,
        shape=_shape(config, prepared),
        config=yaml,
        epoch=int(epochs[losses.argmin()]),
    )
    rows = trained.records.to_dict("records")
    write_text(folder / "metrics.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    best = load_run(folder)
    models = {config.net.kind: for_all_movies(best.stepper)}
    models |= {name: rival.for_movie for name, rival in rivals.items()}
    reads = {config.net.kind: config.window.n_in, **{n: one.n_in for n, one in rivals.items()}}
    meeting = contest(config, prepared, best, models, reads)
    scored = score_split(folder, "val", meeting)
    write_text(folder / "scores.csv", scored.scores.to_csv(index=False))
    write_text(folder / "waves.csv", scored.waves.to_csv(index=False))
    write_text(folder / "config.yaml", yaml)
    return PlainRun(trained, best, meeting, scored)


def _shape(config: RunConfig, prepared: Prepared) -> Shape:
    movie = prepared.of("train")[0][0]
    return Shape(
        config.window.n_in,
        tuple(str(c) for c in movie["channel"].values),
        movie.sizes["y"],
        movie.sizes["x"],
        config.window.step,
        movie.attrs.get("frame_interval_s"),
        movie.attrs.get("pixel_um"),
    )
