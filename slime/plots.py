"""Figures: axes in, axes out, or a Figure where several axes are needed; pyplot is not touched."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Num
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from slime.errors import SlimeError
from slime.files import write_aside

# Okabe and Ito's colours, told apart with every common colour blindness
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY = "#CC79A7", "#56B4E9", "#6B6B6B"
OTHERS = (ORANGE, GREEN, PURPLE, VERMILION, SKY)
DASHES = ("--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
SPLIT_COLOURS = {"train": BLUE, "val": ORANGE, "test": GREEN}
PERCENTILES = (0.5, 99.8)
UNSEEN = "0.6"  # pixels and cells without a number
FLOOR = -0.5  # skill below it is marked as off scale, so that it does not flatten the rest
DPI = 120
_OVER: dict[str, Any] = {
    "ha": "center",
    "va": "center",
    "color": "white",
    "fontsize": 9,
    "path_effects": [withStroke(linewidth=2, foreground="black")],
}


@dataclass(frozen=True)
class Example:
    """One window's rollout beside what happened: row i of truth and forecast is lead i + 1.

    Attributes:
        last_frame: the last frame given, which persistence repeats.
        lead_s: seconds a lead, where known.
        pixel_um: micrometres a pixel, where known.
        where: which window it is, "dish 3, test split, frame 312", for titles.
    """

    truth: Num[np.ndarray, "lead c y x"]
    forecast: Num[np.ndarray, "lead c y x"]
    last_frame: Num[np.ndarray, "c y x"]
    channels: Sequence[str]
    lead_s: float | None = None
    pixel_um: float | None = None
    where: str = ""

    def __post_init__(self) -> None:
        n_channels = len(self.channels)
        if self.truth.shape[1] != n_channels:
            raise SlimeError(f"{n_channels} channel names for {self.truth.shape[1]} channels")

    @property
    def n_leads(self) -> int:
        """Frames ahead, the first being lead 1."""
        return len(self.truth)


def duration_text(seconds: float) -> str:
    """A time in the unit in which it reads best.

    >>> duration_text(45.0), duration_text(480.0), duration_text(9000.0)
    ('45 s', '8 min', '2.5 h')
    """
    unit, n_seconds = time_unit(seconds)
    return f"{seconds / n_seconds:.3g} {unit}"


def time_unit(seconds: float) -> tuple[str, float]:
    """The unit that suits times up to `seconds`, and its length in s."""
    if abs(seconds) < 120:
        return "s", 1.0
    return ("min", 60.0) if abs(seconds) < 7200 else ("h", 3600.0)


def skill_text(skill: float) -> str:
    """A skill with its sign, a true minus, to three decimals where that is not too many.

    >>> skill_text(0.41), skill_text(-28.77)
    ('+0.410', '−28.8')
    """
    return (f"{skill:+.3f}" if abs(skill) < 10 else f"{skill:+.1f}").replace("-", "−")


def number_text(value: float, figures: int = 3) -> str:
    """A few figures, small numbers by a power of ten, a true minus before.

    >>> number_text(0.000307), number_text(0.171), number_text(5120.4)
    ('3.07e-4', '0.171', '5120')
    """
    if not math.isfinite(value):
        return str(value)
    sign, size = "−" if value < 0 else "", abs(value)
    if size and not 1e-2 <= size < 1e4:
        digits, power = f"{size:.{figures - 1}e}".split("e")
        return f"{sign}{float(digits):.{figures}g}e{int(power)}"
    return f"{sign}{size:.0f}" if size >= 1000 else f"{sign}{size:.{figures}g}"


def rows_where(table: pd.DataFrame, **equal: Any) -> pd.DataFrame:
    """The rows in which each named column has the given value."""
    kept = np.ones(len(table), bool)
    for column, value in equal.items():
        same: Any = table[column] == value
        kept &= np.asarray(same.fillna(False), dtype=bool)
    return cast(pd.DataFrame, table[kept])


def numbers_of(rows: pd.DataFrame, column: str) -> Float[np.ndarray, " rows"]:
    """A column as floats, NaN where it is empty."""
    return np.asarray(rows[column], dtype=float)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a PNG aside and rename it; equal figures give equal bytes."""
    look: dict[str, Any] = {"dpi": DPI, "metadata": {"Software": None}, "facecolor": "white"}
    write_aside(Path(path), lambda aside: figure.savefig(aside, format="png", **look))
    return Path(path)


