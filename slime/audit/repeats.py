"""Frames and tiles that come again: a copied chunk, or a camera that gave old frames."""

import numpy as np
from jaxtyping import Bool, UInt64

from slime.audit.findings import Finding
from slime.errors import span_text
from slime.frame_table import FrameTable

MOVING = 0.9  # share of a tile's changes of frame in which it must change, for a repeat to be odd


def repeat_findings(
    table: FrameTable, usable: Bool[np.ndarray, " t"], chunk: int, tile: np.ndarray | None
) -> list[Finding]:
    """Frames equal to earlier ones that are not their neighbours, whole chunks of them apart."""
    earlier = _earlier(table.digest, usable & ~table.uniform)
    again = np.flatnonzero(earlier >= 0)
    whole = _whole_chunks(again, earlier[again], chunk, len(usable)) if chunk > 1 else set()
    in_whole = np.array([f // chunk in whole for f in again], bool)
    found = []
    for picked, kind, what in (
        (again[in_whole], "repeated chunk", "whole chunks hold the frames of earlier ones"),
        (again[~in_whole], "duplicated", "frames equal earlier ones that are not next to them"),
    ):
        if not picked.size:
            continue
        first = int(picked[0])
        advice = (
            f"{what}: {picked.size} frames ({span_text(picked)}; frame {first} is frame "
            f"{int(earlier[first])} again): the same pictures may train and test; write a store "
            "without them, or put the right chunks back"
        )
        found.append(Finding(kind, tuple(picked.tolist()), "warning", advice))
    return found + ([] if tile is None else _tile_repeats(tile, chunk, set(again.tolist())))


def _earlier(digest: UInt64[np.ndarray, " t"], counts: Bool[np.ndarray, " t"]) -> np.ndarray:
    """For each frame the first one equal to it, -1 where there is none but its frozen run."""
    seen: dict[int, int] = {}
    earlier = np.full(len(digest), -1)
    for i in np.flatnonzero(counts):
        key = int(digest[i])
        frozen = i > 0 and digest[i - 1] == digest[i]
        if key in seen:
            earlier[i] = earlier[i - 1] if frozen else seen[key]
        else:
            seen[key] = int(i)
    return earlier


def _whole_chunks(again: np.ndarray, earlier: np.ndarray, chunk: int, n: int) -> set[int]:
    """Chunks of which every frame repeats the frame at the same place of another chunk."""
    of = dict(zip(again.tolist(), earlier.tolist(), strict=True))
    whole = set()
    for k in set((again // chunk).tolist()):
        own = range(k * chunk, min((k + 1) * chunk, n))
        first = of.get(own[0], -1)
        if (
            first >= 0
            and first % chunk == 0
            and [of.get(f, -1) for f in own] == list(range(first, first + len(own)))
        ):
            whole.add(k)
    return whole


def _tile_repeats(tile: UInt64[np.ndarray, "t n"], chunk: int, known: set[int]) -> list[Finding]:
    """Tiles that hold what another chunk holds: at another place, or at another time."""
    rows, columns = np.nonzero(tile)
    changes = np.mean(tile[1:] != tile[:-1], axis=0) if len(tile) > 1 else np.zeros(tile.shape[1])
    seen: dict[int, tuple[int, int]] = {}
    frames, places = [], []
    for i, k in zip(rows.tolist(), columns.tolist(), strict=True):
        first = seen.setdefault(int(tile[i, k]), (i, k))
        elsewhere = first[1] != k or first[0] // chunk != i // chunk
        next_to = first[1] == k and (tile[first[0] : i + 1, k] == tile[i, k]).all()
        if elsewhere and not next_to and changes[k] >= MOVING and i not in known:
            frames.append(i)
            places.append(f"tile {k} of frame {i} is tile {first[1]} of frame {first[0]}")
    if not frames:
        return []
    at = sorted(set(frames))
    advice = (
        f"{len(frames)} tiles hold the pixels of other chunks, in {len(at)} frames "
        f"({span_text(at)}; {places[0]}): put the right chunks back"
    )
    return [Finding("repeated chunk", tuple(at), "warning", advice, tuple(places))]
