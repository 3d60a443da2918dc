"""What a run's controls came to, as its page and its headline say it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slime.report.run_files import RunFiles, read_controls
from slime.texts import number_text


def control_rows(folder: RunFiles) -> list[Mapping[str, str]]:
    """A row a control: name, figure, band, verdict and sentence, all text."""
    return [
        {
            "name": str(row["name"]).replace("_", " "),
            "figure": "–" if row["figure"] is None else number_text(row["figure"]),
            "band": row["band"],
            "verdict": _verdict(row),
            "says": row["says"],
        }
        for row in folder.controls
    ]


def _verdict(row: Mapping[str, Any]) -> str:
    return ("passed" if row["passed"] else "failed") if row["applies"] else "–"


def with_controls(run: Path, headline: str) -> str:
    """The headline, behind a warning where a control of the run failed."""
    rows = read_controls(run)
    failed = _names(rows)
    if not failed:
        return headline
    n = f"{len(failed)} of {len(rows)} controls failed"
    return f"not to be trusted, {n} ({', '.join(failed)}): {headline}"


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(row["name"]).replace("_", " ") for row in rows if not row["passed"]]
