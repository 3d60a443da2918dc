"""Diffusion and decay of a field whose frames are further apart than steps of its equation.

From frame to frame such a field goes through the propagator exp(D lap - decay) (of explicit steps:
their power), which the cosine transform makes diagonal. Two numbers are fitted where a stencil has
many, so that smooth fields suffice. As in slime.recover.stencil, the frame before is an instrument.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.fft import dctn, idctn
from scipy.stats import t as student

N_TIMES, N_SIDES = 5, 2  # blocks of time and, along each side, of space, for standard errors
N_ROUNDS = 50
CLOSE = 1e-10  # relative, of the last round
HIGHEST = 20.0  # diffusion or decay a frame: more leaves nothing of a frame in the next one


class Diffused(NamedTuple):
    """What was fitted, in pixels and frames.

    Attributes:
        values: diffusion, decay, then each source's weight now and then, and a constant.
        covariance: of the values, from sums over blocks of time and space.
        settled: whether the last round no longer moved them.
    """

    values: Float[np.ndarray, " p"]
    covariance: Float[np.ndarray, "p p"]
    n_blocks: int
    settled: bool

    def interval(self, i: int, level: float = 0.95) -> tuple[float, float]:
        """Low and high end of a value, by Student's t over the blocks."""
        reach = student.ppf((1 + level) / 2, self.n_blocks - 1) * np.sqrt(self.covariance[i, i])
        return float(self.values[i] - reach), float(self.values[i] + reach)


class Spectra(NamedTuple):
    """Frames as cosines, and the five-point Laplacian's eigenvalue of each."""

    cosines: Float[np.ndarray, "t y x"]
    eigen: Float[np.ndarray, "y x"]
    n_steps: int

    def carried(
        self, diffusion: float, decay: float
    ) -> tuple[Float[np.ndarray, "t y x"], Float[np.ndarray, "t y x"], Float[np.ndarray, "t y x"]]:
        """Every frame one frame later, and its slopes in diffusion and decay."""
        exponent = diffusion * self.eigen - decay
        if self.n_steps:
            step = 1 + exponent / self.n_steps
            factor, rest = step**self.n_steps, step ** (self.n_steps - 1)
        else:
            factor = rest = np.exp(exponent)
        later = (factor, rest * self.eigen, -rest)
        first, second, third = (_back(self.cosines * one) for one in later)
        return first, second, third


def fit_diffusion(
    frames: Float[np.ndarray, "t y x"],
    *,
    sources: Float[np.ndarray, "s t y x"] | None = None,
    n_steps: int = 0,
    instruments: bool = True,
    rim: int = 0,
) -> Diffused:
    """Diffusion and decay by the method of moments, from walls without flux.

    Args:
        sources: fields that feed this one, known without noise; taken now and then, as they are.
        n_steps: explicit Euler steps between two frames; 0 for a field of nature.
        instruments: the frame before stands for each frame where noise would be counted twice.
        rim: pixels along each edge that are left out, where the edge is no wall.
    """
    known = np.zeros((0, *frames.shape)) if sources is None else sources
    spectra = _spectra(frames, n_steps)
    first = 1 if instruments else 0
    target = frames[first + 1 :].astype(np.float64)
    linear = [
        known[i, times]
        for i in range(len(known))
        for times in (slice(first, -1), slice(first + 1, None))
    ]
    linear.append(np.ones_like(target))
    values: Float[np.ndarray, " p"] = np.array([0.2, 0.0, *[0.0] * len(linear)])
    move, left, right = np.inf, np.zeros((1, 1, 1)), np.zeros((1, 1))
    for _ in range(N_ROUNDS):
        carried, slope_d, slope_c = spectra.carried(float(values[0]), float(values[1]))
        now, aid = slice(first, -1), slice(0, len(frames) - 1 - first)
        rows = [slope_d[now], slope_c[now], *linear]
        aids = [slope_d[aid], slope_c[aid], *linear] if instruments else rows
        missed = target - carried[now]
        for weight, one in zip(values[2:], linear, strict=True):
            missed -= weight * one
        left, right = _sums(aids, rows, missed, rim)
        step = np.asarray(np.linalg.pinv(left.sum(0), rcond=1e-14) @ right.sum(0))
        step[0] = np.clip(step[0], -0.5 * values[0], 2 * values[0])
        step[1] = np.clip(step[1], -1, 1)
        values = values + step
        move = abs(step[0]) / values[0]
        if move < CLOSE or not np.abs(values[:2]).max() < HIGHEST:
            break
    inverse, n = np.linalg.pinv(left.sum(0), rcond=1e-14), len(right)
    covariance = inverse @ (right.T @ right) @ inverse.T * n / (n - 1)
    return Diffused(values, covariance, n, bool(move < 1e-6 and np.abs(values[:2]).max() < HIGHEST))


def _spectra(frames: Float[np.ndarray, "t y x"], n_steps: int) -> Spectra:
    cosines = np.asarray(dctn(frames.astype(np.float64), axes=(1, 2), norm="ortho"))
    _, height, width = frames.shape
    down, across = (2 * np.cos(np.pi * np.arange(n) / n) - 2 for n in (height, width))
    return Spectra(cosines, down[:, None] + across, n_steps)


def _back(cosines: Float[np.ndarray, "t y x"]) -> Float[np.ndarray, "t y x"]:
    return np.asarray(idctn(cosines, axes=(1, 2), norm="ortho"))


def _sums(
    aids: list[Float[np.ndarray, "t y x"]],
    rows: list[Float[np.ndarray, "t y x"]],
    missed: Float[np.ndarray, "t y x"],
    rim: int,
) -> tuple[Float[np.ndarray, "block p p"], Float[np.ndarray, "block p"]]:
    """Products of instruments with slopes and with what is missed, block by block."""
    inner = (slice(None), *[slice(rim, n - rim) for n in missed.shape[1:]])
    left, right = [], []
    for block in time_and_space_blocks(missed[inner].shape):
        z, x = (np.stack([one[inner][block].ravel() for one in some]) for some in (aids, rows))
        left.append(z @ x.T)
        right.append(z @ missed[inner][block].ravel())
    return np.stack(left), np.stack(right)


def time_and_space_blocks(shape: tuple[int, int, int]) -> list[tuple[slice, slice, slice]]:
    """N_TIMES stretches of time of each of N_SIDES x N_SIDES parts of a frame; none is empty."""
    parts = [
        [slice(a, b) for a, b in pairwise(cuts) if b > a]
        for cuts in (
            [n * i // m for i in range(m + 1)]
            for n, m in zip(shape, (N_TIMES, N_SIDES, N_SIDES), strict=True)
        )
    ]
    return [(t, y, x) for t in parts[0] for y in parts[1] for x in parts[2]]
