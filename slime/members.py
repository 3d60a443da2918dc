"""Forecasts by several nets at once, as trained from several seeds, and what their spread tells.

Each member is rolled out by itself: the mean is taken of frames, not fed back.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from slime.errors import SlimeError
from slime.stepper import Step, rollout


def rollout_members(
    members: Sequence[Step], past: Float[Tensor, "b t c y x"], n_steps: int
) -> Float[Tensor, "member b lead c y x"]:
    """The next `n_steps` frames by every member, each fed with its own."""
    if len(members) < 2:
        raise SlimeError(f"an ensemble of {len(members)} members: at least 2 are needed")
    return torch.stack([rollout(member, past, n_steps) for member in members])


def fair_crps(
    members: Float[Tensor, "member *rest"], truth: Float[Tensor, "*rest"]
) -> Float[Tensor, "*rest"]:
    """The continuous ranked probability score that an endless ensemble would have on average.

    mean |x_m - y| - sum_mm' |x_m - x_m'| / (2 M (M - 1)), in movie units, the sum over pairs by
    sorting. Fair: Ferro 2014, doi 10.1002/qj.2270; by sorting: Hersbach 2000,
    doi 10.1175/1520-0434(2000)015<0559:DOTCRP>2.0.CO;2.

    Raises:
        SlimeError: fewer than 2 members.
    """
    n = _n_members(members)
    rank = torch.arange(1, n + 1, dtype=members.dtype, device=members.device)
    weight = (2 * rank - n - 1).reshape(-1, *[1] * truth.ndim)
    pairs = (weight * members.sort(dim=0).values).sum(dim=0)
    return (members - truth).abs().mean(dim=0) - pairs / (n * (n - 1))


def spread_over_error(
    members: Float[Tensor, "member *rest"], truth: Float[Tensor, "*rest"]
) -> float:
    """Spread of the members over the error of their mean; 1 where the spread tells the error.

    sqrt((M + 1) / M times the mean variance) over the root mean squared error: Fortin et al. 2014,
    doi 10.1175/JHM-D-14-0008.1. Under 1 the members are surer than they should be.
    """
    n = _n_members(members)
    spread = (n + 1) / n * members.var(dim=0).mean()
    return float(torch.sqrt(spread / (members.mean(dim=0) - truth).square().mean()))


def _n_members(members: Tensor) -> int:
    if len(members) < 2:
        raise SlimeError(f"an ensemble of {len(members)} members: at least 2 are needed")
    return len(members)
