"""Peak memory of making a movie of a length and of ten times that length."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch

from benchmarks.measure import forget_peak, memory_bytes
from benchmarks.processes import in_processes
from slime.simulate import make_movies

MIB = 1 << 20
LONGER = (1, 10)
WANTED = 1.1
WORLDS = ("dictyostelium", "physarum")


class Asked(NamedTuple):
    """A movie to be made."""

    world: str
    frames: int
    size: int


def peak_bytes(asked: Asked) -> int:
    """The peak of memory over the bare imports; for a process of its own."""
    torch.set_num_threads(1)
    bare = forget_peak()
    with TemporaryDirectory() as folder:
        how = {"n_frames": asked.frames, "size_px": asked.size, "warm_up_min": 1.0}
        how |= {"step_s": 15.0} if asked.world == "physarum" else {"compile": False}
        make_movies(asked.world, [Path(folder) / "movie.zarr"], seeds=[0], **how)
    return memory_bytes("VmHWM") - bare


def measure_peaks(frames: int, size: int, rounds: int) -> Iterator[dict[str, Any]]:
    """A row for each world and length: its peaks, and the median of their ratios to the shortest.

    Each movie is made in a process of its own, lengths in turn.
    """
    for world in WORLDS:
        movies = [Asked(world, times * frames, size) for times in LONGER] * rounds
        found = list(in_processes(peak_bytes, movies, n_at_once=1, fresh=True))
        for i, times in enumerate(LONGER):
            own, shortest = found[i :: len(LONGER)], found[:: len(LONGER)]
            yield {
                "world": world,
                "frames": times * frames,
                "peak_mib": median(own) / MIB,
                "ratio": median(a / b for a, b in zip(own, shortest, strict=True)),
                "peaks": own,
            }


def peak_lines(rows: Sequence[dict[str, Any]], size: int) -> list[str]:
    """The table of the rows."""
    return [
        f"Memory of making a movie of {size} x {size}, over the bare imports.",
        "",
        "| world | frames | peak MiB | to the shortest |",
        "|---|---:|---:|---:|",
        *(
            f"| {r['world']} | {r['frames']} | {r['peak_mib']:.0f} | {r['ratio']:.3f} |"
            for r in rows
        ),
    ]
