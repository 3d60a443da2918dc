"""Chunks that are not there, or cannot be decoded: every one by name, with its frames."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import xarray as xr

from slime.audit.findings import Finding, some_of
from slime.audit.reading import Broken
from slime.errors import span_text
from slime.movie import stored_frames
from slime.store import StoredFrames

MEND = "put them back from a copy, or remove the files and go on with data.missing=fill"


def chunk_findings(movie: xr.DataArray, broken: Sequence[Broken]) -> list[Finding]:
    """Lost tiles, empty shards, lost frames of our own stores, and chunks that do not decode."""
    found = _broken(broken)
    stored = stored_frames(movie)
    if stored is None:
        return found
    chunks = stored.chunks
    for of_frame, kind, what in (
        (chunks.hollow, "empty shard", "files are empty, which reads as fill value"),
        (chunks.torn & ~chunks.hollow, "missing tile", "tiles of the picture are lost"),
        (chunks.lost & ~chunks.hollow & stored.loss_is_error, "lost chunk", "chunks are lost"),
    ):
        frames = np.flatnonzero(of_frame)
        if not frames.size:
            continue
        names = _absent(stored, frames)
        advice = (
            f"{len(names)} {what} in {frames.size} frames ({span_text(frames)}; chunks "
            f"{some_of(names)}): put the chunks back from a copy, or go on with data.missing=fill"
        )
        found.append(Finding(kind, tuple(frames.tolist()), "error", advice, tuple(names)))
    return found


def _broken(broken: Sequence[Broken]) -> list[Finding]:
    """Chunks that do not decode, those that fail their checksum apart."""
    by_kind: dict[str, list[Broken]] = defaultdict(list)
    for chunk in broken:
        by_kind["checksum" if chunk.is_checksum else "unreadable chunk"].append(chunk)
    found = []
    for kind, chunks in by_kind.items():
        frames = sorted({f for chunk in chunks for f in range(chunk.start, chunk.stop)})
        what = "do not fit their checksum" if kind == "checksum" else "cannot be decoded"
        advice = (
            f"{len(chunks)} chunks {what}, frames {span_text(frames)} "
            f"({some_of([chunk.chunk for chunk in chunks])}; {chunks[0].said}): {MEND}"
        )
        names = tuple(chunk.chunk for chunk in chunks)
        found.append(Finding(kind, tuple(frames), "error", advice, names))
    return found


def _absent(stored: StoredFrames, frames: np.ndarray) -> list[str]:
    """Names of the chunks of these frames that are not there."""
    grid, time = stored.chunks.grid, stored.axes.index("time")
    cells = stored.chunks.cells_of([int(frames[0]), int(frames[-1])])
    at = np.unique(frames // grid.cell[time])
    places = [at if i == time else np.asarray(c) for i, c in enumerate(cells)]
    absent = ~grid.present[np.ix_(*places)]
    missing = np.argwhere(absent).tolist()
    keys = [tuple(int(p[i]) for p, i in zip(places, at, strict=True)) for at in missing]
    return [str(stored.array.metadata.encode_chunk_key(key)) for key in keys]
