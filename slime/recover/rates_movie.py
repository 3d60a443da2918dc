"""sigma and k_e of a stored movie of g: what is read of it, and rows for a table."""

import math
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from slime.errors import SlimeError
from slime.observables.reading import Field, read_field
from slime.observables.table import Row, single_row
from slime.progress import Progress
from slime.recover.observer import Setup, steps_between
from slime.recover.rates import Rates, recover_rates
from slime.simulate.dictyostelium_spec import DictyosteliumSpec
from slime.simulate.martiel_goldbeter import Kinetics
from slime.simulate.movie_header import stored_attributes

LONGEST_INTERVAL_S = 30.0  # frames further apart lose the front of a wave between them
LARGEST_G = 50.0  # K_R; waves of the model stay below 10
MARGIN_PX = 8  # of a part cut out of larger frames, whose edges are no walls
MIN_SCORED = 10  # frames after the warm-up


class Choices(NamedTuple):
    """What the user may choose of how rates are found."""

    free_response: bool = False
    warm_up_min: float = 8.0
    longest_min: float = 40.0
    crop_px: int = 64
    n_copies: int = 8
    seed: int = 0


class OfSignal(NamedTuple):
    """A movie of g as the fit took it, and what came of it."""

    frames: Float[Tensor, "1 t y x"]
    setup: Setup
    rates: Rates
    rows: list[Row]


def rates_of_movie(
    movie: xr.DataArray,
    store: str,
    choices: Choices,
    *,
    memory_budget: int,
    progress: Progress | None = None,
) -> OfSignal:
    """sigma and k_e of a movie with a channel g, in the middle of its frames.

    The other constants are those in the store's attributes, if slime simulated it, or the defaults.

    Raises:
        SlimeError: the movie cannot serve: its channels, units, length or masks, with a cure.
    """
    g = _read(movie, _channel(movie), memory_budget, progress)
    spec, known = _constants(store, g)
    setup = _setup(movie, g, spec, choices)
    cut = _cut(g, setup, choices)
    _check_values(cut, choices, str(movie.name))
    density = None
    if "density" in channel_list(movie):
        field = _read(movie, channel_list(movie).index("density"), memory_budget, progress)
        density = _cut(field, setup, choices)
    rates = recover_rates(
        cut,
        setup,
        density=density,
        free_response=choices.free_response,
        n_copies=choices.n_copies,
        seed=choices.seed,
        progress=progress,
    )
    return OfSignal(cut, setup, rates, rate_rows(rates, cut.shape[1] - setup.warm_up, known))


def rate_rows(rates: Rates, n_frames: int, constants: str) -> list[Row]:
    """The rows of the first movie of a batch; NaN, with the reason, where it tells nothing."""
    reason = rates.reason[0]
    names = ("sigma", "k_e", "gain", "offset")[: rates.parameters.shape[1]]
    low, high = rates.interval()
    said = f"low to high: 95 % interval by {rates.copies.shape[1]} simulated copies; {constants}"
    rows = []
    for i, name in enumerate(names):
        value, bottom, top = (_plain(name, v[0, i].item()) for v in (rates.parameters, low, high))
        unit = {"gain": "1/K_R", "offset": "K_R"}.get(name, "1/min")
        rows.append(Row(name, value, bottom, top, unit, n_frames, reason or said))
    for i, name in enumerate(names[:2]):
        fitted = _plain(name, rates.fitted[0, i].item())
        note = reason or "least squares alone, biased by the noise in g"
        rows.append(single_row(f"{name}_fitted", fitted, "1/min", n_frames, note))
    note = "share of the variance of the next frame that the fit foretells"
    rows.append(single_row("explained", rates.explained[0].item(), "1", n_frames, note))
    return rows


def _plain(name: str, value: float) -> float:
    return value if name == "offset" else math.exp(value)


def channel_list(movie: xr.DataArray) -> list[str]:
    """The names of a movie's channels."""
    return [str(name) for name in movie["channel"].values]


def _channel(movie: xr.DataArray) -> int:
    """The number of channel g; of the only one, if there is one."""
    names = channel_list(movie)
    if "g" in names:
        return names.index("g")
    if len(names) == 1 and names[0] != "camp":
        return 0
    raise SlimeError(
        f"{movie.name} has channels {', '.join(names)}, but sigma and k_e need g, the cAMP outside "
        "the cells: a channel named g or the only one (light of cells does not show it; "
        "make_movie.py dictyostelium_fields writes it)"
    )


