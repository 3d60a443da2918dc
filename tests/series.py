"""Series whose statistics are known, and tallies made of them."""

import math

import numpy as np

from slime.score import Tally
from slime.tallies import Tallies


def ar1(n: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    """A stationary series of variance 1 and correlation phi^lag."""
    noise = rng.normal(size=n) * math.sqrt(1 - phi**2)
    series = np.empty(n)
    series[0] = rng.normal()
    for t in range(1, n):
        series[t] = phi * series[t - 1] + noise[t]
    return series


def tally_of(losses: np.ndarray, movie: np.ndarray | None = None) -> Tally:
    """Windows of one pixel, whose squared errors are `losses` (windows [lead channel])."""
    losses = losses if losses.ndim == 3 else losses[:, None, None]
    movie = np.zeros(len(losses), int) if movie is None else movie
    start = np.concatenate([np.arange((movie == m).sum()) for m in np.unique(movie)])
    error, truth = np.sqrt(losses), np.broadcast_to(np.arange(len(losses)) % 7.0, losses.T.shape).T
    forecast = truth + error
    terms = [np.ones_like(error), error, error, losses, truth, truth**2, forecast, forecast**2]
    return Tally(movie, start, np.stack([*terms, forecast * truth], axis=1))


def noisy_frames(n_windows: int, rng: np.random.Generator, *, n_leads: int = 2) -> Tally:
    """A tally of forecasts of 20 pixels with independent errors."""
    truth = rng.normal(size=(n_windows, n_leads, 2, 20))
    forecast = truth + rng.normal(size=truth.shape)
    error = forecast - truth
    terms = [np.ones_like(error), error, abs(error), error**2, truth, truth**2, forecast]
    terms += [forecast**2, forecast * truth]
    sums = np.stack([term.sum(axis=-1) for term in terms], axis=1)
    return Tally(np.zeros(n_windows, int), np.arange(n_windows), sums)


def kept(run="one", *, n_in=2, n_leads=2, first=5, n_windows=9, seed=0, **changes):
    """Windows whose sums are drawn, starting at frames `first` and on, as a run keeps them."""
    rng = np.random.default_rng(seed)
    of = {}
    for name in ("cnn", "persistence", "a/b model"):
        drawn = noisy_frames(n_windows, rng, n_leads=n_leads)
        of[name] = Tally(drawn.movie + 3, drawn.start + first, drawn.sums)
    about = {
        **{"run": run, "split": "test", "model": "cnn", "seed": seed, "held_out": "time"},
        **{"n_in": n_in, "step": 2, "movies": {3: "dish é"}, "experiments": {3: "dish"}},
        **{"frames": {3: "ab12"}, "channels": ["cells", "camp"]},
    }
    return Tallies(**{**about, **changes}, variance=np.array([1 / 3, 2.0]), of=of)
