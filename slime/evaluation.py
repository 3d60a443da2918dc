"""The one evaluation that every forecast goes through, nets and rivals alike."""

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from slime.progress import Progress
from slime.ranks import ALONE, Ranks
from slime.score import Tally, tally_windows
from slime.stepper import Step, rollout
from slime.stream import Batch, WindowStream


def persistence(past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
    """The last frame given, the opponent of every forecast."""
    return past[:, -1]


def evaluate(
    stepper: Step,
    batches: Iterable[Batch],
    *,
    progress: Progress | None = None,
    ranks: Ranks = ALONE,
) -> Tally:
    """Forecast every window as far as its future goes, each step fed with its own forecasts.

    Only future frames are scored, those under a mask left out. A module is put into eval mode and
    back.

    Args:
        ranks: where each process has its part of the windows; the tally is of all of them.
    """
    if progress is not None and isinstance(batches, WindowStream):
        batches = progress(batches, len(batches), "scoring")
    training = isinstance(stepper, nn.Module) and stepper.training
    if isinstance(stepper, nn.Module):
        stepper.eval()
    try:
        with torch.inference_mode():
            tallies = _tallies(stepper, batches)
            if ranks.world_size == 1:
                return Tally.joined(tallies)
            first = next(tallies, None)
            own = None if first is None else Tally.joined(_and_the_rest(first, tallies))
            return Tally.joined(part for part in ranks.gathered(own) if part is not None)
    finally:
        if isinstance(stepper, nn.Module):
            stepper.train(training)


def _tallies(stepper: Step, batches: Iterable[Batch]) -> Iterator[Tally]:
    for batch in batches:
        if len(batch.past):  # a rank may get none of the last windows
            forecast = rollout(stepper, batch.past, batch.future.shape[1])
            yield tally_windows(forecast, batch.future, batch.mask, batch.movie, batch.start)


def _and_the_rest(first: Tally, rest: Iterator[Tally]) -> Iterator[Tally]:
    yield first
    yield from rest
