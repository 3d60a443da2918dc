"""Files of microscopes: ND2 through nd2 (BSD-3), CZI through czifile (BSD-3)."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Shaped

from slime.axes import Axis
from slime.errors import SlimeError, StoreError
from slime.ingest.extra import needed
from slime.ingest.source import Facts, RawArray, Source, Stacked, checked_movie
from slime.ingest.units import micrometres, seconds, square_pixel_um

ENDINGS = (".nd2", ".czi")
ND2_AXES: dict[str, Axis] = {
    "T": "time", "C": "channel", "S": "channel", "Z": "z", "Y": "y", "X": "x", "P": "movie",
}  # fmt: skip
CZI_AXES: dict[str, Axis] = {
    "T": "time", "C": "channel", "0": "channel", "Z": "z", "Y": "y", "X": "x", "S": "movie",
}  # fmt: skip


def nd2_source(path: Path, *, movie: int | None, pixel_um: float | None) -> Source:
    """An ND2 file; its positions are movies.

    Raises:
        SlimeError: no reader, a damaged file, or axes that are not a movie's.
    """
    with ExitStack() as stack:
        file = _opened_nd2(path, stack)
        kept, axes = _movie_axes(list(file.sizes), list(file.sizes.values()), ND2_AXES, path.name)
        shape = tuple(list(file.sizes.values())[i] for i in kept)
        n_movies = shape[axes.index("movie")] if "movie" in axes else 1
        size = file.voxel_size()
        return Source(
            label=path.stem,
            kind="ND2",
            files=[path],
            axes=axes,
            shape=shape,
            dtype=np.dtype(file.dtype),
            opener=partial(_open_nd2, path, kept),
            facts=Facts(
                pixel_um=square_pixel_um(size.x, size.y, path.name) if pixel_um is None else None,
                times_s=_nd2_times(file, shape[axes.index("time")]),
                channels=[c.channel.name for c in file.metadata.channels or []],
            ),
            movie=checked_movie(movie, n_movies, path.name),
        )


def _opened_nd2(path: Path, stack: ExitStack) -> Any:
    nd2 = needed("nd2", path)
    try:
        return stack.enter_context(nd2.ND2File(path))
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path.name!r} is no readable ND2 file ({error})") from error


def _open_nd2(path: Path, kept: Sequence[int], stack: ExitStack) -> RawArray:
    return _Dask(_opened_nd2(path, stack).to_dask(wrapper=False), kept)


class _Dask:
    """A dask array of one task a frame, of which axes of length 1 may be left out."""

    def __init__(self, frames: Any, kept: Sequence[int]):
        self._frames, self._kept = frames, list(kept)
        self.shape, self.dtype = tuple(frames.shape[i] for i in kept), frames.dtype

    def __getitem__(self, key: Any) -> Shaped[np.ndarray, "..."]:
        """Pixels of a tuple of whole numbers and slices, one an axis."""
        whole: list[Any] = [0] * self._frames.ndim
        for i, one in zip(self._kept, key, strict=True):
            whole[i] = one
        return np.asarray(self._frames[tuple(whole)].compute(scheduler="synchronous"))


def _nd2_times(file: Any, n_frames: int) -> Any:
    """Seconds at which the first plane of each time was taken, where the file says."""
    firsts: dict[int, int] = {}
    for number, place in enumerate(file.loop_indices):
        firsts.setdefault(place.get("T", 0), number)
    if len(firsts) != n_frames or n_frames < 2:
        return None
    told = [file.frame_metadata(firsts[t]).channels[0].time.relativeTimeMs for t in range(n_frames)]
    return np.array(told, float) / 1000 if any(told) else None


def czi_source(path: Path, *, movie: int | None, pixel_um: float | None) -> Source:
    """A CZI file; its scenes are movies, tiles of a mosaic one picture.

    Raises:
        SlimeError: no reader, a damaged file, or axes that are not a movie's.
    """
    with ExitStack() as stack:
        file = _opened_czi(path, stack)
        kept, axes = _movie_axes(list(file.axes), file.shape, CZI_AXES, path.name)
        shape = tuple(file.shape[i] for i in kept)
        first = axes.index("time")
        n_movies = shape[axes.index("movie")] if "movie" in axes else 1
        return Source(
            label=path.stem,
            kind="CZI",
            files=[path],
            axes=("time", *(a for a in axes if a != "time")),
            shape=(shape[first], *shape[:first], *shape[first + 1 :]),
            dtype=np.dtype(file.dtype).newbyteorder("="),
            opener=partial(_open_czi, path, kept, first),
            facts=_czi_facts(file.metadata(), path.name, pixel_um),
            movie=checked_movie(movie, n_movies, path.name),
        )


def _opened_czi(path: Path, stack: ExitStack) -> Any:
    czifile = needed("czifile", path)
    try:
        return stack.enter_context(czifile.CziFile(path))
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path.name!r} is no readable CZI file ({error})") from error


def _open_czi(path: Path, kept: Sequence[int], first: int, stack: ExitStack) -> RawArray:
    file = _opened_czi(path, stack)
    at = kept[first]
    of_time: dict[int, list[Any]] = {}
    for entry in file.filtered_subblock_directory:
        of_time.setdefault(entry.start[at] - file.start[at], []).append(entry)
    shape = tuple(1 if i == at else n for i, n in enumerate(file.shape))
    planes = [i for i, letter in enumerate(file.axes) if letter not in "YX0"]

    def read(t: int) -> Shaped[np.ndarray, "..."]:
        pixels = np.zeros(shape, np.dtype(file.dtype).newbyteorder("="))
        seen = np.zeros([shape[i] for i in planes], bool)
        for entry in of_time.get(t, ()):
            try:
                tile = entry.data_segment().data(resize=False)
            except (KeyError, TypeError, ImportError) as error:
                raise StoreError(
                    f"{path.name} is packed in a way that czifile does not read here ({error!r}): "
                    "export it as OME-TIFF"
                ) from error
            begin = [s - o for s, o in zip(entry.start, file.start, strict=True)]
            begin[at] = 0
            pixels[tuple(slice(b, b + n) for b, n in zip(begin, tile.shape, strict=True))] = tile
            seen[tuple(begin[i] for i in planes)] = True
        if not seen.all():
            raise StoreError(
                f"{path.name}: frame {t} lacks {int((~seen).sum())} of {seen.size} planes: take "
                f"frames=0:{t}, or put back a whole file"
            )
        return pixels[tuple(slice(None) if i in kept and i != at else 0 for i in range(len(shape)))]

    lengths = [file.shape[i] for i in kept]
    lengths.insert(0, lengths.pop(first))
    return Stacked(read, lengths, np.dtype(file.dtype).newbyteorder("="))


def _czi_facts(xml: str, label: str, pixel_um: float | None) -> Facts:
    root = ElementTree.fromstring(xml) if xml else ElementTree.Element("none")
    sides = [
        micrometres(root.findtext(f".//Scaling/Items/Distance[@Id='{axis}']/Value"), "m")
        for axis in "XY"
    ]
    names = [c.get("Name", "") for c in root.findall(".//Image/Dimensions/Channels/Channel")]
    return Facts(
        frame_interval_s=seconds(root.findtext(".//Dimensions/T/Positions/Interval/Increment")),
        pixel_um=square_pixel_um(sides[0], sides[1], label) if pixel_um is None else None,
        channels=names if all(names) and len(set(names)) == len(names) else (),
    )


def _movie_axes(
    letters: Sequence[str], shape: Sequence[int], known: dict[str, Axis], label: str
) -> tuple[list[int], tuple[Axis, ...]]:
    """Which of a file's axes are kept, and what they mean; others must have length 1."""
    optional = ("movie", "channel", "z")
    kept, axes = [], []
    for i, (letter, n) in enumerate(zip(letters, shape, strict=True)):
        axis = known.get(letter)
        if n == 1 and (axis is None or axis in optional):
            continue
        if axis is None or axis in axes:
            raise SlimeError(f"{label} has {n} along its axis {letter!r}, which no movie has here")
        kept.append(i)
        axes.append(axis)
    if not {"time", "y", "x"} <= set(axes):
        raise SlimeError(f"{label} has axes {''.join(letters)} {tuple(shape)}: a movie needs time")
    return kept, tuple(axes)
