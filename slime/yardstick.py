"""What forecasts are measured with: range and noise of each channel, fitted on the train split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

from slime.errors import SlimeError
from slime.frames import blank_frames, read_frames
from slime.split import Split

N_FRAMES = 64  # that are read, over all movies
LEAST_FRAMES = 4  # of each movie
MOST_PIXELS = 1 << 15  # of a channel of a frame
TAILS = (0.001, 0.999)


@dataclass(frozen=True)
class Yardstick:
    """Facts of the train split's channels, movie units.

    Attributes:
        variance: of pixels.
        low, high: the quantiles 0.001 and 0.999 of pixels; `high - low` is the range that psnr and
            ssim refer to.
        noise_variance: of a frame's pixels; 0 where it is unknown.
        periodic: frames wrap around.
    """

    variance: Float[np.ndarray, " channel"]
    low: Float[np.ndarray, " channel"]
    high: Float[np.ndarray, " channel"]
    noise_variance: Float[np.ndarray, " channel"]
    periodic: bool = False

    @property
    def data_range(self) -> Float[np.ndarray, " channel"]:
        """What psnr and ssim call the range."""
        return self.high - self.low

    @classmethod
    def fit(
        cls,
        movies: Sequence[xr.DataArray],
        splits: Sequence[Split],
        variance: Float[np.ndarray, " channel"],
        *,
        noise_variance: Float[np.ndarray, " channel"] | None = None,
        periodic: bool = False,
    ) -> "Yardstick":
        """Fit the range on the given splits (train), from up to 64 frames evenly spaced over them.

        Masked pixels and blank frames are left out.

        Raises:
            SlimeError: a channel has one value alone.
        """
        pixels: list[list[np.ndarray]] = [[] for _ in variance]
        for movie, split in zip(movies, splits, strict=True):
            for frame in _frames(movie, split, max(N_FRAMES // len(movies), LEAST_FRAMES)):
                every = -(-frame[0].size // MOST_PIXELS)
                for channel, held in zip(frame, pixels, strict=True):
                    flat = channel.ravel()[::every]
                    held.append(flat[~np.isnan(flat)])
        low, high = np.array([np.quantile(np.concatenate(held), TAILS) for held in pixels]).T
        if not (high > low).all():
            same = np.flatnonzero(~(high > low)).tolist()
            raise SlimeError(f"channels {same} have one value alone in the frames looked at")
        noise = np.zeros(len(variance)) if noise_variance is None else noise_variance
        return cls(variance, low, high, noise, periodic)


def _frames(movie: xr.DataArray, split: Split, n: int) -> Iterator[Float[np.ndarray, "c y x"]]:
    """Frames evenly spaced over a split, blank ones left out; NaN where pixels do not count."""
    blank = blank_frames(movie, split.start, split.stop)
    seen = np.flatnonzero(~blank) + split.start
    for place in np.unique(np.linspace(0, len(seen) - 1, min(n, len(seen))).round().astype(int)):
        start = int(seen[place])
        frames, mask = read_frames(movie, start, start + 1)
        pixels = frames[0].astype(np.float64)
        yield pixels if mask is None else np.where(mask[0], pixels, np.nan)
