"""Steppers to beat, none trained by slime.fit: a forecast is worth what it adds to them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
import xarray as xr

from baselines.climatology import Climatology
from baselines.dmd import DMD
from baselines.drift import Drift
from baselines.flow import FlowAdvection
from baselines.persistence import Persistence
from baselines.phase import PhaseExtrapolation
from baselines.ridge import Ridge
from baselines.toys import TOYS, toy_fits
from slime.prepare import without_gap
from slime.progress import Progress
from slime.scale import Standardizer
from slime.split import Split
from slime.stepper import Step
from slime.stream import GIB
from slime.windows import WindowSpec

__all__ = [
    "BASELINES",
    "DMD",
    "Baseline",
    "Climatology",
    "Drift",
    "FlowAdvection",
    "Persistence",
    "PhaseExtrapolation",
    "Ridge",
    "fit_baselines",
]


BASELINES = (
    "persistence",
    "drift",
    "climatology",
    "pixel_ar",
    "ridge",
    "dmd",
    "hankel_dmd",
    "flow",
    "phase",
    *TOYS,
)


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

    Persistence, drift and climatology; a linear law of a pixel's own past (pixel_ar) and of its
    neighbourhood's (ridge), of a movie's patterns (dmd) and of these over several frames
    (hankel_dmd); motion that goes on (flow), waves that go on (phase); the nets of the toy
    exercises, trained in a second or two (toy_linear, toy_mlp, toy_cnn). They read as many frames
    as the net where they can read several, two where they need two.

    Args:
        train_splits, val_splits: for each movie its frames, None where it has none. The ridge
            penalty is chosen on the validation splits where there are any.
        scale: the standardizer of the net, fitted here where it is not given.
        device: where frames will be; the fit itself runs on the CPU, in seconds.

    Raises:
        SlimeError: no train frames, or frames that a baseline cannot be fitted on.
    """
    # a baseline may read more frames than the net, for which the gap was cut: within the split
    train_splits, val_splits = (
        [s and without_gap(s) for s in splits]
        for splits in (train_splits, val_splits or [None] * len(movies))
    )
    train, train_frames = _present(movies, train_splits)
    val = _present(movies, val_splits)

    two = replace(spec, n_in=max(spec.n_in, 2))
    if scale is None:
        scale = Standardizer.fit(train, train_frames, step=spec.step, memory_budget=memory_budget)

    def linear(of: WindowSpec, k: int) -> Baseline:
        return Ridge.fit(
            train,
            train_frames,
            of,
            scale,
            val=val if val[0] else None,
            k=k,
            memory_budget=memory_budget,
            seed=seed,
        ).to(device)

    by_movie: dict[str, Any] = {"step": spec.step, "memory_budget": memory_budget}
    modes = partial(DMD.fit, movies, train_splits, val_splits=val_splits, **by_movie)
    fits: dict[str, Callable[[], Baseline]] = {
        "persistence": Persistence,
        "drift": Drift,
        "climatology": partial(Climatology.fit, movies, train_splits, memory_budget=memory_budget),
        "pixel_ar": partial(linear, two, 1),
        "ridge": partial(linear, spec, 5),
        "dmd": partial(modes, n_in=1),
        "hankel_dmd": partial(modes, n_in=two.n_in),
        "flow": FlowAdvection,
        "phase": partial(PhaseExtrapolation.fit, movies, train_splits, n_in=two.n_in, **by_movie),
    }
    toys = toy_fits(
        (train, train_frames),
        val if val[0] else None,
        spec,
        scale,
        memory_budget=memory_budget,
        seed=seed,
    )
    for name, fitted in toys.items():
        fits[name] = lambda fitted=fitted: fitted().to(device)
    n = len(BASELINES)
    names = progress(BASELINES, n, "fitting baselines") if progress else BASELINES
    return {name: fits[name]() for name in names}


def _present(
    movies: Sequence[xr.DataArray], splits: Sequence[Split | None]
) -> tuple[list[xr.DataArray], list[Split]]:
    """The movies that have a split, and their splits."""
    pairs = [(m, s) for m, s in zip(movies, splits, strict=True) if s is not None]
    return [m for m, _ in pairs], [s for _, s in pairs]
