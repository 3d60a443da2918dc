"""Steppers to beat, none trained by slime.fit: a forecast is worth what it adds to them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import torch
import xarray as xr

from baselines.climatology import Climatology
from baselines.drift import Drift
from baselines.persistence import Persistence
from baselines.ridge import Ridge
from slime.progress import Progress
from slime.scale import Standardizer
from slime.split import Split
from slime.stepper import Step
from slime.stream import GIB
from slime.windows import WindowSpec

__all__ = ["Baseline", "Climatology", "Drift", "Persistence", "Ridge", "fit_baselines"]


@runtime_checkable
class Baseline(Protocol):
    """A fitted baseline: reads the `n_in` newest frames, and gives for each movie a step."""

    @property
    def n_in(self) -> int:
        """Frames that a step reads."""
        ...

    def for_movie(self, movie: int) -> Step:
        """The step for movie number `movie` of those that it was fitted on."""
        ...


def fit_baselines(
    movies: Sequence[xr.DataArray],
    train_splits: Sequence[Split | None],
    spec: WindowSpec,
    *,
    val_splits: Sequence[Split | None] | None = None,
    scale: Standardizer | None = None,
    memory_budget: int = 2 * GIB,
    device: str | torch.device = "cpu",
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Baseline]:
    """Every baseline by its name, persistence first, fitted on the train splits alone.

    Args:
        train_splits, val_splits: for each movie its frames, None where it has none. The ridge
            penalty is chosen on the validation splits where there are any.
        scale: the standardizer of the net, fitted here where it is not given.
        device: where frames will be; the fit itself runs on the CPU, in seconds.

    Raises:
        SlimeError: no train frames, or frames that a baseline cannot be fitted on.
    """
    train, train_frames = _present(movies, train_splits)
    val = _present(movies, val_splits or [None] * len(movies))

    def ridge() -> Baseline:
        own = scale or Standardizer.fit(
            train, train_frames, step=spec.step, memory_budget=memory_budget
        )
        return Ridge.fit(
            train,
            train_frames,
            spec,
            own,
            val=val if val[0] else None,
            memory_budget=memory_budget,
            seed=seed,
        ).to(device)

    fits: dict[str, Callable[[], Baseline]] = {
        "persistence": Persistence,
        "drift": Drift,
        "climatology": partial(Climatology.fit, movies, train_splits, memory_budget=memory_budget),
        "ridge": ridge,
    }
    names = progress(fits, len(fits), "fitting baselines") if progress else fits
    return {name: fits[name]() for name in names}


def _present(
    movies: Sequence[xr.DataArray], splits: Sequence[Split | None]
) -> tuple[list[xr.DataArray], list[Split]]:
    """The movies that have a split, and their splits."""
    pairs = [(m, s) for m, s in zip(movies, splits, strict=True) if s is not None]
    return [m for m, _ in pairs], [s for _, s in pairs]
