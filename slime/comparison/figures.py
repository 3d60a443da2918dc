"""The figures of a comparison, drawn from what runs have kept."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from slime.comparison.gather import Gathered
from slime.plots.comparison import score_by_lead, strips_figure
from slime.plots.landscape_lines import plane_figure
from slime.plots.style import save_figure
from slime.run.examples import load_example

CAPTIONS = {
    "by_lead.png": "Skill against persistence and vrmse by lead; shaded: intervals over seeds and "
    "blocks of time. Baselines are dashed, and cut off where they are far worse.",
    "strips.png": "Forecasts of one window and their errors, all on one scale; each model's first "
    "seed.",
    "landscapes.png": "The loss around each net over its own, on one scale of colours: only that "
    "can be compared between nets, and a flatter plane says nothing of a better forecast.",
}


def draw_all(gathered: Gathered, table: pd.DataFrame, folder: Path) -> tuple[list[str], list[str]]:
    """Draw what can be drawn into a folder; gives the names of the figures, and notes."""
    nets = list(gathered.groups)
    figure = Figure(figsize=(8.4, 6.4), layout="constrained")
    for axes, score in zip(figure.subplots(2, 1), ("skill", "vrmse"), strict=True):
        score_by_lead(axes, table, score, nets)
    found = {"by_lead.png": figure}
    notes: list[str] = []
    strips, said = strips_of(gathered)
    if strips is not None:
        found["strips.png"] = strips
    planes = _planes(gathered)
    if planes:
        found["landscapes.png"] = plane_figure(planes)
    without = [name for name in nets if name not in planes]
    if without:
        notes.append(f"no landscape is kept of {', '.join(without)}")
    for name, one in found.items():
        save_figure(one, folder / name)
    return list(found), [*said, *notes]


def strips_of(gathered: Gathered) -> tuple[Figure | None, list[str]]:
    """Examples of the same window; others are left out by name."""
    kept = {
        name: next(filter(None, (load_example(run.path) for run in runs)), None)
        for name, runs in gathered.groups.items()
    }
    held = {name: one for name, one in kept.items() if one is not None}
    lacking = [name for name in kept if name not in held]
    notes = [f"no example forecast is kept of {', '.join(lacking)}"] if lacking else []
    if not held:
        return None, notes
    first = next(iter(held.values()))
    same = {
        name: one.example
        for name, one in held.items()
        if one.leads == first.leads and np.array_equal(one.example.truth, first.example.truth)
    }
    other = [name for name in held if name not in same]
    notes += [f"the example of {', '.join(other)} is another window"] if other else []
    return strips_figure(same, first.leads, first.channel), notes


def _planes(gathered: Gathered) -> Mapping[str, xr.DataArray]:
    found = {}
    for name, runs in gathered.groups.items():
        stores = (run.path / "landscape.zarr" for run in runs)
        store = next((one for one in stores if one.is_dir()), None)
        if store is not None:
            found[name] = xr.open_zarr(store, consolidated=False)["loss"].load()
    return found
