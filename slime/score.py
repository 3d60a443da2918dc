"""Sums over pixels, kept apart by window, lead and channel; scores are functions of them, last.

A mean of batch means depends on the batch size, and a root taken too early cannot be pooled: so an
evaluation adds up sums and counts, and everything else (pooling, intervals, horizons) comes after.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from einops import reduce
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from slime.errors import SlimeError

SUMS = ("n", "error", "absolute", "square", "truth", "truth2", "forecast", "forecast2", "product")
Sums = Float[np.ndarray, "*draw sum lead channel"]
Scores = Float[np.ndarray, "*draw lead channel_or_pool"]  # one last axis of 1 where pooled


@dataclass(frozen=True)
class Tally:
    """Sums over the pixels that count, one for each window, lead and channel.

    Attributes:
        movie, start: which window.
        sums: for each of SUMS: count, p - y, |p - y|, (p - y)^2, y, y^2, p, p^2, p y, where p is
            the forecast and y the truth, in movie units.
        names: of the sums; those that follow SUMS are further ones.
    """

    movie: Int[np.ndarray, " windows"]
    start: Int[np.ndarray, " windows"]
    sums: Float[np.ndarray, "windows sum lead channel"]
    names: tuple[str, ...] = SUMS

    def __add__(self, other: "Tally | int") -> "Tally":
        """Both tallies' windows; a window that is in both (other pixels of it) is added up."""
        return self if isinstance(other, int) else Tally.joined([self, other])

    __radd__ = __add__

    @classmethod
    def joined(cls, parts: Iterable["Tally"]) -> "Tally":
        """The sum of all parts at once, windows ordered by movie and start.

        Each part is copied into arrays that grow by doubling and is let go: thousands of small
        arrays kept between the large ones of an evaluation would pin the memory of these.

        Raises:
            SlimeError: there is no part.
        """
        n, columns, names = 0, [], SUMS
        for part in parts:
            names = part.names
            added = [part.movie, part.start, part.sums]
            columns = columns or [
                np.empty((0, *column.shape[1:]), column.dtype) for column in added
            ]
            if n + len(part) > len(columns[0]):
                columns = [_longer(column, max(2 * n, n + len(part))) for column in columns]
            for column, rows in zip(columns, added, strict=True):
                column[n : n + len(part)] = rows
            n += len(part)
        if not n:
            raise SlimeError("there is no window to evaluate")
        movie, start, sums = (column[:n] for column in columns)
        keys, place = np.unique(np.stack([movie, start]), axis=1, return_inverse=True)
        total = np.zeros((keys.shape[1], *sums.shape[1:]))
        np.add.at(total, place.reshape(-1), sums)
        return cls(keys[0], keys[1], total, names)

    def __len__(self) -> int:
        return len(self.movie)

    def __getitem__(self, name: str) -> Float[np.ndarray, "windows lead channel"]:
        return self.sums[:, self.names.index(name)]

    @property
    def n_leads(self) -> int:
        """Frames ahead that were scored, the first being lead 1."""
        return self.sums.shape[2]

    def of_movie(self, movie: int) -> "Tally":
        """The windows of one movie, in time order."""
        rows = np.flatnonzero(self.movie == movie)
        return self.at(rows[np.argsort(self.start[rows], kind="stable")])

    def at(self, rows: Int[np.ndarray, " n"]) -> "Tally":
        """The windows at these places."""
        return Tally(self.movie[rows], self.start[rows], self.sums[rows], self.names)

    def total(self, weights: Float[np.ndarray, " windows"] | None = None) -> Sums:
        """Sums over windows, each counted as often as `weights` says (once by default)."""
        if weights is None:
            return self.sums.sum(axis=0)
        return np.tensordot(weights, self.sums, axes=1)


def _longer(rows: Shaped[np.ndarray, "n *rest"], length: int) -> Shaped[np.ndarray, "m *rest"]:
    """The rows with room for more at the end, `length` in all."""
    room = np.empty((length - len(rows), *rows.shape[1:]), rows.dtype)
    return np.concatenate([rows, room])


def tally_windows(
    forecast: Float[Tensor, "b lead c y x"],
    truth: Float[Tensor, "b lead c y x"],
    mask: Bool[Tensor, "b lead c y x"] | None,
    movie: Int[Tensor, " b"],
    start: Int[Tensor, " b"],
) -> Tally:
    """The tally of one batch of forecasts; sums in float64 where the device has it."""
    if forecast.shape != truth.shape:
        raise SlimeError(f"forecast {tuple(forecast.shape)} and truth {tuple(truth.shape)} differ")
    by_lead = [
        _frame_sums(forecast[:, k], truth[:, k], None if mask is None else mask[:, k])
        for k in range(forecast.shape[1])
    ]
    sums = torch.stack(by_lead, dim=2)
    return Tally(movie.cpu().numpy(), start.cpu().numpy(), sums.cpu().numpy())


def _frame_sums(
    forecast: Float[Tensor, "b c y x"],
    truth: Float[Tensor, "b c y x"],
    mask: Bool[Tensor, "b c y x"] | None,
) -> Float[Tensor, "b sum c"]:
    """SUMS of one lead; one term at a time, since float64 frames are large."""
    device = "cpu" if forecast.device.type == "mps" else forecast.device
    p, y = forecast.detach().to(device, torch.float64), truth.to(device, torch.float64)
    counts = torch.ones_like(y) if mask is None else mask.to(device, torch.float64)
    if mask is not None:
        p, y = (torch.where(counts > 0, v, 0.0) for v in (p, y))
    error = p - y

    def total(*factors: Tensor) -> Float[Tensor, "b c"]:
        product = factors[0] if len(factors) == 1 else factors[0] * factors[1]
        return reduce(product, "b c y x -> b c", "sum")

    sums = [total(counts), total(error), total(error.abs()), total(error, error)]
    sums += [total(y), total(y, y), total(p), total(p, p), total(p, y)]
    return torch.stack(sums, dim=1)


