"""The linear stencil that carries one frame to the next, learned, and what it says of diffusion.

A diffusing field obeys, from frame to frame, one convolution: the step's five-point stencil raised
to the number of steps between the frames. Its second moment is the diffusion, its sum the decay.

Least squares takes noise in a frame for structure that fades at once and so mistakes the diffusion.
The frame before is an instrument without that fault: it knows the structure but not the noise
(instrumental variables; Reiersol 1941, doi 10.2307/1907171).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import convolve2d
from scipy.special import ive


class Learned(NamedTuple):
    """A stencil and weights of sources.

    Attributes:
        weights: of the neighbours, in the order of the frame: next = sum of weight * now.
        sources: for each source its weight and that of its Laplacian now, and both then.
    """

    weights: Float[np.ndarray, "k k"]
    sources: Float[np.ndarray, "s 4"]


class Physics(NamedTuple):
    """What a stencil says, in pixels and frames.

    Attributes:
        diffusion: pixels squared a frame.
        decay: of the sum, a frame: the log of one frame's over the next one's.
        drift_y, drift_x: pixels a frame.
    """

    diffusion: float
    decay: float
    drift_y: float
    drift_x: float


def learn_stencil(
    frames: Float[np.ndarray, "t y x"],
    k: int,
    *,
    sources: Float[np.ndarray, "s t y x"] | None = None,
    instruments: bool = True,
    symmetric: bool = True,
) -> Learned:
    """The k x k stencil, from all pixels whose neighbours are all in the frame.

    Args:
        k: odd.
        sources: fields that feed this one, known without noise.
        instruments: the frame before each stands for it in the normal equations; without, least
            squares, which noise biases.
        symmetric: neighbours that a turn or a mirror takes into each other share a weight, which
            leaves fewer to learn and no drift.
    """
    tied = ties(k) if symmetric else np.eye(k * k)
    known = np.zeros((0, *frames.shape)) if sources is None else sources
    left = right = 0.0
    for t in range(1 if instruments else 0, len(frames) - 1):
        fed = _fed(known[:, t], known[:, t + 1], k)
        now = _features(frames[t], fed, tied, k)
        aid = _features(frames[t - 1], fed, tied, k) if instruments else now
        left = left + aid.T @ now
        right = right + aid.T @ _inner(frames[t + 1], k).ravel()
    found = np.linalg.pinv(np.asarray(left), rcond=1e-15) @ right
    n_weights = tied.shape[1]
    return Learned((tied @ found[:n_weights]).reshape(k, k), found[n_weights:-1].reshape(-1, 4))


def ties(k: int) -> Float[np.ndarray, "kk r"]:
    """Which weights of a k x k stencil are one: 1 where a pixel belongs to a ring of equals.

    >>> ties(3).sum(0).tolist()  # the middle, its four neighbours, the four corners
    [1.0, 4.0, 4.0]
    """
    y, x = (np.abs(side - k // 2) for side in np.mgrid[:k, :k])
    ring = np.maximum(y, x) * k + np.minimum(y, x)
    return (ring.reshape(-1, 1) == np.unique(ring)).astype(np.float64)


def physics_of(weights: Float[np.ndarray, "k k"], n_steps: int = 0) -> Physics:
    """Diffusion, decay and drift by the stencil's moments.

    Args:
        n_steps: explicit Euler steps between two frames, if the field was made by them: each
            spreads before it decays, which shifts the diffusion; 0 for a field of nature.
    """
    reach = len(weights) // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    total = weights.sum()
    # next(p) sums weight(q) now(p + q): what comes from behind moves forward
    mean_y, mean_x = -(weights * y).sum() / total, -(weights * x).sum() / total
    second = (weights * (y**2 + x**2)).sum() / total - mean_y**2 - mean_x**2
    kept = total ** (1 / n_steps) if n_steps else 1.0
    with np.errstate(invalid="ignore"):
        decay = -np.log(total) if not n_steps else n_steps * (1 - kept)
    return Physics(float(kept * second / 4), float(decay), float(mean_y), float(mean_x))


def euler_power(k: int, n_steps: int, *, spread: float, decay: float) -> Float[np.ndarray, "k k"]:
    """The k x k middle of n explicit Euler steps' stencil.

    Args:
        spread: D dt / dx^2 of one step.
        decay: the decay's rate times dt of one step.
    """
    step = np.array([[0, spread, 0], [spread, 1 - decay - 4 * spread, spread], [0, spread, 0]])
    power = np.ones((1, 1))
    for _ in range(n_steps):
        power = convolve2d(power, step)
    wide = np.pad(power, max(k // 2 - n_steps, 0))
    middle, reach = len(wide) // 2, k // 2
    return wide[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]


def propagator(k: int, *, diffusion: float, decay: float) -> Float[np.ndarray, "k k"]:
    """The k x k middle of exp(diffusion * five-point Laplacian - decay): of steps without end.

    Along each axis a weight at distance j is exp(-2 D) I_j(2 D), with I the modified Bessel
    function.
    """
    line = ive(np.abs(np.arange(k) - k // 2), 2 * diffusion)
    return np.exp(-decay) * np.outer(line, line)


def _fed(
    now: Float[np.ndarray, "s y x"], then: Float[np.ndarray, "s y x"], k: int
) -> list[Float[np.ndarray, "iy ix"]]:
    """Each source and its Laplacian, at both times."""
    fields = [one for pair in zip(now, then, strict=True) for one in pair]
    return [_inner(shown, k) for one in fields for shown in (one, _laplacian(one))]


def _features(
    frame: Float[np.ndarray, "y x"],
    fed: list[Float[np.ndarray, "iy ix"]],
    tied: Float[np.ndarray, "kk r"],
    k: int,
) -> Float[np.ndarray, "p f"]:
    """Sums of tied neighbours of each inner pixel, what feeds it, and 1."""
    windows = sliding_window_view(frame.astype(np.float64), (k, k))
    flat = windows.reshape(-1, k * k) @ tied
    return np.column_stack([flat, *(one.ravel() for one in fed), np.ones(len(flat))])


def _laplacian(field: Float[np.ndarray, "y x"]) -> Float[np.ndarray, "y x"]:
    """Five-point, times dx^2, without flux through the edges."""
    wide = np.pad(field, 1, mode="edge")
    return wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] - 4 * field


def _inner(field: Float[np.ndarray, "y x"], k: int) -> Float[np.ndarray, "iy ix"]:
    reach = k // 2
    return field[reach : field.shape[0] - reach, reach : field.shape[1] - reach].astype(np.float64)
