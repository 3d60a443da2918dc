"""Landscapes of trained runs: what is asked, the windows, and grids resumed cell by cell."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import xarray as xr

from slime.checkpoint import SavedRun, load_run
from slime.config import config_from_yaml
from slime.devices import pick_device
from slime.errors import SlimeError
from slime.landscape import (
    hessian_directions,
    hessian_spectrum,
    loss_between,
    loss_line,
    loss_plane,
    plane_through,
    trajectory_plane,
)
from slime.landscape.loss import Precision, check_loss
from slime.prepare import Prepared, prepare
from slime.progress import Progress
from slime.run.folder import hash_of
from slime.run.snapshots import load_snapshots
from slime.settings import names_and_settings, setting, settings_help, spec_from_words
from slime.stream import Batch, WindowStream
from slime.windows import WindowSpec

USAGE = "usage: python scripts/plot_landscape.py RUN [RUN ...] [key=value ...]"
N_RUNS = {"plane": None, "line": None, "between": 2, "runs": 3, "trajectory": 1, "hessian": None}


@dataclass(frozen=True)
class LandscapeWords:
    """What is drawn of which runs."""

    kind: Literal["plane", "line", "between", "runs", "trajectory", "hessian"] = setting(
        "plane",
        "plane and line about each run; between two; runs: the plane through three; the trajectory "
        "of one training; hessian: eigenvalues, trace and density",
    )
    axes: Literal["random", "hessian"] = setting(
        "random", "of a plane: filter-normalised directions, or the top two eigenvectors"
    )
    points: int = setting(21, "points a side; odd about a net")
    radius: float = setting(1.0, "how far along random directions, in their lengths")
    loss: str = setting("mse", "or horizon_0.8: frames until the correlation falls below 0.8")
    lead: int = setting(1, "frames ahead at which the loss is taken; the longest horizon")
    precision: Precision = setting("float32", "bfloat16 is faster, and tells its error")
    windows: int = setting(64, "windows that it is taken over; 0 takes all")
    split: Literal["train", "val"] = setting("val", "of which split; test stays closed")
    seed: int = setting(0, "of directions, probes and the choice of windows")
    probes: int = setting(16, "random vectors for trace and density")
    out: str | None = setting(None, "a folder; RUN/landscapes of the first run by default")
    html: bool = setting(False, "of planes also a page that turns under the mouse")
    device: str = setting("auto", "auto takes cuda, then mps, then cpu")

    @property
    def label(self) -> str:
        """What files are named by: the kind, with the loss where it is not the one-step error."""
        plain = (self.loss, self.lead) == ("mse", 1)
        return self.kind if plain else f"{self.kind}-{self.loss}-lead{self.lead}"

    def __post_init__(self) -> None:
        for name, least in (("points", 3), ("lead", 1), ("windows", 0), ("probes", 0)):
            if getattr(self, name) < least:
                raise SlimeError(f"{name}={getattr(self, name)} must be at least {least}")
        check_loss(self.loss, self.precision)
        if self.loss != "mse" and (self.kind == "hessian" or self.axes == "hessian"):
            raise SlimeError(f"loss={self.loss} has no Hessian: it moves in steps")


def help_text() -> str:
    """The usage, and every key with its default and meaning."""
    return f"{USAGE}\n\n{settings_help(LandscapeWords)}"


def parse_words(words: Sequence[str]) -> tuple[list[Path], LandscapeWords]:
    """The runs' folders, and what is asked of them.

    Raises:
        SlimeError: too few or too many runs, a folder that holds none, an unknown key or value.
    """
    names, settings = names_and_settings(words)
    asked = spec_from_words(LandscapeWords, settings)
    wanted = N_RUNS[asked.kind]
    if not names or (wanted is not None and len(names) != wanted):
        raise SlimeError(f"kind={asked.kind} wants {wanted or 'one run or more'}; {USAGE}")
    for name in names:
        if not (Path(name) / "config.yaml").is_file():
            raise SlimeError(f"{name} holds no run: there is no {Path(name) / 'config.yaml'}")
    return [Path(name) for name in names], asked


@dataclass(frozen=True)
class Opened:
    """A run with the windows that its loss is taken over."""

    path: Path
    saved: SavedRun
    batches: list[Batch]


def open_runs(
    paths: Sequence[Path], asked: LandscapeWords, *, progress: Progress | None = None
) -> list[Opened]:
    """The runs' best nets, and the same windows for all that were trained on the same movies."""
    device, known = pick_device(asked.device), dict[str, Prepared]()
    opened = []
    for path in paths:
        saved = load_run(path, device=device)
        config = config_from_yaml((path / "config.yaml").read_text(encoding="utf-8"))
        key = hash_of(str(config.data), str(config.window), config.seed)
        if key not in known:
            known[key] = prepare(config.data, config.window, seed=config.seed, progress=progress)
        movies, splits = known[key].of(asked.split)
        spec = WindowSpec(saved.shape.n_in, asked.lead, saved.shape.step)
        budget = config.data.memory_budget
        batches = take_windows(movies, splits, spec, asked, budget, device)
        opened.append(Opened(path, saved, batches))
    return opened


