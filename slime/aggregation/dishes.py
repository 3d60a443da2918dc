"""Movies in memory for the question where their cells will aggregate: binned, cut, with units."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float32

from slime.aggregation.spec import AggregationSpec
from slime.errors import SlimeError
from slime.frames import enough_gib
from slime.observables import read_field
from slime.prepare import open_stores, shares_of
from slime.progress import Progress
from slime.split import movie_splits


@dataclass(frozen=True)
class Dish:
    """One movie from its first frame to the frame of truth.

    Attributes:
        split: "train", "val" or "test".
        frames: means of `bin` x `bin` pixels, stored units, NaN where a pixel does not count.
        pixel_um: of a binned pixel.
        cells: the channel in which mounds are seen.
    """

    name: str
    split: str
    frames: Float32[np.ndarray, "t c y x"]
    channels: tuple[str, ...]
    frame_interval_s: float
    pixel_um: float
    cells: int

    @property
    def mask(self) -> Bool[np.ndarray, "y x"]:
        """True where a pixel counts in every frame and channel."""
        return np.asarray(np.isfinite(self.frames).all(axis=(0, 1)))

    @property
    def density(self) -> Float32[np.ndarray, "t y x"]:
        """The channel of cells."""
        return self.frames[:, self.cells]

    def minutes(self, given: int) -> float:
        """Minutes from the first frame to the last of `given` frames."""
        return (given - 1) * self.frame_interval_s / 60

    def as_movie(self) -> xr.DataArray:
        """The dish as slime.fit reads movies."""
        movie = xr.DataArray(
            self.frames,
            dims=("time", "channel", "y", "x"),
            coords={"channel": list(self.channels)},
            name=self.name,
            attrs={
                "frame_interval_s": self.frame_interval_s,
                "pixel_um": self.pixel_um,
                "experiment": self.name,
            },
        )
        return movie if self.mask.all() else movie.assign_coords(mask=(("y", "x"), self.mask))


def read_dishes(spec: AggregationSpec, *, progress: Progress | None = None) -> list[Dish]:
    """Every movie of the stores, whole experiments dealt to train, val and test by `spec.seed`.

    All are cut after the frame of truth.

    Raises:
        SlimeError: movies without units, of different units, channels or sizes, shorter than the
            truth or with blank frames, too few experiments, or not enough memory.
    """
    movies, _ = open_stores(spec.data)
    _check_alike(movies)
    splits = movie_splits(movies, shares_of(spec.data.shares), seed=spec.seed)
    interval_s = float(movies[0].attrs["frame_interval_s"])
    n_frames = _frames_to_truth(movies, spec, interval_s)
    channels = tuple(str(c) for c in movies[0]["channel"].values)
    cells = _channel_number(spec.truth.channel, channels)
    _check_memory(movies, n_frames, spec)
    pairs = zip(movies, splits, strict=True)
    return [
        Dish(
            str(movie.name),
            next(iter(split)),
            _read(movie.isel(time=slice(0, n_frames)), spec, progress),
            channels,
            interval_s,
            float(movie.attrs["pixel_um"]) * spec.bin,
            cells,
        )
        for movie, split in pairs
    ]


def _read(
    movie: xr.DataArray, spec: AggregationSpec, progress: Progress | None
) -> Float32[np.ndarray, "t c y x"]:
    channels = []
    for c in range(movie.sizes["channel"]):
        field = read_field(
            movie, c, bin_px=spec.bin, memory_budget=spec.data.memory_budget, progress=progress
        )
        if field.note:
            raise SlimeError(
                f"{movie.name} has blank frames before the truth ({field.note}): leave the "
                "movie out, or take an earlier truth (truth.at_min)"
            )
        channels.append(field.frames)
    return np.stack(channels, axis=1)


def _check_alike(movies: Sequence[xr.DataArray]) -> None:
    first = movies[0]
    for name, unit in (("frame_interval_s", "seconds between frames"), ("pixel_um", "pixel size")):
        for movie in movies:
            value = movie.attrs.get(name)
            if value is None:
                raise SlimeError(f"{movie.name}: {unit} unknown: give data.{name}")
            if abs(value / first.attrs[name] - 1) > 1e-6:
                raise SlimeError(
                    f"{movie.name} has {name} {value:g}, but {first.name} {first.attrs[name]:g}: "
                    "all movies of a study need the same"
                )
    for movie in movies:
        if movie.shape[1:] != first.shape[1:]:
            raise SlimeError(
                f"{movie.name} has frames of {movie.shape[1:]} (channels, y, x), but {first.name} "
                f"of {first.shape[1:]}: all movies of a study need the same"
            )


def _frames_to_truth(
    movies: Sequence[xr.DataArray], spec: AggregationSpec, interval_s: float
) -> int:
    """Frames from the first to the one of truth, both counted."""
    shortest = min(movies, key=len)
    n_frames = len(shortest)
    if spec.truth.at_min is not None:
        n_frames = round(spec.truth.at_min * 60 / interval_s) + 1
        if n_frames > len(shortest):
            raise SlimeError(
                f"truth.at_min={spec.truth.at_min:g} is frame {n_frames - 1}, but {shortest.name} "
                f"ends at frame {len(shortest) - 1}"
            )
    if spec.given[-1] >= n_frames:
        raise SlimeError(
            f"given={list(spec.given)}: the truth is frame {n_frames - 1}, so that at most "
            f"{n_frames - 1} frames can be given"
        )
    return n_frames


def _channel_number(wanted: object, channels: tuple[str, ...]) -> int:
    text = channels[0] if wanted is None else str(wanted)
    if text in channels:
        return channels.index(text)
    if text.isdigit() and int(text) < len(channels):
        return int(text)
    raise SlimeError(f"truth.channel={wanted}: there are the channels {', '.join(channels)}")


def _check_memory(movies: Sequence[xr.DataArray], n_frames: int, spec: AggregationSpec) -> None:
    n_channels, height, width = movies[0].shape[1:]
    pixels = n_channels * (height // spec.bin) * (width // spec.bin)
    needed = 4 * len(movies) * n_frames * pixels
    if needed > spec.data.memory_budget:
        raise SlimeError(
            f"{len(movies)} movies of {n_frames} frames take {enough_gib(needed)} GiB, but "
            f"data.memory_gib is {spec.data.memory_gib:g}: raise it, or a larger bin"
        )