def movie_frames(movie: xr.DataArray, n: int = 6) -> Figure:
    """Evenly spaced frames, a row a channel, each channel on one scale of gray.

    Only these frames are read. Black and white are percentiles of the frames shown, those that
    hold one value only (blank ones) left out; the colour bar says which.
    """
    n_frames, _, n_y, n_x = movie.shape
    picked = np.unique(np.linspace(0, n_frames - 1, n).round().astype(int))
    frames = movie.isel(time=picked).to_numpy()
    names = [str(c) for c in movie["channel"].values] if "channel" in movie.coords else []
    names = names or [str(i) for i in range(movie.sizes["channel"])]
    figure, grid = _picture_grid(len(names), len(picked), n_y / n_x)
    for row, name in enumerate(names):
        grays = Normalize(*gray_limits(frames[:, row]))
        for axes, frame, index in zip(grid[row], frames[:, row], picked, strict=True):
            _show(axes, frame, "gray", grays)
            if row == 0:
                axes.set_title(_frame_title(movie, int(index)), fontsize=9)
            if frame.min() == frame.max():
                axes.text(0.5, 0.5, f"all {frame.min():g}", **_OVER, transform=axes.transAxes)
        grid[row][0].set_ylabel(f"channel\n{_short(name, 18)}", fontsize=9)
        _colour_bar(figure, grid[row], "stored value")
    _scale_bar(grid[0][0], n_x, movie.attrs.get("pixel_um"))
    said = f"black and white: percentiles {_percentiles_text()} of the frames shown, by channel"
    figure.supxlabel(said, fontsize=8, color=GREY)
    return figure


def learning_curves(records: Sequence[Mapping[str, Any]]) -> Figure:
    """Train loss, validation skill and MSE, and learning rate by epoch; the best epoch marked.

    Epochs without a number leave a gap; those that diverged (NaN, inf) are counted in the title.
    """
    if not records:
        raise SlimeError("no epoch is recorded: learning curves need at least one")
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    panels = figure.subplot_mosaic(
        [["train_loss", "val_skill"], ["lr", "val_mse"]],
        height_ratios=[1.7, 1],
        sharex=True,
    )
    epochs = _column(records, "epoch")
    best = next((r for r in reversed(records) if r.get("best")), None)
    titles = {
        "train_loss": "train loss (MSE in units of the frame-to-frame change)",
        "val_skill": f"validation skill{_best_text(best)}, dashed: persistence",
        "lr": "learning rate",
        "val_mse": "validation MSE (movie units squared)",
    }
    for name, title in titles.items():
        axes, values = panels[name], _column(records, name)
        finite = np.where(np.isfinite(values), values, np.nan)
        colour = BLUE if name.startswith("val") else GREY if name == "lr" else VERMILION
        marker = "o" if len(records) < 40 else ""
        axes.plot(epochs, finite, marker=marker, markersize=3, color=colour, linewidth=1.4)
        n_lost = int(np.sum(~np.isfinite(values) & [r.get(name) is not None for r in records]))
        lost = f": {n_lost} of {len(records)} epochs not finite" if n_lost else ""
        axes.set_title(title + lost, fontsize=9, loc="left")
        if name in ("train_loss", "val_mse"):
            _log_axis(axes, finite[np.isfinite(finite)])
        if name != "val_skill":
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value, 4)))
        if best:
            axes.axvline(best["epoch"], color="0.75", linewidth=1, zorder=0)
        _tidy(axes)
    if best and best.get("val_skill") is not None:
        marker = {"markersize": 13, "color": ORANGE, "markeredgecolor": "black"}
        panels["val_skill"].plot(best["epoch"], best["val_skill"], "*", zorder=5, **marker)
    panels["val_skill"].axhline(0, color=GREY, linewidth=1, linestyle="--")
    for name in ("lr", "val_mse"):
        panels[name].set_xlabel("epoch")
        whole = MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
        panels[name].xaxis.set_major_locator(whole)
    panels["lr"].set_ylim(bottom=0)
    return figure


