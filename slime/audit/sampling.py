"""Which frames and pixels a pass takes small samples of: a few, spread over the whole movie."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

N_QUADS = 4096  # groups of 2 x 2 pixels sampled of each frame: their mean square is known to 2 %
N_SPOT_FRAMES = 32  # looked through for pixels unlike their neighbours
N_PAIRS = 64  # pairs of adjacent frames that the noise is measured on
N_DRIFT_SITES, DRIFT_LAGS = 16, (1, 4, 16, 64)  # places in time, and frames from there, for drift
CROP_PX = 128  # of the four crops that are followed for drift
N_SHOWN, SHOWN_PX = 8, 200  # frames kept to be looked at, and their longest side
RAW_PX = 256  # of the crop kept in the stored type
THUMB_SIDES = (16, 8, 4)  # cells a side of a thumbnail
THUMB_BYTES = 64 << 20  # of all thumbnails; coarser ones are kept of longer movies


@dataclass(frozen=True)
class SamplePlan:
    """What is sampled of a movie of this shape (t, c, y, x)."""

    shape: tuple[int, int, int, int]

    @property
    def spot_frames(self) -> set[int]:
        """Frames in which pixels are compared with their neighbours."""
        return set(_spread(self.shape[0], N_SPOT_FRAMES))

    @property
    def pair_ends(self) -> set[int]:
        """Frames whose difference to the two frames before them shows the noise."""
        return {2 + f for f in _spread(self.shape[0] - 2, N_PAIRS)}

    @property
    def drift_sites(self) -> list[int]:
        """Frames from which drift is measured, to each of DRIFT_LAGS frames later."""
        return _spread(self.shape[0], N_DRIFT_SITES)

    @property
    def crop_frames(self) -> set[int]:
        """Frames of which crops are kept for drift."""
        lags = (0, *DRIFT_LAGS)
        return {s + k for s in self.drift_sites for k in lags if s + k < self.shape[0]}

    @property
    def shown_frames(self) -> set[int]:
        """Frames kept small to be looked at."""
        return set(_spread(self.shape[0], N_SHOWN))

    @property
    def thumb_cell(self) -> int:
        """Pixels a side of a thumbnail's cell: a power of two, the same along y and x."""
        t, c, y, x = self.shape
        side = next((s for s in THUMB_SIDES if 4 * t * c * s * s <= THUMB_BYTES), THUMB_SIDES[-1])
        return 1 << max(int(np.ceil(np.log2(max(y, x) / side))), 0)

    @property
    def nbytes(self) -> int:
        """Bytes of all samples and of the maps over pixels, held until the pass is done."""
        t, c, y, x = self.shape
        cells = -(-y // self.thumb_cell) * -(-x // self.thumb_cell)
        return (
            t * c * (4 * cells + 64)
            + N_PAIRS * c * N_QUADS * 12
            + len(self.crop_frames) * 4 * min(CROP_PX**2, y * x) * 4
            + N_SHOWN * c * (SHOWN_PX**2 + RAW_PX**2) * 8
            + c * y * x * 32
        )


def _spread(n: int, most: int) -> list[int]:
    """At most so many of the numbers 0 to n - 1, spread evenly."""
    if n < 1:
        return []
    return np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(int)).tolist()


def quads(pixels: Shaped[np.ndarray, "t c y x"]) -> Float[np.ndarray, "t c n 4"]:
    """Groups of 2 x 2 neighbouring pixels on an even lattice, at most about N_QUADS of them."""
    t, c, y, x = pixels.shape
    k = max(2, int(np.ceil(np.sqrt(y * x / N_QUADS))))
    n = (-(-max(y - 1, 0) // k), -(-max(x - 1, 0) // k))
    corners = [pixels[:, :, i::k, j::k][:, :, : n[0], : n[1]] for i in (0, 1) for j in (0, 1)]
    stacked = np.stack([corner.reshape(t, c, n[0] * n[1]) for corner in corners], -1)
    return stacked.astype(np.float64 if pixels.dtype.itemsize > 4 else np.float32)


def thumbnails(pixels: Shaped[np.ndarray, "t c y x"], cell: int) -> Float[np.ndarray, "t c gy gx"]:
    """Means over square cells; the last ones may be smaller."""
    t, c, y, x = pixels.shape
    rows, columns = np.arange(0, y, cell), np.arange(0, x, cell)
    total = np.empty((t, c, len(rows), len(columns)))
    for i, frame in enumerate(pixels):  # a frame in float64 at a time
        by_row = np.add.reduceat(frame, rows, axis=1, dtype=np.float64)
        total[i] = np.add.reduceat(by_row, columns, axis=2)
    n_rows, n_columns = np.diff(rows, append=y), np.diff(columns, append=x)
    return total / np.outer(n_rows, n_columns)


def crops(frame: Shaped[np.ndarray, "c y x"]) -> Float[np.ndarray, "4 h w"]:
    """The middles of the four quarters, all channels in one, each scaled to unit variance."""
    _, y, x = frame.shape
    h, w = min(CROP_PX, y // 2), min(CROP_PX, x // 2)
    tops, lefts = (
        [(y // 2 - h) // 2, y // 2 + (y // 2 - h) // 2],
        [
            (x // 2 - w) // 2,
            x // 2 + (x // 2 - w) // 2,
        ],
    )
    cut = np.stack([frame[:, a : a + h, b : b + w] for a in tops for b in lefts]).astype(np.float32)
    spread = cut.std(axis=(0, 2, 3), keepdims=True) if cut.size else np.ones((1, len(frame), 1, 1))
    return (cut / np.where(spread > 0, spread, 1)).mean(axis=1)


def shown(frame: Shaped[np.ndarray, "c y x"]) -> Shaped[np.ndarray, "c h w"]:
    """A frame with pixels left out, so that its longest side is at most SHOWN_PX."""
    k = -(-max(frame.shape[1:]) // SHOWN_PX)
    return frame[:, ::k, ::k].copy()


def middle(frame: Shaped[np.ndarray, "c y x"]) -> Shaped[np.ndarray, "c h w"]:
    """The middle of a frame, at most RAW_PX a side, as stored."""
    _, y, x = frame.shape
    h, w = min(RAW_PX, y), min(RAW_PX, x)
    a, b = (y - h) // 2, (x - w) // 2
    return frame[:, a : a + h, b : b + w].copy()


def places_of(frames: set[int], start: int, stop: int) -> list[int]:
    """Those of the frames from start to stop, as places in the block."""
    return sorted(f - start for f in frames if start <= f < stop)
