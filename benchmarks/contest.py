"""slime against The Well's nets at equal CPU-seconds: make contest.

Each side's width, learning rate and head are tuned on validation by equal numbers of trials; all
train on the same windows, batches and scales with one torch thread, and meet on the test split.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.well_nets import FNO, UNET, build_fno, build_unet, check_installed, one_thread
from slime.arguments import wants_help
from slime.command import run_command
from slime.files import write_text
from slime.progress import bar
from slime.settings import settings_help
from slime.studies.contest import ContestSpec, enter_all, play
from slime.studies.entrants import Contestant, Entered
from slime.studies.rows import T
from slime.studies.spec import open_worlds, read_words
from slime.studies.tables import (
    horizon_text,
    markdown,
    number,
    one_row,
    with_interval,
    write_csv,
)

USAGE = "usage: python -m benchmarks.contest [CONFIG.yaml] [key=value ...]"
CONTESTANTS = (
    Contestant("cnn_unrolled", (16, 32), kind="cnn", n_out=4, unroll_after=0.7),
    Contestant("cnn", (16, 32)),
    Contestant(UNET, (8, 16), build_unet),
    Contestant(FNO, (16, 32), build_fno),
)


def main(words: Sequence[str]) -> None:
    """Tune, train, play; writes contest.md, contest.csv and contest_trials.csv."""
    if wants_help(words):
        print(f"{USAGE}\n\n{settings_help(ContestSpec)}")
        return
    spec = read_words(ContestSpec, words)
    check_installed()
    one_thread()
    worlds = open_worlds(spec, progress=bar)
    entered = enter_all(spec, worlds, CONTESTANTS, progress=bar)
    table, notes = play(spec, worlds, entered, progress=bar)
    out = Path(spec.out).expanduser()
    trials = [row for sides in entered.values() for side in sides for row in side.tried]
    write_csv(table, out / "contest.csv")
    write_csv(pd.DataFrame(trials), out / "contest_trials.csv")
    text = contest_text(spec, table, entered)
    write_text(out / "contest.md", text)
    for note in notes:
        print(f"note: {note}")
    print(text)


def contest_text(
    spec: ContestSpec, table: pd.DataFrame, entered: Mapping[str, Sequence[Entered]]
) -> str:
    """What was played, who won where, and what each side had chosen."""
    n_trials = len(CONTESTANTS[0].trials(spec))
    first = CONTESTANTS[0].name
    lines = [
        f"{spec.budget_s:g} CPU-seconds of training steps each, one thread; {n_trials} trials a "
        f"side on validation, {spec.seeds} seeds of the best; {spec.n_in} frames given, batches of "
        f"{spec.batch_size}; {spec.split} split. Intervals {spec.level:.0%}, over seeds and times; "
        f"p by Holm over all comparisons. T_0.8 with the share of rollouts that held for all of "
        f"{spec.leads} leads.",
        "",
    ]
    rows = [_line(spec, table, name, side) for name, sides in entered.items() for side in sides]
    header = ["world", "net", "chosen", "steps", "CPU-s", "skill at lead 1", "T_0.8"]
    lines += [markdown(header, rows), "", f"{first} less the other:", ""]
    pairs = [f"{first} - {other.name}" for other in CONTESTANTS[1:]]
    compared = [_compared(table, world, pair) for world in entered for pair in pairs]
    lines.append(markdown(["world", "pair", "skill", "T_0.8", "won"], compared))
    return "\n".join(lines) + "\n"


def _line(spec: ContestSpec, table: pd.DataFrame, world: str, side: Entered) -> list[str]:
    name, trial = side.contestant.name, side.trial
    own = next(
        row
        for row in side.tried
        if (row["width"], row["head"], row["lr"]) == (trial.net.width, trial.net.head, trial.lr)
    )
    chosen = f"width {trial.net.width}, {trial.net.head}, lr {trial.lr:g}"
    skill = with_interval(one_row(table, world=world, model=name, score="skill"))
    horizon = horizon_text(table, world=world, model=name)
    return [world, name, chosen, f"{own['steps']}", f"{own['cpu_s']:.1f}", skill, horizon]


def _compared(table: pd.DataFrame, world: str, pair: str) -> list[str]:
    found = [
        one_row(table, world=world, model=pair, score=f"{score} difference")
        for score in ("skill", T)
    ]
    texts = [
        f"{with_interval(row, digits)}, p {number(row['p_holm'], 3, sign=False)}"
        for row, digits in zip(found, (3, 1), strict=True)
    ]
    return [world, pair, *texts, _verdict(found)]


def _verdict(found: Sequence[Any]) -> str:
    """Which of the two scores the first side wins for certain; lost is said as well."""
    words = []
    for row, name in zip(found, ("skill", "T_0.8"), strict=True):
        if row["low"] > 0:
            words.append(name)
        elif row["high"] < 0:
            words.append(f"{name} lost")
    return ", ".join(words) or "neither"


if __name__ == "__main__":
    run_command(main)
