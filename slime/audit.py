"""What is wrong with a store, before a model sees it: blank, frozen, lost and odd frames."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Bool

from slime.errors import SlimeError, StoreError, span_text
from slime.frame_table import FrameTable, frame_table
from slime.frames import GIB
from slime.movie import stored_frames
from slime.progress import Progress

Severity = Literal["error", "warning", "note"]


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


def audit(
    movie: xr.DataArray, *, memory_budget: int = 2 * GIB, progress: Progress | None = None
) -> AuditReport:
    """Read a movie once and say what is wrong with it.

    Raises:
        StoreError: a chunk cannot be read, or lone tiles are lost.
        SlimeError: a chunk does not fit `memory_budget` (bytes).
    """
    table = frame_table(movie, memory_budget=memory_budget, progress=progress)
    lost = np.asarray(movie["blank"].values, bool) if "blank" in movie.coords else table.flat
    blank = table.flat | lost
    findings = [
        *_nonfinite(table, blank),
        *_blank(blank),
        *_blank_slices(table, blank),
        *_frozen(table, blank),
        *_metadata(movie),
    ]
    return AuditReport(str(movie.name), tuple(findings), table, blank)


def _nonfinite(table: FrameTable, blank: Bool[np.ndarray, " t"]) -> list[Finding]:
    at = np.flatnonzero((table.n_nonfinite > 0) & ~blank)
    if not at.size:
        return []
    advice = (
        f"{table.n_nonfinite[at].sum()} pixels are NaN or infinite in {at.size} frames "
        f"({span_text(at)}): mask them with data.mask, or write a store without them"
    )
    return [Finding("not finite", tuple(at.tolist()), "error", advice)]


def _blank(blank: Bool[np.ndarray, " t"]) -> list[Finding]:
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


def _blank_slices(table: FrameTable, blank: Bool[np.ndarray, " t"]) -> list[Finding]:
    n_blank = np.where(blank, 0, table.n_blank_slices)
    at = np.flatnonzero(n_blank)
    if not at.size:
        return []
    advice = (
        f"{n_blank.sum()} z slices hold nothing, in {at.size} frames ({span_text(at)}): the "
        "projection goes over the slices that are there"
    )
    return [Finding("blank slice", tuple(at.tolist()), "warning", advice)]


def _frozen(table: FrameTable, blank: Bool[np.ndarray, " t"]) -> list[Finding]:
    same = (table.digest[1:] == table.digest[:-1]) & ~blank[1:] & ~blank[:-1]
    at = np.flatnonzero(same) + 1
    if not at.size:
        return []
    advice = f"{at.size} frames repeat the frame before them ({span_text(at)})"
    return [Finding("frozen", tuple(at.tolist()), "warning", advice)]


def _metadata(movie: xr.DataArray) -> list[Finding]:
    """Signs that the metadata have fallen behind the data, after an append for instance."""
    stored = stored_frames(movie)
    if stored is None:
        return []
    found = []
    if n_outside := stored.chunks.grid.n_outside:
        advice = (
            f"{n_outside} chunk files lie beyond the shape {stored.array.shape}: frames that the "
            "metadata do not know of are not read"
        )
        found.append(Finding("beyond the shape", (), "warning", advice))
    place = stored.array.store_path
    try:
        own = zarr.open_array(place.store, path=place.path, mode="r").shape
    except Exception as error:  # whatever zarr makes of a damaged file
        advice = f"only the consolidated metadata can be read, not the array's own ({error})"
        return [*found, Finding("damaged metadata", (), "warning", advice)]
    if own != stored.array.shape:
        advice = (
            f"the consolidated metadata say {stored.array.shape}, the array itself {own}: "
            "zarr.consolidate_metadata brings them up to date"
        )
        found.append(Finding("stale metadata", (), "warning", advice))
    return found


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
