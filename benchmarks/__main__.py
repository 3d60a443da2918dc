"""All benchmarks one after the other, or those named: python -m benchmarks [stream ...]."""

import time
from collections.abc import Sequence

from benchmarks import (
    arithmetic,
    landscapes,
    memory,
    shuffle,
    steps,
    stream,
    training,
    worlds,
)
from slime.command import run_command
from slime.errors import SlimeError, nearest

BENCHMARKS = {
    "stream": stream.main,
    "memory": memory.main,
    "shuffle": shuffle.main,
    "training": training.main,
    "steps": steps.main,
    "worlds": worlds.main,
    "arithmetic": arithmetic.main,
    "landscapes": landscapes.main,
}
USAGE = f"""usage: python -m benchmarks [{"|".join(BENCHMARKS)} ...]

Each has settings of its own: python -m benchmarks.stream --help"""


def main(words: Sequence[str]) -> None:
    """Run what is named, everything by default."""
    if {"-h", "--help"} & set(words):
        print(USAGE)
        return
    for word in words:
        if word not in BENCHMARKS:
            raise SlimeError(f"there is no benchmark {word!r}{nearest(word, BENCHMARKS)}; {USAGE}")
    began = time.perf_counter()
    for name in words or BENCHMARKS:
        print(f"== {name}", flush=True)
        BENCHMARKS[name]([])
        print(f"== {time.perf_counter() - began:.0f} s so far", flush=True)


if __name__ == "__main__":
    run_command(main)
