"""What a stream costs in training time: python -m benchmarks.training.

slime.fit trains two copies of a net, one on a stream and one on frames that lie in memory as a
float32 tensor; an epoch of the one, an epoch of the other.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.movies import Layout, numbered_noise, write_zarr
from slime.command import run_command
from slime.errors import SlimeError
from slime.files import write_json, write_text
from slime.fit import Record, fit
from slime.movie import open_movie
from slime.nets import NetSpec, build_net
from slime.optim import OptimSpec
from slime.scale import Standardizer
from slime.settings import setting, settings_help, spec_from_words
from slime.split import Split
from slime.stepper import Stepper
from slime.stream import Batch, WindowStream
from slime.windows import WindowSpec

USAGE = "usage: python -m benchmarks.training [key=value ...]"
SPEC = WindowSpec(n_in=4, n_out=1)
NETS = (NetSpec(kind="cnn"), NetSpec(kind="patch_mlp"))
LAYOUT = Layout("training", "10 whole frames", 10)
WANTED = 1.05


@dataclass(frozen=True)
class TrainingSettings:
    """The movie, and how often."""

    frames: int = setting(320, "frames of the movie, float32")
    size: int = setting(64, "pixels along its side")
    batch_size: int = setting(16, "windows a step")
    budget: float = setting(0.4, "share of the movie's bytes that streaming may hold")
    rounds: int = setting(12, "epochs of each, after one that is not counted")
    threads: int = setting(0, "threads of torch; 0: as many as torch takes")
    folder: str = setting("data/benchmarks", "where the movie is written, and kept")
    out: str = setting("benchmarks/results", "where the table goes")

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise SlimeError(f"rounds={self.rounds} must be at least 1")


class ResidentTensor:
    """All frames as one float32 tensor; a batch is an index into it, in full shuffle."""

    def __init__(self, frames: Float[Tensor, "t y x"], batch_size: int):
        self.frames, self.batch_size, self.wait_s = frames[:, None], batch_size, 0.0
        self.n_windows, self._epoch = len(frames) - SPEC.span + 1, -1

    def __len__(self) -> int:
        return -(-self.n_windows // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        self._epoch += 1
        order = np.random.default_rng((0, self._epoch)).permutation(self.n_windows)
        movie = torch.zeros(self.n_windows, dtype=torch.long)
        for start in torch.from_numpy(order).split(self.batch_size):
            both = self.frames[start[:, None] + torch.arange(SPEC.span)]
            past, future = both[:, : SPEC.n_in], both[:, SPEC.n_in :]
            yield Batch(past, future, None, movie[: len(start)], start)


def measure(net: NetSpec, settings: TrainingSettings) -> list[dict[str, float]]:
    """Wall seconds of each round's epoch, streamed and resident; CPU seconds with validation."""
    n, size = settings.frames, settings.size
    path = Path(settings.folder) / f"training-{n}x{size}.zarr"
    write_zarr(path, LAYOUT, n, size, lambda a, b: numbered_noise(a, b, size))
    movie = open_movie(path)
    split = Split("train", 0, n, str(movie.name))
    common: dict[str, Any] = {"batch_size": settings.batch_size, "seed": 0}
    budget = int(settings.budget * n * size**2 * 4)
    stream = WindowStream([movie], [split], SPEC, memory_budget=budget, **common)
    assert not stream.resident
    tensor = ResidentTensor(torch.from_numpy(movie.values[:, 0]), settings.batch_size)
    held_out = Split("val", 0, 2 * SPEC.span, str(movie.name))
    val = WindowStream([movie], [held_out], SPEC, batch_size=settings.batch_size)
    scale = Standardizer.fit([movie], [split])
    runs = [_training(net, scale, train, val, settings) for train in (stream, tensor)]
    rounds = []
    for number in range(settings.rounds + 1):
        times = {}
        for i in (0, 1) if number % 2 else (1, 0):  # who goes first alternates
            name, began = ("streamed", "resident")[i], time.process_time()
            record = next(runs[i])
            times |= {f"{name}_s": record.seconds, f"{name}_cpu_s": time.process_time() - began}
            times |= {"wait_share": record.wait_share} if i == 0 else {}
        words = f"{times['streamed_s']:.2f} s streamed, {times['resident_s']:.2f} s resident"
        print(f"{net.kind}, round {number}: {words}", flush=True)
        rounds.append(times)
    return rounds[1:]


def _training(
    net: NetSpec, scale: Standardizer, train: Any, val: WindowStream, settings: TrainingSettings
) -> Iterator[Record]:
    """A net's epochs; the same weights at the start of every run."""
    torch.manual_seed(0)
    sizes = {k: v for k, v in asdict(net).items() if k not in ("kind", "head")}
    built = build_net(net.kind, n_in=SPEC.n_in, channels=1, **sizes)
    stepper = Stepper(scale, built, net.head, SPEC.n_in)
    optim = OptimSpec(epochs=settings.rounds + 1, batch_size=settings.batch_size)
    return fit(stepper, train, val, optim, seed=0)


def main(words: Sequence[str]) -> None:
    """Measure, and write training.md and training.json."""
    if {"-h", "--help"} & set(words):
        print(f"{USAGE}\n\n{settings_help(TrainingSettings)}")
        return
    settings = spec_from_words(TrainingSettings, words)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    rows = []
    for net in NETS:
        rounds = measure(net, settings)
        ratio = median(r["streamed_s"] / r["resident_s"] for r in rounds)
        row: dict[str, Any] = {"net": net.kind, "ratio": ratio, "met": ratio <= WANTED}
        row["cpu_ratio"] = median(r["streamed_cpu_s"] / r["resident_cpu_s"] for r in rounds)
        for key in ("streamed_s", "resident_s", "wait_share"):
            row[key] = median(r[key] for r in rounds)
        rows.append({**row, "rounds": rounds})
    _tell(settings, rows)


def _tell(settings: TrainingSettings, rows: Sequence[dict[str, Any]]) -> None:
    n_windows = settings.frames - SPEC.span + 1
    lines = [
        f"{n_windows} windows of {SPEC.n_in} + {SPEC.n_out} frames of {settings.size} x "
        f"{settings.size}; torch on {torch.get_num_threads()} threads; a median of "
        f"{settings.rounds} epochs.",
        "",
        "| net | streamed s | resident s | ratio | ratio of CPU s | waited | goal |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *map(_line, rows),
    ]
    text = "\n".join(lines) + "\n"
    told = {k: v for k, v in vars(settings).items() if k not in ("folder", "out")}
    write_json(Path(settings.out) / "training.json", {"settings": told, "rows": rows})
    write_text(Path(settings.out) / "training.md", text)
    print(text)


def _line(row: dict[str, Any]) -> str:
    verdict = "met" if row["met"] else "missed"
    times = f"{row['streamed_s']:.2f} | {row['resident_s']:.2f} | {row['ratio']:.3f}"
    return (
        f"| {row['net']} | {times} | {row['cpu_ratio']:.3f} | {row['wait_share']:.1%} "
        f"| <= {WANTED}: {verdict} |"
    )


if __name__ == "__main__":
    run_command(main)
