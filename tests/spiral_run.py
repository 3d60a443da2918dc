"""A small net and its scores, kept beside the tests: `python tests/spiral_run.py` makes both anew.

Its frames are made by a formula, a spiral that turns and drifts, so that they are the same with any
version of any library.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from slime.arena import open_arena, tally_models
from slime.checkpoint import build_stepper, load_run, save_run, shape_of
from slime.fit import fit, persistence
from slime.nets import NetSpec
from slime.optim import OptimSpec
from slime.results import scores_table
from slime.scale import Standardizer
from slime.split import temporal_splits
from slime.stepper import Step
from slime.stream import WindowStream
from slime.wide import tally_wide, widened
from slime.windows import WindowSpec
from slime.yardstick import Yardstick

HERE = Path(__file__).parent
WEIGHTS, TABLE = HERE / "spiral_run.pt", HERE / "spiral_run.csv"
SPEC = WindowSpec(n_in=2, n_out=1)
KEPT = ("mse", "vrmse", "skill", "pearson", "ssim", "psnr", "energy_ratio_high", "horizon_0.9")
SPLITS = temporal_splits(120, {"train": 0.6, "val": 0.15, "test": 0.25}, gap=4)
CPU = torch.device("cpu")


def movie() -> xr.DataArray:
    """A spiral of wavelength 9 px that turns in 12 frames and drifts; 120 frames of 20 x 24."""
    t, y, x = np.meshgrid(np.arange(120), np.arange(20), np.arange(24), indexing="ij")
    dy, dx = y - 9.3 - 0.02 * t, x - 11.6 + 0.03 * t
    phase = np.arctan2(dy, dx) + 2 * np.pi * (np.hypot(dy, dx) / 9 - t / 12)
    light = 400 + 150 * np.cos(phase) + 40 * np.cos(2 * phase + 1)
    return xr.DataArray(
        np.round(light[:, None]).astype("uint16"),
        dims=("time", "channel", "y", "x"),
        coords={"channel": ["camp"]},
        name="spiral",
        attrs={"experiment": "spiral"},
    )


def scores(stepper: Step, variance: np.ndarray) -> pd.DataFrame:
    """The table of its test split, of the scores that are kept."""
    film = movie()
    where, _ = open_arena(
        [film], [SPLITS], "test", n_in=2, leads=4, step=1, memory_budget=1 << 24, device=CPU
    )
    yardstick = Yardstick.fit([film], [SPLITS["train"]], variance)
    models = {"cnn": lambda _: stepper, "persistence": lambda _: persistence}
    wide = tally_wide(models, widened(where, 8)[0], yardstick)
    table, _ = scores_table(
        tally_models(models, where),
        where,
        variance,
        seed=0,
        n_draws=20,
        level=0.9,
        yardstick=yardstick,
        wide=wide,
    )
    kept = table[table["score"].isin(KEPT)]
    return kept[["model", "lead", "score", "value"]].reset_index(drop=True)


def main() -> None:
    """Train, and keep the best epoch's weights and scores."""
    torch.set_num_threads(1)
    film = movie()
    streams = {
        name: WindowStream([film], [SPLITS[name]], SPEC, batch_size=8, seed=seed)
        for name, seed in (("train", 0), ("val", None))
    }
    scale = Standardizer.fit([film], [SPLITS["train"]])
    net, shape = NetSpec(kind="cnn", width=6, depth=3), shape_of(SPEC, streams["train"])
    torch.manual_seed(0)
    stepper = build_stepper(net, shape, scale)
    for record in fit(stepper, streams["train"], streams["val"], OptimSpec(lr=1e-2, epochs=40)):
        if record.best:
            save_run(WEIGHTS, stepper, net=net, shape=shape, epoch=record.epoch)
    best = load_run(WEIGHTS).stepper
    table = scores(best, best.scale.std.double().numpy() ** 2)
    table.to_csv(TABLE, index=False, float_format="%.8g")


if __name__ == "__main__":
    main()
