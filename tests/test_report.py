import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from slime.errors import SlimeError
from slime.report import compare, write_page

NASTY = '<script src="https://evil.example/x.js">dish & "3"</script>'
MODELS = {  # skill at leads 1, 2, 4, 8
    "cnn": (0.41, 0.38, 0.30, 0.17),
    "persistence": (0.0, 0.0, 0.0, 0.0),
    "drift": (-1.63, -1.9, -2.4, -3.5),
    "climatology": (-9.2, -4.1, -1.7, -0.6),
    "ridge": (0.31, 0.22, 0.09, -0.04),
}
PERSISTENCE_MSE = (5.2e-4, 1.1e-3, 2.3e-3, 4.4e-3)
NOTES = ["2 blank frames skipped: 17, 211", "pixel size of 'dish <4>' is unknown", "a & b are twins"]


def score_rows(movies=("all",), splits=("val", "test"), seed=0):
    rows = []
    for split in splits:
        for movie in movies:
            for model, skills in MODELS.items():
                labels = {"model": model, "seed": seed, "movie": movie, "split": split}
                for lead, skill, reference in zip((1, 2, 4, 8), skills, PERSISTENCE_MSE, strict=True):
                    mse = reference * (1 - skill)
                    width = 0.05 + 0.01 * lead
                    low, high = (skill - width, skill + width) if model != "persistence" else ("", "")
                    values = [("mse", mse, mse * 0.9, mse * 1.1), ("skill", skill, low, high)]
                    values += [("rmse", mse**0.5, "", ""), ("pearson", 0.9 - 0.02 * lead, "", "")]
                    values += [("r2", 0.97, "", ""), ("vrmse", 0.17, "", ""), ("mae", 0.012, "", "")]
                    ridge = 1 - mse / (reference * (1 - MODELS["ridge"][(1, 2, 4, 8).index(lead)]))
                    values += [("skill_ridge", ridge, "", "")]
                    for score, value, low_, high_ in values:
                        place = {"channel": "all", "lead": lead, "score": score}
                        rows.append(labels | place | {"value": value, "low": low_, "high": high_})
                for score, value in (("horizon_0.8", 6.0), ("censored_0.8", 0.25)):
                    place = {"channel": "all", "lead": 0, "score": score, "low": "", "high": ""}
                    rows.append(labels | place | {"value": value})
    columns = "model seed movie split channel lead score value low high".split()
    return pd.DataFrame(rows)[columns]


def write_json(path, value):
    path.write_text(json.dumps(value))


def write_run(
    path: Path, *, movies=("dish 1", "dish 2"), splits=("val", "test"), openings=1
) -> Path:
    (path / "figures").mkdir(parents=True)
    (path / "config.yaml").write_text(
        "data:\n  stores:\n  - data/dish 1.zarr\n  - data/dish 2.zarr\n  split: time\n"
        "window:\n  n_in: 4\n  n_out: 1\n  step: 1\nnet:\n  kind: cnn\n  head: residual\n"
        "  width: 32\n  depth: 5\noptim:\n  lr: 0.003\n  epochs: 20\nscore:\n  level: 0.95\n"
        "seed: 0\n"
    )
    write_json(
        path / "environment.json",
        {
            **{"python": "3.12.7", "torch": "2.13.0", "numpy": "2.4.6", "zarr": "3.1.6"},
            **{"platform": "Linux-6.8-x86_64", "device": "cpu", "threads": 2},
            **{"git_commit": "14ae64f0c2", "git_dirty": True},
            "command": "python scripts/train_slime.py configs/demo.yaml out=runs/demo",
            "started": "2025-11-23 10:02:11 +0000",
        },
    )
    epochs = [
        {
            **{"epoch": i, "step": 90 * i, "train_loss": 0.58 + 0.4 * 0.7**i},
            **{"val_mse": 3.1e-4 + 2e-4 * 0.75**i, "val_skill": 0.41 - 0.4 * 0.75**i},
            **{"lr": 3e-3 * (1 - i / 21), "grad_norm": 0.4, "seconds": 3.1},
            **{"windows_per_s": 900.0, "wait_share": 0.02, "best": i != 19},
        }
        for i in range(1, 21)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in epochs))
    named = ("all", *movies) if len(movies) > 1 else ("all",)
    score_rows(named, splits).to_csv(path / "scores.csv", index=False)
    about_movie = {
        **{"frames": 400, "channels": ["cells"], "height": 64, "width": 96, "dtype": "uint16"},
        **{"frame_interval_s": 60.0, "pixel_um": 10.0, "n_blank": 2},
    }
    cuts = [("train", 0, 270), ("val", 283, 336), ("test", 349, 400)]
    write_json(
        path / "run.json",
        {
            **{"name": "demo", "headline": None, "notes": NOTES, "best_epoch": 20},
            "movies": [
                about_movie | {"name": m, "experiment": m, "store": f"data/{m}.zarr"} for m in movies
            ],
            "splits": [
                {"movie": m, "name": n, "start": a, "stop": b} for m in movies for n, a, b in cuts
            ],
            "net": {
                **{"kind": "cnn", "head": "residual", "n_in": 4, "parameters": 31_234},
                "receptive_radius": 5,
            },
            "windows": {"train": 532, "val": 98, "test": 94},
            "seconds": {"open": 0.4, "train": 62.0, "score": 4.1},
            "commands": {
                "again": "python scripts/train_slime.py runs/demo/config.yaml",
                "sync": "wandb sync runs/demo/wandb/offline-run",
            },
        },
    )
    lines = [
        {
            **{"time": f"2025-11-2{i} 10:04:00 +0000", "split_hash": "5be1", "opening": i},
            **{"run": path.name if i == openings else f"earlier-{i}", "git_commit": "14ae64f0c2"},
            "config_hash": "77aa",
        }
        for i in range(1, openings + 1)
    ]
    if openings:
        (path / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
