"""What the epochs of the feeding benchmark come to: medians, ratios within a round, goals."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.feeds import CONTESTANTS
from benchmarks.movies import LAYOUTS
from slime.plots.style import BLUE, GREEN, GREY, ORANGE, VERMILION, save_figure, tidy

Rows = Sequence[Mapping[str, Any]]
LOOKS = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (ORANGE, "D"))
UNIT = "fresh"  # ratios are to this contestant


class Goal(NamedTuple):
    """`of` is to be at least `least` times the slowest (or fastest) of `to`."""

    text: str
    of: str
    to: tuple[str, ...]
    least: float
    fastest: bool = False


GOALS = (
    Goal("resident / in memory, batches reused", "resident", ("reused",), 0.9),
    Goal("streaming / in memory, fresh batches", "slime", ("fresh",), 1.0),
    Goal("streaming by zarrs / in memory, fresh batches", "slime-zarrs", ("fresh",), 1.0),
    Goal(
        "streaming by zarr-python / slower of its decode and fresh",
        "slime-zarr",
        ("zarr", "fresh"),
        0.8,
    ),
    Goal("streaming / xbatcher or random reads", "slime", ("xbatcher", "random"), 20, True),
    Goal(
        "streaming / xbatcher or random reads by zarrs",
        "slime",
        ("xbatcher-zarrs", "random-zarrs"),
        20,
        True,
    ),
)
MOST_READ = 1.1  # bytes read over bytes stored


def rates(rows: Rows, layout: str, contestant: str) -> dict[int, float]:
    """Windows a second in each round."""
    return {
        row["round"]: row["windows"] / row["wall_s"]
        for row in _of(rows, layout, contestant)
        if "round" in row
    }


def ratio(rows: Rows, layout: str, goal: Goal) -> float | None:
    """The median over rounds of a goal's ratio; None where one of the two did not run."""
    ours = rates(rows, layout, goal.of)
    others = [rates(rows, layout, key) for key in goal.to]
    choose = max if goal.fastest else min
    both = [
        ours[r] / choose(other[r] for other in others)
        for r in ours
        if all(r in other for other in others)
    ]
    return median(both) if both else None


def summary(rows: Rows) -> list[dict[str, Any]]:
    """A row a layout and contestant: medians over rounds, the peak over all."""
    table = []
    for layout, contestant in _pairs(rows):
        ran = [row for row in _of(rows, layout, contestant) if "round" in row]
        missing = [row["missing"] for row in _of(rows, layout, contestant) if "missing" in row]
        line: dict[str, Any] = {"layout": layout, "contestant": contestant}
        if not ran:
            table.append({**line, "missing": missing[0]})
            continue
        line["windows_per_s"] = median(rates(rows, layout, contestant).values())
        line["ratio"] = ratio(rows, layout, Goal("", contestant, (UNIT,), 0))
        line["cpu_s_per_1000"] = median(1000 * row["cpu_s"] / row["windows"] for row in ran)
        line["peak_mb"] = max(row["peak_bytes"] for row in ran) / 1e6
        line["read_over_stored"] = median(row["read_bytes"] / row["stored_bytes"] for row in ran)
        line["load_s"] = ran[0]["load_s"]
        table.append({**line, "windows": ran[0]["windows"], "rounds": len(ran)})
    return table


def goal_rows(rows: Rows) -> list[dict[str, Any]]:
    """Each goal in each layout: what was reached, and whether that is enough."""
    reached = []
    for layout in dict.fromkeys(row["layout"] for row in rows):
        for goal in GOALS:
            value = ratio(rows, layout, goal)
            met = value is not None and value >= goal.least
            entry = {"layout": layout, "goal": goal.text, "wanted": f">= {goal.least:g}"}
            reached.append({**entry, "value": value, "met": met})
        for key in ("slime", "slime-zarrs", "slime-zarr"):
            ran = [row for row in _of(rows, layout, key) if "round" in row]
            read = [row["read_bytes"] / row["stored_bytes"] for row in ran]
            entry = {"layout": layout, "goal": f"bytes read over stored, {_label(key)}"}
            value = max(read, default=None)
            met = value is not None and value <= MOST_READ
            reached.append({**entry, "wanted": f"<= {MOST_READ:g}", "value": value, "met": met})
    return reached


