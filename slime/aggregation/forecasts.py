"""Every model of a study: nets trained or read from its folder, and what all of them find."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from slime.aggregation.found import Found, read_maps
from slime.aggregation.learn import (
    dish_planes,
    drawn_maps,
    fit_heat,
    lessons,
    load_heat,
    save_heat,
)
from slime.aggregation.net import HeatNet
from slime.aggregation.rivals import density_maximum, last_frame, random_places
from slime.aggregation.roll import (
    load_stepper,
    rolled_out,
    rollouts,
    start_of,
    train_stepper,
)
from slime.aggregation.spec import AggregationSpec
from slime.aggregation.study import Study
from slime.progress import Progress

N_RANDOM = 5  # draws of random places


@dataclass(frozen=True)
class Nets:
    """The folder in which the nets of a study are kept, and on what they are trained."""

    study: Study
    spec: AggregationSpec
    folder: Path
    device: torch.device

    @property
    def seeds(self) -> range:
        """Of the nets of each kind."""
        return range(self.spec.seed, self.spec.seed + self.spec.seeds)

    def heat_file(self, seed: int) -> Path:
        """Where the heat net of a seed is kept."""
        return self.folder / f"heat-{seed}.pt"

    def step_file(self, seed: int) -> Path:
        """Where the next-frame net of a seed is kept."""
        return self.folder / f"step-{seed}.pt"

    def made_of(self, *settings: Any) -> str:
        """A hash of the study and of the settings that a net was trained with."""
        said = [self.study.fingerprint, *(str(one) for one in settings)]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()


def train_nets(nets: Nets, *, progress: Progress | None = None) -> Iterator[str]:
    """Train the nets that are not in the folder yet, each kept when done; yields a line for each.

    Raises:
        SlimeError: a file of the folder is of another study.
        StoreError: a file of the folder cannot be read.
    """
    heat, roll, study = nets.spec.heat, nets.spec.roll, nets.study
    of_heat = nets.made_of(asdict(heat), nets.spec.given)
    of_step = nets.made_of(asdict(roll))
    train, val = lessons(study, "train", heat), lessons(study, "val", heat)
    for seed in nets.seeds:
        file = nets.heat_file(seed)
        done = "read"
        if not file.exists():
            trained = fit_heat(train, val, heat, seed=seed, device=nets.device, progress=progress)
            save_heat(file, trained, study.dishes[0].mask.shape, of_heat)
            done = "trained"
        one = load_heat(file, heat, of_heat, nets.device)
        yield (
            f"heat net, seed {seed}: {done}; best epoch {one.epoch} of {heat.epochs}, "
            f"loss {one.train_loss:.4f}, val {one.val_loss:.4f}"
        )
    for seed in nets.seeds:
        file, done = nets.step_file(seed), "read"
        if not file.exists():
            done = "trained; " + train_stepper(
                study,
                nets.spec,
                file,
                seed=seed,
                made_of=of_step,
                device=nets.device,
                progress=progress,
            )
        load_stepper(file, of_step, nets.device)
        yield f"next-frame net, seed {seed}: {done}"


def heat_nets(nets: Nets) -> list[HeatNet]:
    """The trained heat nets, in the order of their seeds."""
    made_of = nets.made_of(asdict(nets.spec.heat), nets.spec.given)
    files = [nets.heat_file(seed) for seed in nets.seeds]
    return [load_heat(file, nets.spec.heat, made_of, nets.device).net for file in files]


def all_found(nets: Nets, *, progress: Progress | None = None) -> Iterator[Found]:
    """What every model finds in the test dishes, from every number of frames given."""
    study, spec = nets.study, nets.spec
    drawing = heat_nets(nets)
    made_of = nets.made_of(asdict(spec.roll))
    rolling = [load_stepper(nets.step_file(s), made_of, nets.device) for s in nets.seeds]
    each: Any = study.given
    for given in progress(each, len(study.given), "forecasts") if progress else each:
        yield last_frame(study, given)
        yield density_maximum(study, given, spec.heat)
        for draw in range(N_RANDOM):
            yield random_places(study, given, spec.heat, spec.seed + draw)
        for seed, net in zip(nets.seeds, drawing, strict=True):
            yield learned(study, net, given, spec, seed)
        start = start_of(study, given, spec.roll)
        if start is not None:
            for seed, stepper in zip(nets.seeds, rolling, strict=True):
                ends = rolled_out(study, stepper, start, spec.roll, nets.device)
                yield from rollouts(study, ends, given, spec, seed=seed)


def learned(study: Study, net: HeatNet, given: int, spec: AggregationSpec, seed: int) -> Found:
    """The maxima of the maps that a heat net draws."""
    rows = [*study.of("val"), *study.of("test")]
    planes = np.stack([dish_planes(study, i, given) for i in rows])
    drawn = drawn_maps(net, planes, batch_size=spec.heat.batch_size)
    maps = {i: heat.astype(np.float64) for i, heat in zip(rows, drawn, strict=True)}
    return read_maps(study, "learned", given, {"map": maps}, apart_um=spec.heat.apart_um, seed=seed)
