"""Which frames train, validate and test: ranges of frames that share none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import xarray as xr
from jaxtyping import Float

from slime.errors import SlimeError


@dataclass(frozen=True)
class Split:
    """Frames `start` (kept) to `stop` (left out) of one movie, under a name such as "train".

    `gap` is the number of frames left out at the borders to its neighbours, None where the split
    has no neighbour in its movie.
    """

    name: str
    start: int
    stop: int
    movie: str = ""
    gap: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise SlimeError(
                f"split {self.name!r}{self.where} would run from frame {self.start} to "
                f"{self.stop}: it must start at 0 or later and hold a frame"
            )

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def where(self) -> str:
        """' of MOVIE' for messages, or nothing where the movie has no name."""
        return f" of {self.movie}" if self.movie else ""


def check_shares(shares: Mapping[str, float]) -> dict[str, float]:
    """The shares, in their order.

    Raises:
        SlimeError: none given, one not positive, or a sum that is not 1.
    """
    if not shares:
        raise SlimeError("data.shares is empty: give for instance train 0.7, val 0.15, test 0.15")
    for name, share in shares.items():
        if not share > 0:
            raise SlimeError(f"data.shares.{name}={share} must be above 0")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise SlimeError(f"data.shares sum to {sum(shares.values()):g}, but must sum to 1")
    return dict(shares)


def temporal_splits(
    n_frames: int, shares: Mapping[str, float], *, gap: int = 0, movie: str = ""
) -> dict[str, Split]:
    """Cut a movie into consecutive splits, leaving out `gap` frames at each border.

    The frames that remain are shared out in the order of `shares`; borders fall on the nearest
    frame. So that no window of one split is correlated with the next by overlap alone, a caller
    passes `gap = span - 1` plus an embargo; WindowStream checks.

    >>> cut = temporal_splits(110, {"train": 0.7, "val": 0.15, "test": 0.15}, gap=5)
    >>> [(s.start, s.stop) for s in cut.values()]
    [(0, 70), (75, 90), (95, 110)]

    Raises:
        SlimeError: a split would be empty, or the gap is negative.
    """
    shares = check_shares(shares)
    if gap < 0:
        raise SlimeError(f"data.gap={gap} must be 0 or more")
    n_kept = n_frames - gap * (len(shares) - 1)
    if n_kept < len(shares):
        raise SlimeError(
            f"{movie or 'the movie'} has {n_frames} frames: {len(shares) - 1} gaps of {gap} leave "
            f"{max(n_kept, 0)} for {len(shares)} splits; a smaller data.gap would do"
        )
    borders = np.rint(np.cumsum([0.0, *shares.values()]) * n_kept).astype(int)
    for name, (first, last) in zip(shares, pairwise(borders), strict=True):
        if first == last:
            raise SlimeError(
                f"{movie or 'the movie'} has {n_frames} frames: "
                f"data.shares.{name}={shares[name]:g} of the {n_kept} "
                f"that the gaps of {gap} leave is less than one frame"
            )
    border_gap = gap if len(shares) > 1 else None
    return {
        name: Split(name, int(first) + i * gap, int(last) + i * gap, movie, border_gap)
        for i, (name, (first, last)) in enumerate(zip(shares, pairwise(borders), strict=True))
    }


@dataclass(frozen=True)
class Timeline:
    """Frame j of a movie shows frame `offset + every * j` of another's, in exact fractions.

    >>> fine = Timeline(every=5, offset=2)  # every fifth frame of the other, from its third on
    >>> fine.on(Timeline(every=2)).every, fine.inverse().on(fine) == Timeline()
    (10, True)
    """

    every: int | Fraction = 1
    offset: int | Fraction = 0

    def on(self, other: "Timeline") -> "Timeline":
        """The timeline of frames that lie so on those of a movie, which lies by `other`."""
        return Timeline(other.every * self.every, other.offset + other.every * self.offset)

    def inverse(self) -> "Timeline":
        """Where the other movie's frames lie on this one's."""
        return Timeline(Fraction(1) / self.every, -Fraction(self.offset) / self.every)

    def first_at(self, frame: int) -> int:
        """The first frame that shows the other's `frame`, or a later one; may be negative."""
        return -((self.offset - frame) // self.every)


def twin_splits(
    splits: Mapping[str, Split], timeline: Timeline, n_frames: int, movie: str
) -> dict[str, Split]:
    """The same physical times as `splits`, in the frames of a time-subsampled or shifted twin.

    Splits in whose times the twin has no frame are left out.

    >>> splits = {"train": Split("train", 0, 70), "test": Split("test", 79, 100)}
    >>> twin = twin_splits(splits, Timeline(every=5), 20, "twin")
    >>> [(s.start, s.stop) for s in twin.values()]
    [(0, 14), (16, 20)]
    """
    cut = {}
    for name, split in splits.items():
        start, stop = (
            min(max(timeline.first_at(f), 0), n_frames) for f in (split.start, split.stop)
        )
        if start < stop:
            gap = None if split.gap is None else int(split.gap // timeline.every)
            cut[name] = Split(name, start, stop, movie, gap)
    return cut


def movie_splits(
    movies: Sequence[xr.DataArray], shares: Mapping[str, float], *, seed: int
) -> list[dict[str, Split]]:
    """Hold out whole experiments: each movie lies in one split, with all its experiment's others.

    Experiments (`attrs["experiment"]`, else the movie's name) are dealt in an order drawn from
    `seed`; each split takes the number of experiments nearest to its share, at least one.

    Raises:
        SlimeError: fewer experiments than splits.
    """
    shares = check_shares(shares)
    names = [str(m.attrs.get("experiment") or m.name or i) for i, m in enumerate(movies)]
    experiments = sorted(set(names))
    if len(experiments) < len(shares):
        raise SlimeError(
            f"data.split=movie needs at least {len(shares)} experiments for "
            f"{', '.join(shares)}, but there are {len(experiments)} ({', '.join(experiments)}): "
            "add movies or use data.split=time"
        )
    order = np.random.default_rng(seed).permutation(len(experiments))
    spare = len(experiments) - len(shares)
    borders = np.rint(np.cumsum([0.0, *shares.values()]) * spare).astype(int) + np.arange(
        len(shares) + 1
    )
    side = {
        experiments[order[i]]: name
        for name, (first, last) in zip(shares, pairwise(borders), strict=True)
        for i in range(first, last)
    }
    return [
        {side[name]: Split(side[name], 0, movie.sizes["time"], str(movie.name or i))}
        for i, (name, movie) in enumerate(zip(names, movies, strict=True))
    ]


def decorrelation_frames(series: Float[np.ndarray, " t"], *, most: int) -> int:
    """First lag at which the series' autocorrelation about its line falls below 0.05, or `most`."""
    series = series[np.isfinite(series)]
    n = len(series)
    if n < 4 or most < 1:
        return 0
    rest = series - np.polyval(np.polyfit(np.arange(n), series, 1), np.arange(n))
    power = rest @ rest
    if not power > 1e-18 * (series @ series):  # what rounding leaves of a line
        return 0
    for lag in range(1, min(most, n - 1) + 1):
        if rest[lag:] @ rest[:-lag] / power < 0.05:
            return lag
    return most
