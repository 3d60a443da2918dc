"""What a biologist measures, as the page shows it: a table a channel, and what has no number."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from slime.report.run_files import RunFiles
from slime.report.scores import mean_value
from slime.score_rows import numbers_of, rows_where
from slime.texts import lead_text, number_text

WHOLE = {  # of a whole rollout
    "period": "wave period",
    "wave_speed": "wave speed",
    "wavelength": "wavelength",
    "n_singularities": "singularities a frame",
    "singularity_error": "error of singularities",
}
BY_LEAD = {
    "n_mounds": "mounds",
    "mound_error": "error of mounds",
    "density_variance": "density variance",
    "length": "mean length of S(k)",
    "spectrum_error": "error of S(k)",
}


class Line(NamedTuple):
    """An observable in one channel: its name with lead and unit, and a cell a model."""

    name: str
    cells: list[tuple[str, str]]


class Table(NamedTuple):
    """One channel's lines, and why cells are empty."""

    channel: str
    models: list[str]
    lines: list[Line]
    reasons: list[str]


def observable_tables(folder: RunFiles) -> list[Table]:
    """A table a channel of the page's split, over all movies; empty where nothing was measured."""
    table = folder.observables
    if table is None or folder.split is None:
        return []
    rows = rows_where(table, split=folder.split, movie="all")
    return [
        _table(rows_where(rows, channel=channel), str(channel), folder)
        for channel in dict.fromkeys(rows["channel"])
    ]


def _table(rows: pd.DataFrame, channel: str, folder: RunFiles) -> Table:
    held = [str(model) for model in dict.fromkeys(rows["model"])]
    first = [m for m in ("truth", folder.net, "persistence") if m in held]
    models = [*first, *(m for m in held if m not in first)]
    leads = _leads(rows)
    wanted = [(score, 0, name) for score, name in WHOLE.items()]
    wanted += [
        (score, lead, f"{name}, {lead_text(lead, folder.lead_s)}")
        for score, name in BY_LEAD.items()
        for lead in (leads if score in ("mound_error", "spectrum_error") else leads[-1:])
    ]
    lines, reasons = [], {}
    for score, lead, name in wanted:
        of_lead = rows_where(rows, score=score, lead=lead)
        if of_lead.empty:
            continue
        unit = next((str(u) for u in of_lead["unit"] if u and str(u) != "1"), "")
        parts = {model: rows_where(of_lead, model=model) for model in models}
        cells = [_cell(part) for part in parts.values()]
        lines.append(Line(f"{name} ({unit})" if unit else name, cells))
        for model, part in parts.items():
            for note in part["note"] if mean_value(part) is None else ():
                reasons.setdefault(str(note), {}).setdefault(model, []).append(name)
    return Table(channel, models, lines, _reason_texts(reasons))


def _leads(rows: pd.DataFrame) -> list[int]:
    """The first, the eighth or the one in the middle, and the last."""
    held = sorted({int(lead) for lead in numbers_of(rows, "lead") if lead > 0})
    if not held:
        return []
    middle = 8 if 8 in held else held[len(held) // 2]
    return sorted({held[0], middle, held[-1]})


def _cell(rows: pd.DataFrame) -> tuple[str, str]:
    """The mean over seeds as text, and its range."""
    value = mean_value(rows)
    if value is None:
        return "–", ""
    low, high = (numbers_of(rows, end) for end in ("low", "high"))
    known = np.isfinite(low).any() and np.isfinite(high).any()
    spread = f"{number_text(np.nanmin(low))} to {number_text(np.nanmax(high))}" if known else ""
    return number_text(value), spread


def _reason_texts(reasons: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    """'no waves (persistence, drift): wave period, wave speed', models of one list together."""
    said = []
    for note, by_model in reasons.items():
        groups: dict[tuple[str, ...], list[str]] = {}
        for model, names in by_model.items():
            groups.setdefault(tuple(dict.fromkeys(names)), []).append(model)
        said += [f"{', '.join(of)}: no {', '.join(names)}: {note}" for names, of in groups.items()]
    return said


def rollout_sentence(folder: RunFiles) -> str:
    """How the rollouts went, as the run noted it; '' where it did not."""
    start = f"{folder.split} split, observables of free rollouts: "
    notes: Any = folder.about.get("notes", [])
    return next((str(n).removeprefix(start) for n in notes if str(n).startswith(start)), "")
