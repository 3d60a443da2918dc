"""Whether movies, splits and windows can share batches, before a pixel is read."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Int

from slime.errors import SlimeError
from slime.movie import check_movie
from slime.split import Split
from slime.windows import WindowSpec, starts_clear_of, window_starts


def check_batchable(
    movies: Sequence[xr.DataArray],
    splits: Sequence[Split],
    spec: WindowSpec,
    crop: tuple[int, int] | None,
) -> None:
    """Refuse what could not be batched, or would leak from one split into another.

    Raises:
        SlimeError: lists of unequal length, a split beyond its movie, a gap shorter than span - 1,
            or movies of unequal channels, of unequal size without `crop`, or smaller than it.
    """
    check_splits(movies, splits)
    for split in splits:
        if split.gap is not None and split.gap < spec.span - 1:
            raise SlimeError(
                f"data.gap={split.gap} at the borders of split {split.name!r}{split.where} is "
                f"shorter than a window's span - 1 = {spec.span - 1} frames"
            )
    n_channels = {str(m.name): m.sizes["channel"] for m in movies}
    if len(set(n_channels.values())) > 1:
        counts = ", ".join(f"{name} {n}" for name, n in n_channels.items())
        raise SlimeError(f"movies of unequal channels cannot be mixed ({counts}): data.channels")
    _check_sizes(movies, crop)


def check_splits(movies: Sequence[xr.DataArray], splits: Sequence[Split]) -> None:
    """Refuse splits that are not one a movie, each within its movie.

    Raises:
        SlimeError: no movie, lists of unequal length, or a split that ends beyond its movie.
    """
    if not movies or len(movies) != len(splits):
        raise SlimeError(f"{len(movies)} movies and {len(splits)} splits: one split a movie")
    for movie, split in zip(movies, splits, strict=True):
        check_movie(movie)
        if split.stop > movie.sizes["time"]:
            raise SlimeError(
                f"split {split.name!r} ends at frame {split.stop}, but {movie.name} has "
                f"{movie.sizes['time']}"
            )


def _check_sizes(movies: Sequence[xr.DataArray], crop: tuple[int, int] | None) -> None:
    if crop is None:
        if len({m.shape[2:] for m in movies}) > 1:
            sizes = ", ".join(f"{m.name} {m.sizes['y']} x {m.sizes['x']}" for m in movies)
            raise SlimeError(
                f"movies of unequal size cannot share a batch ({sizes}): data.crop=[height,width]"
            )
        return
    for movie in movies:
        if not (0 < crop[0] <= movie.sizes["y"] and 0 < crop[1] <= movie.sizes["x"]):
            raise SlimeError(
                f"data.crop={list(crop)} does not fit {movie.name}: {movie.sizes['y']} x "
                f"{movie.sizes['x']}"
            )


def usable_starts(
    movie: xr.DataArray, split: Split, spec: WindowSpec
) -> Int[np.ndarray, " windows"]:
    """First frames of the split's windows that touch no blank frame."""
    starts = window_starts(split, spec)
    if "blank" not in movie.coords:
        return starts
    return starts_clear_of(starts, spec, np.asarray(movie["blank"].values, bool))
