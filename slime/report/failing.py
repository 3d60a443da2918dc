"""How forecasts fail, as a table of the page: a row a model and channel, a column a kind."""

from typing import Any, NamedTuple

from slime.failures import BOUNDS
from slime.report.run_files import RunFiles
from slime.texts import number_text


class Failing(NamedTuple):
    """One model in one channel: where it fails in each way, '' where it does not."""

    model: str
    channel: str
    cells: list[str]


def failing_table(folder: RunFiles) -> dict[str, Any]:
    """The failures of the page's split, and what each kind is judged by; no row of no failure.

    `judged` tells whether the run was looked at for failures at all.
    """
    told = folder.about.get("failures")
    rows = [row for row in told or [] if row.get("split") == folder.split]
    places = dict.fromkeys((row["model"], row["channel"]) for row in rows)
    first = sorted(places, key=lambda place: place[0] != folder.net)
    table = []
    for model, channel in first:
        own = {r["kind"]: r for r in rows if (r["model"], r["channel"]) == (model, channel)}
        table.append(Failing(model, channel, [_cell(own.get(kind)) for kind in BOUNDS]))
    means = [
        f"{kind}: {about}, {'below' if side == '<' else 'above'} {bound:g}"
        for kind, (about, side, bound) in BOUNDS.items()
    ]
    return {"judged": told is not None, "kinds": list(BOUNDS), "rows": table, "means": means}


def _cell(row: Any) -> str:
    if row is None:
        return ""
    first, last, value = row["first_lead"], row["last_lead"], row["value"]
    leads = f"lead {first}" if first == last else f"leads {first} to {last}"
    return f"{leads} ({value if isinstance(value, str) else number_text(value)})"
