"""What a page is about, as looks, without a browser: a store's movies, or a run's forecasts.

Films are counted from 0, as they stand in `films`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from slime.errors import SlimeError
from slime.frames import blank_frames
from slime.movie import FRAME_AXES
from slime.texts import duration_text, number_text
from slime.view.films import Film, Forecasts, Trained, seen_frames
from slime.view.looks import Look, lead_title, look_at_frame, look_at_lead
from slime.view.spec import ViewSpec


class _Films:
    """What both subjects answer alike."""

    films: list[Film]

    def channels(self, number: int) -> list[str]:
        """Names of a film's channels."""
        return [str(c) for c in self.films[number].movie["channel"].values]

    def pixel_um(self, number: int) -> float | None:
        """Micrometres a pixel, where known."""
        return self.films[number].movie.attrs.get("pixel_um")


class Movies(_Films):
    """The movies of a store, frame by frame."""

    has_leads, frame_title = False, "frame"

    def __init__(self, store: str, films: list[Film], spec: ViewSpec):
        self.films, self.spec, self.title = films, spec, Path(store).name or store

    def frames(self, number: int) -> tuple[int, int]:
        """The first and the last frame that may be chosen."""
        return self.films[number].first, self.films[number].last

    def first_at(self, number: int) -> int:
        """The frame that is shown first."""
        return self.spec.at or 0

    def n_leads(self, number: int, frame: int) -> int:
        """None: there is no forecast."""
        return 0

    def look(self, number: int, frame: int, lead: int, channel: int) -> tuple[Look, str]:
        """What is seen of a frame, and a line that says which it is."""
        movie = self.films[number].movie
        pixels = seen_frames(movie.isel(channel=[channel]), frame, frame + 1)[0, 0]
        return look_at_frame(pixels, pixel_um=self.pixel_um(number)), _frame_text(movie, frame)

    def measured(self, number: int, channel: int) -> list[list[str]]:
        """Nothing was measured before."""
        return []


class Run(_Films):
    """A run's forecasts beside the truth, of train and val frames."""

    has_leads, frame_title = True, "last frame given"

    def __init__(self, trained: Trained, spec: ViewSpec):
        self.films, self.trained, self.spec = trained.films, trained, spec
        self.title = f"{trained.run.name}: {trained.saved.net.kind}"
        self.forecasts = Forecasts(trained, spec.leads)

    def frames(self, number: int) -> tuple[int, int]:
        """The first and the last frame that may be the last one given."""
        return self.forecasts.starts(self.films[number])

    def chosen(self) -> int:
        """The film that `movie` chooses.

        Raises:
            SlimeError: there is no such one, or several and none is chosen.
        """
        n = len(self.films)
        number = 0 if self.spec.movie is None and n == 1 else self.spec.movie
        if number is None or not 0 <= number < n:
            names = ", ".join(f"{i} {film.movie.name}" for i, film in enumerate(self.films))
            raise SlimeError(f"movie={number}: choose one of the run's movies: {names}")
        return number

    def like(self, number: int, at: int, name: str, frames: np.ndarray) -> xr.DataArray:
        """Frames of the leads after `at` as a movie, with the film's channels, times and units."""
        movie, step = self.films[number].movie, self.trained.saved.shape.step
        interval = movie.attrs.get("frame_interval_s")
        coords: dict[str, Any] = {"channel": movie["channel"].values}
        if "time" in movie.coords:
            coords["time"] = movie["time"].values[at + step * np.arange(1, len(frames) + 1)]
        return xr.DataArray(
            frames,
            dims=FRAME_AXES,
            coords=coords,
            name=f"{movie.name} {name}",
            attrs={
                "frame_interval_s": interval and interval * step,
                "pixel_um": movie.attrs.get("pixel_um"),
            },
        )

    def first_at(self, number: int) -> int:
        """The first of val that reads val alone, else the first."""
        if self.spec.at is not None:
            return self.spec.at
        film, shape = self.films[number], self.trained.saved.shape
        begin = film.splits.get("val", (film.first, 0))[0]
        return begin + (shape.n_in - 1) * shape.step

    def n_leads(self, number: int, frame: int) -> int:
        """Leads that can be shown after a frame."""
        return self.forecasts.example(number, frame).n_leads

    def look(self, number: int, frame: int, lead: int, channel: int) -> tuple[Look, str]:
        """What is seen of a lead after a frame, and a line that says where it is."""
        film, step = self.films[number], self.trained.saved.shape.step
        example = self.forecasts.example(number, frame)
        true = frame + lead * step
        text = (
            f"{example.where}; {lead_title(example, lead)}: {_frame_text(film.movie, true)} "
            f"({film.place(true) or 'between splits'}); test stays closed"
        )
        return look_at_lead(example, lead, channel), text

    def measured(self, number: int, channel: int) -> list[list[str]]:
        """The validation rollout's observables, of the truth and of each model, where scored."""
        file = self.trained.run / "observables.csv"
        if not file.is_file():
            return []
        rows = pd.read_csv(file, keep_default_na=False, na_values=[""])
        movie, name = str(self.films[number].movie.name), self.channels(number)[channel]
        # a name of digits is read as a number
        own = (rows.movie.astype(str) == movie) & (rows.channel.astype(str) == name)
        rows = rows[own & (rows.split == "val") & (rows.lead == 0)]
        if rows.empty:
            return []
        wide = rows.pivot_table(index="model", columns="score", values="value", sort=False)
        units = dict(zip(rows.score, rows.unit, strict=True))
        names = [_named(str(score), units.get(score)) for score in wide.columns]
        head = ["observables of the whole val rollout", *names]
        cells = [
            [str(model), *(number_text(v) if np.isfinite(v) else "none" for v in values)]
            for model, values in zip(wide.index, wide.to_numpy(float), strict=True)
        ]
        return [head, *cells]


Subject = Movies | Run


def _named(score: str, unit: object) -> str:
    """'wave speed, µm/s'; without a unit where it has none."""
    name = score.replace("_", " ")
    if not isinstance(unit, str) or unit == "1":
        return name
    return f"{name}, {unit.replace('um', 'µm')}"


def _frame_text(movie: xr.DataArray, frame: int) -> str:
    """'frame 12 of 400 (3 min), blank'."""
    n, interval = movie.sizes["time"], movie.attrs.get("frame_interval_s")
    time_s = float(movie["time"].values[frame]) if "time" in movie.coords else None
    time_s = frame * interval if time_s is None and interval else time_s
    text = f"frame {frame} of 0 to {n - 1}"
    text += f" ({duration_text(time_s)})" if time_s is not None else ""
    return text + (", blank" if blank_frames(movie, frame, frame + 1).any() else "")
