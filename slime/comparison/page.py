"""A comparison as one self-contained page, and the same as Markdown."""

import base64
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from slime.comparison.figures import CAPTIONS
from slime.files import write_text
from slime.texts import duration_text, number_text, skill_text


def write_pages(told: Mapping[str, Any], folder: Path) -> Path:
    """Write comparison.html and comparison.md from what comparison.json holds; gives the page."""
    sources = {name: _inline(folder / "figures" / name) for name in told["figures"]}
    for name, escape in (("comparison.html", True), ("comparison.md", False)):
        environment = Environment(
            autoescape=escape, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        environment.filters |= {"sure": _sure, "cell": _cell, "big": _big, "time": _time}
        environment.filters |= {"rate": lambda rate: "–" if rate is None else f"{rate:,.0f}"}
        text = files("slime.comparison").joinpath(f"{name}.j2").read_text(encoding="utf-8")
        shown = {**told, "captions": CAPTIONS, "sources": sources}
        write_text(folder / name, environment.from_string(text).render(shown))
    return folder / "comparison.html"


def _inline(figure: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(figure.read_bytes()).decode('ascii')}"


def _cell(value: Any) -> str:
    """A value inside a table: no line break, no column's border."""
    return "–" if value is None else " ".join(str(value).split()).replace("|", "\\|")


def _sure(score: Mapping[str, Any], *, signed: bool = False) -> str:
    """A score with its interval, where it has one; skill shows its sign."""
    if score["value"] is None:
        return "–"
    text = skill_text if signed else number_text
    said = text(score["value"])
    if score["low"] is None:
        return said
    return f"{said} [{text(score['low'])} to {text(score['high'])}]"


def _big(count: int | None) -> str:
    """A count as 31.2 k or 4.03 M."""
    if count is None:
        return "–"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{number_text(count / size)} {unit}"
    return str(count)


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else duration_text(seconds)
