"""Landscapes of trained runs: grids resumed cell by cell, and saved."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from slime.landscape import (
    hessian_directions,
    hessian_spectrum,
    loss_between,
    loss_line,
    loss_plane,
    plane_through,
    trajectory_plane,
)
from slime.progress import Progress
from slime.run.landscape_words import LandscapeWords
from slime.run.opened import Opened
from slime.run.snapshots import load_snapshots


def draw_grids(
    opened: Sequence[Opened], asked: LandscapeWords, out: Path, *, progress: Progress | None = None
) -> dict[str, xr.DataArray | xr.Dataset]:
    """The grids that were asked for, by the runs' names; cells are kept in `out` meanwhile."""
    if asked.kind in ("between", "runs", "trajectory"):
        return {_together(opened): _joint(opened, asked, out, progress)}
    return {one.name: _alone(one, asked, out, progress) for one in opened}


def _alone(
    one: Opened, asked: LandscapeWords, out: Path, progress: Progress | None
) -> xr.DataArray | xr.Dataset:
    stepper, how = one.saved.stepper, _how(one.name, asked, out, progress)
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
    if not asked.along_eigenvectors:
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
    names = {"net_name": [one.name for one in opened]}
    if asked.kind == "between":
        return loss_between(stepper, states[0], first.batches, **how).assign_attrs(names)
    if asked.kind == "runs":
        return plane_through(stepper, states, first.batches, **how).assign_attrs(names)
    return trajectory_plane(stepper, load_snapshots(first.path), first.batches, **how)


def _together(opened: Sequence[Opened]) -> str:
    return "-".join(one.name for one in opened)


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
