"""A training that is killed in tests/test_kills.py, in a process of its own."""

import time
from pathlib import Path

import torch
from test_training import SHAPE, fresh, streams

from slime.fit import fit
from slime.nets import NetSpec
from slime.optim import OptimSpec
from slime.pauses import Pauses
from slime.run.saves import Saves, load_last
from slime.tracking import Tracker, TrackingSpec, cut_metrics

NET = NetSpec(kind="cnn", width=4, depth=2, dropout=0.2)
OPTIM = OptimSpec(epochs=12, batch_size=2, lr=1e-2, patience=99, ema=0.9, noise=0.3)


def trained(out: Path) -> None:
    """Train as a run does, from where it stands, saving as often as it can."""
    began = time.process_time()
    torch.set_num_threads(1)
    resume, said = load_last(out)
    assert not said
    cut_metrics(out, resume.epoch if resume else 0)
    stepper = fresh()
    if resume is not None:
        stepper.load_state_dict(resume.stepper.state_dict())
    saves = Saves(out, stepper, net=NET, shape=SHAPE, config="", n_snapshots=4, n_epochs=12)
    tracker = Tracker(out, TrackingSpec(wandb="disabled"), {})
    with tracker, Pauses(saves.last, 0.01) as pauses:
        state = resume.resume if resume else None
        for record in fit(
            stepper, *streams(batch_size=2), OPTIM, seed=0, resume=state, pauses=pauses
        ):
            saves.epoch(record, tracker)
    (out / "cpu_s").write_text(str(time.process_time() - began))
