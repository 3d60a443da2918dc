"""What a training leaves on disk as it goes: best.pt, last.pt, the one before it, and snapshots."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slime.checkpoint import SavedRun, Shape, load_run, save_run
from slime.errors import StoreError
from slime.fit import Record
from slime.nets import NetSpec
from slime.run.snapshots import SNAPSHOTS, snapshot_due
from slime.stepper import Stepper
from slime.tracking import Tracker

LAST, BEFORE, BEST = "last.pt", "before.pt", "best.pt"


class Saves:
    """Saves a stepper in training into a run's folder.

    Args:
        n_snapshots: weights kept for the trajectory, over `n_epochs`.
    """

    def __init__(
        self,
        run: Path,
        stepper: Stepper,
        *,
        net: NetSpec,
        shape: Shape,
        config: str,
        n_snapshots: int,
        n_epochs: int,
    ):
        self.run, self.stepper = run, stepper
        self.net, self.shape, self.config = net, shape, config
        self.n_snapshots, self.n_epochs = n_snapshots, n_epochs

    def epoch(self, record: Record, tracker: Tracker) -> None:
        """An epoch that has ended: a kill between two files leaves one to go on from."""
        if record.best:
            self._save(self.run / BEST, record.resume)
        if snapshot_due(record.epoch, self.n_epochs, self.n_snapshots):
            self._save(self.run / SNAPSHOTS / f"{record.epoch:05d}.pt", record.resume, end=True)
        tracker.log(record.row())
        self.last(record.resume)

    def last(self, state: Mapping[str, Any]) -> None:
        """What to go on from; what there was until now stays as before.pt."""
        new = self.run / ".next.pt"
        self._save(new, state)
        if (self.run / LAST).exists():
            os.replace(self.run / LAST, self.run / BEFORE)
        os.replace(new, self.run / LAST)

    def _save(self, path: Path, state: Mapping[str, Any], *, end: bool = False) -> None:
        save_run(
            path,
            self.stepper,
            net=self.net,
            shape=self.shape,
            config=self.config,
            epoch=state["epoch"],
            resume=None if end else state,
        )


def load_last(run: Path) -> tuple[SavedRun | None, list[str]]:
    """What a run goes on from, None where it was stopped before it saved, and what to say.

    A damaged last.pt is put aside as last.pt.damaged and the one before it taken. What a kill left
    half written is removed.

    Raises:
        StoreError: no checkpoint is whole, or the best one is not.
    """
    for unfinished in run.rglob(".*.aside*"):
        unfinished.unlink()
    damaged: list[str] = []
    for name in (LAST, BEFORE, BEST):
        if not (run / name).exists():
            continue
        try:
            saved = load_run(run / name)
        except StoreError as error:
            damaged.append(str(error))
            continue
        if (run / BEST).exists():
            load_run(run / BEST)  # of which there is no other: told before it is needed
        if not damaged:
            return saved, []
        for bad in (LAST, BEFORE)[: (LAST, BEFORE, BEST).index(name)]:
            if (run / bad).exists():
                os.replace(run / bad, run / f"{bad}.damaged")
        where = f"{name}, saved {_place(saved)}"
        return saved, [f"{'; '.join(damaged)}; the run goes on from {where}"]
    if damaged:
        raise StoreError(f"{'; '.join(damaged)}; none before it is whole: another out= trains anew")
    return None, []


def _place(saved: SavedRun) -> str:
    within = saved.resume and saved.resume.get("within")
    return f"within epoch {saved.epoch + 1}" if within else f"after epoch {saved.epoch}"
