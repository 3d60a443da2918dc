"""Sensor offset and angle of a stored Physarum movie: what is read of it, and rows for a table."""

from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from slime.errors import SlimeError
from slime.observables.reading import read_field
from slime.observables.table import Row, single_row
from slime.progress import Progress
from slime.recover.jones import (
    HIGHEST,
    LOWEST,
    NAMES,
    Estimate,
    Filming,
    Table,
    drawn_parameters,
    estimate,
    network_observables,
    simulated_table,
)
from slime.recover.rates_movie import channel_list
from slime.simulate.movie_header import stored_attributes
from slime.simulate.physarum_film import PhysarumCameraSpec
from slime.simulate.physarum_spec import PhysarumSpec

N_FRAMES = 3  # the last ones, whose observables are averaged
UNITS = ("px", "deg")


class OfTrail(NamedTuple):
    """A picture of the trail, the simulated networks and what came of them."""

    frame: Float[np.ndarray, "y x"]
    table: Table
    estimate: Estimate
    rows: list[Row]


def jones_of_movie(
    movie: xr.DataArray,
    store: str,
    *,
    n_table: int,
    seed: int,
    memory_budget: int,
    progress: Progress | None = None,
) -> OfTrail:
    """Sensor offset and angle from the last frames of a simulated trail.

    All other constants, the camera's too, are those in the store's attributes. The movie's own
    seed is not used again.

    Raises:
        SlimeError: the store says nothing of how it was simulated, or holds no whole trail.
    """
    names = channel_list(movie)
    known = {} if "://" in store else stored_attributes(Path(store)).get("parameters", {})
    if known.get("world") != "physarum" or "trail" not in names:
        raise SlimeError(
            f"{movie.name} is no trail of the physarum world: the sensors of agents can be told "
            "only where all else of their model is known"
        )
    field = read_field(
        movie, names.index("trail"), bin_px=1, memory_budget=memory_budget, progress=progress
    )
    if not np.isfinite(field.frames).all():
        raise SlimeError(f"{movie.name} has pixels that do not count: networks need whole frames")
    shown = field.frames[-N_FRAMES:].astype(np.float64)
    numbers = field.first + np.arange(len(field.frames))[-N_FRAMES:]
    filming = _filming(known, numbers.tolist(), field.units.frame_interval_s)
    table = simulated_table(
        drawn_parameters(n_table, seed), filming, seed=10_000 * (seed + 1), progress=progress
    )
    found = estimate(table, network_observables(list(shown))[None])
    return OfTrail(shown[-1], table, found, _rows(found, n_table))


def _filming(known: dict[str, Any], numbers: list[int], interval_s: float) -> Filming:
    """How the movie was made, but for what is to be found."""
    hidden = {"sensor_offset_px", "sensor_angle_deg"}
    names = {one.name for one in fields(PhysarumSpec)} - hidden
    spec = PhysarumSpec(**{k: v for k, v in known["spec"].items() if k in names})
    camera = PhysarumCameraSpec(**known["camera"])
    first = round(60 * known["warm_up_min"] / spec.step_s)
    n_steps = round(interval_s / spec.step_s)
    steps = tuple(first + i * n_steps for i in numbers)
    return Filming(spec, camera, steps, tuple(i * interval_s for i in numbers))


def _rows(found: Estimate, n_table: int) -> list[Row]:
    rows = []
    for p, (name, unit) in enumerate(zip(NAMES, UNITS, strict=True)):
        value, low, high, plain = (float(part[0, p]) for part in found)
        note = f"95 % interval by alike networks of {n_table} simulated"
        if not LOWEST[p] < value < HIGHEST[p]:
            note = f"outside what is simulated, {LOWEST[p]:g} to {HIGHEST[p]:g} {unit}"
            value = low = high = float("nan")
        rows.append(Row(name, value, low, high, unit, N_FRAMES, note))
        rows.append(single_row(f"{name}_fitted", plain, unit, N_FRAMES, "the regression alone"))
    return rows
