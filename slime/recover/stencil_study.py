"""Diffusion recovered from simulated movies by learned stencils: bias against noise and lead."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator

from slime.progress import Progress
from slime.recover.diffusion import fit_diffusion
from slime.recover.stencil import euler_power, learn_stencil
from slime.recover.truth import SummaryRow, Trial, mean_interval
from slime.simulate.grid import laplacian, smoothed

SPREAD = 0.0768  # D dt / dx^2 of 0.024 mm2/min at dt 0.008 min and dx 0.05 mm
CASES = ((1, 3), (4, 7), (8, 9))  # steps between frames, and the stencil
NOISES = (0.01, 0.05, 0.2)  # of the deviation of the first frame
N_FRAMES, N_PX, SMOOTH_PX = 20, 64, 1.0


def study_stencils(
    *, n_seeds: int, seed: int, progress: Progress | None = None
) -> tuple[list[Trial], list[SummaryRow]]:
    """Trials of the diffusion (pixels squared a step), and errors of whole stencils.

    A stencil's error is its distance from the true one, over the length of that: from one step's,
    to the power of the steps between frames. Learned by least squares and with instruments, and of
    the propagator whose diffusion was fitted.
    """
    trials, errors = [], []
    steps = [(n, k, noise) for n, k in CASES for noise in NOISES]
    for n, k, noise in progress(steps, len(steps), "stencils") if progress else steps:
        label = f"{n} step{'s' * (n > 1)}, noise {noise:g}"
        true = euler_power(k, n, spread=SPREAD, decay=0.0)
        off: list[list[float]] = []
        for one in range(seed, seed + n_seeds):
            seen = diffusing(n, seed=one)
            rng = np.random.default_rng((one, n))
            seen = seen + noise * rng.standard_normal(seen.shape)
            trial = _trial(label, seen, n, one)
            trials.append(trial)
            guesses = [
                learn_stencil(seen, k, instruments=False).weights,
                learn_stencil(seen, k).weights,
                euler_power(k, n, spread=trial.value, decay=0.0),
            ]
            off.append([_distance(guess, true) for guess in guesses])
        scores = ("error_least_squares", "error_instruments", "error_propagator")
        for score, values in zip(scores, np.array(off).T, strict=True):
            errors.append((label, "stencil", score, *mean_interval(values), len(values)))
    return trials, errors


def diffusing(
    n_steps: int, *, seed: int, n_frames: int = N_FRAMES, n_px: int = N_PX
) -> Float[np.ndarray, "t y x"]:
    """Smooth noise of deviation 1 that spreads, `n_steps` explicit steps a frame."""
    generator = Generator().manual_seed(seed)
    start = torch.randn(1, n_px, n_px, generator=generator, dtype=torch.float64)
    field = smoothed(start, SMOOTH_PX)
    field = field / field.std()
    frames = [field]
    for _ in range(n_frames - 1):
        for _ in range(n_steps):
            field = field + SPREAD * laplacian(field)
        frames.append(field)
    return torch.cat(frames).numpy()


def _trial(label: str, seen: Float[np.ndarray, "t y x"], n: int, seed: int) -> Trial:
    """The diffusion of one movie, a step."""
    fitted = fit_diffusion(seen, n_steps=n)
    plain = fit_diffusion(seen, n_steps=n, instruments=False)
    low, high = (end / n for end in fitted.interval(0))
    value, uncorrected = (float(one.values[0]) / n for one in (fitted, plain))
    return Trial(label, "D", SPREAD, seed, value, low, high, uncorrected, "")


def _distance(weights: Float[np.ndarray, "k k"], true: Float[np.ndarray, "k k"]) -> float:
    return float(np.linalg.norm(weights - true) / np.linalg.norm(true))
