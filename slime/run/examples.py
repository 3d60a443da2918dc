"""The example forecast of a run, kept so that runs can be shown beside each other."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from slime.errors import StoreError
from slime.example import Example
from slime.files import write_aside

FILE = "example.npz"


class Kept(NamedTuple):
    """Some leads of an example (row i of truth and forecast is `leads[i]`), one channel shown."""

    example: Example
    leads: Sequence[int]
    channel: int


def save_example(run: Path, shown: Example, leads: Sequence[int], channel: int) -> Path:
    """Keep some leads of an example forecast in a run's folder, as float32."""
    rows = np.asarray(leads) - 1
    about = {"leads": list(leads), "channel": channel, "channels": list(shown.channels)}
    about |= {"lead_s": shown.lead_s, "pixel_um": shown.pixel_um, "where": shown.where}
    arrays = {
        "about": np.array(json.dumps(about)),
        "truth": shown.truth[rows].astype(np.float32),
        "forecast": shown.forecast[rows].astype(np.float32),
        "last_frame": shown.last_frame.astype(np.float32),
    }
    path = run / FILE
    write_aside(path, lambda aside: np.savez_compressed(aside, **arrays))
    return path


def load_example(run: Path) -> Kept | None:
    """What a run kept of its example; None where it kept none.

    Raises:
        StoreError: the file is damaged.
    """
    path = run / FILE
    if not path.is_file():
        return None
    try:
        with np.load(path) as held:
            arrays = {name: held[name] for name in held.files}
        about = json.loads(str(arrays.pop("about")))
        leads, channel = about.pop("leads"), about.pop("channel")
        return Kept(Example(**arrays, **about), leads, channel)
    except Exception as error:  # a damaged archive raises many kinds
        raise StoreError(
            f"{path} is damaged ({type(error).__name__}): score the run anew"
        ) from error
