"""A comparison from words to a folder: page, Markdown, CSV, JSON, and wandb's Report if asked."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from slime.comparison.costs import costs_of
from slime.comparison.figures import draw_all
from slime.comparison.gather import COMPARISON, Gathered, differences, gather
from slime.comparison.page import write_pages
from slime.comparison.tables import environment_rows, model_rows, run_rows
from slime.contest import contests, results
from slime.errors import SlimeError
from slime.files import write_json, write_text
from slime.held import hold
from slime.progress import Progress
from slime.report.compare import compare
from slime.run.compared import CompareSpec, told_lines
from slime.run.folder import command_line
from slime.score_rows import rows_where
from slime.settings import setting, spec_from_words
from slime.texts import skill_text


@dataclass(frozen=True)
class PageSpec(CompareSpec):
    """What is compared, how sure of it we want to be, and what is written."""

    out: str | None = setting(None, "the folder to write; `compared` beside the first run")
    split: Any = setting(None, "test or val; test by default, val where no run opened test")
    wandb: Literal["none", "spec", "online"] = setting(
        "none", "wandb Report: its spec as a file (also --wandb), or uploaded as well"
    )
    entity: str | None = setting(None, "whose the wandb Report is; your own by default")

    def __post_init__(self) -> None:
        replace(CompareSpec(), split=self.split or "test", draws=self.draws, level=self.level)


def page_spec(words: Sequence[str]) -> PageSpec:
    """The spec of words key=value and --wandb; wandb=true means wandb=spec."""
    short = {"--wandb": "wandb=spec", "wandb=true": "wandb=spec", "wandb=false": "wandb=none"}
    return spec_from_words(PageSpec, [short.get(word, word) for word in words])


def write_comparison(
    words: Sequence[str], spec: PageSpec, *, progress: Progress | None = None
) -> Iterator[str]:
    """Compare runs and write everything into one folder; tells it in lines of text.

    Raises:
        SlimeError: no finished run, or runs that cannot be compared.
    """
    gathered = gather(words, spec.split)
    first = gathered.runs[0].path
    folder = Path(spec.out) if spec.out else first.parent / "compared"
    if (folder / "config.yaml").exists():
        raise SlimeError(f"out={folder} holds a run: name another out= for the comparison")
    held = hold(gathered.paths, gathered.split, common=spec.common)
    ours = spec.ours or next(iter(gathered.groups))
    table = results(held, n_draws=spec.draws, level=spec.level)
    wins = contests(held, ours, n_draws=spec.draws, level=spec.level)
    every = compare([run.path for run in gathered.runs])
    for name, rows in (("scores", every), ("results", table), ("contests", wins)):
        write_text(folder / f"{name}.csv", rows.to_csv(index=False))
    groups = list(gathered.groups.items())
    steps = progress(groups, len(groups), "costs") if progress else groups
    costs = {name: costs_of(runs) for name, runs in steps}
    models = model_rows(held, table, costs, list(gathered.groups))
    drawn, notes = draw_all(gathered, table, folder / "figures")
    told = {
        **_about(gathered, spec, ours),
        **{"models": models, "contests": _contest_rows(wins), "figures": drawn},
        "n_leads": held.still.n_leads,
        "notes": [*notes, f"All scores are of the same {len(held.still.movie)} windows."],
    }
    write_json(folder / COMPARISON, told)
    page = write_pages(told, folder)
    for one in gathered.left_out:
        yield f"not compared: {one.run}: {one.why}"
    yield from told_lines(table, wins)
    if spec.wandb != "none":
        from slime.comparison.wandb_report import write_report  # an extra, for those who ask

        yield from write_report(told, gathered, folder, spec.entity, upload=spec.wandb == "online")
    yield str(page)


def _about(gathered: Gathered, spec: PageSpec, ours: str) -> dict[str, Any]:
    """What a comparison is of, as plain values."""
    groups, runs = gathered.groups, run_rows(gathered)
    firsts = [of_group[0] for of_group in groups.values()]
    columns = ("run", "model", "seed", "epochs", "started", "git")
    n_runs = len(gathered.runs)
    return {
        "title": f"{', '.join(list(groups)[:4])}{' and others' if len(groups) > 4 else ''}",
        "summary": f"{n_runs} run{'s' if n_runs > 1 else ''} of {len(groups)} models that differ "
        f"in more than their seed, on the {gathered.split} split.",
        "made": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "command": command_line(),
        "split": gathered.split,
        "level": f"{100 * spec.level:g} %",
        "ours": ours,
        "names": list(groups),
        "settings": [[key, *values] for key, values in differences(firsts).items()],
        "environment": environment_rows(gathered.runs),
        "left_out": [one._asdict() for one in gathered.left_out],
        "runs": runs,
        "runs_shown": [[row[key] for key in columns] for row in runs],
        "runs_full": [[row[key] for key in (*columns, "command")] for row in runs],
    }


def _contest_rows(wins: pd.DataFrame) -> list[list[str]]:
    """Differences of skill at lead 1, as text."""
    rows = []
    for row in rows_where(wins, score="skill", movie="all").to_dict("records"):
        sure = f" [{skill_text(row['low'])} to {skill_text(row['high'])}]"
        interval = sure if pd.notna(row["low"]) else ""
        p = f"{row['p_holm']:.2g}" if pd.notna(row["p_holm"]) else "–"
        rows.append([row["rival"], f"{skill_text(row['value'])}{interval}", p, row["note"] or ""])
    return rows
