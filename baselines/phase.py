"""Phase extrapolation: each pixel goes on as a wave of the movie's own period around its own mean.

A wave m + a cos(w t + p) obeys x(t + 1) - m = (sin(w (1 + q)) (x(t) - m) - sin(w) (x(t - q) - m))
/ sin(w q) for any lag q: two frames tell amplitude and phase.
"""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from baselines.climatology import Climatology
from slime.errors import SlimeError
from slime.frames import GIB, blank_frames, pass_blocks, read_frames
from slime.observables.periods import MIN_FRAMES, period_map
from slime.split import Split
from slime.stepper import Step

N_PIXELS = 4096  # evenly spaced, from whose periods the median is taken
N_VALUES = 1 << 24  # of those pixels over all frames, at most


class PhaseExtrapolation:
    """Per movie and channel one period, per pixel a mean; phase and amplitude from two frames.

    The lag is the longest that the frames given and a quarter of the period allow: noise is
    amplified least there. A channel in which no pixel repeats itself stays at its newest frame.

    Attributes:
        periods: for each movie those of its channels, in steps; inf where none is seen.
    """

    def __init__(
        self, climatology: Climatology, periods: Sequence[Float[np.ndarray, " c"]], *, n_in: int
    ):
        self.climatology, self.periods, self.n_in = climatology, list(periods), n_in

    @classmethod
    def fit(
        cls,
        movies: Sequence[xr.DataArray],
        splits: Sequence[Split | None],
        *,
        n_in: int,
        step: int = 1,
        climatology: Climatology | None = None,
        memory_budget: int = 2 * GIB,
    ) -> "PhaseExtrapolation":
        """Find each movie's period: the median over pixels of the train frames' (see period_map).

        Args:
            n_in: frames that a step may read, 2 at least.

        Raises:
            SlimeError: n_in below 2, or no movie has train frames.
        """
        if n_in < 2:
            raise SlimeError(f"phase: n_in={n_in} must be at least 2: one frame shows no phase")
        means = climatology or Climatology.fit(movies, splits, memory_budget=memory_budget)
        pairs = list(zip(movies, splits, strict=True))
        own = [None if s is None else _periods(m, s, step, memory_budget) for m, s in pairs]
        usual = np.median([p for p in own if p is not None], axis=0)  # of a movie without any
        return cls(means, [usual if p is None else p for p in own], n_in=n_in)

    def for_movie(self, movie: int) -> Step:
        """The step of movie number `movie` of those that it was fitted on."""
        mean, periods = self.climatology.for_movie(movie), self.periods[movie]
        weights = [wave_weights(period, self.n_in) for period in periods]

        def step(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
            if past.shape[1] < self.n_in:
                raise SlimeError(f"phase reads {self.n_in} frames, but {past.shape[1]} were given")
            middle = mean(past)
            ahead = middle.clone()
            for c, (lag, newest, older) in enumerate(weights):
                ahead[:, c] += newest * (past[:, -1, c] - middle[:, c])
                ahead[:, c] += older * (past[:, -1 - lag, c] - middle[:, c])
            return ahead

        return step


def wave_weights(period: float, n_in: int) -> tuple[int, float, float]:
    """The lag, and the weights of the newest frame and of the one that much older.

    A period is of 3 frames at least: waves of 2 are told by no two frames (period_map seeks none).

    A quarter turn a frame brings what was two frames ago, of the other sign:

    >>> wave_weights(4.0, 2)
    (1, 0.0, -1.0)
    """
    if not math.isfinite(period):
        return 1, 1.0, 0.0
    turn = 2 * math.pi / period
    lag = max(1, min(n_in - 1, round(period / 4)))
    newest, older = math.sin(turn * (1 + lag)), -math.sin(turn)
    return lag, round(newest / math.sin(turn * lag), 12), round(older / math.sin(turn * lag), 12)


def _periods(
    movie: xr.DataArray, split: Split, step: int, memory_budget: int
) -> Float[np.ndarray, " c"]:
    """Per channel the median period of the pixels that repeat themselves, in steps; inf of none."""
    series = _series(movie, split, memory_budget)[::step]
    if len(series) < MIN_FRAMES:
        return np.full(series.shape[1], np.inf)
    maps = [period_map(series[:, c], frame_interval_s=1) for c in range(series.shape[1])]
    return np.array([np.nanmedian(m) if np.isfinite(m).any() else np.inf for m in maps])


def _series(movie: xr.DataArray, split: Split, memory_budget: int) -> Float[np.ndarray, "t c y x"]:
    """Some pixels of each frame of the longest run without blank ones; NaN under a mask."""
    blank = blank_frames(movie, split.start, split.stop)
    edges = np.flatnonzero(np.diff(np.concatenate([[True], blank, [True]]).astype(int)))
    runs = edges.reshape(-1, 2) + split.start
    if not len(runs):
        return np.empty((0, *movie.shape[1:]), np.float32)
    start, stop = (int(at) for at in runs[np.diff(runs)[:, 0].argmax()])
    most = max(min(N_PIXELS, N_VALUES // (stop - start)), 1)
    hop = math.ceil(math.sqrt(movie.shape[2] * movie.shape[3] / most))
    parts = []
    for first, last in pass_blocks(movie, start, stop, memory_budget=memory_budget)[0]:
        pixels, mask = read_frames(movie, first, last)
        some = pixels[..., ::hop, ::hop].astype(np.float32)
        parts.append(some if mask is None else np.where(mask[..., ::hop, ::hop], some, np.nan))
    return np.concatenate(parts)
