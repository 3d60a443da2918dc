"""The noise ceilings of a meeting, as rows of a study."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from slime.ceiling import CEILING, ESTIMATED, KNOWN, TEMPORAL, ceiling_table, noise_of
from slime.score import Tally
from slime.score_rows import COLUMNS, rows_where
from slime.studies.meet import NEAR, Meeting


def ceiling_rows(
    meeting: Meeting, still: Mapping[str, Tally], n_in: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """The highest skill at lead 1 that noise allows, and with `n_in` frames and no neighbours.

    Known where the movies are simulated, else estimated from their train frames, which the model
    of the row tells; none where it cannot be estimated, which a note tells.

    Args:
        still: persistence's tallies.
    """
    world = meeting.world
    noise = noise_of(world.movies, world.prepared.each("train"))
    nothing = pd.DataFrame({column: [] for column in COLUMNS})
    table, said = ceiling_table(nothing, still[NEAR], meeting.near, noise, {"": n_in}, seed=0)
    place = {"movie": "all", "channel": "all", "lead": 1}
    for model in (KNOWN, ESTIMATED):
        found = rows_where(table, model=model, **place)
        if len(found):
            labels = {"world": world.name, "model": model, "head": "", "n_seeds": 0, "lead": 1}
            none = {"low": np.nan, "high": np.nan, "p": np.nan, "note": ""}
            tops = [rows_where(found, score=score) for score in (CEILING, TEMPORAL)]
            rows = [
                {**labels, "score": top["score"].iloc[0], "value": float(top["value"].iloc[0])}
                for top in tops
            ]
            return [{**row, **none} for row in rows], []
    return [], [f"{world.name}: {line}" for line in said]
