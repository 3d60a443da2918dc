"""The movies that studies are about: three simulated worlds, kept once made, and a real one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr

from slime.data_spec import DataSpec
from slime.errors import SlimeError, nearest
from slime.nets.conv import Edges
from slime.prepare import Prepared, prepare
from slime.progress import Progress
from slime.run.folder import hash_of
from slime.scale import Standardizer
from slime.simulate import make_movies
from slime.split import Split
from slime.windows import WindowSpec


@dataclass(frozen=True)
class WorldSpec:
    """How a world is filmed.

    Attributes:
        name: in tables and file names.
        world, settings, seeds: of slime.simulate.make_movies, size and length apart.
        says: what moves, in a few words.
        channels: that are forecast, all where None.
        edges: what lies beyond a frame.
    """

    name: str
    world: str
    says: str
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    channels: tuple[str, ...] | None = None
    edges: Edges = "replicate"


_BROKEN = {
    "frame_interval_s": 20.0,
    "warm_up_min": 35.0,
    "pulses_per_mm2": 2.0,
    "rho_low": 0.1,
    "rho_sigma_mm": 0.6,
}
_GATHERING = {"frame_interval_s": 30.0, "warm_up_min": 30.0}
WORLDS = {
    one.name: one
    for one in (
        WorldSpec(
            "spirals",
            "dictyostelium_fields",
            "spirals of cAMP, 20 s a frame, noise of 0.1 K_R",
            {**_BROKEN, "noise_g": 0.1},
            seeds=(0, 1, 3),  # of seed 2 no wave lives on
        ),
        WorldSpec(
            "spirals_clean",
            "dictyostelium_fields",
            "the same waves without noise",
            _BROKEN,
            seeds=(0, 1, 3),
        ),
        WorldSpec(
            "aggregation",
            "dictyostelium",
            "cells that gather and their cAMP, 30 s a frame, a camera's noise",
            _GATHERING,
            seeds=(0, 1, 2),
        ),
        WorldSpec(
            "slow",
            "dictyostelium",
            "the marker of such cells alone, in dim light",
            {**_GATHERING, "marker_electrons": 100.0},
            seeds=(0, 1, 2),
            channels=("cells",),
        ),
        WorldSpec(
            "trail",
            "physarum",
            "the trail of hidden agents on a torus, 150 s a frame",
            {"frame_interval_s": 150.0, "warm_up_min": 30.0},
            seeds=(0, 1, 2),
            edges="circular",
        ),
    )
}
REAL = "real"


@dataclass(frozen=True)
class World:
    """Movies opened, cut and scaled: what nets are trained and scored on.

    Attributes:
        identity: a hash of every frame and cut; cells of other movies are other cells.
        crop: height and width cut from each window that a net trains on, but for frame_mlp.
    """

    name: str
    says: str
    prepared: Prepared
    scale: Standardizer
    edges: Edges
    identity: str
    crop: tuple[int, int] | None = None

    @property
    def movies(self) -> list[xr.DataArray]:
        """All movies of the world."""
        return self.prepared.movies

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.movies[0].sizes["y"], self.movies[0].sizes["x"]

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels."""
        return tuple(str(c) for c in self.movies[0]["channel"].values)

    def of(self, name: str) -> tuple[list[xr.DataArray], list[Split]]:
        """The movies that have a split, and that split of each."""
        return self.prepared.of(name)


def film_world(
    name: str,
    folder: Path,
    *,
    n_frames: int,
    size_px: int,
    step: int = 1,
    n_in: int = 8,
    seeds: Sequence[int] | None = None,
) -> World:
    """A simulated world: filmed into `folder` where it is not there, cut for windows of `n_in`.

    Args:
        step: frames between two frames of a window; the gap between splits grows with it.
        seeds: of the movies; the world's own where None.

    Raises:
        SlimeError: there is no such world, or no seed.
    """
    if name not in WORLDS:
        known = ", ".join(WORLDS)
        raise SlimeError(f"there is no study world {name!r} ({known}){nearest(name, WORLDS)}")
    spec = WORLDS[name]
    settings = {**spec.settings, "n_frames": n_frames, "size_px": size_px}
    film = f"{spec.world}-{hash_of(settings)[:6]}"
    seeds = spec.seeds if seeds is None else tuple(seeds)
    if not seeds:
        raise SlimeError("film_seeds=[] names no movie")
    paths = [folder / f"{film} seed {seed}.zarr" for seed in seeds]
    made = make_movies(spec.world, paths, seeds=list(seeds), progress=True, **settings)
    channels = None if spec.channels is None else list(spec.channels)
    data = DataSpec(stores=[str(path) for path in made], channels=channels)
    opened = open_world(name, data, step=step, n_in=n_in)
    return replace(opened, says=spec.says, edges=spec.edges)


def open_world(
    name: str, data: DataSpec, *, step: int = 1, n_in: int = 8, progress: Progress | None = None
) -> World:
    """The movies of stores as a world, every one cut in time for windows of `n_in` + 1 frames."""
    prepared = prepare(data, WindowSpec(n_in=n_in, n_out=1, step=step), seed=0, progress=progress)
    scale = Standardizer.fit(*prepared.of("train"), step=step)
    tables = [report.table.digest.tolist() for report in prepared.reports]
    cuts = [{k: (s.start, s.stop) for k, s in cut.items()} for cut in prepared.splits]
    channels = [str(c) for c in prepared.movies[0]["channel"].values]
    identity = hash_of(tables, cuts, channels, step)
    return World(name, "", prepared, scale, "replicate", identity, data.window_size)
