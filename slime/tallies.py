"""The tallies of a scored split, kept in the run's folder: what intervals over several runs need.

    runs = meet([load_tallies(run, "test") for run in runs])   # same frames and windows, or refused
    net, still = [r.of["cnn"] for r in runs], [r.of["persistence"] for r in runs]
    combined(net, statistic("skill"), still)                   # slime.seeds

One file a split, tallies_SPLIT.npz: the sums of every model for each window, as float64, and in
`about` (JSON) whose they are.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from slime.errors import SlimeError, StoreError
from slime.files import write_aside
from slime.score import SUMS, Tally

FORMAT = 1


@dataclass(frozen=True)
class Tallies:
    """Every model's tally over the same windows of a split, and what these windows are.

    Attributes:
        run: the run's folder, as it was named.
        model: the trained net among the models of `of`, the others being baselines.
        held_out: data.split: "time" or "movie".
        n_in, step: a window's frames given, and frames between frames; `start` is its first frame.
        movies, experiments, frames: by the movies' numbers, their names, experiments and a hash of
            the split's frames.
        variance: of each channel's pixels in the train split, for vrmse.
    """

    run: str
    split: str
    model: str
    seed: int
    held_out: str
    n_in: int
    step: int
    movies: Mapping[int, str]
    experiments: Mapping[int, str]
    frames: Mapping[int, str]
    channels: Sequence[str]
    variance: Float[np.ndarray, " channel"]
    of: Mapping[str, Tally] = field(repr=False)

    @property
    def windows(self) -> Tally:
        """Any model's tally: all have the same windows."""
        return next(iter(self.of.values()))


def tallies_path(run: Path, split: str) -> Path:
    """Where a run keeps the tallies of a split."""
    return run / f"tallies_{split}.npz"


def save_tallies(tallies: Tallies, run: Path) -> Path:
    """Write the tallies of a split into a run's folder, aside first, then renamed."""
    about = {k: v for k, v in vars(tallies).items() if k not in ("of", "variance", "run")}
    about |= {"format": FORMAT, "sums": SUMS, "models": list(tallies.of)}
    arrays = {
        "about": np.array(json.dumps(about)),
        "variance": np.asarray(tallies.variance, np.float64),
        "movie": tallies.windows.movie,
        "start": tallies.windows.start,
    }
    arrays |= {f"sums_{i}": one.sums for i, one in enumerate(tallies.of.values())}
    path = tallies_path(run, tallies.split)
    write_aside(path, lambda aside: np.savez_compressed(aside, **arrays))
    return path


def load_tallies(run: Path | str, split: str = "test") -> Tallies:
    """The tallies that a run kept of a split.

    Raises:
        SlimeError: there are none.
        StoreError: the file is damaged, or of another format.
    """
    path = tallies_path(Path(run), split)
    if not path.exists():
        raise SlimeError(
            f"{run} keeps no tallies of its {split} split: python scripts/evaluate.py {run} "
            f"split={split} makes them"
        )
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            arrays = {
                part.removesuffix(".npy"): _array(archive, part) for part in archive.namelist()
            }
        about = json.loads(str(arrays["about"]))
        if about.pop("format") != FORMAT or about.pop("sums") != list(SUMS):
            raise ValueError(f"not of format {FORMAT} with the sums {', '.join(SUMS)}")
        of = {
            name: Tally(arrays["movie"], arrays["start"], arrays[f"sums_{i}"])
            for i, name in enumerate(about.pop("models"))
        }
        for name in ("movies", "experiments", "frames"):
            about[name] = {int(number): word for number, word in about[name].items()}
        return Tallies(run=str(run), variance=arrays["variance"], of=of, **about)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        told = " ".join(str(error).split())[:200]
        raise StoreError(f"{path} cannot be used: {told}; score the run anew") from error


def _array(archive: zipfile.ZipFile, part: str) -> Shaped[np.ndarray, "..."]:
    # np.load leaves a damaged archive open
    with archive.open(part) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def meet(runs: Sequence[Tallies], *, common: bool = False) -> list[Tallies]:
    """The runs' tallies by the last frame given (`start`), checked to be of the same windows.

    Runs whose nets read a different number of frames have windows that start elsewhere, and meet
    where the same frames are forecast from the same last one.

    Args:
        common: keep the windows and leads that all have, instead of refusing runs that lack some.

    Raises:
        SlimeError: other frames, splits, channels or leads; none in common.
    """
    if not runs:
        raise SlimeError("there is no run to compare")
    aligned = [_by_last_frame(run) for run in runs]
    first = aligned[0]
    for other in aligned[1:]:
        for name in ("split", "held_out", "step", "channels", "movies", "frames"):
            ours, theirs = getattr(first, name), getattr(other, name)
            if ours != theirs:
                raise SlimeError(_differ(first, other, name, ours, theirs))
    keys = [set(_keys(run.windows)) for run in aligned]
    leads = [run.windows.n_leads for run in aligned]
    shared = set.intersection(*keys)
    if common:
        if not shared:
            listed = ", ".join(run.run for run in aligned)
            raise SlimeError(f"no window of the {first.split} split is in all of {listed}")
        return [_kept(run, shared, min(leads)) for run in aligned]
    for run, own, n_leads in zip(aligned, keys, leads, strict=True):
        if own != keys[0] or n_leads != leads[0]:
            raise SlimeError(
                f"{first.run} and {run.run} were scored on other windows of the {first.split} "
                f"split: {len(keys[0])} of {leads[0]} leads and {len(own)} of {n_leads}, "
                f"{len(keys[0] & own)} in common"
                + ("; common=true compares them on these alone" if shared else "")
            )
    return [_kept(run, shared, leads[0]) for run in aligned]


def _differ(first: Tallies, other: Tallies, name: str, ours: Any, theirs: Any) -> str:
    if name == "frames":
        wrong = [first.movies[n] for n in first.frames if ours[n] != theirs[n]]
        return (
            f"{first.run} and {other.run} were scored on other frames of {', '.join(wrong)}: runs "
            "are compared on one split alone (data.stores, data.shares, data.gap)"
        )
    what = {"held_out": "data.split", "step": "window.step"}.get(name, name)
    return f"{first.run} and {other.run} cannot be compared: {what} is {ours} there, {theirs} here"


def _by_last_frame(run: Tallies) -> Tallies:
    later = (run.n_in - 1) * run.step
    of = {name: replace(t, start=t.start + later) for name, t in run.of.items()}
    return replace(run, n_in=1, of=of)


def _keys(windows: Tally) -> list[tuple[int, int]]:
    return list(zip(windows.movie.tolist(), windows.start.tolist(), strict=True))


def _kept(run: Tallies, keys: set[tuple[int, int]], n_leads: int) -> Tallies:
    """The windows of these movies and starts, in order."""
    held = sorted((key, i) for i, key in enumerate(_keys(run.windows)) if key in keys)
    rows = [i for _, i in held]
    of = {
        name: replace(tally.at(np.array(rows, int)), sums=tally.sums[rows, :, :n_leads])
        for name, tally in run.of.items()
    }
    return replace(run, of=of)
