"""The windows of a small movie by number, for any DataLoader and for notebooks."""

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torch.utils.data import Dataset

from slime.batchable import check_batchable, usable_starts
from slime.frames import read_frames
from slime.split import Split
from slime.windows import WindowSpec


class WindowDataset(Dataset[tuple[Tensor, Tensor]]):
    """The windows of one split as (past `t c y x`, future `lead c y x`) pairs, by number.

    Holds the split's frames in memory, in their stored dtype: for small movies, notebooks and any
    DataLoader. Pairs are float32, in movie units; windows that touch a blank frame are left out.

    Raises:
        SlimeError: the split ends beyond its movie, has a gap shorter than span - 1 or no window.
    """

    def __init__(self, movie: xr.DataArray, split: Split, spec: WindowSpec):
        check_batchable([movie], [split], spec, None)
        self.spec, self.starts = spec, usable_starts(movie, split, spec)
        self._frames, _ = read_frames(movie, split.start, split.stop)
        self._first = split.start

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        at = int(self.starts[i]) - self._first
        window = self._frames[at : at + self.spec.span : self.spec.step]
        pixels = torch.from_numpy(window.astype(np.float32))
        return pixels[: self.spec.n_in], pixels[self.spec.n_in :]
