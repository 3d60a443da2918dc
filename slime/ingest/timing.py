"""When the frames of a source were taken."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from slime.calibration import check_even
from slime.errors import SlimeError
from slime.ingest.frames import Cut
from slime.ingest.spec import IngestSpec


class Times(NamedTuple):
    """Times in s of the frames taken and their interval, None where unknown or uneven."""

    times_s: Float[np.ndarray, " t"] | None
    interval_s: float | None
    told_s: Float[np.ndarray, " t"] | None  # the source's own times, where others replace them
    notes: list[str]


def frame_times(cut: Cut, spec: IngestSpec) -> Times:
    """The user's word, else the times of each frame, else the source's interval.

    Uneven or repeated times are kept as they are and said: no interval is made up for them.
    """
    facts, step = cut.source.facts, cut.frames.step
    told = facts.times_s
    told = None if told is None or len(told) != cut.source.size("time") else told[list(cut.frames)]
    interval = spec.frame_interval_s or (facts.frame_interval_s if told is None else None)
    if spec.frame_interval_s is not None or told is None:
        if interval is None:
            note = "the interval between frames is unknown: give frame_interval_s"
            return Times(None, None, None, [note])
        return Times(np.array(cut.frames) * interval, interval * step, told, [])
    try:
        check_even(told, cut.source.label)
    except SlimeError as error:
        said = str(error).split(": give ")[0].removeprefix(f"{cut.source.label}: ")
        note = f"{said}. They are stored as they are; training asks for data.frame_interval_s"
        return Times(told, None, None, [note])
    return Times(told, float(np.median(np.diff(told))) if len(told) > 1 else None, None, [])
