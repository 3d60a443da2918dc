"""The light of a movie over time: saturated pixels, flicker and bleaching."""

import numpy as np
from jaxtyping import Bool, Float

from slime.audit.findings import Finding
from slime.audit.measures import Measures
from slime.errors import span_text
from slime.texts import duration_text

PILED = 5.0  # times as many pixels at the top as at the next value: a tail of intensities that
# falls within a few counts has about as many, one that is cut off has all that lay above
LEAST_PILED = 20  # pixels at the top in the whole movie
FRAME_SHARE = 1e-3  # of a frame's pixels: above, peaks and sums are off by more than noise
FLICKER_SHARE = 0.05  # of the mean square change: that much of persistence's error would be lamp
FLICKER_SIGMAS = 3.0  # times what the cells' own spread lets their median jitter by chance
LEAST_FLICKER = 3e-3  # of the mean; good lamps are stable to this
TURNS_ABOUT = -1 / 3  # correlation from frame to frame that tells flicker from waves
LOSS_WARNED, LOSS_NOTED = 0.05, 0.02  # of the light from the first to the last fifth of a movie:
# lamps drift by 2 %; at 5 % the last split is as far off as the noise of 400 electrons
SHARING = 0.7  # share of the cells that must darken: bleaching is everywhere, content only moves
LOSS_SIGMAS = 4.0  # above what the cells' own spread explains


def saturation_findings(
    measures: Measures, usable: Bool[np.ndarray, " t"], channels: list[str]
) -> list[Finding]:
    """Pixels piled up at the largest value, those that never change left out."""
    found = []
    for c, name in enumerate(channels):
        count, value = saturated_pixels(measures, usable, c)
        frames = np.flatnonzero(count)
        if not frames.size:
            continue
        n_pixels = measures.plan.shape[2] * measures.plan.shape[3]
        worst = count.max() / n_pixels
        advice = (
            f"channel {name}: up to {100 * worst:.2g} % of a frame's pixels are held at "
            f"{value:g}, in {frames.size} frames ({span_text(frames)}): what lay above is lost; "
            "film with less light or gain, or leave them out with data.mask"
        )
        severity = "warning" if worst >= FRAME_SHARE else "note"
        found.append(Finding("saturated", tuple(frames.tolist()), severity, advice))
    return found


def saturated_pixels(
    measures: Measures, usable: Bool[np.ndarray, " t"], channel: int
) -> tuple[Float[np.ndarray, " t"], float]:
    """Pixels of each frame held at the largest value, and the value; all 0 where none are."""
    n_pixels = measures.plan.shape[2] * measures.plan.shape[3]
    varied = usable & (measures.n_top[:, channel] < n_pixels)
    top = np.where(varied, measures.top[:, channel], np.nan)
    if measures.maps is None or not np.isfinite(top).any():
        return np.zeros(len(top)), np.nan
    value = np.nanmax(top)
    high, low = measures.maps.high[channel], measures.maps.low[channel]
    n_still = int(((high == value) & (low == high)).sum())
    at = top == value
    count = np.where(at, np.maximum(measures.n_top[:, channel] - n_still, 0), 0.0)
    next_to = np.nan_to_num(np.where(at, measures.n_second[:, channel], 0)).sum()
    if count.sum() < max(LEAST_PILED, PILED * next_to):
        return np.zeros(len(top)), value
    return np.where(count >= 4, count, 0), value


def cell_light(
    measures: Measures, usable: Bool[np.ndarray, " t"], channel: int
) -> Float[np.ndarray, "frames cells"]:
    """Thumbnail cells over time as a share of their own median; dark ones left out."""
    thumb = measures.thumb[usable, channel].astype(float)
    cells = thumb.reshape(len(thumb), thumb.shape[1] * thumb.shape[2])
    usual = np.median(cells, axis=0) if len(cells) else np.zeros(cells.shape[1])
    bright = usual > 0
    return cells[:, bright] / usual[bright]


