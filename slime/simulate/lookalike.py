"""What labs hand out: bare stacks (time, channel, z, y, x) that say nothing of themselves.

One channel of the Dictyostelium world, its light spread over z, with lost frames, and beside each
store a copy that keeps every n-th frame. All that is known of the movie stands in the attribute
`simulated`, where no reader looks for units.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr
from jaxtyping import Float, Int, UInt16

from slime.errors import SlimeError
from slime.layout import drop_cut_writes
from slime.simulate.camera import CHANNELS, CameraSpec, label_counts
from slime.simulate.dictyostelium import DictyosteliumState, one_movie
from slime.simulate.dictyostelium_film import dictyostelium_counts, dictyostelium_states
from slime.simulate.dictyostelium_spec import DictyosteliumSpec
from slime.simulate.filming import Recording, Shot, Take, shots_of
from slime.simulate.movie_header import MovieHeader
from slime.simulate.movie_writer import MovieWriter
from slime.simulate.settings import check_range, setting

CHANNEL = CHANNELS.index("camp")


@dataclass(frozen=True)
class DishSpec(DictyosteliumSpec):
    """The Dictyostelium world, as many pixels wide as a lab's camera."""

    height_px: int = setting(256, "grid points along y")
    width_px: int = setting(256, "grid points along x")


@dataclass(frozen=True)
class StackRecording(Recording):
    """When stacks are taken: a chunk holds one, so that one can be lost."""

    n_frames: int = setting(200, "frames of a movie")
    frames_per_chunk: int = setting(1, "whole frames in a chunk; 1 where frames are lost")


@dataclass(frozen=True)
class StackSpec(CameraSpec):
    """A camera that steps through z, and what happened to its frames."""

    n_z: int = setting(32, "slices of a stack")
    focus_sigma_z: float = setting(6.0, "spread of the light over the slices")
    n_blank: int = setting(4, "frames that were lost, drawn by the seed")
    blank_as_zeros: int = setting(0, "lost frames are stored as zeros (1) or not at all (0)")
    keep_every: int = setting(5, "frames between those of the copy beside the store; 0 for none")

    def __post_init__(self):
        super().__post_init__()
        check_range(self, "n_z", at_least=1, at_most=10_000)
        check_range(self, "focus_sigma_z", above=0)
        check_range(self, "n_blank keep_every", at_least=0)
        check_range(self, "blank_as_zeros", at_least=0, at_most=1)


def blank_frames(header: MovieHeader) -> Int[np.ndarray, " blank"]:
    """The numbers of the lost frames of a movie, rising."""
    n_blank = header.parameters["camera"]["n_blank"]
    rng = np.random.default_rng((header.seed, 2**32))
    return np.sort(rng.choice(header.n_frames, n_blank, replace=False))


def stack_counts(
    picture: Float[np.ndarray, "y x"], camera: StackSpec, *, seconds: float
) -> Float[np.ndarray, "z y x"]:
    """The mean counts of every slice: the label's light falls off from the middle slice."""
    medium = label_counts(np.zeros((1, *picture.shape)), camera, seconds=seconds)
    z = np.arange(camera.n_z) - (camera.n_z - 1) / 2
    share = np.exp(-((z / camera.focus_sigma_z) ** 2) / 2)
    return medium + share[:, None, None] * (picture - medium)


def film_stacks(
    spec: DishSpec, camera: StackSpec, recording: Recording, take: Take
) -> Iterator[Shot]:
    """The shots from frame `take.first` to the last, each a stack in the place of channels."""

    def counts(state: DictyosteliumState, m: int, seconds: float) -> Float[np.ndarray, "z y x"]:
        picture = dictyostelium_counts(state, m, spec, camera, seconds)[CHANNEL]
        return stack_counts(picture, camera, seconds=seconds)

    states = dictyostelium_states(spec, recording, take)
    return shots_of(states, recording, take, camera, counts=counts, one_movie=one_movie)


class StackWriter(MovieWriter):
    """An unfinished bare array, and its copy of every n-th frame, named together.

    Raises:
        SlimeError: as MovieWriter; more frames are lost than there are, lost frames cannot be left
            out of chunks of several, or the copy's name is taken.
    """

    def __init__(self, path: Path, header: MovieHeader):
        camera = header.parameters["camera"]
        if camera["n_blank"] > header.n_frames:
            raise SlimeError(f"n_blank is {camera['n_blank']} of {header.n_frames} frames")
        if camera["n_blank"] and not camera["blank_as_zeros"] and header.frames_per_chunk > 1:
            raise SlimeError(
                f"frames_per_chunk is {header.frames_per_chunk}: frames are left out only where a "
                "chunk holds 1 (or blank_as_zeros=1)"
            )
        self.every = camera["keep_every"]
        self.twin = path.with_name(f"{path.name.removesuffix('.zarr')} every {self.every}.zarr")
        self._blank = set(blank_frames(header).tolist())
        super().__init__(path, header)

    @property
    def _twin_partial(self) -> Path:
        return self.twin.with_name(f"{self.twin.name}.partial")

    def _create(self) -> None:
        if self.every and self.twin.exists():
            raise SlimeError(f"{str(self.twin)!r} exists already; give another name or remove it")
        self._create_array(self.partial, self.header.n_frames)
        if self.every:
            self._create_array(self._twin_partial, -(-self.header.n_frames // self.every))

    def _create_array(self, path: Path, n_frames: int) -> None:
        camera, size = self.header.parameters["camera"], self.header.shape[2:]
        zarr.create_array(
            path,
            shape=(n_frames, 1, camera["n_z"], *size),
            chunks=(self.header.frames_per_chunk, 1, camera["n_z"], *size),
            dtype="uint16",
            fill_value=0,
            overwrite=True,
            attributes={"simulated": self.header.attributes()},
        )

    def _open(self) -> None:
        self._pixels, self._copy = self._to_write(self.partial), None
        # a kill between the two renames leaves the copy finished and the store not yet
        if self.every and not self.twin.exists():
            self._copy = self._to_write(self._twin_partial)

    def _to_write(self, path: Path) -> zarr.Array:
        zeros = bool(self.header.parameters["camera"]["blank_as_zeros"])
        return zarr.open_array(path, mode="r+").with_config({"write_empty_chunks": zeros})

    def _write(self, start: int, frames: list[UInt16[np.ndarray, "z y x"]]) -> None:
        numbers = range(start, start + len(frames))
        block = np.stack([f * (i not in self._blank) for i, f in zip(numbers, frames, strict=True)])
        self._pixels[start : numbers.stop, 0] = block
        if self._copy is not None:
            for i in numbers:
                if i % self.every == 0:
                    self._copy[i // self.every, 0] = block[i - start]

    def _finish_store(self) -> None:
        if self._copy is not None:
            drop_cut_writes(self._twin_partial)
            _finish_array(self._copy, {"kept_every": self.every})
            os.rename(self._twin_partial, self.twin)
        drop_cut_writes(self.partial)
        _finish_array(self._pixels, {"n_saturated": self.n_saturated})
        os.rename(self.partial, self.path)

    @property
    def _n_left_out(self) -> int:
        return 0 if self.header.parameters["camera"]["blank_as_zeros"] else len(self._blank)


def _finish_array(array: zarr.Array, attributes: dict[str, int]) -> None:
    array.update_attributes({**attributes, "complete": True})
