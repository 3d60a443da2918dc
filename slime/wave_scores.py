"""Scores of detail in a forecast: its gradients and waves, error, blur and misplaced detail."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float

from slime.spectra import BANDS

Sums = Float[np.ndarray, "*draw sum lead channel"]
Scores = Float[np.ndarray, "*draw lead channel_or_pool"]


class WaveSums:
    """Sums by name, over channels where `pool`."""

    def __init__(self, sums: Sums, names: Sequence[str], *, pool: bool = False):
        self.sums, self.names, self.pool = sums, list(names), pool

    def __getitem__(self, name: str) -> Scores:
        of_channels = self.sums[..., self.names.index(name), :, :]
        return of_channels.sum(axis=-1, keepdims=True) if self.pool else of_channels

    def rings(self, power: str) -> Float[np.ndarray, "ring *draw lead channel_or_pool"]:
        """The power of every ring."""
        n = sum(name.startswith(f"{power}_") and name[-1].isdigit() for name in self.names)
        return np.stack([self[f"{power}_{i}"] for i in range(1, n + 1)])


def h1(held: WaveSums) -> Scores:
    """Error over truth, both as the root of their squares and those of their gradients.

    Gradients are differences of neighbouring pixels, in movie units a pixel: a change of unit of
    length would weigh them otherwise.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        error = held["square"] + held["gradient"]
        return np.sqrt(error / (held["truth2"] + held["truth_gradient"]))


def spectral_mse(held: WaveSums, band: str) -> Scores:
    """The part of the mean squared error in a band, its mean counted in `low`."""
    return _with_mean(held, "error", band) / held["frames"]


def spectral_nmse(held: WaveSums, band: str) -> Scores:
    """The band's squared error over the truth's square in it, the truth's mean counted in `low`."""
    return _with_mean(held, "error", band) / _with_mean(held, "truth", band)


def frmse(held: WaveSums, band: str) -> Scores:
    """Root of the part of the mean squared error in the band of PDEBench (arXiv 2210.07182).

    Waves a frame: `low` below 4 with the mean, `mid` from 4 to below 12, `high` from 12 on; of all
    four quadrants of the plane. The squares of the three add up to the mean squared error.
    """
    return np.sqrt(_with_mean(held, "error", band, "fourier_") / held["frames"])


def energy_ratio(held: WaveSums, band: str) -> Scores:
    """Power of the forecast over that of the truth: below 1 detail is missing (blur)."""
    return held[f"forecast_{band}"] / held[f"truth_{band}"]


def coherence_error(held: WaveSums, band: str) -> Scores:
    """1 - Re(P_py) / sqrt(P_pp P_yy): 0 where detail is in its place, whatever its size."""
    own = held[f"forecast_{band}"] * held[f"truth_{band}"]
    return 1 - held[f"both_{band}"] / np.sqrt(own)


def log_spectral_distance(held: WaveSums) -> Scores:
    """Root mean square, over rings, of the log10 of forecast over truth power; in decades."""
    forecast, truth = held.rings("forecast"), held.rings("truth")
    apart = np.log10(forecast) - np.log10(truth)
    square = np.where((truth > 0) | (forecast > 0), apart**2, np.nan)
    n = (~np.isnan(square)).sum(axis=0)
    return np.sqrt(np.where(n > 0, np.nansum(square, axis=0) / n, np.nan))


def wave_scores(held: WaveSums) -> Iterator[tuple[str, Scores]]:
    """All of them by name; NaN where a band holds no wave or the truth no power."""
    of_bands: tuple[Callable[[WaveSums, str], Scores], ...] = (
        spectral_mse,
        spectral_nmse,
        frmse,
        energy_ratio,
        coherence_error,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        for score in of_bands:
            for band in BANDS:
                yield f"{score.__name__}_{band}", score(held, band)
        yield "log_spectral_distance", log_spectral_distance(held)


def _with_mean(held: WaveSums, power: str, band: str, kind: str = "") -> Scores:
    in_band = held[f"{power}_{kind}{band}"]
    return in_band + held[f"{power}_mean"] if band == "low" else in_band
