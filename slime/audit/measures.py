"""The full pass of an audit: every chunk read once, and what its frames tell kept small."""

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Float32, UInt64

from slime.audit.block import BlockMeasures, Samples, change_between, measure_block, noise_samples
from slime.audit.pixel_maps import PixelMaps
from slime.audit.reading import Broken, damaged, forgiving
from slime.audit.sampling import SamplePlan
from slime.errors import SlimeError
from slime.frame_table import FrameTable, pass_results, table_of
from slime.frames import GIB, enough_gib
from slime.movie import stored_frames
from slime.progress import Progress


@dataclass(frozen=True)
class Measures:
    """What a full pass tells of a movie, in movie units; NaN where a frame has no pixels.

    Attributes:
        readable: False where a chunk could not be decoded, or a tile is lost.
        broken: the chunks that could not be decoded.
        mean: of each frame and channel.
        top, n_top, second, n_second: the largest and second largest value, and their pixels; the
            second is not counted where fewer than 4 pixels have the largest.
        thumb: means over square cells of `thumb_cell` pixels.
        change: mean square change since the frame before, of the sampled pixels.
        tile: hashes of chunk-sized tiles where chunks are smaller than a frame (0: one value all
            over), else None.
        maps: what each pixel does over time; None where no frame has pixels.
    """

    readable: Bool[np.ndarray, " t"]
    broken: tuple[Broken, ...]
    mean: Float[np.ndarray, "t c"]
    top: Float[np.ndarray, "t c"]
    n_top: Float[np.ndarray, "t c"]
    second: Float[np.ndarray, "t c"]
    n_second: Float[np.ndarray, "t c"]
    thumb: Float32[np.ndarray, "t c gy gx"]
    thumb_cell: int
    change: Float[np.ndarray, "t c"]
    tile: UInt64[np.ndarray, "t n"] | None
    maps: PixelMaps | None
    samples: Samples
    plan: SamplePlan


def measure(
    movie: xr.DataArray,
    *,
    memory_budget: int = 2 * GIB,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> tuple[FrameTable, Measures]:
    """The table of frames and all measures, in one pass; chunks that cannot be read are listed.

    Raises:
        SlimeError: a chunk, or what is kept of the movie, does not fit `memory_budget` (bytes).
    """
    t, c, y, x = movie.shape
    plan = SamplePlan((t, c, y, x))
    if plan.nbytes > memory_budget // 2:
        raise SlimeError(
            f"{movie.name}: an audit keeps {enough_gib(plan.nbytes)} GiB of {movie.shape}, but "
            f"data.memory_gib is {memory_budget / GIB:.2g}: raise it to "
            f"{enough_gib(2 * plan.nbytes)}"
        )
    lenient = forgiving(movie)
    parts = pass_results(
        partial(measure_block, lenient, plan, _tiles(movie)),
        lenient,
        memory_budget=memory_budget - plan.nbytes,
        progress=progress,
        executor=executor,
    )
    fold = _Fold(plan)
    for part in parts:
        fold.add(part)
    return fold.table(), fold.measures(damaged(movie))


def _tiles(movie: xr.DataArray) -> tuple[int, int] | None:
    """Height and width of a chunk where it is smaller than a frame."""
    stored = stored_frames(movie)
    if stored is None:
        return None
    chunk = dict(zip(stored.axes, stored.array.chunks, strict=True))
    whole = chunk["y"] >= stored.shape[2] and chunk["x"] >= stored.shape[3]
    return None if whole else (chunk["y"], chunk["x"])


class _Fold:
    """Blocks joined in time order as they come; changed in place."""

    def __init__(self, plan: SamplePlan):
        self.plan, self.samples = plan, Samples()
        self.parts: list[BlockMeasures] = []
        self.maps: PixelMaps | None = None
        self.tail: np.ndarray | None = None

    def add(self, parts: Iterable[BlockMeasures]) -> None:
        """Take in the runs of one block."""
        for part in parts:
            self._join_border(part)
            if part.maps is not None:
                self.maps = part.maps if self.maps is None else self.maps.joined(part.maps)
            for name in ("crops", "raw", "shown", "noise"):
                getattr(self.samples, name).update(getattr(part.samples, name))
            self.parts.append(
                BlockMeasures(part.start, part.rows, part.readable, part.broken, part.columns)
            )

    def _join_border(self, part: BlockMeasures) -> None:
        """Changes between the last block's last frames and this one's first."""
        before, self.tail = self.tail, part.tail
        if before is None or part.head is None or part.columns is None:
            return
        part.columns["change"][0] = change_between(before[-1], part.head[0])
        frames = np.concatenate([before, part.head])
        for last in range(max(len(before), 2), len(frames)):
            number = part.start + last - len(before)
            three = frames[last - 2 : last + 1]
            if number in self.plan.pair_ends and np.isfinite(three).any(axis=(2, 3)).all():
                self.samples.noise[number] = noise_samples(three)
        if len(part.rows) == 1:
            self.tail = np.concatenate([before[-1:], part.head])

    def table(self) -> FrameTable:
        """The rows of all frames."""
        return table_of([row for part in self.parts for row in part.rows])

    def measures(self, damaged: Bool[np.ndarray, " t"]) -> Measures:
        """All columns whole; frames without pixels are NaN in them."""
        readable = np.concatenate([np.full(len(p.rows), p.readable) for p in self.parts])
        return Measures(
            readable=readable & ~damaged,
            broken=tuple(dict.fromkeys(chunk for p in self.parts for chunk in p.broken)),
            **{name: self._column(name) for name in ("mean", "top", "n_top", "second", "n_second")},
            thumb=self._column("thumb"),
            thumb_cell=self.plan.thumb_cell,
            change=self._column("change"),
            tile=self._column("tile") if self._has("tile") else None,
            maps=self.maps,
            samples=self.samples,
            plan=self.plan,
        )

    def _has(self, name: str) -> bool:
        return any(p.columns is not None and name in p.columns for p in self.parts)

    def _column(self, name: str) -> np.ndarray:
        _, c, y, x = self.plan.shape
        cell = self.plan.thumb_cell
        like = next((p.columns[name][:0] for p in self.parts if p.columns is not None), None)
        if like is None:
            shape = (0, c, -(-y // cell), -(-x // cell)) if name == "thumb" else (0, c)
            like = np.empty(shape, np.float32 if name == "thumb" else np.float64)
        empty = 0 if like.dtype.kind == "u" else np.nan
        return np.concatenate(
            [
                np.full((len(p.rows), *like.shape[1:]), empty, like.dtype)
                if p.columns is None
                else p.columns[name]
                for p in self.parts
            ]
        )
