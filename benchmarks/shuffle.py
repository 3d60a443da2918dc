"""What streaming costs in validation loss on a drifting movie: python -m benchmarks.shuffle.

The same net, seed and number of steps on differently shuffled windows of the same movie; a full
shuffle is the unit, and two poor shuffles show that the test would see a poor one.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from scipy.stats import t as student

from benchmarks.drifting import drifting_frames, drifting_movie
from benchmarks.processes import in_processes
from slime.command import run_command
from slime.errors import SlimeError
from slime.files import write_json, write_text
from slime.fit import fit
from slime.nets import build_net
from slime.optim import OptimSpec
from slime.scale import Standardizer
from slime.settings import setting, settings_help, spec_from_words
from slime.split import Split
from slime.stepper import Stepper
from slime.stream import Batch, WindowStream
from slime.windows import WindowSpec

USAGE = "usage: python -m benchmarks.shuffle [key=value ...]"
SPEC = WindowSpec(n_in=1, n_out=1)
FULL = "full shuffle"
STREAMED = {"stream, chunks of 10": 10, "stream, chunks of 50": 50}
MIXED = {"8 blocks of 50 at a time": (8, 50), "1 block of 50 at a time": (1, 50)}
ORDERS = (FULL, *STREAMED, *MIXED, "in order")
WANTED = 1.03


@dataclass(frozen=True)
class ShuffleSettings:
    """The movie, the net and how often."""

    seeds: int = setting(16, "nets of each order, at least 5")
    frames: int = setting(2000, "frames of the train movie")
    val_frames: int = setting(500, "frames of the validation movie, which drifts alike")
    size: int = setting(24, "pixels along the side")
    budget: float = setting(0.2, "share of the movie's bytes that streaming may hold")
    batch_size: int = setting(16, "windows a step")
    epochs: int = setting(1, "passes over the windows")
    lr: float = setting(5e-3, "learning rate at its highest")
    processes: int = setting(0, "trained at once, a thread each; 0: as many as there are cores")
    out: str = setting("benchmarks/results", "where the table goes")

    def __post_init__(self) -> None:
        if self.seeds < 5:
            raise SlimeError(f"seeds={self.seeds} must be at least 5")


class Trial(NamedTuple):
    """One net to train."""

    order: str
    seed: int
    settings: ShuffleSettings


class BlockShuffle:
    """Blocks of frames in random order, the windows of `n_blocks` at a time shuffled fully."""

    def __init__(self, frames: np.ndarray, n_blocks: int, length: int, batch_size: int, seed: int):
        self.frames, self.n_blocks, self.length = frames, n_blocks, length
        self.batch_size, self.seed = batch_size, seed
        self.n_windows, self.wait_s, self._epoch = len(frames) - SPEC.span + 1, 0.0, -1

    def __len__(self) -> int:
        return math.ceil(self.n_windows / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        self._epoch += 1
        draw = np.random.default_rng((self.seed, self._epoch))
        blocks = np.split(
            np.arange(self.n_windows), range(self.length, self.n_windows, self.length)
        )
        turn = draw.permutation(len(blocks))
        mixed = [
            draw.permutation(np.concatenate([blocks[k] for k in turn[i : i + self.n_blocks]]))
            for i in range(0, len(blocks), self.n_blocks)
        ]
        for start in np.split(
            np.concatenate(mixed), range(self.batch_size, self.n_windows, self.batch_size)
        ):
            pixels = self.frames[start[:, None] + np.arange(SPEC.span)][:, :, None]
            both, movie = torch.from_numpy(pixels), torch.zeros(len(start), dtype=torch.long)
            yield Batch(both[:, :1], both[:, 1:], None, movie, torch.from_numpy(start))


@lru_cache(maxsize=4)
def _frames(n: int, size: int, seed: int) -> np.ndarray:
    return drifting_frames(n, size, seed=seed)


def val_mse(trial: Trial) -> float | str:
    """The validation loss after training, or why the stream refused."""
    torch.set_num_threads(1)
    told, seed = trial.settings, trial.seed
    frames = _frames(told.frames, told.size, 0)
    movie = drifting_movie(frames, "train", STREAMED.get(trial.order, 50))
    val_movie = drifting_movie(_frames(told.val_frames, told.size, 1), "val", 50)
    split = Split("train", 0, told.frames, "train")
    try:
        train = _windows(trial, frames, movie, split)
    except SlimeError as error:
        return str(error)
    val = WindowStream([val_movie], [Split("val", 0, told.val_frames, "val")], SPEC, batch_size=100)
    torch.manual_seed(seed)
    net = build_net("cnn", n_in=1, channels=1, width=16, depth=3)
    stepper = Stepper(Standardizer.fit([movie], [split]), net)
    optim = OptimSpec(epochs=told.epochs, batch_size=told.batch_size, lr=told.lr, augment=False)
    *_, last = fit(stepper, train, val, optim, seed=seed)
    return last.val_mse


def _windows(trial: Trial, frames: np.ndarray, movie: xr.DataArray, split: Split) -> Any:
    told = trial.settings
    if trial.order in MIXED:
        return BlockShuffle(frames, *MIXED[trial.order], told.batch_size, trial.seed)
    streamed = trial.order in STREAMED
    stream = WindowStream(
        [movie],
        [split],
        SPEC,
        batch_size=told.batch_size,
        seed=None if trial.order == "in order" else trial.seed,
        memory_budget=int((told.budget if streamed else 2) * frames.nbytes),
    )
    assert stream.resident != streamed
    return stream


def ratio_interval(losses: np.ndarray, full: np.ndarray) -> tuple[float, float, float]:
    """The ratio of mean losses and its 95 % interval, from the differences seed by seed.

    Student's t of loss - ratio * full over seeds (the delta method), which keeps the pairs.
    """
    ratio = losses.mean() / full.mean()
    rest = losses - ratio * full
    half = student.ppf(0.975, len(full) - 1) * rest.std(ddof=1) / math.sqrt(len(full))
    return ratio, ratio - half / full.mean(), ratio + half / full.mean()


def main(words: Sequence[str]) -> None:
    """Train, and write shuffle.md and shuffle.json."""
    if {"-h", "--help"} & set(words):
        print(f"{USAGE}\n\n{settings_help(ShuffleSettings)}")
        return
    settings = spec_from_words(ShuffleSettings, words)
    trials = [Trial(order, seed, settings) for seed in range(settings.seeds) for order in ORDERS]
    at_once = settings.processes or len(os.sched_getaffinity(0))
    losses: dict[str, list[Any]] = {order: [] for order in ORDERS}
    for i, loss in enumerate(in_processes(val_mse, trials, n_at_once=at_once, fresh=False)):
        losses[trials[i].order].append(loss)
        if i % len(ORDERS) == len(ORDERS) - 1:
            print(f"seed {trials[i].seed + 1} of {settings.seeds}", flush=True)
    rows = _rows(losses)
    told = {k: v for k, v in vars(settings).items() if k not in ("out", "processes")}
    text = _markdown(rows, settings)
    write_json(Path(settings.out) / "shuffle.json", {"settings": told, "rows": rows})
    write_text(Path(settings.out) / "shuffle.md", text)
    print(text)


def _rows(losses: dict[str, list[Any]]) -> list[dict[str, Any]]:
    full = np.array(losses[FULL])
    rows = []
    for order, found in losses.items():
        row: dict[str, Any] = {"order": order, "val_mse": found}
        if any(isinstance(loss, str) for loss in found):
            rows.append({**row, "missing": found[0]})
            continue
        ratio, low, high = ratio_interval(np.array(found), full)
        row |= {"mean": float(np.mean(found)), "sd": float(np.std(found, ddof=1))}
        row |= {"ratio": float(ratio), "low": float(low), "high": float(high)}
        if order in STREAMED:
            row["met"] = bool(ratio <= WANTED)
        rows.append(row)
    return rows


def _markdown(rows: Sequence[dict[str, Any]], settings: ShuffleSettings) -> str:
    lines = [
        f"{settings.seeds} nets of each order; {settings.frames} frames, buffer of "
        f"{settings.budget:.0%} of the movie's bytes.",
        "",
        "| order | validation MSE, mean (sd) | to a full shuffle, 95 % | goal |",
        "|---|---:|---:|---:|",
    ]
    for row in rows:
        if "missing" in row:
            lines.append(f"| {row['order']} | refused | | |")
            continue
        goal = "" if "met" not in row else f"<= {WANTED}: {'met' if row['met'] else 'missed'}"
        lines.append(
            f"| {row['order']} | {row['mean']:.4f} ({row['sd']:.4f}) | {row['ratio']:.3f} "
            f"({row['low']:.3f} to {row['high']:.3f}) | {goal} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_command(main)
