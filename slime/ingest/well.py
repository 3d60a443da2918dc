"""The layout of The Well: fields of shape (trajectory, time, space...) in t0_fields and t1_fields.

Its specification: https://polymathic-ai.org/the_well/data_format/
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from slime.axes import Axis
from slime.errors import SlimeError, nearest
from slime.ingest.source import Facts, Source, checked_movie, decoded_frames

SPACE: dict[int, tuple[Axis, ...]] = {2: ("y", "x"), 3: ("z", "y", "x")}
GROUPS = ("t0_fields", "t1_fields")


def is_well(file: Any) -> bool:
    """Whether an open HDF5 file has The Well's groups."""
    return "t0_fields" in file and "dimensions" in file


def well_source(
    file: Any,
    path: Path,
    *,
    variable: str | None,
    movie: int | None,
    opener: Callable[..., Any],
) -> Source:
    """Scalar fields as channels, or the components of one vector field.

    The first axis of space is taken as y (as z, of three), whatever it is called in the file.

    Raises:
        SlimeError: a field that is not there, does not move or lacks an axis; a vector field beside
            others; several trajectories of which none is chosen.
    """
    fields = {name: file[g][name] for g in GROUPS if g in file for name in file[g]}
    moving = [n for n, d in fields.items() if d.attrs.get("time_varying", True)]
    words = [w.strip().split("/")[-1] for w in (variable or "").split(",") if w.strip()]
    if not words and len(moving) > 1:
        raise SlimeError(
            f"{path.name} has the fields {', '.join(moving)}: choose variable={moving[0]}"
        )
    names = words or moving
    for name in names:
        if name not in moving:
            raise SlimeError(
                f"{path.name} has no field {name!r} that moves, but {', '.join(moving) or 'none'}"
                f"{nearest(name, moving)}"
            )
    chosen = [fields[name] for name in names]
    is_vector = "t1_fields" in chosen[0].parent.name
    if len(chosen) > 1 and any("t1_fields" in d.parent.name for d in chosen):
        raise SlimeError(
            f"variable={variable}: a vector field goes alone, its components as channels"
        )
    n_space = len(_words(file["dimensions"].attrs.get("spatial_dims", ["x", "y"])))
    for name, dataset in zip(names, chosen, strict=True):
        _check_axes(dataset, n_space, is_vector, f"{path.name}: field {name!r}", chosen[0].shape)
    by_field = len(chosen) > 1
    has_channel = is_vector or by_field
    axes: tuple[Axis, ...] = (
        "movie",
        "time",
        *SPACE[n_space],
        *(("channel",) if has_channel else ()),
    )
    shape = (*chosen[0].shape, len(chosen)) if by_field else chosen[0].shape
    number = checked_movie(movie, shape[0], path.name)
    components = [f"{names[0]}_{i}" for i in range(shape[-1])] if is_vector else names
    return Source(
        label=path.stem if shape[0] == 1 else f"{path.stem}[{number}]",
        kind=f"The Well ({', '.join(names)})",
        files=[path],
        axes=axes,
        shape=shape,
        dtype=chosen[0].dtype.newbyteorder("="),
        opener=partial(opener, path, [d.name for d in chosen], "field" if by_field else ""),
        facts=Facts(
            times_s=_times(file, number),
            channels=components,
            notes=["its times are taken as seconds, its first axis of space as y"],
            attributes=_attributes(file),
        ),
        chunk_frames=decoded_frames(chosen[0], axes[: chosen[0].ndim]),
        movie=number,
    )


def _check_axes(
    dataset: Any, n_space: int, is_vector: bool, label: str, shape: tuple[int, ...]
) -> None:
    if n_space not in SPACE or dataset.ndim != 2 + n_space + is_vector:
        raise SlimeError(
            f"{label} has shape {dataset.shape}; a movie needs trajectory, time and 2 or 3 axes of "
            "space"
        )
    if dataset.shape != shape:
        raise SlimeError(f"{label} has shape {dataset.shape}, and the first field {shape}")


def _times(file: Any, number: int) -> Any:
    times = file["dimensions"].get("time")
    if times is None:
        return None
    values = np.asarray(times[number] if times.ndim == 2 else times[:])
    # float32 cannot hold even times exactly: such steps are off by no more than its rounding
    return values.astype(float)


def _attributes(file: Any) -> dict[str, Any]:
    """The data set's name, its parameters and the boundary conditions, with what is masked."""
    told: dict[str, Any] = {}
    for name in ("dataset_name", "grid_type", *_words(file.attrs.get("simulation_parameters", []))):
        if name in file.attrs:
            told[name] = _plain(file.attrs[name])
    for name, node in file.get("boundary_conditions", {}).items():
        told.setdefault("boundary_conditions", {})[name] = {
            "type": _plain(node.attrs.get("bc_type", "unknown")),
            "axes": _words(node.attrs.get("associated_dims", [])),
            "masked_points": int(np.count_nonzero(node["mask"][()])) if "mask" in node else 0,
        }
    return told


def _words(value: Any) -> list[str]:
    return [str(_plain(word)) for word in np.atleast_1d(value).tolist()]


def _plain(value: Any) -> Any:
    value = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
    return value.decode() if isinstance(value, bytes) else value
