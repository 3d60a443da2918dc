"""Power by wave number as a table: of the truth, of every forecast and of its error."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from slime.spectra import POWERS
from slime.wave_scores import WaveSums
from slime.wide import Wide

WAVE_COLUMNS = ("model", "seed", "split", "channel", "lead", "k", "unit", *POWERS)


def wave_table(wide: Wide, *, seed: int) -> pd.DataFrame:
    """A row a model, channel, lead and ring, over all movies and windows.

    `k` is in cycles a micrometre (unit `1/um`) where all movies have one pixel size, else a pixel
    (`1/px`). Powers are mean squares in the ring, movie units squared: of the truth, the forecast
    and their difference, and (`both`) of what the first two share.
    """
    sizes = {movie.attrs.get("pixel_um") for movie in wide.where.movies}
    pixel_um = sizes.pop() if len(sizes) == 1 else None
    k = wide.details.waves.ring_k / (pixel_um or 1)
    rows: list[dict[str, Any]] = []
    for name, tally in wide.detailed.items():
        for place, powers in _rings(WaveSums(tally.total(), tally.names)):
            lead, channel = place
            common = {
                "model": name,
                "seed": seed,
                "split": wide.where.name,
                "channel": str(wide.where.movies[0]["channel"].values[channel]),
                "lead": wide.leads[lead],
                "unit": "1/um" if pixel_um else "1/px",
            }
            rows += [
                {**common, "k": k[ring], **{p: v[ring] for p, v in powers.items()}}
                for ring in range(len(k))
            ]
    return pd.DataFrame(rows, columns=list(WAVE_COLUMNS))


def _rings(held: WaveSums) -> Iterator[tuple[tuple[int, int], dict[str, np.ndarray]]]:
    """Powers of all rings for each lead and channel, by their places."""
    frames = held["frames"]
    with np.errstate(invalid="ignore"):  # a channel that is masked in all frames has none
        of = {power: held.rings(power) / frames for power in POWERS}
    for place in np.ndindex(*frames.shape):
        yield place, {power: v[:, *place] for power, v in of.items()}
