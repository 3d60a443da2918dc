"""What is wrong with a store, before a model sees it: blank, frozen and lost frames, twins."""

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dask
import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int, UInt64

from slime.errors import SlimeError, StoreError, span_text
from slime.movie import stored_frames
from slime.split import Timeline

BLOCK_BYTES = 32 << 20  # decoded by one dask task
MIN_SHARED = 3  # frames that two movies must share to be called twins

Severity = Literal["error", "warning", "note"]
Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


@dataclass(frozen=True)
class Finding:
    """One thing found: its kind, the frames it touches, how bad it is and what to do."""

    kind: str
    frames: tuple[int, ...]
    severity: Severity
    advice: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.kind}, {self.advice}"


@dataclass(frozen=True)
class FrameTable:
    """What one pass over a movie tells of each of its frames.

    Attributes:
        mean: spatial mean, channels averaged, in movie units; masked pixels left out.
        flat: True where every pixel of some channel has the store's fill value.
        uniform: True where every channel has one value all over.
        digest: a hash of the frame's pixels; equal frames have equal ones.
        n_nonfinite: pixels that count and are NaN or infinite.
    """

    mean: Float[np.ndarray, " t"]
    flat: Bool[np.ndarray, " t"]
    uniform: Bool[np.ndarray, " t"]
    digest: UInt64[np.ndarray, " t"]
    n_nonfinite: Int[np.ndarray, " t"]


@dataclass(frozen=True)
class AuditReport:
    """Findings of one movie, and the frames that no window may touch."""

    movie: str
    findings: tuple[Finding, ...]
    table: FrameTable
    blank: Bool[np.ndarray, " t"]

    @property
    def errors(self) -> list[Finding]:
        """Findings that would poison a result."""
        return [f for f in self.findings if f.severity == "error"]


def audit(movie: xr.DataArray, *, progress: Progress | None = None) -> AuditReport:
    """Read a movie once and say what is wrong with it.

    Raises:
        StoreError: a chunk cannot be read, or lone tiles are lost.
    """
    table = frame_table(movie, progress=progress)
    lost = np.asarray(movie["blank"].values, bool) if "blank" in movie.coords else None
    blank = table.flat if lost is None else table.flat | lost
    findings = [
        *_nonfinite(movie, table),
        *_blank(movie, blank),
        *_blank_slices(movie),
        *_frozen(table, blank),
    ]
    return AuditReport(str(movie.name), tuple(findings), table, blank)