def take_windows(
    movies: Any,
    splits: Any,
    spec: WindowSpec,
    asked: LandscapeWords,
    memory_budget: int,
    device: torch.device,
) -> list[Batch]:
    """So many windows, drawn by the seed; all of them in time order where 0 are asked for."""
    stream = WindowStream(
        movies,
        splits,
        spec,
        batch_size=min(asked.windows or 64, 64),
        seed=asked.seed if asked.windows else None,
        memory_budget=memory_budget,
        device=device,
    )
    taken, n = [], 0
    for batch in stream:
        left = asked.windows - n if asked.windows else len(batch.start)
        past, future, mask, movie, start = batch
        mask = None if mask is None else mask[:left]
        taken.append(Batch(past[:left], future[:left], mask, movie[:left], start[:left]))
        n += len(taken[-1].start)
        if asked.windows and n >= asked.windows:
            break
    return taken


def draw_grids(
    opened: Sequence[Opened], asked: LandscapeWords, out: Path, *, progress: Progress | None = None
) -> dict[str, xr.DataArray | xr.Dataset]:
    """The grids that were asked for, by the runs' names; cells are kept in `out` meanwhile."""
    if asked.kind in ("between", "runs", "trajectory"):
        return {_together(opened): _joint(opened, asked, out, progress)}
    return {one.path.name: _alone(one, asked, out, progress) for one in opened}


def _alone(
    one: Opened, asked: LandscapeWords, out: Path, progress: Progress | None
) -> xr.DataArray | xr.Dataset:
    stepper, how = one.saved.stepper, _how(one.path.name, asked, out, progress)
    if asked.kind == "hessian":
        return hessian_spectrum(
            stepper,
            one.batches,
            n_probes=asked.probes,
            lead=asked.lead,
            seed=asked.seed,
            progress=how["progress"],
        )
    size = {"n_points": asked.points, "radius": asked.radius}
    if asked.kind == "line":
        return loss_line(stepper, one.batches, seed=asked.seed, **size, **how)
    if asked.axes == "random":
        return loss_plane(stepper, one.batches, seed=asked.seed, **size, **how)
    directions, values = hessian_directions(stepper, one.batches, lead=asked.lead, seed=asked.seed)
    plane = loss_plane(stepper, one.batches, directions=directions, **size, **how)
    told = {"directions": "eigenvectors of the Hessian", "eigenvalues": values.tolist()}
    return plane.assign_attrs(told)


def _joint(
    opened: Sequence[Opened], asked: LandscapeWords, out: Path, progress: Progress | None
) -> xr.DataArray:
    first, *others = opened
    states = [other.saved.stepper.state_dict() for other in others]
    how = {"n_points": asked.points, **_how(_together(opened), asked, out, progress)}
    stepper = first.saved.stepper
    if asked.kind == "between":
        return loss_between(stepper, states[0], first.batches, **how)
    if asked.kind == "runs":
        return plane_through(stepper, states, first.batches, **how)
    return trajectory_plane(stepper, load_snapshots(first.path), first.batches, **how)


def _together(opened: Sequence[Opened]) -> str:
    return "-".join(one.path.name for one in opened)


def _how(name: str, asked: LandscapeWords, out: Path, progress: Progress | None) -> dict[str, Any]:
    """What every grid is told: its lead, its file of cells, and who watches."""

    def watched(points: Sequence[Any]) -> Any:
        return progress(points, len(points), f"{asked.kind} of {name}") if progress else points

    keep = out / f".{asked.label}-{name}.cells.jsonl"
    loss = {"lead": asked.lead, "loss": asked.loss, "precision": asked.precision}
    return {**loss, "keep": keep, "progress": watched}


def save_grids(
    grids: Mapping[str, xr.DataArray | xr.Dataset], asked: LandscapeWords, out: Path
) -> list[tuple[Path, str]]:
    """Each grid as a zarr store, whole before it gets its name, and a line of what it says."""
    told = []
    for name, grid in grids.items():
        store = out / f"{asked.label}-{name}.zarr"
        data = grid.to_dataset(name="loss") if isinstance(grid, xr.DataArray) else grid
        aside = out / f".{asked.label}-{name}.aside.zarr"
        shutil.rmtree(aside, ignore_errors=True)
        data.to_zarr(aside, mode="w", consolidated=False)
        shutil.rmtree(store, ignore_errors=True)
        aside.rename(store)
        (out / f".{asked.label}-{name}.cells.jsonl").unlink(missing_ok=True)
        told.append((store, _summary(grid)))
    return told


def _summary(grid: xr.DataArray | xr.Dataset) -> str:
    if isinstance(grid, xr.Dataset):
        parts = [
            f"{side} {', '.join(f'{v:.4g}' for v in grid[side].values)}"
            for side in ("top", "bottom")
            if side in grid
        ]
        if "trace" in grid:
            parts.append(f"trace {float(grid['trace']):.4g} +- {float(grid['trace_se']):.2g}")
        return "; ".join(parts)
    lost = grid.attrs["n_nonfinite"]
    text = f"loss {float(grid.min()):.4g} to {float(grid.max()):.4g}"
    if "barrier" in grid.attrs:
        text += f", barrier {grid.attrs['barrier']:.4g}"
    if all(0 in grid[name] for name in grid.dims):
        text += f", {float(grid.sel(dict.fromkeys(grid.dims, 0))):.4g} at the net itself"
    if "bfloat16_error" in grid.attrs:
        text += f", bfloat16 off by {grid.attrs['bfloat16_error']:.1g} at most where compared"
    return text + (f", {lost} cells not finite" if lost else "")
