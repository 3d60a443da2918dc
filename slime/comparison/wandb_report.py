"""The same comparison as a wandb Report: built without a server as a spec, uploaded where asked."""

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from slime.comparison.gather import Gathered
from slime.errors import SlimeError
from slime.files import write_text

SPEC = "wandb_report.json"
SOMEBODY = "entity"  # whose a spec is that is not uploaded
CURVES = (("Validation skill", "val/skill"), ("Train loss", "train/train_loss"))
TABLE = ("model", "seeds", "skill, lead 1", "vrmse, lead 1", "parameters", "FLOPs")
WIDE, HIGH = 12, 8  # of a panel, in the units of wandb's grid of 24 columns


def write_report(
    told: Mapping[str, Any],
    gathered: Gathered,
    folder: Path,
    entity: str | None,
    *,
    upload: bool,
) -> Iterator[str]:
    """Write the Report's spec, as wandb would be sent it, into a folder; upload it where asked.

    Raises:
        SlimeError: wandb-workspaces is not installed, or the upload fails.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    project = gathered.runs[0].config.get("tracking", {}).get("project") or "slime"
    report = build_report(told, gathered, entity or _entity(upload=upload), project)
    spec = report._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)
    write_text(folder / SPEC, json.dumps(json.loads(spec), indent=1) + "\n")
    yield f"{folder / SPEC}: a wandb Report of {project}, to be uploaded with wandb=online"
    if upload:
        try:
            report.save()
        except Exception as error:  # wandb's client raises many kinds
            line = " ".join(str(error).split())[:200]
            raise SlimeError(f"wandb did not take the Report: {line}") from error
        yield report.url


def build_report(told: Mapping[str, Any], gathered: Gathered, entity: str, project: str) -> Any:
    """The Report: a table of scores, curves, bars, settings that differ, and pictures."""
    wr = _reports()
    names = [run.path.name for run in gathered.runs]
    runs = wr.Runset(
        entity="" if entity == SOMEBODY else entity,
        project=project,
        name="compared runs",
        filters=f"Metric('displayName') in {names!r}",
    )
    split = gathered.split

    def half(i: int, row: int) -> Any:
        return wr.Layout(x=WIDE * i, y=HIGH * row, w=WIDE, h=HIGH)

    panels = [
        wr.LinePlot(title=title, x="train/epoch", y=[key], layout=half(i, 0))
        for i, (title, key) in enumerate(CURVES)
    ]
    for i, score in enumerate(("skill", "vrmse")):
        metric = wr.SummaryMetric(f"{split}/{score}@1")
        title = f"{score}, lead 1, {split}"
        panels.append(wr.BarPlot(title=title, metrics=[metric], layout=half(i, 1)))
    panels.append(
        wr.RunComparer(diff_only=True, layout=wr.Layout(x=0, y=2 * HIGH, w=2 * WIDE, h=HIGH))
    )
    pictures = ["figures/strip", "figures/skill_by_lead", "figures/landscape", "figures/rollout"]
    panels.append(
        wr.MediaBrowser(
            media_keys=pictures, layout=wr.Layout(x=0, y=3 * HIGH, w=2 * WIDE, h=2 * HIGH)
        )
    )
    return wr.Report(
        entity=entity,
        project=project,
        title=f"slime: {told['title']}"[:128],
        description=told["summary"],
        width="fluid",
        blocks=[
            wr.H1("Models"),
            wr.MarkdownBlock(_table(told)),
            wr.H1("Runs"),
            wr.PanelGrid(runsets=[runs], panels=panels),
            wr.H1("How to repeat it"),
            wr.MarkdownBlock(f"```sh\n{told['command']}\n```"),
        ],
    )


def _table(told: Mapping[str, Any]) -> str:
    """The models as a Markdown table, of every seed, and the runs that are left out."""
    lines = [f"| {' | '.join(TABLE)} |", f"|{' --- |' * len(TABLE)}"]
    for row in told["models"]:
        costs = row["costs"] or {}
        words = [row["model"], row["n_seeds"], _cell(row["skill"]), _cell(row["vrmse"])]
        words += [costs.get("parameters") or "–", costs.get("flops") or "–"]
        lines.append(f"| {' | '.join(map(str, words))} |")
    left = [f"- not compared: {one['run']}: {one['why']}" for one in told["left_out"]]
    return "\n".join([*lines, "", *left])


def _cell(score: Mapping[str, Any]) -> str:
    seeds = f" ({', '.join(f'{one:.4g}' for one in score['seeds'])})" if score["seeds"] else ""
    value = "–" if score["value"] is None else f"{score['value']:.3f}"
    return value + seeds


def _reports() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its own, of pydantic
            import wandb_workspaces.reports.v2 as reports
    except ImportError as error:
        raise SlimeError("--wandb needs wandb-workspaces: pip install 'slime[report]'") from error
    return reports


def _entity(*, upload: bool) -> str:
    """Whose the Report is: as the environment says, else the account's where it is uploaded."""
    named = os.environ.get("WANDB_ENTITY")
    if named or not upload:
        return named or SOMEBODY
    from slime.tracking import default_entity

    return default_entity()
