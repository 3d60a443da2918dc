"""What the toy baselines learn from: some windows, cut small, as rows of inputs and changes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import xarray as xr
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from foundations.toys import Pairs
from slime.errors import SlimeError
from slime.frames import GIB
from slime.scale import Standardizer
from slime.split import Split
from slime.stream import Batch, WindowStream
from slime.windows import WindowSpec

CROP = 32  # pixels a side: larger frames give random cuts, so that their size costs nothing
PATCH, BLOCK = 16, 8  # the tiny CNN sees a patch, and says what becomes of the block in its middle
MARGIN = (PATCH - BLOCK) // 2


class Windows(NamedTuple):
    """Frames given, in standard units, and how the last one changed, in units of `delta_std`.

    Attributes:
        counts: where the change is to be learned.
        is_cut: whether frames go on beyond these pixels, in y and in x.
    """

    frames: Float[Tensor, "w f y x"]
    change: Float[Tensor, "w c y x"]
    counts: Bool[Tensor, "w c y x"]
    is_cut: tuple[bool, bool]


def read_windows(
    movies: Sequence[xr.DataArray],
    splits: Sequence[Split],
    spec: WindowSpec,
    scale: Standardizer,
    *,
    n_windows: int,
    memory_budget: int = 2 * GIB,
    seed: int = 0,
) -> Windows:
    """At most about `n_windows` windows, evenly spaced in time, cut at random to 32 x 32 pixels.

    Raises:
        SlimeError: frames or changes that are not finite numbers.
    """
    one_step = WindowSpec(spec.n_in, 1, spec.step)
    n_all = sum(max(len(s) - one_step.span + 1, 0) for s in splits)
    height, width = (min(CROP, *(m.sizes[axis] for m in movies)) for axis in ("y", "x"))
    batches = list(
        WindowStream(
            movies,
            splits,
            WindowSpec(spec.n_in, 1, spec.step, max(-(-n_all // n_windows), 1)),
            batch_size=8,
            seed=seed,
            memory_budget=memory_budget,
            crop=(height, width),
        )
    )
    past = torch.cat([batch.past for batch in batches])
    future = torch.cat([batch.future[:, 0] for batch in batches])
    change = (future - past[:, -1]) / scale.delta_std[:, None, None]
    if not (past.isfinite().all() and change.isfinite().all()):
        raise SlimeError("toys: frames or changes of the train split are not finite numbers")
    counts = torch.cat([_counts(batch) for batch in batches])
    is_cut = (
        any(m.sizes["y"] > height for m in movies),
        any(m.sizes["x"] > width for m in movies),
    )
    return Windows(rearrange(scale(past), "w t c y x -> w (t c) y x"), change, counts, is_cut)


def _counts(batch: Batch) -> Bool[Tensor, "b c y x"]:
    if batch.mask is None:
        return torch.ones_like(batch.future[:, 0], dtype=torch.bool)
    return batch.mask[:, 0]


def pixel_rows(windows: Windows, k: int, *, n: int, seed: int) -> Pairs:
    """At most `n` pixels drawn at random: k x k of all frames, and the change with its mask.

    Targets are (n, 2, c): changes, then 1 where they count. Beyond an edge the outermost pixels go
    on; pixels whose neighbours were cut off are left out.
    """
    counts = windows.counts.clone()
    for axis, is_cut in zip((2, 3), windows.is_cut, strict=True):
        if is_cut and k > 1:
            side = counts.shape[axis]
            counts.narrow(axis, 0, k // 2).fill_(False)
            counts.narrow(axis, side - k // 2, k // 2).fill_(False)
    places = counts.any(dim=1).nonzero()  # window, y, x
    draw = torch.Generator().manual_seed(seed)
    w, y, x = places[torch.randperm(len(places), generator=draw)[:n]].T
    padded = F.pad(windows.frames, (k // 2,) * 4, mode="replicate")
    rows, columns = repeat(torch.arange(k), "a -> (a b)", b=k), torch.arange(k).repeat(k)
    inputs = padded[w[:, None], :, y[:, None] + rows, x[:, None] + columns]
    targets = torch.stack([windows.change[w, :, y, x], counts[w, :, y, x].float()], dim=1)
    return Pairs(rearrange(inputs, "n k f -> n (f k)"), targets)


def block_rows(windows: Windows) -> Pairs:
    """All 16 x 16 patches, and the changes of the 8 x 8 blocks in their middle with their mask.

    Targets are (n, 2, c * 64). Blocks in which no pixel counts are left out.
    """
    inputs = patches(windows.frames, windows.is_cut)
    change = blocks(windows.change, windows.is_cut)
    counts = blocks(windows.counts.float(), windows.is_cut)
    kept = counts.any(dim=1)
    return Pairs(inputs[kept], torch.stack([change[kept], counts[kept]], dim=1))


def patches(
    frames: Float[Tensor, "b f y x"], is_cut: tuple[bool, bool] = (False, False)
) -> Float[Tensor, "n f p p"]:
    """16 x 16 pixels every 8, windows first, then rows; beyond an edge the outermost pixels go on.

    A cut side is not gone beyond: its blocks begin 4 pixels inside.
    """
    (top, bottom), (left, right) = (
        (0, 0) if cut else (MARGIN, MARGIN + -side % BLOCK)
        for side, cut in zip(frames.shape[2:], is_cut, strict=True)
    )
    padded = F.pad(frames, (left, right, top, bottom), mode="replicate")
    tiles = padded.unfold(2, PATCH, BLOCK).unfold(3, PATCH, BLOCK)
    return rearrange(tiles, "b f i j y x -> (b i j) f y x")


def blocks(values: Float[Tensor, "b c y x"], is_cut: tuple[bool, bool]) -> Float[Tensor, "n v"]:
    """8 x 8 blocks of values in the order of `patches`; what lies beyond an edge is 0."""
    (top, bottom), (left, right) = (
        (-MARGIN, -MARGIN) if cut else (0, -side % BLOCK)
        for side, cut in zip(values.shape[2:], is_cut, strict=True)
    )
    padded = F.pad(values, (left, right, top, bottom))
    tiles = padded.unfold(2, BLOCK, BLOCK).unfold(3, BLOCK, BLOCK)
    return rearrange(tiles, "b c i j y x -> (b i j) (c y x)")
