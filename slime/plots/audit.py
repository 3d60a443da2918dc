"""What an audit saw of one movie, on one page."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from slime.audit import AuditReport, Finding
from slime.audit.light import saturated_pixels
from slime.audit.odd_pixels import dead_pixels, hot_pixels
from slime.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, short_name, tidy

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)  # of channels
MARKS = {"error": ("X", VERMILION), "warning": ("o", ORANGE), "note": ("|", GREY)}
N_MARKED = 12  # kinds of findings that have a row of marks


def audit_page(report: AuditReport) -> Figure:
    """Light over time with the findings marked, sample frames, pixels, change and noise.

    Raises:
        ValueError: the report is of a cheap audit, which measures nothing.
    """
    if report.measures is None:
        raise ValueError(f"{report.movie}: a picture needs a full audit, not full=False")
    channels = [fit.channel for fit in report.noise]
    marked = [f for f in report.findings if f.frames][:N_MARKED]
    n_shown = max(len(report.measures.samples.shown), 1)
    _, _, y, x = report.measures.plan.shape
    strip_height = len(channels) * (0.15 + min(1.45 * y / x, 3))
    heights = [2.2, 0.35 + 0.24 * max(len(marked), 1), strip_height, 2.6]
    figure = Figure(figsize=(12, sum(heights) + 2.2), layout="constrained")
    rows = figure.add_gridspec(4, 1, height_ratios=heights)
    light = figure.add_subplot(rows[0])
    _light(light, report, channels)
    _marks(figure.add_subplot(rows[1], sharex=light), marked)
    strip = rows[2].subgridspec(len(channels), n_shown, wspace=0.03, hspace=0.05)
    _frames(figure, strip, report, channels)
    last = rows[3].subgridspec(1, 3, width_ratios=[1, 1.3, 1.3])
    _pixels(figure.add_subplot(last[0]), report, channels)
    _change(figure.add_subplot(last[1]), report, channels)
    _noise(figure.add_subplot(last[2]), report)
    figure.suptitle(_title(report), fontsize=11, x=0.01, ha="left")
    return figure


def _title(report: AuditReport) -> str:
    kinds = ", ".join(dict.fromkeys(f.kind for f in report.findings if f.severity != "note"))
    n = len(report.blank)
    return f"{short_name(report.movie, 50)}: {n} frames, {kinds or 'no errors or warnings'}"


def _light(axes: Axes, report: AuditReport, channels: Sequence[str]) -> None:
    assert report.measures is not None
    for c, name in enumerate(channels):
        mean = np.where(report.usable, report.measures.mean[:, c], np.nan)
        axes.plot(mean, color=COLOURS[c % len(COLOURS)], linewidth=1.2, label=f"channel {name}")
    axes.set(ylabel="mean of a frame\n(stored units)", xlim=(-0.5, len(report.blank) - 0.5))
    axes.tick_params(labelbottom=False)
    if len(channels) > 1:
        axes.legend(fontsize=8, frameon=False, ncols=len(channels), loc="upper right")
    tidy(axes)


def _marks(axes: Axes, findings: Sequence[Finding]) -> None:
    """A row of marks a kind of finding."""
    for row, finding in enumerate(findings):
        shape, colour = MARKS[finding.severity]
        y = np.full(len(finding.frames), row)
        axes.scatter(finding.frames, y, marker=shape, s=22, color=colour, linewidths=1)
    axes.set_yticks(range(len(findings)), [f.kind for f in findings], fontsize=8)
    axes.set(ylim=(max(len(findings), 1) - 0.4, -0.6), xlabel="frame")
    if not findings:
        axes.text(0.01, 0.5, "no finding names a frame", transform=axes.transAxes, va="center")
    shapes = [
        Line2D([], [], marker=shape, color=colour, linestyle="", label=severity)
        for severity, (shape, colour) in MARKS.items()
        if any(f.severity == severity for f in findings)
    ]
    if shapes:
        axes.legend(
            handles=shapes,
            fontsize=8,
            ncols=3,
            loc="upper left",
            bbox_to_anchor=(0, -0.35),
            frameon=False,
        )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _frames(figure: Figure, places, report: AuditReport, channels: Sequence[str]) -> None:
    """Sample frames, each channel on one scale of gray."""
    assert report.measures is not None
    shown = report.measures.samples.shown
    for c, name in enumerate(channels):
        values = [frame[c][np.isfinite(frame[c])] for frame in shown.values()]
        low, high = np.percentile(np.concatenate(values), [0.5, 99.8]) if values else (0, 1)
        for k, (number, frame) in enumerate(sorted(shown.items())):
            axes = figure.add_subplot(places[c, k])
            axes.imshow(frame[c], cmap="gray", vmin=low, vmax=max(high, low + 1e-12))
            axes.set(xticks=[], yticks=[])
            if c == 0:
                axes.set_title(f"frame {number}", fontsize=8)
            if k == 0:
                axes.set_ylabel(f"{short_name(name, 14)}\n{low:.4g} to {high:.4g}", fontsize=8)


def _pixels(axes: Axes, report: AuditReport, channels: Sequence[str]) -> None:
    """Share of the frames in which a pixel is saturated, and where odd pixels are."""
    assert report.measures is not None
    maps = report.measures.maps
    axes.set(xlabel="x (pixel)", ylabel="y (pixel)")
    if maps is None:
        return
    n = max(int(report.usable.sum()), 1)
    share = np.zeros(maps.high.shape[1:])
    for c in range(len(channels)):
        count, value = saturated_pixels(report.measures, report.usable, c)
        if count.any():
            varied = (maps.high[c] == value) & (maps.low[c] < maps.high[c])
            share = np.maximum(share, np.where(varied, maps.n_high[c] / n, 0))
    picture = axes.imshow(share, cmap="cividis", vmin=0, vmax=max(float(share.max()), 0.01))
    assert axes.figure is not None
    bar = axes.figure.colorbar(picture, ax=axes, fraction=0.046)
    bar.set_label("share of frames saturated", fontsize=8)
    for kind, find, shape in (("dead", dead_pixels, "s"), ("hot", hot_pixels, "o")):
        listed = any(f.kind == f"{kind} pixel" for f in report.findings)
        where = [np.argwhere(find(maps, c)) for c in range(len(channels))] if listed else []
        at = np.concatenate(where) if where else np.zeros((0, 2))
        if len(at):
            axes.scatter(
                at[:, 1],
                at[:, 0],
                s=40,
                marker=shape,
                facecolors="none",
                edgecolors=ORANGE,
                label=kind,
            )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, loc="upper right", title="odd pixels", title_fontsize=8)
    axes.set_title("pixels over time", fontsize=9, loc="left")


def _change(axes: Axes, report: AuditReport, channels: Sequence[str]) -> None:
    assert report.measures is not None
    for c in range(len(channels)):
        change = np.sqrt(report.measures.change[:, c])
        axes.plot(
            np.where(change > 0, change, np.nan), color=COLOURS[c % len(COLOURS)], linewidth=1
        )
    for finding in report.findings:
        if finding.kind.startswith("jump"):
            for frame in finding.frames:
                axes.axvline(frame, color=VERMILION, linewidth=0.8, linestyle=":")
    axes.set(xlabel="frame", ylabel="root mean square change\n(stored units)", ylim=(0, None))
    axes.set_title("since the frame before; dotted: jumps", fontsize=9, loc="left")
    tidy(axes)


def _noise(axes: Axes, report: AuditReport) -> None:
    """Variance against level, with the line where there is one."""
    for c, fit in enumerate(report.noise):
        colour = COLOURS[c % len(COLOURS)]
        if not fit.level.size:
            continue
        what = f"{1 / fit.gain:.3g} electrons a count" if not fit.why else "no line"
        axes.plot(fit.level, fit.variance, ".", color=colour, label=f"{fit.channel}: {what}")
        if not fit.why:
            axes.plot(
                fit.level, fit.variance_at_0 + fit.gain * fit.level, color=colour, linewidth=1
            )
    axes.set(xlabel="level (stored units)", ylabel="noise variance\n(stored units squared)")
    axes.set_title("photon transfer", fontsize=9, loc="left")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)
    tidy(axes)
