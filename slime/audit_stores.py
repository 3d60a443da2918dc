"""Audits of whole stores, as scripts/audit_movie.py asks for them: opened, audited, compared."""

import csv
import io
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import xarray as xr

from slime.audit import AuditReport, Finding, audit
from slime.errors import SlimeError, TimeAxisError, span_text
from slime.files import write_json, write_text
from slime.folders import check_place
from slime.likeness import find_likenesses
from slime.opening import OpeningSpec
from slime.prepare import open_stores
from slime.progress import Progress
from slime.settings import names_and_settings, setting, settings_help, spec_from_words
from slime.twins import find_links

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class AuditSpec(OpeningSpec):
    """How stores are opened for an audit, and where it is written."""

    out: str | None = setting(None, "folder of the pictures and tables; audit/<store> by default")
    offset: float | None = setting(None, "counts of a dark pixel, for the read noise")


def parse_words(words: Sequence[str]) -> tuple[list[str], AuditSpec]:
    """Stores and settings of a command line; settings may be written as training's, data.axes=...

    Raises:
        SlimeError: no store, one given twice, an unknown key, a value or a folder that cannot be.
    """
    stores, settings = names_and_settings(words)
    given = [word.removeprefix("data.") for word in settings]
    if not stores:
        raise SlimeError("name a store, or several; --help lists the settings")
    places = [Path(store).expanduser().resolve() for store in stores]
    for store, place in zip(stores, places, strict=True):
        if places.count(place) > 1:
            raise SlimeError(f"{store} is given twice")
    spec = spec_from_words(AuditSpec, given)
    check_place(Path(spec.out or "audit"))
    return stores, spec


def help_text(usage: str, *options: str) -> str:
    """The usage, the options and every key with its default and meaning."""
    return "\n".join([usage, "", *options, "Settings (key=default):", settings_help(AuditSpec)])


def open_for_audit(store: str, spec: AuditSpec) -> list[tuple[xr.DataArray, list[Finding]]]:
    """The movies of a store, also where its times cannot be used: that is a finding, then."""
    data = spec.data(store)
    try:
        return [(movie, []) for movie in open_stores(data)[0]]
    except TimeAxisError as error:
        finding = Finding("uneven time", (), "error", str(error))
        movies, _ = open_stores(replace(data, frame_interval_s=1.0))
    return [(m.drop_vars("time").assign_attrs(frame_interval_s=None), [finding]) for m in movies]


