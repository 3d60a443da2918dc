"""Peak memory of a streamed epoch on movies of 1, 3 and 10 times a length, at one budget.

python -m benchmarks.memory
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from benchmarks.feed import N_IN, N_OUT
from benchmarks.measure import forget_peak, memory_bytes
from benchmarks.movies import Layout, numbered_counts, write_zarr
from benchmarks.processes import in_processes
from slime.command import run_command
from slime.errors import SlimeError
from slime.files import write_json, write_text
from slime.movie import open_movie
from slime.settings import setting, settings_help, spec_from_words
from slime.split import Split
from slime.stream import WindowStream
from slime.windows import WindowSpec

USAGE = "usage: python -m benchmarks.memory [key=value ...]"
MIB = 1 << 20
LAYOUT = Layout("counts", "10 whole frames", 10)
LONGER = (1, 3, 10)
WANTED = 1.1


@dataclass(frozen=True)
class MemorySettings:
    """The movies and the budget."""

    frames: int = setting(1200, "frames of the shortest movie, uint16")
    size: int = setting(256, "pixels along its side")
    batch_size: int = setting(32, "windows a batch")
    budget_mib: int = setting(128, "memory_budget, below the shortest movie's size")
    rounds: int = setting(3, "epochs of each length, each in a process of its own")
    folder: str = setting("data/benchmarks", "where the movies are written, and kept")
    out: str = setting("benchmarks/results", "where the table goes")

    def __post_init__(self) -> None:
        if self.frames * self.size**2 * 2 <= self.budget_mib * MIB:
            raise SlimeError(
                f"frames={self.frames} of {self.size} x {self.size} fit budget_mib="
                f"{self.budget_mib}: they would not be streamed"
            )


class Epoch(NamedTuple):
    """What is streamed once."""

    store: Path
    frames: int
    batch_size: int
    budget: int


def peak_bytes(epoch: Epoch) -> int:
    """The peak of an epoch's memory over the bare imports; for a process of its own."""
    torch.set_num_threads(1)
    bare = forget_peak()
    movie = open_movie(epoch.store)
    stream = WindowStream(
        [movie],
        [Split("train", 0, epoch.frames, str(movie.name))],
        WindowSpec(n_in=N_IN, n_out=N_OUT),
        batch_size=epoch.batch_size,
        seed=0,
        memory_budget=epoch.budget,
    )
    assert not stream.resident
    n = sum(len(batch.start) for batch in stream)
    if n != epoch.frames - N_IN - N_OUT + 1:
        raise RuntimeError(f"{n} windows of {epoch.frames} frames")
    return memory_bytes("VmHWM") - bare


def main(words: Sequence[str]) -> None:
    """Measure, and write memory.md and memory.json."""
    if {"-h", "--help"} & set(words):
        print(f"{USAGE}\n\n{settings_help(MemorySettings)}")
        return
    settings = spec_from_words(MemorySettings, words)
    size, epochs = settings.size, []
    for times in LONGER:
        n = times * settings.frames
        path = Path(settings.folder) / f"counts-{n}x{size}.zarr"
        write_zarr(path, LAYOUT, n, size, lambda a, b: numbered_counts(a, b, size), "uint16")
        epochs.append(Epoch(path, n, settings.batch_size, settings.budget_mib * MIB))
    asked = epochs * settings.rounds  # lengths in turn
    peaks: list[list[int]] = [[] for _ in LONGER]
    for i, peak in enumerate(in_processes(peak_bytes, asked, n_at_once=1, fresh=True)):
        peaks[i % len(LONGER)].append(peak)
        print(f"{asked[i].frames} frames: {peak / MIB:.0f} MiB", flush=True)
    _tell(settings, peaks)


def _tell(settings: MemorySettings, peaks: Sequence[Sequence[int]]) -> None:
    rows = [
        {
            "times": times,
            "frames": times * settings.frames,
            "movie_mib": times * settings.frames * settings.size**2 * 2 / MIB,
            "peak_mib": median(peak) / MIB,
            "ratio": median(p / first for p, first in zip(peak, peaks[0], strict=True)),
            "peaks": list(peak),
        }
        for times, peak in zip(LONGER, peaks, strict=True)
    ]
    met = rows[-1]["ratio"] <= WANTED
    goal = {"wanted": f"<= {WANTED}", "value": rows[-1]["ratio"], "met": met}
    batch_mib = settings.batch_size * (N_IN + N_OUT) * settings.size**2 * 4 / MIB
    lines = [
        f"Budget {settings.budget_mib} MiB of decoded uint16 frames; a batch takes "
        f"{batch_mib:.0f} MiB beside it.",
        "",
        "| frames | decoded MiB | peak MiB | to the shortest |",
        "|---:|---:|---:|---:|",
        *(
            f"| {r['frames']} | {r['movie_mib']:.0f} | {r['peak_mib']:.0f} | {r['ratio']:.3f} |"
            for r in rows
        ),
        "",
        f"Goal {goal['wanted']}: {'met' if met else 'missed'}.",
    ]
    text = "\n".join(lines) + "\n"
    write_json(Path(settings.out) / "memory.json", {"goal": goal, "rows": rows})
    write_text(Path(settings.out) / "memory.md", text)
    print(text)


if __name__ == "__main__":
    run_command(main)