def forecast_strip(example: Example, leads: Sequence[int], channel: int = 0) -> Figure:
    """Last frame given, truth, forecast and both errors at some leads, one channel.

    Truth and forecast share one scale, taken from the truth; both errors share another, symmetric
    about 0, so that rows can be compared by eye. Pixels without a number are gray.
    """
    wrong = [lead for lead in leads if not 1 <= lead <= example.n_leads]
    if wrong or not leads:
        raise SlimeError(f"leads {list(leads)}: choose from 1 to {example.n_leads}")
    rows = np.asarray(leads) - 1
    truth, forecast = (v[rows, channel].astype(float) for v in (example.truth, example.forecast))
    last = example.last_frame[channel].astype(float)
    n_y, n_x = last.shape
    names = (
        "last given,\npersistence",
        "truth",
        "forecast",
        "error\nforecast − truth",
        "error\nof persistence",
    )
    pictures = [np.stack([last] * len(leads)), truth, forecast, forecast - truth, last - truth]
    gray, errors = Normalize(*gray_limits(truth)), error_norm(np.stack(pictures[3:]))
    figure, grid = _picture_grid(len(names), len(leads), n_y / n_x)
    for row, (name, stack) in enumerate(zip(names, pictures, strict=True)):
        for axes, picture in zip(grid[row], stack, strict=True):
            is_error = row >= 3
            _show(axes, picture, "RdBu_r" if is_error else "gray", errors if is_error else gray)
        grid[row][0].set_ylabel(name, fontsize=9)
        if row == 2:
            label = f"movie units, percentiles {_percentiles_text()}\nof the truth shown"
            _colour_bar(figure, grid[:3], label)
    _colour_bar(figure, grid[3:], "movie units, error\n(99.8 % of pixels inside)")
    for axes, lead in zip(grid[0], leads, strict=True):
        axes.set_title(lead_text(lead, example.lead_s), fontsize=9)
    _scale_bar(grid[0][0], n_x, example.pixel_um)
    said = [example.where] if example.where else []
    said += [f"channel {example.channels[channel]}"]
    figure.suptitle((", " if len(leads) > 3 else "\n").join(said), fontsize=10)
    return figure


def skill_by_lead(
    axes: Axes,
    scores: pd.DataFrame,
    split: str,
    *,
    net: str | None = None,
    movie: str = "all",
    channel: str = "all",
    lead_s: float | None = None,
) -> Axes:
    """Skill against persistence by lead, a line a model and seed; the net's interval is shaded.

    Skill under a floor is written out in a band at the foot, a row a model (the worst of its
    seeds), and never dropped: a baseline far worse than persistence would flatten all the rest.

    Args:
        scores: rows as in scores.csv.
        net: the model drawn boldly; the baselines are dashed.
        lead_s: seconds a lead, for the axis above.
    """
    rows = rows_where(scores, score="skill", split=split, movie=movie, channel=channel)
    rows = rows.dropna(subset=["lead"]).sort_values(by="lead", kind="stable")
    if rows.empty:
        raise SlimeError(f"no skill of movie {movie!r}, channel {channel!r} in split {split!r}")
    axes.axhline(0, color=GREY, linewidth=1.2, label="persistence", zorder=1)
    models = [m for m in dict.fromkeys(rows["model"]) if m != "persistence"]
    models.sort(key=lambda model: model != net)
    ticks = _lead_axis(axes, sorted({int(lead) for lead in numbers_of(rows, "lead")}), lead_s)
    for model in models:
        style = _model_style(model, models, net)
        seeds = list(rows_where(rows, model=model).groupby("seed", dropna=False))
        n_seeds = f" ({len(seeds)} seeds)" if len(seeds) > 1 else ""
        for i, (_, group) in enumerate(seeds):
            label = f"{model}{n_seeds}" if i == 0 else f"_{model}"
            lead, value = numbers_of(group, "lead"), numbers_of(group, "value")
            low, high = numbers_of(group, "low"), numbers_of(group, "high")
            marked = np.flatnonzero(np.isin(lead, ticks)).tolist()
            axes.plot(lead, value, label=label, markevery=marked, **style)
            if model == (net or model) and np.isfinite(low).any():
                axes.fill_between(lead, low, high, color=style["color"], alpha=0.2, linewidth=0)
    floor = _skill_floor(rows, net)
    shaded = numbers_of(rows_where(rows, model=net) if net else rows, "high")
    highest = float(np.fmax.reduce([*numbers_of(rows, "value"), *shaded], initial=0.04))
    axes.set_ylim(floor, min(1.02, highest + 0.06))
    under = [(m, _worst_under(rows_where(rows, model=m), floor)) for m in models]
    off_scale = [(_model_style(m, models, net)["color"], worst) for m, worst in under if worst]
    _list_off_scale(axes, off_scale, ticks)
    axes.set_ylabel("skill, 1 − MSE / MSE(persistence)")
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    axes.legend(**beside, fontsize=9, frameon=False, handlelength=3.2)
    _tidy(axes)
    return axes


