"""Which frames were trained on, validated on and tested on, as bars."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from slime.plots.style import BLUE, GREEN, ORANGE, PURPLE, short_name
from slime.texts import time_unit

SPLIT_COLOURS = {"train": BLUE, "val": ORANGE, "test": GREEN}


def split_bars(
    axes: Axes,
    splits: Sequence[Mapping[str, Any]],
    movies: Sequence[Mapping[str, Any]] = (),
) -> Axes:
    """The frames of each split as bars, a row a movie; frames in no split are hatched.

    Args:
        splits: movie, name, start (kept), stop (left out).
        movies: name, frames and frame_interval_s; where all intervals are known, the axis is
            time, and twins stand under each other.
    """
    of_movie = {str(m["name"]): m for m in movies}
    names = list(dict.fromkeys([*of_movie, *(str(s["movie"]) for s in splits)]))
    interval = {n: float(of_movie.get(n, {}).get("frame_interval_s") or 0) for n in names}
    stops = {n: max([s["stop"] for s in splits if str(s["movie"]) == n], default=0) for n in names}
    stops = {n: of_movie.get(n, {}).get("frames") or stops[n] for n in names}
    timed = all(interval.values()) and len(names) > 0
    unit, n_seconds = time_unit(max(stops[n] * interval[n] for n in names)) if timed else ("", 1.0)
    scale = {n: interval[n] / n_seconds if timed else 1.0 for n in names}
    widest = max((stops[n] * scale[n] for n in names), default=1.0)
    for row, name in enumerate(names):
        own = [s for s in splits if str(s["movie"]) == name]
        _draw_row(axes, row, own, stops[name], scale[name], widest)
    axes.set_yticks(range(len(names)), [short_name(n) for n in names], fontsize=9)
    axes.set(ylim=(len(names) - 0.35, -0.55), xlim=(0, widest))
    axes.set_xlabel(f"time ({unit}); bars carry frame numbers" if timed else "frame")
    axes.set_title("hatched: in no split (gaps between splits)", fontsize=9, loc="left")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return axes


def _draw_row(
    axes: Axes,
    row: int,
    splits: Sequence[Mapping[str, Any]],
    n_frames: int,
    scale: float,
    widest: float,
) -> None:
    """One movie's bars over its hatched whole; labels that do not fit into a bar stand below."""
    whole = Rectangle((0, row - 0.3), n_frames * scale, 0.6)
    whole.set(facecolor="0.93", edgecolor="0.6", hatch="////", linewidth=0, zorder=1)
    axes.add_patch(whole)
    narrow = []
    for split in splits:
        left, right = split["start"] * scale, split["stop"] * scale
        colour = SPLIT_COLOURS.get(str(split["name"]), PURPLE)
        axes.barh(row, right - left, left=left, height=0.6, color=colour, zorder=2)
        text = f"{split['name']}\n{split['start']}–{split['stop'] - 1}"
        if (right - left) / widest > 0.09:
            ink = "black" if colour == ORANGE else "white"
            style = {"ha": "center", "va": "center", "color": ink, "fontsize": 8}
            axes.text((left + right) / 2, row, text, **style, zorder=3)
        else:
            narrow.append(text.replace("\n", " "))
    below: dict[str, Any] = {"ha": "right", "va": "top", "fontsize": 8}
    axes.text(n_frames * scale, row + 0.33, ", ".join(narrow), **below)
