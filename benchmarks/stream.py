"""Windows a second, CPU, memory and reads of slime, peers and limits: python -m benchmarks.stream.

One shuffled epoch of a movie in each of four layouts; see benchmarks/README.md.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.feed import SPAN, Feed
from benchmarks.feed_table import draw_ratios, feed_markdown, goal_rows, summary
from benchmarks.feeds import CONTESTANTS, Contestant
from benchmarks.measure import Worker, missing
from benchmarks.movies import (
    LAYOUTS,
    Layout,
    numbered_noise,
    stored_bytes,
    write_well,
    write_zarr,
)
from slime.command import run_command
from slime.errors import SlimeError, nearest
from slime.files import write_json, write_text
from slime.settings import setting, settings_help, spec_from_words

USAGE = "usage: python -m benchmarks.stream [key=value ...]"
PACKAGES = ("torch", "numpy", "zarr", "zarrs", "tensorstore", "xbatcher", "the_well", "h5py")


@dataclass(frozen=True)
class FeedSettings:
    """What is fed, to whom, how often."""

    frames: int = setting(2000, "frames of the movie")
    size: int = setting(256, "pixels along its side")
    batch_size: int = setting(32, "windows a batch")
    budget: float = setting(0.2, "share of the movie's bytes that streaming may hold")
    rounds: int = setting(5, "epochs of each contestant, in turn with the others")
    slow_rounds: int = setting(3, "rounds in which the slow ones take part")
    slow_windows: int = setting(64, "windows of a round of a slow one")
    layouts: list[str] = setting([layout.key for layout in LAYOUTS], "layouts to measure")
    contestants: list[str] = setting([c.key for c in CONTESTANTS], "who takes part")
    folder: str = setting("data/benchmarks", "where the movies are written, and kept")
    out: str = setting("benchmarks/results", "where the table, figures and picture go")

    def __post_init__(self) -> None:
        for name, least in (("rounds", 1), ("slow_rounds", 1), ("slow_windows", 1), ("size", 8)):
            if getattr(self, name) < least:
                raise SlimeError(f"{name}={getattr(self, name)} must be at least {least}")
        if self.frames < 2 * SPAN:
            raise SlimeError(f"frames={self.frames} must be at least {2 * SPAN}")
        for key, known in (
            ("layouts", [layout.key for layout in LAYOUTS]),
            ("contestants", [c.key for c in CONTESTANTS]),
        ):
            for word in getattr(self, key):
                if word not in known:
                    raise SlimeError(
                        f"{key}: {word!r} is none of {', '.join(known)}{nearest(word, known)}"
                    )


def measure_feeds(settings: FeedSettings) -> list[dict[str, Any]]:
    """A row an epoch: layout, contestant, round, seconds, bytes; or why there is none."""
    rows = []
    for layout in LAYOUTS:
        if layout.key in settings.layouts:
            rows += _measure_layout(settings, layout)
    return rows


def _measure_layout(settings: FeedSettings, layout: Layout) -> list[dict[str, Any]]:
    feed = _feed(settings, layout)
    print(f"{layout.label}: opening", flush=True)
    rows = []
    with ExitStack() as stack:
        workers = []
        for key in settings.contestants:
            contestant = _contestant(key)
            if lacks := missing(contestant):
                rows.append(_row(layout, contestant, missing=f"{lacks} is not installed"))
                continue
            own = feed._replace(n_windows=settings.slow_windows) if contestant.slow else feed
            worker = stack.enter_context(closing(Worker(contestant, own)))
            workers.append((contestant, worker, {"stored_bytes": _share_stored(contestant, own)}))
        open_ones = []
        for contestant, worker, facts in workers:
            opened = worker.open()
            if "refused" in opened:
                rows.append(_row(layout, contestant, missing=f"refused: {opened['refused']}"))
            else:
                open_ones.append((contestant, worker, facts | opened))
        for number in range(settings.rounds):
            for contestant, worker, facts in open_ones:
                if not contestant.slow or number < settings.slow_rounds:
                    epoch = worker.epoch()
                    rows.append(_row(layout, contestant, round=number, **facts, **epoch))
            print(f"{layout.label}: round {number + 1} of {settings.rounds}", flush=True)
    return rows


def _share_stored(contestant: Contestant, feed: Feed) -> float:
    """Stored bytes of the frames that a contestant's windows stand for."""
    share = feed.n_windows / (feed.n_frames - SPAN + 1)
    return share * stored_bytes(feed.well if contestant.key == "well" else feed.store)


def _feed(settings: FeedSettings, layout: Layout) -> Feed:
    """The layout's stores, written where they are not there yet."""
    n, size = settings.frames, settings.size
    name = f"{layout.key}-{n}x{size}"
    store, well = Path(settings.folder) / f"{name}.zarr", Path(settings.folder) / f"{name}-well"
    write_zarr(store, layout, n, size, lambda a, b: numbered_noise(a, b, size))
    if "well" in settings.contestants and not missing(_contestant("well")):
        write_well(well, layout, n, size, lambda a, b: numbered_noise(a, b, size))
    return Feed(
        store=store,
        well=well,
        layout=layout,
        n_frames=n,
        size=size,
        batch_size=settings.batch_size,
        n_windows=n - SPAN + 1,
        budget=int(settings.budget * n * size**2 * 4),
    )


def _contestant(key: str) -> Contestant:
    return next(c for c in CONTESTANTS if c.key == key)


def _row(layout: Layout, contestant: Contestant, **facts: Any) -> dict[str, Any]:
    return {"layout": layout.key, "contestant": contestant.key, **facts}


def machine() -> dict[str, Any]:
    """What figures depend on and may be told: cores, their load before, versions."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": versions,
    }


def main(words: Sequence[str]) -> None:
    """Measure, and write feeding.md, feeding.json and feeding.png."""
    if {"-h", "--help"} & set(words):
        print(f"{USAGE}\n\n{settings_help(FeedSettings)}")
        return
    settings = spec_from_words(FeedSettings, words)
    facts = machine()
    rows = measure_feeds(settings)
    table, goals = summary(rows), goal_rows(rows)
    out = Path(settings.out)
    told = {k: v for k, v in vars(settings).items() if k not in ("folder", "out")}
    write_json(
        out / "feeding.json",
        {"machine": facts, "settings": told, "goals": goals, "summary": table, "epochs": rows},
    )
    text = f"{feed_markdown(table, goals)}\n"
    write_text(out / "feeding.md", text)
    draw_ratios(table, out / "feeding.png")
    print(text)


if __name__ == "__main__":
    run_command(main)
