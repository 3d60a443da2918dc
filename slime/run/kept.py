"""What a run keeps of a scored split, so that it can be compared with other runs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from slime.arena import Arena
from slime.config import RunConfig
from slime.prepare import Prepared
from slime.run.folder import hash_of
from slime.score import Tally
from slime.tallies import Tallies


def split_frames(prepared: Prepared, name: str) -> dict[int, list[int]]:
    """The digests of the frames of a split, by the numbers of the movies that have it."""
    return {
        number: report.table.digest[cut[name].start : cut[name].stop].tolist()
        for number, (report, cut) in enumerate(zip(prepared.reports, prepared.splits, strict=True))
        if name in cut
    }


def kept_tallies(
    run: Path,
    tallies: Mapping[str, Tally],
    variance: Float[np.ndarray, " channel"],
    where: Arena,
    config: RunConfig,
    prepared: Prepared,
) -> Tallies:
    """The tallies with all that tells whether other runs' are of the same windows."""
    frames = split_frames(prepared, where.name)
    movies = dict(zip(where.numbers, where.movies, strict=True))
    return Tallies(
        run=str(run),
        split=where.name,
        model=config.net.kind,
        seed=config.seed,
        held_out=config.data.split,
        n_in=where.spec.n_in,
        step=where.spec.step,
        movies={number: str(movie.name) for number, movie in movies.items()},
        experiments={n: str(movie.attrs.get("experiment")) for n, movie in movies.items()},
        frames={number: hash_of(frames[number]) for number in movies},
        channels=[str(c) for c in where.movies[0]["channel"].values],
        variance=variance,
        of=dict(tallies),
    )
