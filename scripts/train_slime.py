"""Train a next-frame forecaster on slime-mold movies and report what it is worth.

python scripts/train_slime.py [CONFIG.yaml] [STORE ...] [key=value ...]
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from baselines import fit_baselines
from slime.arguments import help_text, load_config, wants_help
from slime.arithmetic import check_arithmetic
from slime.checkpoint import build_stepper, load_run, save_run, shape_of, stopped_early
from slime.command import run_command
from slime.config import config_yaml
from slime.demo import with_demo_stores
from slime.devices import pick_device
from slime.files import write_json, write_text
from slime.fit import fit
from slime.fronts import describe_field, measure_fronts, short_sight
from slime.prepare import prepare
from slime.progress import bar
from slime.run.facts import describe_run
from slime.run.folder import RunFolder, default_out, environment, write_environment
from slime.run.report import report_run
from slime.run.scoring import meeting
from slime.run.several import HELP as SEVERAL
from slime.run.several import seeds_asked, train_seeds
from slime.run.snapshots import SNAPSHOTS, n_snapshots, snapshot_due
from slime.sanity import (
    Setting,
    after_training,
    before_training,
    outcome_text,
    write_controls,
)
from slime.scale import Standardizer
from slime.schedule import HELP, pick_scheduler, scheduler
from slime.stream import WindowStream
from slime.tracking import Tracker, cut_metrics

USAGE = "usage: python scripts/train_slime.py [CONFIG.yaml] [STORE ...] [key=value ...]"


def main(arguments: Sequence[str]) -> int:
    """Open, train, score, report; prints what was left out or assumed on the way.

    Gives the exit code: 1 where a control failed.
    """
    if wants_help(arguments):
        print(help_text(USAGE))
        print(f"\n{SEVERAL}\n{HELP}")
        return 0
    seeds, words = seeds_asked(arguments)
    if seeds:
        return train_seeds(seeds, words, main)
    began = time.perf_counter()
    address, words = pick_scheduler(words)
    config, name = load_config(words)
    device = pick_device(config.device)
    check_arithmetic(config.optim, device)
    out = Path(config.out) if config.out else default_out(name)
    folder = RunFolder(out, resume=config.resume)
    config = with_demo_stores(config)

    with scheduler(address) as executor:
        prepared = prepare(
            config.data, config.window, seed=config.seed, progress=bar, executor=executor
        )
    for note in prepared.notes:
        print(f"note: {note}")
    for split in ("val", "test") if config.test else ("val",):
        # what cannot be scored in the end is told before it is trained; drift reads two frames
        meeting(split, config, prepared, n_in=max(config.window.n_in, 2), device=device)
    movies, splits = prepared.of("train")
    budget = config.data.memory_budget
    size = config.optim.batch_size
    train = WindowStream(
        movies,
        splits,
        config.window,
        batch_size=size,
        seed=config.seed,
        memory_budget=budget,
        crop=config.data.window_size,
        device=device,
    )
    val_movies, val_splits = prepared.of("val")
    val = WindowStream(
        val_movies,
        val_splits,
        config.window,
        batch_size=size,
        memory_budget=budget,
        crop=config.data.window_size,
        device=device,
    )
    with scheduler(address) as executor:
        scale = Standardizer.fit(
            movies,
            splits,
            step=config.window.step,
            memory_budget=budget,
            progress=bar,
            executor=executor,
        )
    rivals = fit_baselines(
        prepared.movies,
        prepared.each("train"),
        config.window,
        val_splits=prepared.each("val"),
        scale=scale,
        memory_budget=budget,
        device=device,
        seed=config.seed,
        progress=bar,
    )
    shape = shape_of(config.window, train)
    setting = Setting(config, prepared, shape, scale.to(device), device)
    verdicts = before_training(setting, progress=bar)
    torch.manual_seed(config.seed)
    stepper = build_stepper(config.net, shape, scale).to(device)
    print(f"{train.n_windows} windows to train on, {val.n_windows} to validate, on {device}")

    print(f"train: {train.description()}")
    fronts, said = measure_fronts(movies, splits, step=config.window.step, memory_budget=budget)
    sees = config.net.kind, getattr(stepper.net, "receptive_radius", None), fronts
    print(f"net: {describe_field(*sees)}")
    for note in [*said, *short_sight(*sees)]:
        print(f"note: {note}")

    n_kept, said = n_snapshots(config.landscape.snapshots, stepper)
    for note in said:
        print(f"note: {note}")
    with folder as run:
        # A run that was stopped before its first epoch was saved begins anew.
        resume = load_run(run / "last.pt") if (run / "last.pt").exists() else None
        cut_metrics(run, resume.epoch if resume else 0)
        if resume is not None:
            stepper.load_state_dict(resume.stepper.state_dict())
        yaml = config_yaml(config)
        write_text(run / "config.yaml", yaml)
        write_environment(run, {**environment(device), "train frames": train.description()})
        write_json(run / "run.json", describe_run(run, config, prepared, stepper, fronts=fronts))
        with Tracker(run, config.tracking, asdict(config)) as tracker:
            records = fit(
                stepper,
                train,
                val,
                config.optim,
                seed=config.seed,
                resume=resume.resume if resume else None,
                progress=bar,
            )
            for record in records if not stopped_early(resume, config.optim) else ():
                save = partial(
                    save_run,
                    stepper=stepper,
                    net=config.net,
                    shape=shape,
                    config=yaml,
                    epoch=record.epoch,
                    resume=record.resume,
                )
                if record.best:
                    save(run / "best.pt")
                if snapshot_due(record.epoch, config.optim.epochs, n_kept):
                    save(run / SNAPSHOTS / f"{record.epoch:05d}.pt", resume=None)
                tracker.log(record.row())
                save(run / "last.pt")
                print(
                    f"epoch {record.epoch:3d}  train {record.train_loss:.4f}  val "
                    f"{record.val_loss:.4f}  skill {record.val_skill:+.3f}"
                    + ("  best" if record.best else "")
                )
                if record.epochs_since_best >= config.optim.patience:
                    break
            best = load_run(run, device=device)
            verdicts += after_training(setting, best.stepper, progress=bar)
            write_controls(run, verdicts)
            done = report_run(
                run, config, prepared, best, rivals, open_test_split=config.test, progress=bar
            )
            tracker.log_scores(done.numbers)
            tracker.log_images(run / "figures")
            if tracker.sync_command:
                print(f"to upload the run: {tracker.sync_command}")
    print(f"{time.perf_counter() - began:.0f} s in all")
    for note in done.notes:
        print(f"note: {note}")
    if verdicts:
        print(outcome_text(verdicts, whole=config.sanity is True))
    print(done.page)
    print(done.headline)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


if __name__ == "__main__":
    run_command(main)