def mse(sums: Sums, *, pool: bool = False) -> Scores:
    """Mean squared error, in movie units squared; over all channels' pixels where `pool`."""
    return _sum(sums, "square", pool) / _sum(sums, "n", pool)


def mae(sums: Sums, *, pool: bool = False) -> Scores:
    """Mean absolute error, in movie units."""
    return _sum(sums, "absolute", pool) / _sum(sums, "n", pool)


def rmse(sums: Sums, *, pool: bool = False) -> Scores:
    """Root of the mean squared error, in movie units; the root is taken last."""
    return np.sqrt(mse(sums, pool=pool))


def r2(sums: Sums, *, pool: bool = False) -> Scores:
    """1 - squared error over the truth's squares about its channel's mean in the same windows."""
    n, truth = _sum(sums, "n", False), _sum(sums, "truth", False)
    about_mean = _sum(sums, "truth2", False) - truth**2 / n
    if pool:
        about_mean = about_mean.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):  # a truth that never varies has none
        return 1 - _sum(sums, "square", pool) / about_mean


def vrmse(sums: Sums, variance: Float[np.ndarray, " channel"], *, pool: bool = False) -> Scores:
    """Root of the squared error over the train split's variance, channel by channel.

    1 is as good as the train mean. Pooled over windows, so that flat frames do not dominate as in
    the per-frame form of The Well (arXiv 2412.00568). `pool` averages the channels' ratios.
    """
    ratio = mse(sums) / variance
    return np.sqrt(ratio.mean(axis=-1, keepdims=True) if pool else ratio)


def psnr(sums: Sums, data_range: Float[np.ndarray, " channel"], *, pool: bool = False) -> Scores:
    """10 log10 of the squared range over the squared error, decibels; the train split's range.

    `pool` averages the channels' squared errors, each over its squared range.
    """
    ratio = mse(sums) / data_range**2
    with np.errstate(divide="ignore"):  # a perfect forecast has infinitely many
        return -10 * np.log10(ratio.mean(axis=-1, keepdims=True) if pool else ratio)


def skill(sums: Sums, reference: Sums, *, pool: bool = False) -> Scores:
    """1 - MSE / MSE of a reference on the same pixels (persistence unless said otherwise).

    1 is perfect, 0 as good as the reference (Murphy 1988,
    doi 10.1175/1520-0493(1988)116<2417:SSBOTM>2.0.CO;2).
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # where the reference is perfect: none
        return 1 - mse(sums, pool=pool) / mse(reference, pool=pool)


def frame_pearson(tally: Tally) -> Float[np.ndarray, "windows lead channel"]:
    """Correlation of forecast and truth over the pixels of a frame, both about their means.

    NaN where one of them is flat: a variance below 1e-12 of the mean square is rounding.
    """
    # Frames all masked (0 / 0) and diverged forecasts (inf - inf) have none either.
    with np.errstate(invalid="ignore", divide="ignore"):
        n = tally["n"]
        p, y = tally["forecast"] / n, tally["truth"] / n
        p2, y2 = tally["forecast2"] / n, tally["truth2"] / n
        covariance = tally["product"] / n - p * y
        flat = (p2 - p**2 <= 1e-12 * p2) | (y2 - y**2 <= 1e-12 * y2)
        correlation = covariance / np.sqrt((p2 - p**2) * (y2 - y**2))
        return np.where(flat, np.nan, np.clip(correlation, -1, 1))


def pearson(
    tally: Tally, weights: Float[np.ndarray, " windows"] | None = None, *, pool: bool = False
) -> Float[np.ndarray, "lead channel"]:
    """Correlation frame by frame, averaged over windows by Fisher's z; flat frames are left out."""
    z = np.arctanh(np.clip(frame_pearson(tally), -1 + 1e-12, 1 - 1e-12))
    w = np.ones(len(tally)) if weights is None else weights
    w = np.where(np.isnan(z), 0.0, w[:, None, None])
    total, n = (w * np.nan_to_num(z)).sum(axis=0), w.sum(axis=0)
    if pool:
        total, n = total.sum(axis=-1, keepdims=True), n.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.tanh(total / n)


def horizon(
    tally: Tally, threshold: float
) -> tuple[Float[np.ndarray, "windows channel"], Bool[np.ndarray, "windows channel"]]:
    """First lead at which a window's correlation falls below `threshold`, and whether it did.

    Where it never did within the leads scored, the horizon is censored: the last lead, and False.
    Taken window by window, before any mean (a mean curve crosses elsewhere). A lead without a
    correlation (a flat frame, a diverged forecast) counts as below.
    """
    below = ~(frame_pearson(tally) >= threshold)
    crossed = np.asarray(below.any(axis=1))
    return np.where(crossed, below.argmax(axis=1) + 1.0, float(tally.n_leads)), crossed


def _sum(sums: Sums, name: str, pool: bool) -> Scores:
    of_channels = sums[..., SUMS.index(name), :, :]
    return of_channels.sum(axis=-1, keepdims=True) if pool else of_channels
