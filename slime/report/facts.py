"""What the page says of a run's movies, code and time, as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from slime.texts import duration_text


def movie_facts(movies: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """What was seen, with units: by fact, one text a movie."""
    facts: dict[str, list[str]] = {}
    for movie in movies:
        interval, pixel = movie.get("frame_interval_s"), movie.get("pixel_um")
        n_frames, n_y, n_x = (movie.get(k) for k in ("frames", "height", "width"))
        lasts = f" ({duration_text(float(n_frames * interval))})" if n_frames and interval else ""
        sides = f" ({n_y * pixel:.4g} × {n_x * pixel:.4g} µm)" if pixel and n_y and n_x else ""
        for name, text in {
            "movie": movie.get("name", "?"),
            "frames": f"{n_frames}{lasts}",
            "blank frames": movie.get("n_blank", "?"),
            "channels": ", ".join(str(c) for c in movie.get("channels", [])),
            "height × width": f"{n_y} × {n_x} px{sides}",
            "stored as": movie.get("dtype", "?"),
            "frame interval": f"{interval:g} s" if interval else "unknown",
            "pixel size": f"{pixel:g} µm" if pixel else "unknown",
            "experiment": movie.get("experiment", "?"),
            "store": movie.get("store", "?"),
        }.items():
            facts.setdefault(name, []).append(str(text))
    return facts


def git_text(environment: Mapping[str, Any]) -> str:
    """The commit that made the run, and whether it tells all."""
    commit = environment.get("git_commit") or environment.get("git commit")
    if not commit:
        return "unknown: the run was not made from a git checkout"
    dirty = environment.get("git_dirty") or environment.get("git dirty")
    return (
        f"{commit} with uncommitted changes: the commit alone does not repeat it"
        if dirty
        else str(commit)
    )


def phases_text(seconds: Mapping[str, float]) -> str:
    """'open 0.4 s, train 62 s'."""
    return ", ".join(f"{name} {duration_text(float(s))}" for name, s in seconds.items())