def audit_stores(
    stores: Sequence[str],
    spec: AuditSpec,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> list[tuple[str, AuditReport]]:
    """A full audit of each movie, with its store; and what they share with one another."""
    movies: list[tuple[str, xr.DataArray, list[Finding]]] = []
    taken: set[str] = set()
    for store in stores:
        for movie, found in open_for_audit(store, spec):
            label, n = str(movie.name), 2
            while label in taken:
                label, n = f"{movie.name} ({n})", n + 1
            taken.add(label)
            movies.append((store, movie.rename(label), found))
    reports = []
    for _, movie, found in movies:
        report = audit(
            movie,
            offset=spec.offset,
            memory_budget=spec.data("").memory_budget,
            progress=progress,
            executor=executor,
        )
        reports.append(_with(report, found))
    return [(m[0], report) for m, report in zip(movies, with_twins(reports), strict=True)]


def with_twins(reports: Sequence[AuditReport]) -> list[AuditReport]:
    """The reports, with a finding in each movie that shares frames with an earlier one."""
    found: list[list[Finding]] = [[] for _ in reports]
    links = find_links([report.table for report in reports])
    for link in links:
        line = link.timeline
        how = f"one in {line.every} from {line.offset}" if line else "in no regular order"
        advice = (
            f"{link.n_shared} frames are {reports[link.one].movie}'s, bit by bit ({how}): give "
            "both to training together, which never lets them train and test each other"
        )
        found[link.other].append(Finding("twin", (), "warning", advice))
    group = list(range(len(reports)))  # movies that are known to belong together
    for link in links:
        group = [group[link.one] if g == group[link.other] else g for g in group]
    thumbs = [report.measures.thumb for report in reports if report.measures is not None]
    likenesses = find_likenesses(thumbs) if len(thumbs) == len(reports) else []
    for like in sorted(likenesses, key=lambda like: -like.correlation):
        if group[like.one] == group[like.other]:
            continue
        group = [group[like.one] if g == group[like.other] else g for g in group]
        advice = (
            f"suspicion: frames look like {reports[like.one].movie}'s (one in {like.every} from "
            f"{like.offset}, correlation {like.correlation:.2f}), as of a copy at another scale of "
            "light: name both as one experiment (data.experiment)"
        )
        found[like.other].append(Finding("twin", (), "warning", advice))
    return [_with(report, own) for report, own in zip(reports, found, strict=True)]


def _with(report: AuditReport, found: Sequence[Finding]) -> AuditReport:
    """The report with more findings, the worst first."""
    whole = sorted([*report.findings, *found], key=lambda f: SEVERITIES.index(f.severity))
    return replace(report, findings=tuple(whole))


def table_text(report: AuditReport, width: int = 100) -> str:
    """A short table for a terminal: severity, kind, frames and what to do."""
    n = len(report.blank)
    if not report.findings:
        return f"{report.movie}: {n} frames, nothing found"
    head = f"{report.movie}: {n} frames, {_counts(report)}"
    rows = [(f.severity, f.kind, frames_text(f), f.advice) for f in report.findings]
    return "\n".join([head, *(_wrapped(row, width) for row in rows)])


def _counts(report: AuditReport) -> str:
    n = {s: sum(f.severity == s for f in report.findings) for s in SEVERITIES}
    return ", ".join(f"{k} {s}{'s' if k > 1 else ''}" for s, k in n.items() if k)


def _wrapped(row: tuple[str, str, str, str], width: int) -> str:
    severity, kind, frames, advice = row
    start = f"  {severity:8} {kind:17} {frames:12} "
    lines, line = [], ""
    for word in advice.split():
        if line and len(start) + len(line) + 1 + len(word) > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return ("\n" + " " * len(start)).join([*lines, line]).join([start, ""])


def frames_text(finding: Finding) -> str:
    """'all' where a finding is about the whole movie, one frame's number, else how many."""
    if not finding.frames:
        return "all"
    one = len(finding.frames) == 1
    return f"frame {finding.frames[0]}" if one else f"{len(finding.frames)} frames"


def write_tables(report: AuditReport, store: str, folder: Path) -> None:
    """The findings as JSON (all frames and places), CSV and Markdown."""
    rows = [asdict(finding) for finding in report.findings]
    noise = [
        {k: v.tolist() if hasattr(v, "tolist") else v for k, v in asdict(fit).items()}
        for fit in report.noise
    ]
    write_json(
        folder / "audit.json",
        {
            "movie": report.movie,
            "store": store,
            "n_frames": len(report.blank),
            "n_usable": int(report.usable.sum()),
            "findings": rows,
            "noise": _plain(noise),
        },
    )
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["severity", "kind", "frames", "advice"])
    table = [(f.severity, f.kind, span_text(f.frames) or "all", f.advice) for f in report.findings]
    writer.writerows(table)
    write_text(folder / "audit.csv", lines.getvalue())
    cells = ["| severity | kind | frames | what was seen, and what to do |", "|---|---|---|---|"]
    cells += ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in table]
    body = "\n".join(cells) if table else "Nothing found."
    write_text(folder / "audit.md", f"# {report.movie}\n\n{len(report.blank)} frames.\n\n{body}\n")


def _plain(value: Any) -> Any:
    """NaN as null, which JSON has."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and value != value else value


def folder_name(label: str) -> str:
    """A movie's label as the name of a folder."""
    return "".join(c if c.isalnum() or c in " ._()[]-" else "_" for c in label)