def frame_table(movie: xr.DataArray, *, progress: Progress | None = None) -> FrameTable:
    """One pass over all frames by dask threads, in blocks of many frames."""
    frames = stored_frames(movie)
    fill = frames.fill_value if frames is not None else 0
    nbytes = math.prod(movie.shape[1:]) * movie.dtype.itemsize
    if frames is not None:
        nbytes *= frames.n_z
    chunk = frames.chunk_frames if frames is not None else 1
    length = max(BLOCK_BYTES // max(nbytes, 1) // chunk, 1) * chunk
    blocks = [
        (a, min(a + length, movie.sizes["time"])) for a in range(0, movie.sizes["time"], length)
    ]
    group = 8  # blocks computed at once, so that progress is seen and memory stays bounded
    steps = [blocks[i : i + group] for i in range(0, len(blocks), group)]
    rows: list[tuple[np.ndarray, ...]] = []
    for step in progress(steps, len(steps), f"reading {movie.name}") if progress else steps:
        tasks = [dask.delayed(_frame_rows, pure=False)(movie, a, b, fill) for a, b in step]
        rows += dask.compute(*tasks, scheduler="threads")
    return FrameTable(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _frame_rows(movie: xr.DataArray, start: int, stop: int, fill: Any) -> tuple[np.ndarray, ...]:
    part = movie.isel(time=slice(start, stop))
    frames = part.variable.values
    finite = np.isfinite(frames)
    counts = finite
    bad = ~finite
    if "mask" in movie.coords:
        mask = part["mask"].variable.set_dims(dict(part.sizes)).values
        counts, bad = finite & mask, bad & mask
    n = np.maximum(counts.sum(axis=(2, 3)), 1)
    mean = (frames.sum(axis=(2, 3), where=counts, dtype=np.float64) / n).mean(axis=1)
    first = frames[:, :, :1, :1]
    one_value = ((frames == first) | (np.isnan(frames) & np.isnan(first))).all(axis=(2, 3))
    is_fill = first[:, :, 0, 0] == fill
    if frames.dtype.kind == "f" and fill is not None and np.isnan(fill):
        is_fill = np.isnan(first[:, :, 0, 0])
    digest = [
        int.from_bytes(hashlib.blake2b(frame.tobytes(), digest_size=8).digest(), "little")
        for frame in frames
    ]
    return (
        mean,
        (one_value & is_fill).any(axis=1),
        one_value.all(axis=1),
        np.array(digest, np.uint64),
        bad.sum(axis=(1, 2, 3)),
    )


def _nonfinite(movie: xr.DataArray, table: FrameTable) -> list[Finding]:
    at = np.flatnonzero((table.n_nonfinite > 0) & ~table.flat)
    if not at.size:
        return []
    advice = (
        f"{table.n_nonfinite[at].sum()} pixels are NaN or infinite in {at.size} frames "
        f"({span_text(at)}): mask them with data.mask, or write a store without them"
    )
    return [Finding("not finite", tuple(at.tolist()), "error", advice)]


def _blank(movie: xr.DataArray, blank: Bool[np.ndarray, " t"]) -> list[Finding]:
    at = np.flatnonzero(blank)
    if not at.size:
        return []
    if at.size == len(blank):
        return [
            Finding(
                "blank",
                tuple(at.tolist()),
                "error",
                f"all {at.size} frames are blank: there is nothing to learn from",
            )
        ]
    advice = (
        f"{at.size} of {len(blank)} frames are blank or lost ({span_text(at)}): windows that touch "
        "them are left out (data.blank=refuse stops instead)"
    )
    return [Finding("blank", tuple(at.tolist()), "warning", advice)]


def _blank_slices(movie: xr.DataArray) -> list[Finding]:
    frames = stored_frames(movie)
    if frames is None or frames.n_z == 1:
        return []
    at = np.flatnonzero(frames.blank_slices.any(axis=1))
    if not at.size:
        return []
    advice = (
        f"{int(frames.blank_slices.sum())} z slices were never written, in {at.size} frames "
        f"({span_text(at)}): the projection goes over the slices that are there"
    )
    return [Finding("blank slice", tuple(at.tolist()), "warning", advice)]


def _frozen(table: FrameTable, blank: Bool[np.ndarray, " t"]) -> list[Finding]:
    same = (table.digest[1:] == table.digest[:-1]) & ~blank[1:]
    at = np.flatnonzero(same) + 1
    if not at.size:
        return []
    advice = f"{at.size} frames repeat the frame before them ({span_text(at)})"
    return [Finding("frozen", tuple(at.tolist()), "warning", advice)]


def decorrelation_frames(series: Float[np.ndarray, " t"], *, most: int) -> int:
    """First lag at which the series' autocorrelation about its line falls below 0.05, or `most`."""
    n = len(series)
    if n < 4 or most < 1:
        return 0
    rest = series - np.polyval(np.polyfit(np.arange(n), series, 1), np.arange(n))
    power = rest @ rest
    if not power > 0:
        return 0
    for lag in range(1, min(most, n - 1) + 1):
        if rest[lag:] @ rest[:-lag] / power < 0.05:
            return lag
    return most


@dataclass(frozen=True)
class Twins:
    """Movies of one experiment that show the same frames, and how their frames line up.

    Attributes:
        members: positions in the list of movies, the longest first.
        timelines: for each member its frames on the longest one's, None where frames are shared
            in no regular way.
    """

    members: tuple[int, ...]
    timelines: tuple[Timeline | None, ...]
    n_shared: tuple[int, ...]


def find_twins(tables: Sequence[FrameTable]) -> list[Twins]:
    """Groups of movies that share frames to the last bit, subsampled or cut copies of one.

    Frames of one single value are not compared.
    """
    order = sorted(range(len(tables)), key=lambda i: (-len(tables[i].digest), i))
    groups: list[list[tuple[int, Timeline | None, int]]] = []
    for i in order:
        for group in groups:
            timeline, shared = _alignment(tables[group[0][0]], tables[i])
            if shared >= min(MIN_SHARED, len(tables[i].digest)):
                group.append((i, timeline, shared))
                break
        else:
            groups.append([(i, Timeline(), len(tables[i].digest))])
    return [
        Twins(*(tuple(column) for column in zip(*group, strict=True)))
        for group in groups
        if len(group) > 1
    ]


def _alignment(longest: FrameTable, other: FrameTable) -> tuple[Timeline | None, int]:
    """How `other`'s frames lie on `longest`'s, and how many frames they share."""
    place = {}
    for i, (digest, uniform) in enumerate(zip(longest.digest, longest.uniform, strict=True)):
        if not uniform:
            place.setdefault(int(digest), i)
    pairs = [
        (j, place[int(d)])
        for j, (d, uniform) in enumerate(zip(other.digest, other.uniform, strict=True))
        if not uniform and int(d) in place
    ]
    if len(pairs) < 2:
        return (Timeline(1, pairs[0][1] - pairs[0][0]) if pairs else None), len(pairs)
    own, theirs = np.array(pairs).T
    every = int(np.median(np.diff(theirs) / np.diff(own)))
    offset = int(np.median(theirs - every * own)) if every >= 1 else 0
    fits = every >= 1 and (theirs == every * own + offset).mean() >= 0.9
    return (Timeline(every, offset) if fits else None), len(pairs)


def check_audit(report: AuditReport, *, blank: str) -> None:
    """Stop at what would poison a result.

    Raises:
        StoreError: an error was found, or blank frames where `blank` is "refuse".
    """
    if blank not in ("skip", "refuse"):
        raise SlimeError(f"data.blank={blank!r} must be skip or refuse")
    for finding in report.findings:
        if finding.severity == "error" or (finding.kind == "blank" and blank == "refuse"):
            raise StoreError(f"{report.movie}: {finding.advice}")