def _read(
    movie: xr.DataArray, channel: int, memory_budget: int, progress: Progress | None
) -> Field:
    return read_field(movie, channel, bin_px=1, memory_budget=memory_budget, progress=progress)


def _constants(store: str, field: Field) -> tuple[DictyosteliumSpec, str]:
    """The constants of the model for frames of this size, and where they are from."""
    stored: dict[str, Any] = {}
    if "://" not in store and Path(store).is_dir():
        stored = stored_attributes(Path(store)).get("parameters", {}).get("spec", {})
    known = {one.name for one in fields(DictyosteliumSpec)}
    _, height, width = field.frames.shape
    given = {
        "height_px": max(height, 4),
        "width_px": max(width, 4),
        "dx_mm": field.units.pixel_um / 1000,
        "cells_per_mm2": 0.0,
    }
    if stored and {one.name for one in fields(Kinetics)} <= set(stored):
        simulated = {name: value for name, value in stored.items() if name in known}
        # what is to be found is not looked up
        hidden = asdict(Kinetics())
        rest = {name: hidden[name] for name in ("sigma_per_min", "k_e_per_min")}
        spec = _stable(simulated | rest | given)
        return spec, "other constants from the store's attributes"
    return _stable(given | {"dt_min": 0.02, "move_min": 0.02}), "other constants are the defaults"


def _stable(settings: dict[str, Any]) -> DictyosteliumSpec:
    """The spec, with a step that stays stable for any k_e that a fit may try."""
    kinetics = Kinetics()
    diffusion = settings.get("diffusion_mm2_per_min", kinetics.diffusion_mm2_per_min)
    longest = 1 / (8 * diffusion / settings["dx_mm"] ** 2 + 20)
    dt_min = min(settings["dt_min"], longest)
    return replace(DictyosteliumSpec(**settings | {"dt_min": dt_min}), dt_min=dt_min)


def _setup(movie: xr.DataArray, field: Field, spec: DictyosteliumSpec, choices: Choices) -> Setup:
    interval_s = movie.attrs.get("frame_interval_s")
    if not interval_s or not movie.attrs.get("pixel_um"):
        missing = "pixel_um=MICROMETRES" if interval_s else "frame_interval_s=SECONDS"
        raise SlimeError(f"{movie.name} says too little of its units: give {missing}")
    if interval_s > LONGEST_INTERVAL_S:
        raise SlimeError(
            f"{movie.name} has frames {interval_s:g} s apart: rates need {LONGEST_INTERVAL_S:g} s "
            "or less, since a wave's front rises within a minute"
        )
    warm_up = math.ceil(choices.warm_up_min * 60 / interval_s)
    n_frames = len(field.frames)
    if n_frames < warm_up + MIN_SCORED:
        raise SlimeError(
            f"{movie.name} has {n_frames} frames, but {warm_up} pass (warm_up_min="
            f"{choices.warm_up_min:g}) before the hidden fields are known, and {MIN_SCORED} more "
            "are needed"
        )
    _, height, width = field.frames.shape
    if min(height, width) < 3:
        raise SlimeError(f"{movie.name} has frames of {height} x {width}: 3 pixels a side at least")
    cut = choices.crop_px < max(height, width)
    minutes = interval_s / 60
    return Setup(spec, minutes, steps_between(spec, minutes), warm_up, MARGIN_PX if cut else 0)


def _cut(field: Field, setup: Setup, choices: Choices) -> Float[Tensor, "1 t y x"]:
    """The middle of the frames, `crop_px` wide beside its margin, up to `longest_min`."""
    n = round(choices.longest_min / setup.interval_min) + 1
    wide = choices.crop_px + 2 * setup.margin_px
    _, height, width = field.frames.shape
    top, left = max(height - wide, 0) // 2, max(width - wide, 0) // 2
    part = field.frames[:n, top : top + wide, left : left + wide]
    return torch.from_numpy(np.ascontiguousarray(part))[None]


def _check_values(frames: Float[Tensor, "1 t y x"], choices: Choices, label: str) -> None:
    if not torch.isfinite(frames).all():
        raise SlimeError(f"{label} has pixels that do not count: rates need whole frames")
    largest = frames.max().item()
    if not choices.free_response and largest > LARGEST_G:
        raise SlimeError(
            f"{label} has values up to {largest:g}, but g in K_R stays below {LARGEST_G:g}; "
            "response=free fits a gain and an offset beside"
        )
