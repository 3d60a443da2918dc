"""A page of all worlds: each filmed briefly, as a picture and an animation, with its command."""

import base64
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import xarray as xr
import zarr
from jinja2 import Environment, StrictUndefined

from slime.errors import SlimeError, nearest
from slime.files import write_text
from slime.movie import open_movie
from slime.plots import movie_frames, save_figure
from slime.plots.movie_gif import movie_gif
from slime.progress import Progress
from slime.simulate import make_movies
from slime.simulate.command import movie_paths
from slime.simulate.worlds import WORLDS

USAGE = "usage: python scripts/gallery.py [out=PATH] [only=NAME,NAME]"


@dataclass(frozen=True)
class Entry:
    """A movie of the gallery.

    Attributes:
        says: what is to be seen, in a sentence.
        settings: of make_movie.py, the seed apart.
        units: of a store that does not say its own, for the scale bar and the time.
    """

    name: str
    title: str
    says: str
    world: str
    settings: Mapping[str, Any]
    seed: int = 0
    units: Mapping[str, Any] = field(default_factory=dict)

    @property
    def out(self) -> str:
        """The store, beside the page; of several stores their folder."""
        return self.name if WORLDS[self.world].names else f"{self.name}.zarr"

    @property
    def command(self) -> str:
        """What makes the movie."""
        words = [f"{key}={value}" for key, value in self.settings.items()]
        seed = [f"seed={self.seed}"] if self.seed else []
        start = ["python", "scripts/make_movie.py", self.world, f"out={self.out}"]
        return shlex.join([*start, *seed, *words])


_WAVES = {"size_px": 160, "n_frames": 90, "frame_interval_s": 20.0, "warm_up_min": 35.0}
_BROKEN = {"pulses_per_mm2": 2.0, "rho_low": 0.1, "rho_sigma_mm": 0.6}
_NETWORK = {"n_frames": 60, "frame_interval_s": 300.0, "warm_up_min": 5.0}
ENTRIES = (
    Entry(
        "spiral",
        "Dictyostelium: spirals of cAMP",
        "Waves that broke on uneven receptors curl up, and turn every five to six minutes.",
        "dictyostelium_fields",
        {**_WAVES, **_BROKEN},
    ),
    Entry(
        "target",
        "Dictyostelium: targets",
        "Rings of cAMP run out, one after another.",
        "dictyostelium_fields",
        {**_WAVES, "size_px": 128, "n_frames": 60, "warm_up_min": 30.0, "pulses_per_mm2": 0.4},
        seed=5,
    ),
    Entry(
        "aggregation",
        "Dictyostelium: aggregation",
        "40,000 cells climb the waves from minute 30 on: streams, then mounds. Left the marker of "
        "cells, right their reporter of cAMP, dark in a wave.",
        "dictyostelium",
        {"n_frames": 60, "frame_interval_s": 140.0, "warm_up_min": 0.0},
    ),
    Entry(
        "sgro",
        "Noisy excitable cells (Sgro et al. 2015)",
        "Each cell fires by its own noise and excites its neighbours; dark is firing.",
        "sgro",
        {"n_frames": 60, "frame_interval_s": 10.0, "warm_up_min": 25.0},
    ),
    Entry(
        "physarum",
        "Physarum: a network that coarsens (Jones 2010)",
        "Agents follow the trail that they leave; small meshes close.",
        "physarum",
        _NETWORK,
    ),
    Entry(
        "physarum_narrow",
        "Physarum: sensors at 22.5 degrees",
        "Agents that look less far aside.",
        "physarum",
        {**_NETWORK, "sensor_angle_deg": 22.5},
    ),
    Entry(
        "physarum_sparse",
        "Physarum: half as many agents",
        "Thinner tubes, larger meshes.",
        "physarum",
        {**_NETWORK, "population": 0.07},
    ),
    Entry(
        "physarum_far",
        "Physarum: sensors 21 pixels ahead",
        "The wavelength grows with the distance of the sensors.",
        "physarum",
        {**_NETWORK, "sensor_offset_px": 21.0},
    ),
    Entry(
        "lookalike",
        "What a lab hands out",
        "A bare stack of 16 slices, here projected, with lost frames (black) and no word of units; "
        "beside it lies a copy of every fifth frame.",
        "lookalike",
        {"size_px": 128, "n_z": 16, "n_frames": 60, "warm_up_min": 60.0},
        units={"frame_interval_s": 15.0, "pixel_um": 50.0},
    ),
)


