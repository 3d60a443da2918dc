"""Train a next-frame forecaster on slime-mold movies and report what it is worth.

python scripts/train_slime.py [CONFIG.yaml] [STORE ...] [key=value ...]
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from baselines.of_run import fit_rivals
from slime.arguments import help_text, load_config, wants_help
from slime.arithmetic import check_arithmetic
from slime.checkpoint import load_run, shape_of
from slime.command import run_command
from slime.config import RunConfig, config_yaml
from slime.demo import with_demo_stores
from slime.devices import pick_device
from slime.files import write_json, write_text
from slime.fit import Record
from slime.fronts import Front, describe_field, measure_fronts, short_sight
from slime.prepare import Prepared
from slime.progress import bar
from slime.ranks import Ranks, joined_ranks, refuse_ranks
from slime.run.facts import check_movies, describe_run
from slime.run.folder import RunFolder, default_out, environment, write_environment
from slime.run.report import report_run
from slime.run.saves import Saves, load_last
from slime.run.scoring import meeting
from slime.run.several import HELP as SEVERAL
from slime.run.several import seeds_asked, train_seeds
from slime.run.snapshots import n_snapshots
from slime.run.training import (
    fit_scale,
    follow,
    fresh_stepper,
    prepare_run,
    train_and_val,
    train_epochs,
)
from slime.sanity import (
    Setting,
    after_training,
    before_training,
    outcome_text,
    write_controls,
)
from slime.schedule import HELP, pick_scheduler
from slime.stepper import Stepper
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
        refuse_ranks("seeds=... trains one run after the other")
        return train_seeds(seeds, words, main)
    with joined_ranks() as ranks:
        return one_run(words, ranks)


def begun(words: Sequence[str]) -> tuple[RunConfig, RunFolder]:
    """The config of a run with the stores of the demo made, and its folder."""
    config, name = load_config(words)
    check_arithmetic(config.optim, pick_device(config.device))
    folder = RunFolder(Path(config.out) if config.out else default_out(name), resume=config.resume)
    return with_demo_stores(config), folder


def one_run(words: Sequence[str], ranks: Ranks) -> int:
    """One run, by one process or several: the first alone fits rivals, writes, tracks, prints."""
    began = time.perf_counter()
    address, words = pick_scheduler(words)
    config, folder = ranks.shared(lambda: begun(words))
    device = ranks.device(pick_device(config.device))
    prepared = prepare_run(config, address, ranks=ranks, progress=bar if ranks.first else None)
    if config.resume:
        check_movies(folder.path, prepared)
    for note in prepared.notes:
        print(f"note: {note}")
    for split in ("val", "test") if config.test else ("val",):
        # what cannot be scored in the end is told before it is trained; drift reads two frames
        meeting(split, config, prepared, n_in=max(config.window.n_in, 2), device=device)
    train, val = train_and_val(config, prepared, device, ranks=ranks)
    scale = fit_scale(config, prepared, address, ranks=ranks, progress=bar)
    if not ranks.first:
        follow(config, train, val, scale, device, ranks)
        return 0
    rivals = fit_rivals(config, prepared, scale=scale, device=device, progress=bar)
    shape = shape_of(config.window, train)
    setting = Setting(config, prepared, shape, scale.to(device), device)
    verdicts = before_training(setting, progress=bar)
    stepper = fresh_stepper(config, train, scale, device)
    n_train, n_val = (stream.state_dict()["windows"] for stream in (train, val))  # of all ranks
    print(f"{n_train} windows to train on, {n_val} to validate, on {device}{ranks.text()}")

    print(f"train: {train.description()}")
    fronts = sight_told(config, prepared, stepper)
    n_kept, said = n_snapshots(config.landscape.snapshots, stepper)
    for note in said:
        print(f"note: {note}")
    with folder as run:
        resume, said = load_last(run)
        for note in [*said, *cut_metrics(run, resume.epoch if resume else 0)]:
            print(f"note: {note}")
        yaml = config_yaml(config)
        write_text(run / "config.yaml", yaml)
        write_environment(run, {**environment(device), "train frames": train.description()})
        write_json(run / "run.json", describe_run(run, config, prepared, stepper, fronts=fronts))
        saves = Saves(
            run,
            stepper,
            net=config.net,
            shape=shape,
            config=yaml,
            n_snapshots=n_kept,
            n_epochs=config.optim.epochs,
        )
        with Tracker(run, config.tracking, asdict(config)) as tracker:
            for record in train_epochs(
                config, stepper, train, val, resume, saves.last, ranks=ranks, progress=bar
            ):
                saves.epoch(record, tracker)
                print(epoch_line(record))
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


def sight_told(config: RunConfig, prepared: Prepared, stepper: Stepper) -> list[Front]:
    """How far fronts move in a lead; prints it beside how far the net sees."""
    fronts, said = measure_fronts(
        *prepared.of("train"), step=config.window.step, memory_budget=config.data.memory_budget
    )
    sees = config.net.kind, getattr(stepper.net, "receptive_radius", None), fronts
    print(f"net: {describe_field(*sees)}")
    for note in [*said, *short_sight(*sees)]:
        print(f"note: {note}")
    return fronts


def epoch_line(record: Record) -> str:
    """An epoch in a line."""
    losses = f"train {record.train_loss:.4f}  val {record.val_loss:.4f}"
    best = "  best" if record.best else ""
    return f"epoch {record.epoch:3d}  {losses}  skill {record.val_skill:+.3f}{best}"


if __name__ == "__main__":
    run_command(main)
