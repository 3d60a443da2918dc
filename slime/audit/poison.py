"""What the cheap pass shows: blank, frozen and not finite frames, which would poison a result."""

import numpy as np
from jaxtyping import Bool

from slime.audit.findings import Finding
from slime.errors import span_text
from slime.frame_table import FrameTable


def poison_findings(
    table: FrameTable, blank: Bool[np.ndarray, " t"], readable: Bool[np.ndarray, " t"]
) -> list[Finding]:
    """What the table tells of the frames that could be read."""
    return [
        *_nonfinite(table, blank),
        *_blank(blank & readable),
        *_blank_slices(table, blank),
        *_frozen(table, blank),
    ]


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
