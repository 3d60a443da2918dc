"""One self-contained page of a run, rebuilt from its folder alone."""

import base64
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from slime.files import write_text
from slime.report.ceiling import ceiling_sentences
from slime.report.compare import compare
from slime.report.controls import control_rows
from slime.report.facts import git_text, movie_facts, phases_text
from slime.report.failing import failing_table
from slime.report.observables import observable_tables, rollout_sentence
from slime.report.run_files import RunFiles, read_run
from slime.report.scores import other_tables, part_rows, score_table, table_leads
from slime.report.sight import sight_sentences
from slime.report.words import best_epoch, headline, notes, openings, sentences
from slime.texts import lead_text

__all__ = ["compare", "write_page"]

FIGURES = {
    "skill_by_lead.png": "Skill against persistence by lead, for every model.",
    "coverage.png": "Share of test pixels within their intervals by lead, beside that promised.",
    "waves.png": "Power of every forecast over that of the truth, by wave number and lead.",
    "strip.png": "Truth, forecast and errors at several leads, beside the error of persistence.",
    "rollout.gif": "A rollout: truth, forecast and error, frame by frame.",
    "observables.png": "Mounds, periods, spectra and tips of the truth and of every forecast.",
    "learning_curves.png": "Train loss, validation skill and learning rate by epoch.",
    "landscape.png": "The loss on a plane of weights through the trained net.",
    "trajectory.png": "The training's way through the loss, in the plane that holds most of it.",
    "sanity.png": "Loss on one batch learned by heart, and on shuffled targets, by step.",
    "movie.png": "Frames of the movie as stored, evenly spaced.",
    "splits.png": "Which frames were trained on, validated on and tested on.",
}
MIME = {".png": "image/png", ".gif": "image/gif"}


def write_page(run: Path) -> Path:
    """Write `report.html` into a run's folder from what lies there, aside first, then renamed.

    Whatever is missing (an unfinished run) is said on the page.

    Raises:
        SlimeError: there is no such folder.
    """
    folder = read_run(run)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = files("slime.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    text = environment.from_string(template).render(_page(folder))
    page = folder.path / "report.html"
    write_text(page, text)
    return page


def _page(folder: RunFiles) -> dict[str, Any]:
    """All that the template shows, as text."""
    leads = table_leads(folder)
    return {
        "run": folder,
        "about": {"net": {}, "windows": {}, "splits": [], **folder.about},
        "headline": folder.about.get("headline") or headline(folder),
        "sentences": [*sentences(folder), *ceiling_sentences(folder)],
        "openings": openings(folder),
        "leads": [lead_text(lead, folder.lead_s) for lead in leads],
        "table": score_table(folder, leads),
        "parts": part_rows(folder),
        "others": other_tables(folder),
        "observables": observable_tables(folder),
        "rollouts": rollout_sentence(folder),
        "figures": _figures(folder.path),
        "best": best_epoch(folder),
        "failing": failing_table(folder),
        "sight": sight_sentences(folder.about),
        "movies": movie_facts(folder.about.get("movies", [])),
        "again": folder.about.get("commands", {}),
        "git": git_text(folder.environment),
        "phases": phases_text(folder.about.get("seconds", {})),
        "notes": notes(folder),
        "controls": control_rows(folder),
    }


def _figures(path: Path) -> dict[str, Mapping[str, str] | None]:
    """Every picture of the run inline, by file name; None for those that it lacks."""
    found: dict[str, Mapping[str, str] | None] = dict.fromkeys(FIGURES)
    folder = path / "figures"
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        if file.suffix in MIME and not file.name.startswith("."):
            encoded = base64.b64encode(file.read_bytes()).decode("ascii")
            found[file.name] = {
                "source": f"data:{MIME[file.suffix]};base64,{encoded}",
                "alt": FIGURES.get(file.name, file.stem.replace("_", " ")),
            }
    return found
