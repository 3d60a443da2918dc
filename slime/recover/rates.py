"""sigma and k_e of Martiel-Goldbeter from movies of g, with the bias of noise taken off.

Noise in g enters the simulation that follows the movie, so that least squares alone is biased. The
movie is therefore simulated again at the estimate, in copies with new noise, and the parameters are
moved until the fit of the copies is that of the movie: indirect inference (Gourieroux, Monfort &
Renault 1993, doi 10.1002/jae.3950080507). The spread over the copies gives the interval.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.stats import t as student
from torch import Tensor
from torch.nn.functional import conv2d

from slime.progress import Progress
from slime.recover.newton import Fit, best_start, fit_rates
from slime.recover.observer import Seen, Setup, free_run

MOST_MOVE = 0.25  # of a parameter in one round, in its logarithm
ENOUGH = 0.25  # share of the variance that must be foretold
FOG = 0.35  # standard error of a logarithm from which on a rate counts as unknown


class Rates(NamedTuple):
    """Parameters of each movie as logarithms (the offset as it is), and how sure they are.

    Attributes:
        fitted: by least squares alone.
        copies: the fits of movies simulated at the parameters, each with new noise.
        explained: share of the variance of the frames that was foretold.
        reason: why a movie tells nothing, else empty; its numbers are NaN then.
    """

    parameters: Float[Tensor, "m p"]
    fitted: Float[Tensor, "m p"]
    copies: Float[Tensor, "m copy p"]
    explained: Float[Tensor, " m"]
    reason: list[str]

    @property
    def error(self) -> Float[Tensor, "m p"]:
        """Standard error, by the noise in the frames alone; the copies' own chance is in it."""
        return self.copies.std(1) * math.sqrt(1 + 1 / self.copies.shape[1])

    def interval(self, level: float = 0.95) -> tuple[Float[Tensor, "m p"], Float[Tensor, "m p"]]:
        """Low and high ends, by Student's t."""
        reach = float(student.ppf((1 + level) / 2, self.copies.shape[1] - 1)) * self.error
        return self.parameters - reach, self.parameters + reach


def noise_level(frames: Float[Tensor, "m t y x"]) -> Float[Tensor, " m"]:
    """Standard deviation of white noise, from the median of a mask that is blind to slopes.

    The mask of Immerkaer 1996 (doi 10.1006/cviu.1996.0060), whose answer to white noise is six
    times its deviation; the median passes over the fronts of waves.
    """
    mask = torch.tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])[None, None]
    found = []
    for movie in frames:
        rough = conv2d(movie[:, None], mask).abs()
        found.append(rough.flatten()[:: max(rough.numel() // 2_000_000, 1)].median())
    return torch.stack(found) / (6 * 0.67449)


def recover_rates(
    frames: Float[Tensor, "m t y x"],
    setup: Setup,
    *,
    density: Float[Tensor, "m t y x"] | None = None,
    free_response: bool = False,
    n_copies: int = 8,
    n_rounds: int = 3,
    seed: int = 0,
    progress: Progress | None = None,
) -> Rates:
    """sigma and k_e (and the gain and offset of the frames) of each movie.

    Args:
        frames: g in K_R, or gain (g + offset) with `free_response`.
        n_copies: simulated again with new noise; two at least.
        n_rounds: of moving the parameters; 0 takes least squares as it is.
    """
    noise = noise_level(frames)
    seen = Seen(frames, density, noise, torch.zeros_like(noise))
    first = _first_response(frames) if free_response else frames.new_zeros(len(frames), 0)
    fit = fit_rates(seen, setup, best_start(seen, setup, first), progress=progress)
    reason = [
        _why_not(fit.explained[m].item(), signal, bool(fit.settled[m]))
        for m, signal in enumerate((frames.flatten(1).std(1) / noise.clamp(min=1e-30)).tolist())
    ]
    parameters = fit.parameters
    copies = torch.full((len(frames), n_copies, parameters.shape[1]), torch.nan)
    for k in range(0 if all(reason) else max(n_rounds, 1)):
        copies = _fits_of_copies(seen, setup, parameters, n_copies, seed, progress)
        if k < n_rounds:
            move = (fit.parameters - copies.mean(1)).clamp(-MOST_MOVE, MOST_MOVE)
            parameters = parameters + move.nan_to_num(nan=0.0)
    return _blanked(Rates(parameters, fit.parameters, copies, fit.explained, reason))


def _fits_of_copies(
    seen: Seen,
    setup: Setup,
    parameters: Float[Tensor, "m p"],
    n_copies: int,
    seed: int,
    progress: Progress | None,
) -> Float[Tensor, "m copy p"]:
    """Fits of each copy of movies simulated at the parameters; the same noise each time."""
    clean = free_run(seen, setup, parameters, seen.frames.shape[1])
    again = Seen(clean, seen.density, seen.noise, seen.noise, n_copies, seed)
    start = parameters.repeat_interleave(n_copies, 0)
    fit: Fit = fit_rates(again, setup, start, n_rounds=5, tolerance=1e-3, progress=progress)
    return fit.parameters.unflatten(0, (len(parameters), n_copies))


def _why_not(explained: float, signal: float, settled: bool) -> str:
    if not signal > 1.5:
        return f"nothing but noise: the frames vary {signal:.2g} times as much as their noise"
    if not explained > ENOUGH:
        return (
            f"the model does not follow the movie: it foretells {max(explained, 0):.0%} of the "
            f"variance of the next frame, {ENOUGH:.0%} are needed"
        )
    return "" if settled else "the fit did not settle: the movie is too short or holds no waves"


def _first_response(frames: Float[Tensor, "m t y x"]) -> Float[Tensor, "m 2"]:
    """Log gain and offset to begin with: resting g is near 0 and a wave's crest near 3 K_R."""
    some = [movie.flatten()[:: max(movie.numel() // 1_000_000, 1)] for movie in frames]
    low, high = (torch.stack([values.quantile(q) for values in some]) for q in (0.05, 0.99))
    gain = ((high - low) / 3).clamp(min=1e-30)
    return torch.stack([gain.log(), low / gain], dim=1)


def _blanked(rates: Rates) -> Rates:
    """NaN for what the movies do not tell, with the reason."""
    reason = []
    for why, error in zip(rates.reason, rates.error[:, :2].amax(1).tolist(), strict=True):
        if not why and not error < FOG:
            why = f"sigma and k_e cannot be told apart: standard error {error:.0%}"
        reason.append(why)
    silent = torch.tensor([bool(why) for why in reason])[:, None]
    return rates._replace(
        parameters=torch.where(silent, torch.nan, rates.parameters),
        fitted=torch.where(silent, torch.nan, rates.fitted),
        copies=torch.where(silent[..., None], torch.nan, rates.copies),
        reason=reason,
    )
