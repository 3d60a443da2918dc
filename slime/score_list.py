"""Every score of a model on one set of windows, each with its interval."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from slime.frame_scores import (
    CLIPPED,
    Frames,
    correlation_z,
    mass_drift_frames,
    mean_of,
    nrmse_frames,
    terms_of,
    vrmse_frames,
)
from slime.inference import Interval, Resampling, resample_blocks
from slime.lead_groups import Group, grouped, grouped_tally
from slime.score import SUMS, Scores, Sums, Tally, horizon, mae, mse, psnr, r2, rmse, skill, vrmse
from slime.stretched import Drawn, Table
from slime.wave_scores import WaveSums, h1, wave_scores
from slime.yardstick import Yardstick

HORIZONS = (0.8, 0.9, 0.95)  # correlations under which a forecast is lost
RIVALS = {  # scores that compare two models
    "skill": "persistence",
    "skill_ridge": "ridge",
    "skill_climatology": "climatology",
}
BIASED = ("log_spectral_distance",)  # a length: what differs by chance adds to it in every draw
MOST_BIAS = 0.25  # of the draws' standard deviation
Undo = Callable[[np.ndarray], np.ndarray] | None


class Scored(NamedTuple):
    """A score at every group of leads, the pooled channel last; `groups` None for horizons."""

    name: str
    values: Float[np.ndarray, "group channel_or_pool"]
    interval: Interval | None
    groups: Sequence[Group] | None


@dataclass(frozen=True)
class Scorer:
    """What scores are taken with.

    Attributes:
        yardstick: of the train split; without it psnr and frame_vrmse are left out.
        variance: of each channel's pixels in the train split.
    """

    variance: Float[np.ndarray, " channel"]
    yardstick: Yardstick | None
    n_draws: int
    seed: int
    level: float

    def plain(
        self, name: str, tallies: Mapping[str, Tally], groups: Sequence[Group]
    ) -> Iterator[Scored]:
        """Scores of sums over pixels, and means over frames of them."""
        full = tallies[name]
        frames: dict[str, tuple[Frames, Undo]] = {
            "pearson": (correlation_z(full), np.tanh),
            "nrmse": (nrmse_frames(full), None),
            "mass_drift": (mass_drift_frames(full), None),
        }
        if self.yardstick is not None:
            ratios = vrmse_frames(full, self.yardstick.noise_variance)
            frames["frame_vrmse"] = ratios, None
            frames["frame_vrmse_flat"] = np.isnan(ratios).astype(float), None
        draws = self._draws(full, groups, [values for values, _ in frames.values()])
        for score, take in self._of_sums().items():
            yield draws.of_sums(score, take)
        for score, rival in RIVALS.items():
            if rival == name:
                values = _and_pooled(skill, draws.sums, draws.sums)
                yield Scored(score, values, None, groups)
            elif rival in tallies:
                yield self._skill(score, draws.tally, grouped_tally(tallies[rival], groups), groups)
        for i, (score, (_, undo)) in enumerate(frames.items()):
            yield draws.of_frames(score, i, undo)

    def detailed(
        self, name: str, tallies: Mapping[str, Tally], groups: Sequence[Group]
    ) -> Iterator[Scored]:
        """Scores of structure and waves."""
        full = tallies[name]
        acc = np.arctanh(np.clip(full["acc"], -CLIPPED, CLIPPED))
        draws = self._draws(full, groups, [full["ssim"], full["w1"], acc])
        yield draws.of_frames("ssim", 0)
        yield draws.of_frames("w1", 1)
        if not np.isnan(acc).all():
            yield draws.of_frames("acc", 2, np.tanh)
        yield draws.of_sums("h1", lambda s, pool=False: h1(WaveSums(s, full.names, pool=pool)))
        own, drawn = (
            [dict(wave_scores(WaveSums(sums, full.names, pool=pool))) for pool in (False, True)]
            for sums in (draws.sums, draws.drawn)
        )
        for score in own[0]:
            values, spread = (
                np.concatenate([by_channel[score], pooled[score]], axis=-1)
                for by_channel, pooled in (own, drawn)
            )
            interval = draws.interval(spread, values)
            if score in BIASED:
                interval = where_unbiased(interval, spread, values)
            yield Scored(score, values, interval, groups)

    def horizons(self, tally: Tally) -> Iterator[Scored]:
        """Medians over windows of the first lead under each correlation, and the share censored."""
        for threshold in HORIZONS:
            first, crossed = horizon(tally, threshold)
            median = np.append(np.median(first, axis=0), np.median(first))[None]
            yield Scored(f"horizon_{threshold}", median, None, None)
            share = np.append((~crossed).mean(axis=0), (~crossed).mean())[None]
            yield Scored(f"censored_{threshold}", share, None, None)

    def _of_sums(self) -> dict[str, Callable[..., Scores]]:
        found: dict[str, Callable[..., Scores]] = {"mse": mse, "mae": mae, "rmse": rmse, "r2": r2}
        found["vrmse"] = lambda sums, pool=False: vrmse(sums, self.variance, pool=pool)
        if self.yardstick is not None:
            data_range = self.yardstick.data_range
            found["psnr"] = lambda sums, pool=False: psnr(sums, data_range, pool=pool)
        return found

    def _draws(self, full: Tally, groups: Sequence[Group], frames: Sequence[Frames]) -> "_Draws":
        tally = grouped_tally(full, groups)
        blocks = resample_blocks(tally, n_draws=self.n_draws, seed=self.seed)
        of_frames = [grouped(terms_of(values), groups) for values in frames]
        terms = np.concatenate([tally.sums, *of_frames], axis=1)
        return _Draws(
            tally, groups, blocks, terms.sum(axis=0), blocks.totals(tally, terms), self.level
        )

    def _skill(self, score: str, tally: Tally, rival: Tally, groups: Sequence[Group]) -> Scored:
        paired = resample_blocks(tally, rival, n_draws=self.n_draws, seed=self.seed)
        n = len(SUMS)
        both = np.concatenate([tally.sums[:, :n], rival.sums[:, :n]], axis=1)
        values, drawn = (
            _and_pooled(skill, sums[..., :n, :, :], sums[..., n:, :, :])
            for sums in (both.sum(axis=0), paired.totals(tally, both))
        )
        return Scored(score, values, paired.interval(drawn, values, level=self.level), groups)


@dataclass(frozen=True)
class _Draws:
    """A model's sums and those of every draw, taken once for all its scores.

    Attributes:
        sums, drawn: those of the tally, then value and count of each score that is a mean over
            frames.
    """

    tally: Tally
    groups: Sequence[Group]
    blocks: Resampling
    sums: Float[np.ndarray, "sum lead channel"]
    drawn: Float[np.ndarray, "draw sum lead channel"]
    level: float

    def interval(self, drawn: Drawn, values: Table) -> Interval:
        return self.blocks.interval(drawn, values, level=self.level)

    def of_sums(self, score: str, take: Callable[..., Scores]) -> Scored:
        values, drawn = (_and_pooled(take, sums) for sums in (self.sums, self.drawn))
        return Scored(score, values, self.interval(drawn, values), self.groups)

    def of_frames(self, score: str, i: int, undo: Undo = None) -> Scored:
        """The i-th of the means over frames."""
        first = self.tally.sums.shape[1] + 2 * i
        take = partial(mean_of, undo=undo)
        values, drawn = (
            _and_pooled(take, sums[..., first : first + 2, :, :])
            for sums in (self.sums, self.drawn)
        )
        return Scored(score, values, self.interval(drawn, values), self.groups)


def where_unbiased(interval: Interval, drawn: Drawn, value: Table) -> Interval:
    """The interval where the draws' bias can be neglected, NaN elsewhere.

    That is below a quarter of their standard deviation (Efron & Tibshirani 1993,
    doi 10.1201/9780429246593, section 10.3).
    """
    with np.errstate(invalid="ignore"):
        small = np.abs(drawn.mean(axis=0) - value) < MOST_BIAS * drawn.std(axis=0)
    return Interval(*(np.where(small, end, np.nan) for end in interval))


def _and_pooled(take: Callable[..., np.ndarray], *sums: Sums) -> np.ndarray:
    """A score for each channel and, in one more column, for all together."""
    return np.concatenate([take(*sums), take(*sums, pool=True)], axis=-1)
