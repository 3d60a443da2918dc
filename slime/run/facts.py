"""The facts of a run that its page shows."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slime.audit import AuditReport
from slime.config import RunConfig
from slime.files import read_lines
from slime.fronts import Front
from slime.prepare import Prepared, describe_splits
from slime.run.folder import command_line
from slime.stepper import Stepper


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
        "fronts": _told(run).get("fronts", [])
        if fronts is None
        else [asdict(one) for one in fronts],
        "best_epoch": best[-1] if best else None,
        "seconds": {"training": sum(row["seconds"] for row in records)},
        "commands": {"again": command_line()},
    }


def earlier_failures(run: Path, scored: Collection[str]) -> list[dict[str, Any]]:
    """The failures that were told before of splits other than those scored now."""
    return [row for row in _told(run).get("failures", []) if row["split"] not in scored]


def _told(run: Path) -> dict[str, Any]:
    file = run / "run.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


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
