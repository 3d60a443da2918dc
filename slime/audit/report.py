"""An audit: one pass over a movie, and what is wrong with it."""

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Bool

from slime.audit.drift import drift_findings
from slime.audit.findings import Finding
from slime.audit.jumps import jump_findings
from slime.audit.light import bleaching_findings, flicker_findings, saturation_findings
from slime.audit.lost import chunk_findings
from slime.audit.measures import Measures, measure
from slime.audit.metadata import checksum_findings, metadata_findings
from slime.audit.noise import NoiseFit, noise_findings, noise_fits
from slime.audit.odd_pixels import pixel_findings
from slime.audit.poison import poison_findings
from slime.audit.repeats import repeat_findings
from slime.audit.stored_bytes import byte_findings
from slime.calibration import check_even
from slime.errors import SlimeError, StoreError
from slime.frame_table import FrameTable, frame_table
from slime.frames import GIB, chunk_grid
from slime.movie import stored_frames
from slime.progress import Progress

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class AuditReport:
    """Findings of one movie, and the frames that no window may touch.

    Attributes:
        blank: frames that hold nothing, were lost, or cannot be read.
        measures, noise: what a full audit measured; None and () after a cheap one.
    """

    movie: str
    findings: tuple[Finding, ...]
    table: FrameTable
    blank: Bool[np.ndarray, " t"]
    measures: Measures | None = None
    noise: tuple[NoiseFit, ...] = ()

    @property
    def errors(self) -> list[Finding]:
        """Findings that would poison a result."""
        return [f for f in self.findings if f.severity == "error"]

    @property
    def usable(self) -> Bool[np.ndarray, " t"]:
        """Frames that hold pixels, all of which could be read."""
        return ~self.blank if self.measures is None else ~self.blank & self.measures.readable


def audit(
    movie: xr.DataArray,
    *,
    full: bool = True,
    offset: float | None = None,
    memory_budget: int = 2 * GIB,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> AuditReport:
    """Read a movie once and say what is wrong with it.

    A full audit looks at chunks, times, light, pixels, motion, noise, repeats and the bytes
    themselves; it lists chunks that cannot be read and goes on. The cheap one takes about half the
    time, looks for what would poison a result, and stops at such chunks.

    Args:
        full: look for everything; False is the cheap audit.
        offset: counts of a dark pixel, where known, for the read noise.
        memory_budget: bytes of decoded frames and of what is kept of them.
        executor: what computes blocks (see slime.schedule); threads by default.

    Raises:
        StoreError: a chunk cannot be read, or lone tiles are lost, where not `full`.
        SlimeError: a chunk does not fit `memory_budget`.
    """
    if full:
        return _full_audit(movie, offset, memory_budget, progress, executor)
    table = frame_table(movie, memory_budget=memory_budget, progress=progress, executor=executor)
    lost = np.asarray(movie["blank"].values, bool) if "blank" in movie.coords else table.flat
    blank = table.flat | lost
    findings = [
        *poison_findings(table, blank, np.ones_like(blank)),
        *metadata_findings(movie),
    ]
    return AuditReport(str(movie.name), tuple(findings), table, blank)


def _full_audit(
    movie: xr.DataArray,
    offset: float | None,
    memory_budget: int,
    progress: Progress | None,
    executor: Executor | None,
) -> AuditReport:
    table, measures = measure(
        movie, memory_budget=memory_budget, progress=progress, executor=executor
    )
    stored = stored_frames(movie)
    dtype = movie.dtype if stored is None else stored.array.dtype
    blank = table.flat | (stored.chunks.lost if stored is not None else False)
    usable = ~blank & measures.readable
    channels = channel_names(movie)
    noise = noise_fits(measures, channels, offset)
    chunk, _ = chunk_grid(movie)
    found = [
        *poison_findings(table, blank, measures.readable),
        *chunk_findings(movie, measures.broken),
        *metadata_findings(movie),
        *checksum_findings(movie),
        *time_findings(movie),
        *repeat_findings(table, usable, chunk, measures.tile),
        *jump_findings(measures.change, chunk),
        *saturation_findings(measures, usable, channels),
        *pixel_findings(measures, int(usable.sum()), channels),
        *flicker_findings(measures, usable, channels),
        *bleaching_findings(measures, usable, channels, movie.attrs.get("frame_interval_s")),
        *drift_findings(measures),
        *byte_findings(measures.samples.raw.values(), dtype),
        *noise_findings(noise),
    ]
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return AuditReport(str(movie.name), tuple(found), table, blank, measures, tuple(noise))


def channel_names(movie: xr.DataArray) -> list[str]:
    """Names of a movie's channels, their numbers where it has none."""
    if "channel" in movie.coords:
        return [str(name) for name in movie["channel"].values]
    return [str(i) for i in range(movie.sizes["channel"])]


def time_findings(movie: xr.DataArray) -> list[Finding]:
    """Times that do not rise evenly, with the first place."""
    if "time" not in movie.coords:
        return []
    try:
        check_even(np.asarray(movie["time"].values, float), str(movie.name))
    except SlimeError as error:
        return [Finding("uneven time", (), "error", str(error))]
    return []


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
