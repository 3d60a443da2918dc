"""What may be looked at: movies of a store, or those of a run without its test frames."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float32

from slime.checkpoint import SavedRun, load_run
from slime.config import config_from_yaml
from slime.errors import SlimeError
from slime.example import Example
from slime.forecast import forecast_movie
from slime.frames import read_frames
from slime.opening import OpeningSpec
from slime.prepare import open_stores
from slime.run.measured import OPEN
from slime.view.spec import ViewSpec

MOST_KEPT = 8  # forecasts, and frames, of the places looked at last


@dataclass(frozen=True)
class Film:
    """A movie, and which of its frames are open: `first` to `last`, both kept.

    Attributes:
        splits: start and stop of each split that is open, of a run's movie.
    """

    movie: xr.DataArray
    first: int
    last: int
    splits: dict[str, tuple[int, int]]

    def place(self, frame: int) -> str:
        """The name of the split that a frame lies in, "" where in none."""
        held = [n for n, (start, stop) in self.splits.items() if start <= frame < stop]
        return held[0] if held else ""


def films_of_store(store: str, spec: ViewSpec) -> list[Film]:
    """All movies of a store; metadata alone is read."""
    movies, _ = open_stores(spec.data(store))
    return [Film(movie, 0, movie.sizes["time"] - 1, {}) for movie in movies]


@dataclass(frozen=True)
class Trained:
    """A run as it is looked at: its net, its movies, and what was measured of it."""

    run: Path
    saved: SavedRun
    films: list[Film]
    mix: bool
    headline: str


def open_run(run: Path, given: Sequence[str], *, device: torch.device) -> Trained:
    """A run and its movies, opened as it was trained; metadata and weights alone are read.

    Raises:
        SlimeError: it was not reported yet, no movie has open frames, or a setting is given that
            training fixed.
    """
    fixed = {f.name for f in fields(OpeningSpec)} - {"out", "memory_gib", "movie"}
    wrong = [word for word in given if word.partition("=")[0] in {*fixed, "frames"}]
    if wrong:
        raise SlimeError(f"{wrong[0]}: the movies of {run} are opened as it was trained")
    if not (run / "run.json").is_file():
        raise SlimeError(
            f"{run} holds no run.json, since its training was stopped: resume=true out={run} "
            "ends it"
        )
    config = config_from_yaml((run / "config.yaml").read_text(encoding="utf-8"))
    told = json.loads((run / "run.json").read_text(encoding="utf-8"))
    stores = [str(place) for place in dict.fromkeys(m["store"] for m in told["movies"])]
    movies, _ = open_stores(replace(config.data, stores=stores))
    saved = load_run(run, device=device)
    n_given = 1 + (saved.shape.n_in - 1) * saved.shape.step
    films = [film for movie in movies if (film := _open_part(movie, told["splits"])) is not None]
    films = [film for film in films if film.last - film.first >= n_given - 1 + saved.shape.step]
    if not films:
        raise SlimeError(f"{run}: no movie has {n_given} frames of train or val and one after them")
    return Trained(run, saved, films, config.data.mix, str(told.get("headline") or ""))


def _open_part(movie: xr.DataArray, rows: Sequence[Mapping[str, Any]]) -> Film | None:
    """The frames of a movie's train and val splits, and those between; None where it has none."""
    own = {r["name"]: (r["start"], r["stop"]) for r in rows if r["movie"] == movie.name}
    held = {name: own[name] for name in OPEN if name in own}
    if not held:
        return None
    start, stop = min(s for s, _ in held.values()), max(e for _, e in held.values())
    if "test" in own and own["test"][0] < stop and own["test"][1] > start:
        raise SlimeError(f"{movie.name}: test lies between train and val, and stays closed")
    return Film(movie, start, stop - 1, held)


class Forecasts:
    """What a run forecasts of its films, window by window, as they are looked at.

    Only the frames of the window are read: those given, and the truth of the leads. The last few
    windows are kept.
    """

    def __init__(self, trained: Trained, leads: int):
        self.trained, self.leads = trained, leads
        self._kept: dict[tuple[int, int], Example] = {}

    def starts(self, film: Film) -> tuple[int, int]:
        """The first and the last frame that may be the last one given."""
        shape = self.trained.saved.shape
        return film.first + (shape.n_in - 1) * shape.step, film.last - shape.step

    def example(self, number: int, at: int) -> Example:
        """Truth and forecast of the leads after frame `at` of a film, as many as are open.

        Pixels of the truth that a mask leaves out are NaN.

        Raises:
            SlimeError: a frame given is blank, or too few are open.
            StoreError: a frame cannot be read.
        """
        key = number, at
        if key not in self._kept:
            found = self._forecast(self.trained.films[number], at)
            self._kept = dict([*self._kept.items(), (key, found)][-MOST_KEPT:])
        return self._kept[key]

    def _forecast(self, film: Film, at: int) -> Example:
        shape = self.trained.saved.shape
        first, last = self.starts(film)
        if not first <= at <= last:
            raise SlimeError(
                f"at={at}: the last frame given to the net is one of {first} to {last}, so that "
                "frames given and forecast are of train or val"
            )
        leads = min(self.leads, (film.last - at) // shape.step)
        ahead = forecast_movie(
            self.trained.saved, film.movie, leads=leads, at=at, mix=self.trained.mix
        )
        truth = seen_frames(film.movie, at, at + leads * shape.step + 1)[:: shape.step]
        interval = ahead.attrs["frame_interval_s"]
        return Example(
            truth[1:],
            ahead.to_numpy(),
            truth[0],
            [str(c) for c in ahead["channel"].values],
            interval,
            film.movie.attrs.get("pixel_um"),
            f"{film.movie.name}, {film.place(at) or 'between splits'}, frame {at}",
        )


def seen_frames(movie: xr.DataArray, start: int, stop: int) -> Float32[np.ndarray, "t c y x"]:
    """Frames start to stop as numbers, NaN where a mask leaves a pixel out.

    Raises:
        StoreError: a chunk is lost or cannot be read, or a pixel that counts is not finite.
    """
    frames, mask = read_frames(movie, start, stop)
    seen = frames.astype(np.float32)
    if mask is not None:
        seen[~mask] = np.nan
    return seen
