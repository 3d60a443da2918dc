"""The facts of a run that its page shows."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slime.audit import AuditReport
from slime.config import RunConfig
from slime.errors import SlimeError
from slime.files import read_lines
from slime.fronts import Front
from slime.prepare import Prepared, describe_splits
from slime.run.folder import command_line
from slime.stepper import Stepper

SAME = {  # of a movie, wherever its store lies
    "name": "its name is",
    "frames": "its frames are",
    "channels": "its channels are",
    "height": "its height in pixels is",
    "width": "its width in pixels is",
    "dtype": "its values are",
    "n_blank": "its blank frames are",
}


def describe_run(
    run: Path,
    config: RunConfig,
    prepared: Prepared,
    stepper: Stepper,
    *,
    fronts: Sequence[Front] | None = None,
) -> dict[str, Any]:
    """The facts of a run that its page shows: movies, splits, net, notes.

    Args:
        fronts: those of the train frames; by default what was told of them before stays.
    """
    records = read_lines(run / "metrics.jsonl")
    best = [row["epoch"] for row in records if row["best"]]
    return {
        "name": run.name,
        "headline": None,
        "notes": prepared.notes,
        "movies": _describe_movies(prepared),
        "splits": describe_splits(prepared.splits),
        "net": {
            "kind": config.net.kind,
            "head": config.net.head,
            "n_in": stepper.n_in,
            "parameters": sum(p.numel() for p in stepper.parameters()),
            "receptive_radius": getattr(stepper.net, "receptive_radius", None),
        },
        "fronts": _told(run).get("fronts", [])
        if fronts is None
        else [asdict(one) for one in fronts],
        "best_epoch": best[-1] if best else None,
        "seconds": {"training": sum(row["seconds"] for row in records)},
        "commands": {"again": command_line()},
    }


def check_movies(run: Path, prepared: Prepared) -> None:
    """Refuse movies or splits other than those that a run was trained on; a store may have moved.

    Raises:
        SlimeError: names the first difference.
    """
    told = _told(run)
    if not told:  # stopped before it was written
        return
    cure = f"data.stores= names those of {run} where they have moved; others ask for a new training"
    before, now = told["movies"], _describe_movies(prepared)
    if len(before) != len(now):
        raise SlimeError(f"{run} was trained on {len(before)} movies, here are {len(now)}: {cure}")
    for one, other in zip(before, now, strict=True):
        for key, words in SAME.items():
            if one[key] != other[key]:
                raise SlimeError(
                    f"{other['store']} is not what {run} was trained on: {words} {other[key]} "
                    f"instead of {one[key]}; {cure}"
                )
    if told["splits"] != describe_splits(prepared.splits):
        raise SlimeError(f"{run} was trained on other splits of {now[0]['name']}: {cure}")


def earlier_failures(run: Path, scored: Collection[str]) -> list[dict[str, Any]]:
    """The failures that were told before of splits other than those scored now."""
    return [row for row in _told(run).get("failures", []) if row["split"] not in scored]


def _told(run: Path) -> dict[str, Any]:
    file = run / "run.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _describe_movies(prepared: Prepared) -> list[dict[str, Any]]:
    parts = zip(prepared.movies, prepared.reports, prepared.stores, strict=True)
    return [_describe_movie(movie, report, store) for movie, report, store in parts]


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
