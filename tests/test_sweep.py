"""A sweep's runs: several at once, none twice, through failures, Ctrl-C and kills."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from scripts_by_name import script

from slime.errors import SlimeError
from slime.files import read_lines
from slime.lock import HeldLock
from slime.sweeps.sweep import read_words, run_sweep

ROOT = Path(__file__).resolve().parents[1]
# stands for a training: writes what one leaves behind, and each of its beginnings and ends
STUB = """
import json, sys, time
from pathlib import Path
given = dict(word.split("=", 1) for word in sys.argv[1:])
out, here = Path(given["out"]), Path(__file__).parent
out.mkdir(parents=True, exist_ok=True)
def tell(what):
    row = {"what": what, "out": out.name, "words": sys.argv[1:], "at": time.time()}
    with open(here / "told.jsonl", "a") as file:
        file.write(json.dumps(row) + "\\n")
tell("begun")
(out / "config.yaml").write_text("")
try:
    time.sleep(float(given.get("sleep", 0)))
except KeyboardInterrupt:
    tell("saved")
    sys.exit(130)
if given["x"] == given.get("fails"):
    sys.exit("x=%s cannot be" % given["x"])
row = {"best": True, "val_skill": float(given["x"]) / 8, "epoch": 1}
(out / "metrics.jsonl").write_text(json.dumps(row) + "\\n")
tell("ended")
(out / "report.html").write_text("")
sys.exit(int(given.get("code", 0)))
"""


@pytest.fixture
def words(tmp_path):
    """The command line of a sweep of 12 runs of a stub."""
    (tmp_path / "stub.py").write_text(STUB)
    tree = {
        "program": str(tmp_path / "stub.py"),
        "command": ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"],
        "method": "grid",
        "metric": {"name": "val/skill", "goal": "maximize"},
        "parameters": {"x": {"min": 0, "max": 11}},
    }
    (tmp_path / "sweep_x.yaml").write_text(yaml.safe_dump(tree))
    return [str(tmp_path / "sweep_x.yaml"), f"out={tmp_path / 'out'}"]


def told(tmp_path, what):
    return [row for row in read_lines(tmp_path / "told.jsonl") if row["what"] == what]


def begin(words):
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "sweep.py", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def wait_for(tmp_path, what, n):
    until = time.monotonic() + 60
    while len(told(tmp_path, what)) < n:
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
def test_a_sweep_killed_in_the_middle_completes_with_no_run_done_twice(words, tmp_path):
    words += ["jobs=2", "sleep=0.4"]
    process = begin(words)
    wait_for(tmp_path, "ended", 5)
    process.kill()
    process.communicate()
    time.sleep(1.5)  # longer than a run takes
    cut = [row["out"] for row in told(tmp_path, "saved")]
    ended = len(told(tmp_path, "ended"))
    assert 5 <= ended <= 7
    assert len(told(tmp_path, "begun")) == ended + len(cut)  # runs end with the sweep
    again = begin(words)
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0
    assert f"12 runs, {ended} finished, {12 - ended} to run, 2 at once" in said
    names = [row["out"] for row in told(tmp_path, "ended")]
    assert len(names) == len(set(names)) == 12
    goes_on = [row["out"] for row in told(tmp_path, "begun") if "resume=true" in row["words"]]
    assert sorted(goes_on) == sorted(cut)
    table = pd.read_csv(tmp_path / "out" / "sweep.csv")
    assert table.x.tolist() == list(range(11, -1, -1))  # the best first
    assert set(table.state) == {"finished"}


@pytest.mark.slow
def test_an_interrupted_sweep_lets_its_runs_save_and_goes_on(words, tmp_path):
    words += ["jobs=2", "runs=3"]
    process = begin([*words, "sleep=30"])
    wait_for(tmp_path, "begun", 2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; what was finished is saved" in said
    assert len(told(tmp_path, "saved")) == 2
    assert read_words(words).states


def test_runs_go_side_by_side_and_what_is_done_is_skipped(words, tmp_path):
    words += ["jobs=3", "runs=3", "sleep=0.3"]
    lines = list(run_sweep(read_words(words)))
    assert lines[0] == "note: 3 of the grid's 12 runs, the first"
    assert lines[1] == f"{tmp_path / 'out'}: 3 runs, 0 finished, 3 to run, 3 at once"
    first_end = min(row["at"] for row in told(tmp_path, "ended"))
    assert all(row["at"] < first_end for row in told(tmp_path, "begun"))
    assert re.fullmatch(r"best val/skill: 0.25, .*/x2-[0-9a-f]{8}", lines[-2])
    assert lines[-1] == f"python scripts/compare_runs.py {tmp_path / 'out'} common=true"
    lines = list(run_sweep(read_words(words)))
    assert "3 runs, 3 finished, 0 to run" in lines[1]
    assert len(told(tmp_path, "begun")) == 3


def test_a_failed_run_is_listed_and_stops_no_other(words, tmp_path, capsys):
    words += ["jobs=2", "runs=3", "fails=1"]
    assert script("sweep")(words) == 1
    said = capsys.readouterr().out
    assert re.search(r"failed +x1-\w+: x=1 cannot be \(.*logs/x1-\w+\.log\)", said)
    assert "2 finished, 1 failed; " in said
    assert script("sweep")(words) == 1
    assert len(told(tmp_path, "begun")) == 3  # not again
    assert script("sweep")([*words, "retry=true"]) == 1
    assert len(told(tmp_path, "begun")) == 4
    rows = read_lines(tmp_path / "out" / "runs.jsonl")
    assert [row["state"] for row in rows].count("failed") == 2


def test_a_failed_control_is_told_but_no_failure(words, tmp_path, capsys):
    assert script("sweep")([*words, "runs=1", "code=1"]) == 0
    assert "a control failed" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "out" / "sweep.csv").state.tolist() == ["finished"]


def test_a_run_whose_end_the_sweep_did_not_live_to_write_down_is_finished(words, tmp_path):
    words += ["runs=1"]
    list(run_sweep(read_words(words)))
    (tmp_path / "out" / "runs.jsonl").unlink()
    list(run_sweep(read_words(words)))
    assert len(told(tmp_path, "begun")) == 1


def test_no_more_runs_are_begun_when_the_target_is_reached(words, tmp_path):
    path = Path(words[0])
    tree = yaml.safe_load(path.read_text())
    tree["metric"]["target"] = 0.25
    path.write_text(yaml.safe_dump(tree))
    for _ in range(2):
        lines = list(run_sweep(read_words([*words, "jobs=1"])))
        assert "metric.target is reached: no more runs are begun" in lines
        assert len(told(tmp_path, "ended")) == 3
        assert "9 unfinished" in " ".join(lines)


def test_trainings_are_told_last_that_the_test_split_stays_closed(words, tmp_path):
    path, program = Path(words[0]), tmp_path / "train_slime.py"
    program.write_text(STUB.replace('given["x"]', 'given["seed"]'))
    tree = yaml.safe_load(path.read_text())
    tree |= {"program": str(program), "parameters": {"seed": {"values": [4]}}}
    path.write_text(yaml.safe_dump(tree))
    list(run_sweep(read_words([*words, "data.stores=[a.zarr]", "wandb=disabled"])))
    (row,) = told(tmp_path, "begun")
    assert row["words"][:2] == ["seed=4", "data.stores=[a.zarr]"]
    assert row["words"][2:4] == ["test=false", "tracking.wandb=disabled"]


def test_two_sweeps_do_not_write_into_one_folder(words, tmp_path):
    (tmp_path / "out").mkdir()
    lock = HeldLock(tmp_path / "out" / ".lock", "")
    with pytest.raises(SlimeError, match="is being written by another process"):
        list(run_sweep(read_words(words)))
    lock.release()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["jobs=0"], "jobs=0 must be at least 1"),
        (["draw_seed=-1"], "draw_seed=-1 must be 0 or more"),
        (["wandb=no"], "wandb=no is none of"),
        (["a.yaml"], "name one sweep file, not 2"),
    ],
)
def test_settings_of_a_sweep_are_checked(words, more, told):
    with pytest.raises(SlimeError, match=told):
        read_words([*words, *more])


def test_a_run_or_a_missing_program_is_told(words, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.yaml").write_text("")
    with pytest.raises(SlimeError, match="already holds a run"):
        read_words(words)
    (tmp_path / "out" / "config.yaml").rename(tmp_path / "out" / "seeds.json")
    with pytest.raises(SlimeError, match="holds the runs of several seeds"):
        read_words(words)
    (tmp_path / "stub.py").unlink()
    with pytest.raises(SlimeError, match=r"program .*stub\.py is not there"):
        read_words(words)


def test_help_names_every_setting(capsys):
    assert script("sweep")(["--help"]) == 0
    assert "draw_seed=0" in capsys.readouterr().out


def test_a_score_of_the_best_weights_is_a_metric(tmp_path):
    from slime.sweeps.values import metric_of

    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"net": {"kind": "cnn"}}))
    place = {"seed": 0, "movie": "all", "split": "val", "channel": "all", "low": "", "high": ""}
    rows = [
        {"model": model, "lead": lead, "score": "skill", "value": value, **place}
        for model, lead, value in (("ridge", 1, 0.9), ("cnn", 2, 0.4), ("cnn", 1, 0.5))
    ]
    pd.DataFrame(rows).to_csv(run / "scores.csv", index=False)
    assert metric_of(run, "val/skill@1") == 0.5
    assert metric_of(run, "val/skill@2") == 0.4
    assert metric_of(run, "test/skill@1") is None
    assert metric_of(run, "val/skill@first") is None
    assert metric_of(run, "val/skill") is None
    assert metric_of(tmp_path / "none", "val/skill") is None
    lines = [{"best": b, "val_skill": v, "lr": v} for b, v in ((True, 0.25), (False, 0.1))]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert metric_of(run, "val/skill") == metric_of(run, "train/lr") == 0.25