def landscape_contour(axes: Axes, plane: xr.DataArray) -> Axes:
    """Contours of a loss plane with axes ("alpha", "beta"), levels evenly spaced in the logarithm.

    The centre (the trained net) is marked, and the lowest cell where that is another one. Cells
    without a finite loss are hatched and counted.
    """
    if set(plane.dims) != {"alpha", "beta"}:
        raise SlimeError(f"a loss plane has axes alpha and beta, not {plane.dims}")
    loss = plane.transpose("beta", "alpha").to_numpy().astype(float)
    alpha, beta = plane["alpha"].to_numpy(), plane["beta"].to_numpy()
    finite = np.isfinite(loss)
    edges = (alpha.min(), beta.min()), np.ptp(alpha), np.ptp(beta)
    hatched = Rectangle(
        *edges, facecolor="0.88", edgecolor="0.6", hatch="///", linewidth=0, zorder=0
    )
    axes.add_patch(hatched)
    if finite.any():
        norm, levels = _contour_levels(loss[finite])
        masked = np.ma.masked_where(~finite, loss)
        filled = axes.contourf(alpha, beta, masked, levels=levels, norm=norm, cmap="viridis")
        axes.contour(alpha, beta, masked, levels=levels, colors="white", linewidths=0.4, alpha=0.6)
        bar = axes.figure.colorbar(filled, ax=axes, ticks=levels[::3])
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: number_text(loss)))
        bar.ax.yaxis.set_minor_locator(NullLocator())
        units = f" ({plane.attrs['units']})" if plane.attrs.get("units") else ""
        bar.set_label(f"{plane.attrs.get('long_name', plane.name or 'loss')}{units}")
        _mark_lowest(axes, alpha, beta, loss)
    else:
        axes.text(alpha.mean(), beta.mean(), "no finite loss", ha="center", va="bottom")
    axes.plot(0, 0, "*", color=ORANGE, markeredgecolor="black", markersize=14, label="trained net")
    for set_label, name in ((axes.set_xlabel, "alpha"), (axes.set_ylabel, "beta")):
        set_label(plane[name].attrs.get("long_name", f"step along the {name} direction"))
    axes.set(xlim=(alpha.min(), alpha.max()), ylim=(beta.min(), beta.max()))
    axes.set_title(_plane_title(plane, int((~finite).sum())), fontsize=9, loc="left")
    axes.legend(loc="upper right", fontsize=8, framealpha=0.9)
    return axes


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
        whole = Rectangle((0, row - 0.3), stops[name] * scale[name], 0.6)
        whole.set(facecolor="0.93", edgecolor="0.6", hatch="////", linewidth=0, zorder=1)
        axes.add_patch(whole)
    narrow: list[list[str]] = [[] for _ in names]  # labels that do not fit into their bars
    for split in splits:
        row, name = names.index(str(split["movie"])), str(split["movie"])
        left, right = split["start"] * scale[name], split["stop"] * scale[name]
        colour = SPLIT_COLOURS.get(str(split["name"]), PURPLE)
        axes.barh(row, right - left, left=left, height=0.6, color=colour, zorder=2)
        text = f"{split['name']}\n{split['start']}–{split['stop'] - 1}"
        if (right - left) / widest > 0.09:
            ink = "black" if colour == ORANGE else "white"
            style = {"ha": "center", "va": "center", "color": ink, "fontsize": 8}
            axes.text((left + right) / 2, row, text, **style, zorder=3)
        else:
            narrow[row].append(text.replace("\n", " "))
    for row, labels in enumerate(narrow):
        right = stops[names[row]] * scale[names[row]]
        axes.text(right, row + 0.33, ", ".join(labels), ha="right", va="top", fontsize=8)
    axes.set_yticks(range(len(names)), [_short(n) for n in names], fontsize=9)
    axes.set(ylim=(len(names) - 0.35, -0.55), xlim=(0, widest))
    axes.set_xlabel(f"time ({unit}); bars carry frame numbers" if timed else "frame")
    axes.set_title("hatched: in no split (gaps between splits)", fontsize=9, loc="left")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return axes


