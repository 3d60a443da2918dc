"""Stored frames as lazy xarray variables."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from slime.store import StoredFrames


def lazy_variable(dims: Sequence[str], frames: BackendArray) -> xr.Variable:
    """An xarray variable that reads nothing until a block is asked for."""
    return xr.Variable(dims, indexing.LazilyIndexedArray(frames))


class BlankFrames(BackendArray):
    """The frames of StoredFrames that lack all chunks, as a lazy array along time."""

    def __init__(self, frames: StoredFrames):
        self.frames, self.shape, self.dtype = frames, frames.shape[:1], np.dtype(bool)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(
            key,
            self.shape,
            indexing.IndexingSupport.BASIC,
            lambda k: np.asarray(self.frames.blank[k]),
        )