def parse_words(words: Sequence[str]) -> tuple[Path, list[Entry]]:
    """The folder and the movies that the words ask for.

    Raises:
        SlimeError: an unknown key or movie.
    """
    given = {key: value for key, _, value in (word.partition("=") for word in words)}
    for key in given:
        if key not in ("out", "only"):
            raise SlimeError(f"there is no setting {key}{nearest(key, ['out', 'only'])}; {USAGE}")
    known = {entry.name: entry for entry in ENTRIES}
    names = [name for name in given.get("only", "").split(",") if name] or list(known)
    for name in names:
        if name not in known:
            raise SlimeError(f"only={name} is none of {', '.join(known)}{nearest(name, known)}")
    return Path(given.get("out") or "gallery"), [known[name] for name in names]


def make_gallery(
    out: Path, entries: Iterable[Entry] = ENTRIES, *, progress: Progress | None = None
) -> Path:
    """Film, draw and list the movies; gives the page. What is there already is left as it is.

    A movie that was cut short goes on; a picture is made again where its movie is newer.

    Raises:
        SlimeError: a store of the same name holds another movie.
    """
    listed = list(entries)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SlimeError(f"out={out} cannot be made: {error.strerror}") from error
    for entry in progress(listed, len(listed), "gallery") if progress else listed:
        store = make_entry(out, entry)
        pictures = [out / f"{entry.name}.png", out / f"{entry.name}.gif"]
        if all(_is_newer(picture, store) for picture in pictures):
            continue
        movie = open_movie(str(store), **entry.units)
        save_figure(movie_frames(movie), pictures[0])
        movie_gif(pictures[1], movie)
    return write_gallery(out, listed)


def make_entry(out: Path, entry: Entry) -> Path:
    """The store of a movie, made or gone on with where it is not whole."""
    (store,) = movie_paths(str(out / entry.out), 1, WORLDS[entry.world].names)
    make_movies(entry.world, [store], seeds=[entry.seed], progress=True, **entry.settings)
    return store


def _is_newer(picture: Path, store: Path) -> bool:
    made = max(file.stat().st_mtime for file in (store, *store.glob("*.json")))
    return picture.exists() and picture.stat().st_mtime >= made


def write_gallery(out: Path, entries: Sequence[Entry]) -> Path:
    """The page, with every picture inside it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = files("slime.report").joinpath("gallery.html.j2").read_text(encoding="utf-8")
    rows = [_row(out, entry) for entry in entries]
    write_text(out / "index.html", environment.from_string(template).render(rows=rows))
    return out / "index.html"


def _row(out: Path, entry: Entry) -> dict[str, Any]:
    (store,) = movie_paths(str(out / entry.out), 1, WORLDS[entry.world].names)
    movie = open_movie(str(store), **entry.units)
    return {
        "entry": entry,
        "size": _size_text(movie),
        "parameters": parameters_of(store),
        "png": _inline(out / f"{entry.name}.png", "image/png"),
        "gif": _inline(out / f"{entry.name}.gif", "image/gif"),
    }


def _size_text(movie: xr.DataArray) -> str:
    n, _, y, x = movie.shape
    return (
        f"{n} frames of {y} × {x} pixels, {movie.attrs['frame_interval_s']:g} s a frame, "
        f"{movie.attrs['pixel_um']:g} µm a pixel, stored as {movie.dtype}"
    )


def parameters_of(store: Path) -> dict[str, Any]:
    """Every parameter of a simulated movie, from its store's attributes."""
    held: dict[str, Any] = dict(zarr.open(store, mode="r").attrs)
    found = held.get("simulated", held)
    told: dict[str, Any] = {}
    for name, value in found.get("parameters", {}).items():
        told |= value if isinstance(value, dict) else {name: value}
    return told


def _inline(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