def lead_text(lead: int, lead_s: float | None) -> str:
    """'lead 8 (8 min)', or 'lead 8' where the frame interval is unknown."""
    return f"lead {lead} ({duration_text(lead * lead_s)})" if lead_s else f"lead {lead}"


def error_norm(errors: Float[np.ndarray, "..."]) -> Normalize:
    """A scale symmetric about 0 that holds 99.8 % of the errors."""
    finite = np.abs(errors[np.isfinite(errors)])
    limit = float(np.percentile(finite, 99.8)) if finite.size else 0.0
    limit = limit or float(finite.max(initial=0.0)) or 1.0
    return Normalize(-limit, limit)


def gray_limits(frames: Num[np.ndarray, "t y x"]) -> tuple[float, float]:
    """Percentiles over frames that hold more than one value."""
    numbers = [f[np.isfinite(f)] for f in np.asarray(frames, dtype=float)]
    varied = [f for f in numbers if f.size and f.min() < f.max()]
    if not varied:
        held = np.concatenate(numbers)
        low = float(held.min(initial=0.0))
        return low, low + 1.0
    low, high = np.percentile(np.concatenate(varied), PERCENTILES)
    return (float(low), float(high)) if low < high else (float(low), float(low) + 1.0)


def _percentiles_text() -> str:
    return "{:g} to {:g}".format(*PERCENTILES)


def _picture_grid(n_rows: int, n_columns: int, y_over_x: float) -> tuple[Figure, np.ndarray]:
    """Axes without ticks, sized so that pictures fill them."""
    width = min(1.8, 9.0 / n_columns)
    height = width * min(max(y_over_x, 0.3), 2.5)
    size = max(width * n_columns + 1.7, 4.5), (height + 0.06) * n_rows + 0.7
    figure = Figure(figsize=size)
    tight = {"w_pad": 0.02, "h_pad": 0.02, "wspace": 0.0, "hspace": 0.0}
    figure.set_layout_engine("compressed", **tight)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    return figure, grid


def _show(axes: Axes, picture: Num[np.ndarray, "y x"], colours: str, norm: Normalize) -> None:
    shown = axes.imshow(picture, cmap=colours, norm=norm, interpolation="nearest")
    shown.set_cmap(shown.get_cmap().with_extremes(bad=UNSEEN))


def _colour_bar(figure: Figure, beside: np.ndarray, label: str) -> None:
    """The bar of the one scale that the pictures beside it share."""
    shown = beside.ravel()[0].images[0]
    bar = figure.colorbar(shown, ax=beside.ravel().tolist(), extend="both", fraction=0.05, pad=0.01)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _frame_title(movie: xr.DataArray, index: int) -> str:
    interval_s = movie.attrs.get("frame_interval_s")
    if "time" in movie.coords:
        return f"frame {index}\n{duration_text(float(movie['time'].values[index]))}"
    return (
        f"frame {index}\n{duration_text(float(index * interval_s))}"
        if interval_s
        else f"frame {index}"
    )


