"""The training of a run, by one process or several: what is read by each, and its epochs."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from slime.checkpoint import SavedRun, build_stepper, shape_of, stopped_early
from slime.config import RunConfig
from slime.fit import Record, fit
from slime.pauses import Pauses
from slime.prepare import Prepared, prepare
from slime.progress import Progress
from slime.ranks import ALONE, Ranks
from slime.scale import Standardizer
from slime.schedule import scheduler
from slime.stepper import Stepper
from slime.stream import WindowStream


def prepare_run(
    config: RunConfig,
    address: str | None = None,
    *,
    ranks: Ranks = ALONE,
    progress: Progress | None = None,
) -> Prepared:
    """The movies of a run, on every rank; the first one reads them for the audit.

    Raises:
        SlimeError: as prepare.
    """

    def read(**made: Any) -> Prepared:
        with scheduler(address) as executor:
            return prepare(
                config.data,
                config.window,
                seed=config.seed,
                progress=progress,
                executor=executor,
                **made,
            )

    if ranks.first:
        prepared = read()
        ranks.shared(lambda: prepared.reports)
        return prepared
    return read(reports=ranks.shared(list))


def train_and_val(
    config: RunConfig, prepared: Prepared, device: torch.device, *, ranks: Ranks = ALONE
) -> tuple[WindowStream, WindowStream]:
    """The windows to train on, shuffled by the seed, and those to validate; a rank's part."""

    def stream(name: str, seed: int | None) -> WindowStream:
        return WindowStream(
            *prepared.of(name),
            config.window,
            batch_size=config.optim.batch_size,
            seed=seed,
            memory_budget=config.data.memory_budget,
            crop=config.data.window_size,
            device=device,
            rank=ranks.rank,
            world_size=ranks.world_size,
        )

    return stream("train", config.seed), stream("val", None)


def fit_scale(
    config: RunConfig,
    prepared: Prepared,
    address: str | None = None,
    *,
    ranks: Ranks = ALONE,
    progress: Progress | None = None,
) -> Standardizer:
    """The scale of the train split, fitted by the first rank."""

    def fitted() -> Standardizer:
        with scheduler(address) as executor:
            return Standardizer.fit(
                *prepared.of("train"),
                step=config.window.step,
                memory_budget=config.data.memory_budget,
                progress=progress,
                executor=executor,
            )

    return ranks.shared(fitted)


def fresh_stepper(
    config: RunConfig, train: WindowStream, scale: Standardizer, device: torch.device
) -> Stepper:
    """The stepper of the run's seed, the same on every rank."""
    torch.manual_seed(config.seed)
    return build_stepper(config.net, shape_of(config.window, train), scale).to(device)


def train_epochs(
    config: RunConfig,
    stepper: Stepper,
    train: WindowStream,
    val: WindowStream,
    resume: SavedRun | None,
    save: Callable[[dict[str, Any]], None],
    *,
    ranks: Ranks = ALONE,
    progress: Progress | None = None,
) -> Iterator[Record]:
    """The epochs of a run that are left, as Records, until patience ends; every rank iterates it.

    Args:
        resume: what rank 0 goes on from; the others are given it.
        save: keeps what is saved within epochs; the other ranks' is not called.

    Raises:
        KeyboardInterrupt: a signal asked to end, and the state is saved.
        DivergedError, LostRankError: as fit.
    """
    resume = ranks.shared(lambda: resume)
    if stopped_early(resume, config.optim):
        return
    if resume is not None:
        stepper.load_state_dict(resume.stepper.state_dict())
    ranks.draw_apart(config.seed)
    ranks.begin_steps(next(stepper.parameters()).device, config.rank_timeout_s)
    keep = save if ranks.first else _nothing
    with Pauses(keep, config.save_every_s, ranks=ranks) as pauses:
        records = fit(
            stepper,
            train,
            val,
            config.optim,
            seed=config.seed,
            resume=resume.resume if resume else None,
            pauses=pauses,
            ranks=ranks,
            progress=progress,
        )
        for record in records:
            yield record
            if record.epochs_since_best >= config.optim.patience:
                return


def follow(
    config: RunConfig,
    train: WindowStream,
    val: WindowStream,
    scale: Standardizer,
    device: torch.device,
    ranks: Ranks,
) -> None:
    """What every rank but the first does for a run: train along."""
    stepper = fresh_stepper(config, train, scale, device)
    for _ in train_epochs(config, stepper, train, val, None, _nothing, ranks=ranks):
        pass


def _nothing(state: dict[str, Any]) -> None:
    return
