"""Runs that the viewer is tried on."""

import json

import torch
from omegaconf import OmegaConf
from torch import nn

from slime.checkpoint import SavedRun, Shape, build_stepper, save_run
from slime.config import RunConfig
from slime.nets import NetSpec
from slime.scale import Standardizer
from slime.stepper import Stepper
from slime.view.films import Film, Trained, films_of_store
from slime.view.spec import ViewSpec


class NewestPlusTwo(nn.Module):
    """Adds 2 in movie units to the newest frame, where the scale is 0 and 1."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, past):
        return past[:, -1] + 2


def trained(store, *, n_in=2, step=1, splits=None, run=None):
    """A run on a store whose frame i holds i + 1; every forecast is 1 a lead too bright."""
    unit = Standardizer(*(torch.full((1,), v) for v in (0.0, 1.0, 1.0)))
    stepper = Stepper(unit, NewestPlusTwo(), "direct", n_in).eval()
    shape = Shape(n_in, ("0",), 4, 5, step)
    saved = SavedRun(stepper, NetSpec(kind="cnn"), shape, "", 0, "hash", None)
    movie = films_of_store(str(store), ViewSpec())[0].movie
    splits = splits or {"train": (0, 8), "val": (10, 16)}
    last = max(stop for _, stop in splits.values()) - 1
    return Trained(run or store.parent, saved, [Film(movie, 0, last, splits)], False, "")


def saved_folder(tmp_path, store):
    """A run's folder as training leaves it, of a net that was never trained."""
    run, shape = tmp_path / "run", Shape(1, ("0",), 4, 5)
    run.mkdir()
    unit = Standardizer(*(torch.full((1,), v) for v in (0.0, 1.0, 1.0)))
    stepper = build_stepper(NetSpec(kind="cnn"), shape, unit)
    save_run(run / "best.pt", stepper, net=NetSpec(kind="cnn"), shape=shape)
    OmegaConf.save(OmegaConf.structured(RunConfig), run / "config.yaml")
    rows = [("train", 0, 10), ("val", 12, 15), ("test", 17, 20)]
    told = {
        "movies": [{"store": str(store)}],
        "splits": [{"movie": store.stem, "name": n, "start": a, "stop": b} for n, a, b in rows],
    }
    (run / "run.json").write_text(json.dumps(told))
    return run
