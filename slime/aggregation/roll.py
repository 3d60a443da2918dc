"""The other way: a forecaster of the next frame, rolled out to the frame of truth."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from slime.aggregation.found import Found, read_maps
from slime.aggregation.spec import AggregationSpec, RollSpec
from slime.aggregation.study import Study
from slime.checkpoint import build_stepper, load_run, save_run, shape_of
from slime.errors import SlimeError
from slime.fit import fit
from slime.frames import read_frames
from slime.observables.fields import smoothed
from slime.progress import Progress
from slime.scale import Standardizer
from slime.split import Split
from slime.stepper import Step, Stepper, rollout
from slime.stream import WindowStream
from slime.windows import WindowSpec


@dataclass(frozen=True)
class Start:
    """From which frame a rollout starts, and in how many steps it reaches the truth."""

    frame: int
    n_steps: int


def frames_a_step(study: Study, spec: RollSpec) -> int:
    """Frames between two frames of the forecaster; one at least."""
    return max(round(spec.step_min * 60 / study.dishes[0].frame_interval_s), 1)


def start_of(study: Study, given: int, spec: RollSpec) -> Start | None:
    """The newest frame given from which whole steps lead to the truth; None with too few frames."""
    step, last = frames_a_step(study, spec), study.n_frames - 1
    n_steps = -(-(last - (given - 1)) // step)
    frame = last - n_steps * step
    if frame - (spec.n_in - 1) * step < 0:
        return None
    return Start(frame, n_steps)


def train_stepper(
    study: Study,
    spec: AggregationSpec,
    file: Path,
    *,
    seed: int,
    made_of: str,
    device: torch.device,
    progress: Progress | None = None,
) -> str:
    """Train a forecaster on the train dishes and write the one best on validation into `file`.

    Gives a line that tells how it went.
    """
    roll = spec.roll
    windows = WindowSpec(roll.n_in, roll.n_out, frames_a_step(study, roll), roll.hop)
    train, val = (
        _stream(study, split, windows, spec, seed=seed if split == "train" else None, device=device)
        for split in ("train", "val")
    )
    torch.manual_seed(seed)
    movies, splits = train.movies, train.splits
    scale = Standardizer.fit(movies, splits, step=windows.step)
    shape = shape_of(windows, train)
    stepper = build_stepper(roll.net, shape, scale).to(device)
    best: Any = None
    records: Any = fit(stepper, train, val, roll.optim, seed=seed)
    if progress is not None:
        records = progress(records, roll.optim.epochs, f"next-frame net {seed}")
    for record in records:
        if record.best:
            state = {name: value.detach().clone() for name, value in stepper.state_dict().items()}
            best = record, state
        if record.epochs_since_best >= roll.optim.patience:
            break
    if best is None:
        raise SlimeError("the next-frame net has no finite loss: a smaller roll.optim.lr would do")
    record, state = best
    stepper.load_state_dict(state)
    save_run(file, stepper, net=roll.net, shape=shape, config=made_of, epoch=record.epoch)
    return (
        f"best epoch {record.epoch} of {roll.optim.epochs}, "
        f"skill over persistence at {roll.step_min:g} min {record.val_skill:+.3f}"
    )


def load_stepper(file: Path, made_of: str, device: torch.device) -> Stepper:
    """Read a forecaster of this study.

    Raises:
        StoreError: it cannot be read.
        SlimeError: it was trained on other movies or with other settings.
    """
    saved = load_run(file, device=device)
    if saved.config != made_of:
        raise SlimeError(
            f"{file} was trained on other movies or settings: another out= starts a new study"
        )
    return saved.stepper


def rolled_out(
    study: Study, stepper: Step, start: Start, spec: RollSpec, device: torch.device
) -> dict[int, Float32[np.ndarray, "y x"]]:
    """The density that is forecast of the frame of truth, for the val and test dishes."""
    step, ends = frames_a_step(study, spec), {}
    for i in (*study.of("val"), *study.of("test")):
        movie = study.dishes[i].as_movie()
        frames, _ = read_frames(movie, 0, start.frame + 1)
        past = torch.from_numpy(frames[start.frame :: -step][: spec.n_in][::-1].copy())
        with torch.inference_mode():
            end = rollout(stepper, past[None].float().to(device), start.n_steps)[0, -1]
        ends[i] = end[study.dishes[i].cells].cpu().numpy()
    return ends


def rollouts(
    study: Study,
    ends: dict[int, Float32[np.ndarray, "y x"]],
    given: int,
    spec: AggregationSpec,
    *,
    seed: int,
) -> list[Found]:
    """Mounds of the forecast frame: by the rule of the truth, and as maxima above a tuned level.

    A forecast of the mean is flatter than any frame: the rule's threshold may be too high for it.
    """
    rule, test = study.rule, study.of("test")
    density = {i: np.where(study.dishes[i].mask, end, np.nan) for i, end in ends.items()}
    by_rule = {i: rule.mounds(density[i]).position_um for i in test}
    smooth = {i: smoothed(end.astype(np.float64), rule.sigma_px) for i, end in density.items()}
    return [
        Found("rollout", given, seed, by_rule, {i: ends[i] for i in test}),
        read_maps(
            study,
            "rollout_maximum",
            given,
            {"smoothed": smooth},
            apart_um=spec.heat.apart_um,
            seed=seed,
        ),
    ]


def _stream(
    study: Study,
    split: str,
    windows: WindowSpec,
    spec: AggregationSpec,
    *,
    seed: int | None,
    device: torch.device,
) -> WindowStream:
    dishes = [study.dishes[i] for i in study.of(split)]
    return WindowStream(
        [dish.as_movie() for dish in dishes],
        [Split(split, 0, study.n_frames, dish.name) for dish in dishes],
        windows,
        batch_size=spec.roll.optim.batch_size,
        seed=seed,
        memory_budget=spec.data.memory_budget,
        device=device,
    )