def feed_markdown(table: Rows, goals: Rows) -> str:
    """The tables, a layout under the other, and the goals."""
    parts = []
    for layout in LAYOUTS:
        lines = [row for row in table if row["layout"] == layout.key]
        if lines:
            parts += [f"### {layout.label}", "", *_layout_lines(lines), ""]
    parts += ["### Goals", "", *_goal_lines(goals)]
    return "\n".join(parts)


def _layout_lines(lines: Rows) -> Iterable[str]:
    yield "| | windows/s | to fresh | CPU s / 1000 windows | peak MB | read / stored | load s |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in lines:
        name = _label(row["contestant"])
        if "missing" in row:
            yield f"| {name} | {row['missing'].split(':')[0]} | | | | | |"
            continue
        ratio_text = "" if row["ratio"] is None else f"{row['ratio']:.3g}"
        yield (
            f"| {name} | {row['windows_per_s']:.0f} | {ratio_text} | {row['cpu_s_per_1000']:.3g} "
            f"| {row['peak_mb']:.0f} | {row['read_over_stored']:.2f} | {row['load_s']:.2f} |"
        )


def _goal_lines(goals: Rows) -> Iterable[str]:
    layouts = list(dict.fromkeys(row["layout"] for row in goals))
    yield "| | wanted | " + " | ".join(_layout(key).label for key in layouts) + " |"
    yield "|---|---:|" + "---:|" * len(layouts)
    for text in dict.fromkeys(row["goal"] for row in goals):
        of_goal = [row for row in goals if row["goal"] == text]
        yield f"| {text} | {of_goal[0]['wanted']} | {' | '.join(map(_goal_cell, of_goal))} |"


def _goal_cell(row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return "not run"
    return f"{row['value']:.3g}{'' if row['met'] else ' (missed)'}"


def draw_ratios(table: Rows, path: Path) -> Path:
    """A dot a contestant and layout: its windows a second over those of the usual loop."""
    figure = Figure(figsize=(8.4, 5.2), layout="constrained")
    axes = figure.subplots()
    keys = [c.key for c in CONTESTANTS if any(_drawn(row, c.key) for row in table)]
    for number, layout in enumerate(LAYOUTS):
        dots = [
            (row["ratio"], keys.index(row["contestant"]) + (number - 1.5) * 0.16)
            for row in table
            if row["layout"] == layout.key and row["contestant"] in keys
            if row.get("ratio") is not None
        ]
        if dots:
            colour, marker = LOOKS[number]
            x, y = zip(*dots, strict=True)
            axes.scatter(x, y, s=42, c=colour, marker=marker, label=layout.label, zorder=3)
    _look(axes, [_label(key) for key in keys])
    return save_figure(figure, path)


def _look(axes: Axes, names: Sequence[str]) -> None:
    axes.axvline(1, color=GREY, linewidth=1.2, zorder=1)
    axes.set_xscale("log")
    ticks = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("windows a second, as a share of the loop that fills fresh batches in memory")
    axes.legend(title="decoded together", loc="lower right", fontsize=9, title_fontsize=9)
    tidy(axes)
    axes.grid(axis="x", color="0.9", linewidth=0.8)
    for edge in range(len(names) - 1):
        axes.axhline(edge + 0.5, color="0.93", linewidth=0.8, zorder=0)
    axes.grid(visible=False, axis="y")


def _drawn(row: Mapping[str, Any], key: str) -> bool:
    return row["contestant"] == key and row.get("ratio") is not None


def _of(rows: Rows, layout: str, contestant: str) -> list[Mapping[str, Any]]:
    return [r for r in rows if r["layout"] == layout and r["contestant"] == contestant]


def _pairs(rows: Rows) -> list[tuple[str, str]]:
    """Layouts and contestants that occur, in the order of their lists."""
    there = {(row["layout"], row["contestant"]) for row in rows}
    all_pairs = [(layout.key, c.key) for layout in LAYOUTS for c in CONTESTANTS]
    return [pair for pair in all_pairs if pair in there]


def _label(key: str) -> str:
    return next(c.label for c in CONTESTANTS if c.key == key)


def _layout(key: str) -> Any:
    return next(layout for layout in LAYOUTS if layout.key == key)
