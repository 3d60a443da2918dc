"""Changes from one frame to the next far above the usual: swapped chunks, cuts, bumps."""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import median_filter

from slime.audit.findings import Finding
from slime.errors import span_text

TIMES = 3.0  # the usual change, in mean square; below, waves and bursts of real movies reach it
SIGMAS = 6.0  # of the logarithm of the change around its running median
NEAR = 25  # frames that the running median is taken over
MOST = 0.05  # share of frames that may jump; above, jumping is the movie's way
LEAST = 8  # changes to know what is usual


def jump_findings(change: Float[np.ndarray, "t c"], chunk: int) -> list[Finding]:
    """Frames that differ from the one before by far more than their neighbours do."""
    jumps = sorted({int(t) for own in change.T for t in _jumps(own)})
    if not jumps:
        return []
    at_borders = chunk > 1 and all(t % chunk == 0 for t in jumps)
    if at_borders:
        kind, where = "jump at chunks", "all where a chunk begins, as when chunks are swapped"
    else:
        kind, where = "jump", "as when a frame is odd, frames are left out or the stage was hit"
    advice = (
        f"suspicion: {len(jumps)} frames differ from the one before by far more than usual "
        f"({span_text(jumps)}), {where}: look at them"
    )
    return [Finding(kind, tuple(jumps), "warning", advice)]


def _jumps(change: Float[np.ndarray, " t"]) -> np.ndarray:
    """Frames whose change is TIMES and SIGMAS above the running median of those around them."""
    at = np.flatnonzero(np.isfinite(change) & (change > 0))
    if at.size < LEAST:
        return at[:0]
    size = np.log(change[at])
    rest = size - median_filter(size, min(NEAR, at.size), mode="reflect")
    spread = 1.4826 * np.median(np.abs(rest))
    found = at[rest > max(np.log(TIMES), SIGMAS * spread)]
    return found if found.size <= max(MOST * len(change), 4) else at[:0]