def _scale_bar(axes: Axes, n_x: int, pixel_um: float | None) -> None:
    """A bar of a round length near a quarter of the picture's width, in um or else in pixels."""
    length = _round_length(n_x * (pixel_um or 1.0) / 3)
    unit = "µm" if pixel_um else "px"
    text = f"{length:g} {unit}" if unit == "px" or length < 1000 else f"{length / 1000:g} mm"
    share, left, foot = length / (pixel_um or 1.0) / n_x, 0.06, 0.07
    outline = [withStroke(linewidth=5, foreground="black")]
    axes.plot(
        [left, left + share],
        [foot, foot],
        color="white",
        linewidth=3,
        solid_capstyle="butt",
        transform=axes.transAxes,
        path_effects=outline,
    )
    style: dict[str, Any] = _OVER | {"ha": "left", "va": "bottom"}
    axes.text(left, foot + 0.05, text, transform=axes.transAxes, **style)


def _round_length(length: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `length`."""
    power = 10.0 ** math.floor(math.log10(length))
    return max(step * power for step in (1, 2, 5) if step * power <= length)


def _column(records: Sequence[Mapping[str, Any]], name: str) -> Float[np.ndarray, " epochs"]:
    values = [r.get(name) for r in records]
    return np.array([np.nan if v is None else float(v) for v in values])


def _log_axis(axes: Axes, values: Float[np.ndarray, " epochs"]) -> None:
    """A logarithmic axis, where all values are above 0, whose ticks are few and written in full."""
    if not (values.size and values.min() > 0):
        return
    axes.set_yscale("log")
    if values.max() < 300 * values.min():
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    if values.max() < 2.5 * values.min():
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_minor_locator(NullLocator())


def _best_text(best: Mapping[str, Any] | None) -> str:
    if best is None or best.get("val_skill") is None:
        return ""
    return f": ★ {skill_text(float(best['val_skill']))} at epoch {best['epoch']}"


def _model_style(model: str, models: Sequence[str], net: str | None) -> dict[str, Any]:
    if model == net:
        return {"color": BLUE, "linewidth": 2.4, "marker": "o", "markersize": 5, "zorder": 4}
    index = [m for m in models if m != net].index(model)
    return {
        "color": OTHERS[index % len(OTHERS)],
        "linestyle": DASHES[index % len(DASHES)],
        "linewidth": 1.5,
        "marker": "s^Dv<"[index % 5],
        "markersize": 4,
        "zorder": 3,
    }


def _skill_floor(rows: pd.DataFrame, net: str | None) -> float:
    """Low enough for the net and its interval, else FLOOR, else just under the lowest value."""
    lowest = float(np.fmin.reduce(numbers_of(rows, "value"), initial=0.0))
    if lowest >= FLOOR:
        return min(lowest, float(np.fmin.reduce(numbers_of(rows, "low"), initial=0.0))) - 0.05
    ours = rows_where(rows, model=net)
    of_net = np.fmin.reduce(
        [*numbers_of(ours, "value"), *numbers_of(ours, "low")], initial=FLOOR + 0.1
    )
    return max(float(of_net) - 0.1, -2.0)


def _worst_under(rows: pd.DataFrame, floor: float) -> dict[int, float]:
    """The lowest skill over seeds at each lead where it is under the floor."""
    worst: dict[int, float] = {}
    for lead, value in zip(numbers_of(rows, "lead"), numbers_of(rows, "value"), strict=True):
        if value < floor:
            worst[int(lead)] = min(float(value), worst.get(int(lead), math.inf))
    return worst


def _lead_axis(axes: Axes, leads: Sequence[int], lead_s: float | None) -> list[int]:
    """Ticks at doubling leads, and above them the same in time; gives the ticks."""
    powers = [lead for lead in leads if lead & (lead - 1) == 0]
    ticks = powers if len(powers) > 1 or len(leads) == 1 else list(leads)[:12]
    if max(leads) >= 16:
        axes.set_xscale("log", base=2)
        axes.set_xlim(min(leads) / 1.25, max(leads) * 1.25)
    else:
        axes.set_xlim(min(leads) - 0.5, max(leads) + 0.5)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda lead, _: f"{lead:g}"))
    axes.set_xlabel("lead (frames ahead)")
    if lead_s:
        suits = max(2 * min(leads), max(leads) / 20) * lead_s  # 15, 30, 60 s before 0.25 min
        unit, n_seconds = time_unit(suits)
        above = axes.secondary_xaxis("top")
        above.xaxis.set_major_locator(FixedLocator(ticks))
        above.xaxis.set_minor_locator(NullLocator())
        above.xaxis.set_major_formatter(
            FuncFormatter(lambda lead, _: f"{lead * lead_s / n_seconds:.3g}")
        )
        above.set_xlabel(f"time ahead ({unit})")
    return list(ticks)


def _list_off_scale(
    axes: Axes, worst: Sequence[tuple[str, Mapping[int, float]]], ticks: Sequence[int]
) -> None:
    """A band under the axis, a row a colour: the values at the ticks, else the worst of all."""
    if not worst:
        return
    floor, top = axes.get_ylim()
    row = 0.055 * (top - floor)
    bottom = floor - row * (len(worst) + 0.3)
    axes.set_yticks([tick for tick in axes.get_yticks() if floor <= tick <= top])
    axes.axhspan(bottom, floor, facecolor="0.96", zorder=4.5)
    axes.axhline(floor, color="0.6", linewidth=0.8, zorder=4.6)
    axes.set_ylim(bottom, top)
    style: dict[str, Any] = {"fontsize": 8, "ha": "center", "va": "center", "zorder": 6}
    for i, (colour, values) in enumerate(worst):
        shown = [lead for lead in values if lead in ticks] or [min(values, key=values.__getitem__)]
        for lead in shown:
            text = f"▼{values[lead]:.3g}".replace("-", "−")
            axes.text(lead, floor - row * (i + 0.65), text, color=colour, **style)


def _contour_levels(loss: Float[np.ndarray, " cells"]) -> tuple[Normalize, np.ndarray]:
    low, high = float(loss.min()), float(loss.max())
    if low <= 0:  # a logarithm has no place for it
        return Normalize(low, high), np.linspace(low, high if high > low else low + 1, 16)
    high = high if high > low * 1.0001 else low * 1.01
    levels = np.geomspace(low * (1 - 1e-9), high * (1 + 1e-9), 16)
    return LogNorm(levels[0], levels[-1]), levels


def _mark_lowest(
    axes: Axes,
    alpha: Num[np.ndarray, " alpha"],
    beta: Num[np.ndarray, " beta"],
    loss: Float[np.ndarray, "beta alpha"],
) -> None:
    row, column = np.unravel_index(
        np.nanargmin(np.where(np.isfinite(loss), loss, np.nan)), loss.shape
    )
    x, y = float(alpha[column]), float(beta[row])
    if (x, y) != (0.0, 0.0):
        label = f"lowest cell: {number_text(float(loss[row, column]))} at ({x:.2g}, {y:.2g})"
        axes.plot(x, y, "P", color="white", markeredgecolor="black", markersize=9, label=label)


def _plane_title(plane: xr.DataArray, n_lost: int) -> str:
    facts = {n: plane.attrs.get(n) for n in ("seed", "n_windows", "cosine")}
    words = {
        "seed": "directions of seed {:g}",
        "n_windows": "{:g} windows",
        "cosine": "cosine {:.2g}",
    }
    said = [
        words[n].format(value)
        for n, value in facts.items()
        if isinstance(value, (int, float, np.number))
    ]
    lost = [f"{n_lost} of {plane.size} cells not finite (hatched)"] if n_lost else []
    return ", ".join(said + lost)


def _short(name: str, n_letters: int = 28) -> str:
    return name if len(name) <= n_letters else f"{name[: n_letters - 9]}…{name[-8:]}"


def _tidy(axes: Axes) -> None:
    axes.spines[["right"]].set_visible(False)
    if not axes.child_axes:
        axes.spines[["top"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
