"""The forecasts that a run has to beat."""

import torch

from baselines import Baseline, fit_baselines
from slime.config import RunConfig
from slime.prepare import Prepared
from slime.progress import Progress
from slime.scale import Standardizer


def fit_rivals(
    config: RunConfig,
    prepared: Prepared,
    *,
    scale: Standardizer | None = None,
    device: torch.device,
    progress: Progress | None = None,
) -> dict[str, Baseline]:
    """Every baseline, fitted on what a run trains on and chosen on what it validates.

    Args:
        scale: the standardizer of the run's net, fitted here where it is not given.
        device: where frames will be.

    Raises:
        SlimeError: as fit_baselines.
    """
    return fit_baselines(
        prepared.movies,
        prepared.each("train"),
        config.window,
        val_splits=prepared.each("val"),
        scale=scale,
        memory_budget=config.data.memory_budget,
        device=device,
        seed=config.seed,
        progress=progress,
    )