def flicker_findings(
    measures: Measures, usable: Bool[np.ndarray, " t"], channels: list[str]
) -> list[Finding]:
    """Jitter of the light that all parts of the picture share from frame to frame."""
    found = []
    for c, name in enumerate(channels):
        jitter, unsure = common_jitter(measures, usable, c)
        if jitter is None:
            continue
        size = 1.2533 * float(np.mean(np.abs(jitter)))  # as of a Gaussian, single flashes damped
        share = _share_of_change(measures, usable, c, size)
        if size > max(LEAST_FLICKER, FLICKER_SIGMAS * unsure) and is_independent(jitter):
            advice = (
                f"channel {name}: the whole picture's light jitters by {100 * size:.2g} % from "
                f"frame to frame, {100 * min(share, 1):.0f} % of all change: no model can foresee "
                "it; divide each frame by its light before training"
            )
            severity = "warning" if share > FLICKER_SHARE else "note"
            found.append(Finding("flicker", (), severity, advice))
    return found


def common_jitter(
    measures: Measures, usable: Bool[np.ndarray, " t"], channel: int
) -> tuple[Float[np.ndarray, " inner"] | None, float]:
    """The jitter that the median cell has against its two neighbours in time, and its error.

    Scaled so that independent jitter of each frame keeps its size.
    """
    cells = cell_light(measures, usable, channel)
    if len(cells) < 8 or not cells.shape[1]:
        return None, np.nan
    rest = (cells[1:-1] - (cells[:-2] + cells[2:]) / 2) / np.sqrt(1.5)
    common = np.median(rest, axis=1)
    spread = 1.4826 * np.median(np.abs(rest - common[:, None]), axis=1)
    return common, float(np.median(1.2533 * spread / np.sqrt(cells.shape[1])))


def is_independent(jitter: Float[np.ndarray, " inner"]) -> bool:
    """Whether it may be of frames that know nothing of each other, not of waves that pass.

    Held against both neighbours, independent light turns about (a correlation of -2/3 from frame
    to frame); light that swings over more than 3.3 frames does not.
    """
    power = float(jitter @ jitter)
    return power > 0 and float(jitter[1:] @ jitter[:-1]) / power < TURNS_ABOUT


def _share_of_change(
    measures: Measures, usable: Bool[np.ndarray, " t"], channel: int, size: float
) -> float:
    """The mean square change that jitter of this size makes, over all there is."""
    level = measures.thumb[usable, channel].astype(float)
    change = measures.change[:, channel]
    known = change[np.isfinite(change)]
    usual = float(np.median(known)) if known.size else 0.0
    return 2 * size**2 * float((level**2).mean()) / usual if usual > 0 else 0.0


def bleaching_findings(
    measures: Measures,
    usable: Bool[np.ndarray, " t"],
    channels: list[str],
    frame_interval_s: float | None,
) -> list[Finding]:
    """A steady loss of light all over the picture."""
    found = []
    for c, name in enumerate(channels):
        loss = shared_loss(cell_light(measures, usable, c))
        if loss < LOSS_NOTED:
            continue
        half = 0.8 * len(usable) * np.log(2) / -np.log1p(-loss)  # fifths lie 0.8 of the movie apart
        when = f"{half:.3g} frames"
        if frame_interval_s:
            when += f" ({duration_text(half * frame_interval_s)})"
        advice = (
            f"channel {name}: the light falls steadily, all over the picture, by {100 * loss:.2g} "
            f"% (half in {when}), as when a dye bleaches: correct for it, or a later split is "
            "darker than the one trained on"
        )
        severity = "warning" if loss >= LOSS_WARNED else "note"
        found.append(Finding("bleaching", (), severity, advice))
    return found


def shared_loss(cells: Float[np.ndarray, "frames cells"]) -> float:
    """Light lost from the first to the last fifth, 0 where it is not steady or not everywhere.

    The smaller one of what the median cell and the whole lose: where cells gather, most of the
    picture darkens, but nothing is lost.
    """
    if len(cells) < 10 or cells.shape[1] < 4:
        return 0.0
    fifths = np.stack([part.mean(axis=0) for part in np.array_split(cells, 5)])
    lit = (fifths[0] > 0) & (fifths[-1] > 0)
    lost = 1 - fifths[-1, lit] / fifths[0, lit]
    usual = float(np.median(lost))
    unsure = 1.2533 * 1.4826 * float(np.median(np.abs(lost - usual))) / np.sqrt(lost.size)
    steady = (np.diff(np.median(fifths, axis=1)) < 0).all()
    if not steady or usual < LOSS_SIGMAS * unsure or np.mean(lost > 0) < SHARING:
        return 0.0
    return max(min(usual, 1 - float(fifths[-1].mean() / fifths[0].mean())), 0.0)
