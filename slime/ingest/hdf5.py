"""HDF5: a dataset by name, or fields in the layout of The Well as channels."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from slime.axes import Axis, axis_words, named_axes
from slime.calibration import COUNTERS
from slime.errors import SlimeError, StoreError, nearest
from slime.ingest.extra import needed
from slime.ingest.source import Facts, RawArray, Source, checked_movie, decoded_frames
from slime.ingest.units import seconds
from slime.ingest.well import is_well, well_source

ENDINGS = (".h5", ".hdf5", ".hdf", ".he5")


def hdf5_source(path: Path, *, variable: str | None, axes: str | None, movie: int | None) -> Source:
    """A dataset of an HDF5 file.

    Raises:
        SlimeError: several datasets of which none is chosen, or axes that are not a movie's.
    """
    h5py = needed("h5py", path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise StoreError(f"{path.name!r} is no readable HDF5 file ({error})") from error
    with file:
        if is_well(file):
            return well_source(file, path, variable=variable, movie=movie, opener=open_datasets)
        found: dict[str, Any] = {}
        file.visititems(lambda name, node: _collect(found, name, node))
        name = _chosen(found, variable, path.name)
        dataset = found[name]
        names = named_axes(_words(dataset, axes), dataset.shape, f"{path.name}/{name}")
        n_movies = dataset.shape[names.index("movie")] if "movie" in names else 1
        number = checked_movie(movie, n_movies, path.name)
        return Source(
            label=path.stem,
            kind=f"HDF5 ({name})",
            files=[path],
            axes=names,
            shape=dataset.shape,
            dtype=dataset.dtype.newbyteorder("="),
            opener=partial(open_datasets, path, [name], ""),
            facts=_facts(dataset, names),
            chunk_frames=decoded_frames(dataset, names),
            movie=number,
        )


def open_datasets(path: Path, names: Sequence[str], by_field: str, stack: ExitStack) -> RawArray:
    """One dataset, or several as a new last axis (`by_field`)."""
    file = stack.enter_context(needed("h5py", path).File(path, "r"))
    if not by_field:
        return file[names[0]]
    return _Fields([file[name] for name in names])


class _Fields:
    """Datasets of one shape, stacked as a last axis of channels."""

    def __init__(self, datasets: Sequence[Any]):
        self._datasets = datasets
        self.shape = (*datasets[0].shape, len(datasets))
        self.dtype = datasets[0].dtype

    def __getitem__(self, key: Any) -> Shaped[np.ndarray, "..."]:
        """Pixels of a tuple of whole numbers and slices, one an axis."""
        *where, fields = key
        chosen = self._datasets[fields]
        if isinstance(fields, slice):
            return np.stack([d[tuple(where)] for d in chosen], axis=-1)
        return chosen[tuple(where)]


def _collect(found: dict[str, Any], name: str, node: Any) -> None:
    if hasattr(node, "shape") and node.shape and len(node.shape) >= 3 and node.dtype.kind in "uifb":
        found[name] = node


def _chosen(found: dict[str, Any], variable: str | None, label: str) -> str:
    if variable is not None:
        name = variable.strip("/")
        if name not in found:
            raise SlimeError(
                f"{label} has no dataset {variable!r} of 3 or more axes, but "
                f"{', '.join(found) or 'none'}{nearest(name, found)}"
            )
        return name
    if len(found) == 1:
        return next(iter(found))
    if not found:
        raise StoreError(f"{label} has no dataset of numbers with 3 or more axes")
    listed = ", ".join(f"{n} {d.shape}" for n, d in list(found.items())[:6])
    raise SlimeError(
        f"{label} has several datasets ({listed}): choose variable={next(iter(found))}"
    )


def _words(dataset: Any, axes: str | None) -> list[str] | None:
    if axes is not None:
        return axis_words(axes)
    labels = [dim.label for dim in dataset.dims]
    return labels if all(labels) else None


def _facts(dataset: Any, axes: Sequence[Axis]) -> Facts:
    """Times from a dataset `time` or `t` beside the pixels; sizes from its attributes."""
    n_frames = dataset.shape[list(axes).index("time")]
    interval = seconds(dataset.attrs.get("frame_interval_s"))
    pixel = dataset.attrs.get("pixel_um", dataset.parent.attrs.get("pixel_um"))
    times = next((dataset.parent[n] for n in ("time", "t") if n in dataset.parent), None)
    if times is None or getattr(times, "shape", None) != (n_frames,):
        return Facts(frame_interval_s=interval, pixel_um=None if pixel is None else float(pixel))
    unit = times.attrs.get("units", "s")
    unit = unit.decode() if isinstance(unit, bytes) else str(unit)
    scale = None if unit in COUNTERS else seconds(1.0, unit)
    values = np.asarray(times[:], float)
    counted = "units" not in times.attrs and np.array_equal(
        values - values[:1], np.arange(n_frames)
    )
    return Facts(
        frame_interval_s=interval,
        pixel_um=None if pixel is None else float(pixel),
        times_s=None if scale is None or counted else values * scale,
        notes=[f"its times are in {unit!r}, no unit of time: give frame_interval_s"]
        if scale is None and unit not in COUNTERS
        else [],
    )
