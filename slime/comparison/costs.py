"""What a run costs: weights, operations of a step, windows a second, time."""

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from slime.checkpoint import SavedRun, load_run
from slime.errors import SlimeError
from slime.report.run_files import RunFiles


class Costs(NamedTuple):
    """Of a group of runs; None where a run does not tell.

    Attributes:
        flops: floating-point operations of a forecast of one frame, those of convolutions and
            matrix products alone, a multiplication and an addition counting as two.
        windows_per_s: in training, the median epoch, mean over runs.
        training_s: seconds of training, mean over runs.
    """

    parameters: int | None
    flops: int | None
    windows_per_s: float | None
    training_s: float | None


def costs_of(runs: Sequence[RunFiles]) -> Costs:
    """What runs that differ in their seed cost."""
    try:
        flops = step_flops(load_run(runs[0].path))
    except SlimeError:
        flops = None
    rates = [_numbers(run.epochs, "windows_per_s") for run in runs]
    seconds = [_numbers(run.epochs, "seconds") for run in runs]
    return Costs(
        runs[0].about.get("net", {}).get("parameters"),
        flops,
        mean(median(rate) for rate in rates if rate) if any(rates) else None,
        mean(sum(taken) for taken in seconds if taken) if any(seconds) else None,
    )


def step_flops(saved: SavedRun) -> int:
    """Operations with which a net forecasts one frame from one window."""
    shape = saved.shape
    past = torch.zeros(1, shape.n_in, len(shape.channels), shape.height, shape.width)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        saved.stepper(past)
    return int(counted.get_total_flops())


def _numbers(epochs: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    return [float(row[key]) for row in epochs if isinstance(row.get(key), (int, float))]
