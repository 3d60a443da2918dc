"""An example forecast: what figures and animations show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Num

from slime.errors import SlimeError


@dataclass(frozen=True)
class Example:
    """One window's rollout beside what happened: row i of truth and forecast is lead i + 1.

    Attributes:
        last_frame: the last frame given, which persistence repeats.
        lead_s: seconds a lead, where known.
        pixel_um: micrometres a pixel, where known.
        where: which window it is, "dish 3, test split, frame 312", for titles.
    """

    truth: Num[np.ndarray, "lead c y x"]
    forecast: Num[np.ndarray, "lead c y x"]
    last_frame: Num[np.ndarray, "c y x"]
    channels: Sequence[str]
    lead_s: float | None = None
    pixel_um: float | None = None
    where: str = ""

    def __post_init__(self) -> None:
        n_channels = len(self.channels)
        if self.truth.shape[1] != n_channels:
            raise SlimeError(f"{n_channels} channel names for {self.truth.shape[1]} channels")

    @property
    def n_leads(self) -> int:
        """Frames ahead, the first being lead 1."""
        return len(self.truth)
