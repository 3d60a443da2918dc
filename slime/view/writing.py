"""What would be looked at, as OME-Zarr, which napari and Fiji open."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Shaped

from slime.errors import SlimeError
from slime.frames import pass_blocks, read_frames
from slime.ome_image import Frames, write_image, write_images, write_store
from slime.progress import bar
from slime.view.subject import Movies, Run


def write_movie(subject: Movies, path: Path) -> str:
    """A movie's frames as stored, in blocks that fit `memory_gib`; a line says what was written.

    Raises:
        SlimeError: the store holds several movies, or `out` cannot be written.
        StoreError: a frame cannot be read.
    """
    if len(subject.films) > 1:
        n = len(subject.films)
        raise SlimeError(f"{subject.title} holds {n} movies: choose movie=0 to {n - 1}")
    movie, spec = subject.films[0].movie, subject.spec
    start, stop = spec.span(movie.sizes["time"])
    blocks = _blocks(movie, start, stop, spec.data("").memory_budget)
    part = movie.isel(time=slice(start, stop))
    write_store(path, lambda group: write_image(group, Frames(part, blocks), first_frame=start))
    return f"frames {start} to {stop - 1}: {path}"


def _blocks(
    movie: xr.DataArray, start: int, stop: int, memory_budget: int
) -> Iterator[Shaped[np.ndarray, "t c y x"]]:
    spans, _ = pass_blocks(movie, start, stop, memory_budget=memory_budget)
    for a, b in bar(spans, len(spans), "writing"):
        yield read_frames(movie, a, b)[0]


def write_run(subject: Run, path: Path) -> str:
    """Truth, forecast and error of the leads after a frame; a line that says what was written.

    Raises:
        SlimeError: a run of several movies (name one with movie=), or `out` cannot be written.
    """
    number = subject.chosen()
    at = subject.first_at(number)
    example = subject.forecasts.example(number, at)
    film = subject.films[number]
    truth, forecast = (np.asarray(v, np.float32) for v in (example.truth, example.forecast))
    pixels = {"truth": truth, "forecast": forecast, "error": forecast - truth}
    images = {
        name: Frames(subject.like(number, at, name, stack), [stack])
        for name, stack in pixels.items()
    }
    about = {"run": subject.title, "weights_hash": subject.trained.saved.weights_hash}
    write_store(path, lambda g: write_images(g, images, last_frame_given=at, **about))
    names = ", ".join(images)
    return f"{names} of {example.n_leads} leads after {film.movie.name}, frame {at}: {path}"
