"""Weights kept along a training, for its trajectory through the loss landscape."""

from pathlib import Path

from torch import Tensor

from slime.checkpoint import load_run
from slime.stepper import Stepper

SNAPSHOTS = "snapshots"  # their folder in a run's
SNAPSHOT_BYTES = 64 << 20


def load_snapshots(run: Path) -> dict[int, dict[str, Tensor]]:
    """The kept states of a run's training by epoch."""
    saved = [load_run(path) for path in sorted((run / SNAPSHOTS).glob("[!.]*.pt"))]
    return {one.epoch: one.stepper.state_dict() for one in saved}


def snapshot_due(epoch: int, n_epochs: int, n_snapshots: int) -> bool:
    """Whether the weights after an epoch, counted from 1, are kept for the trajectory.

    >>> [e for e in range(1, 13) if snapshot_due(e, 12, 4)]
    [3, 6, 9, 12]
    """
    if not n_snapshots:
        return False
    return epoch * n_snapshots // n_epochs > (epoch - 1) * n_snapshots // n_epochs


def n_snapshots(wanted: int, stepper: Stepper) -> tuple[int, list[str]]:
    """How many snapshots are kept of a training, and a note where they are fewer than wanted."""
    nbytes = sum(w.numel() * w.element_size() for w in stepper.parameters())
    fit = SNAPSHOT_BYTES // max(nbytes, 1)
    if wanted <= fit:
        return wanted, []
    kept = fit if fit >= 3 else 0
    return kept, [
        f"{kept} snapshots of the training are kept, not {wanted}: each takes "
        f"{nbytes / (1 << 20):.1f} MiB, and together they may take {SNAPSHOT_BYTES >> 20}"
    ]
