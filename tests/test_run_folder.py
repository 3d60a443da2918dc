import errno
import json
import subprocess
import sys

import pytest

from slime.command import run_command
from slime.errors import SlimeError
from slime.files import append_line, read_lines, write_text
from slime.run.folder import (
    RunFolder,
    default_out,
    environment,
    git_state,
    hash_of,
    open_test,
    write_environment,
)


def test_a_folder_that_holds_a_run_is_not_written_into_unasked(tmp_path):
    with RunFolder(tmp_path / "run", resume=False) as run:
        write_text(run / "config.yaml", "seed: 0\n")
    with pytest.raises(SlimeError, match="already holds a run: resume=true"):
        RunFolder(tmp_path / "run", resume=False)
    with pytest.raises(SlimeError, match="holds no run to resume"):
        RunFolder(tmp_path / "other", resume=True)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("seeds.json", "the runs of several seeds"),
        ("sweep.yaml", "the runs of a sweep"),
        ("zarr.json", "a zarr store"),
        (".zarray", "a zarr store"),
        (".zgroup", "a zarr store"),
    ],
)
@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_that_holds_something_else_takes_no_run(tmp_path, name, what, resume):
    (tmp_path / name).write_text("{}")
    with pytest.raises(SlimeError, match=rf"out=.* holds {what}: name a folder of its own"):
        RunFolder(tmp_path, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_cannot_be_made_says_why_before_anything_is_computed(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for name in ("file", "file/run", "file/deeper/run"):
        with pytest.raises(SlimeError, match=rf"out=.*{name} cannot be made: .*file is not a dir"):
            RunFolder(tmp_path / name, resume=False)
    monkeypatch.setattr("slime.folders.os.access", lambda *_: False)
    with pytest.raises(SlimeError, match=rf"cannot be made: {tmp_path} cannot be written to"):
        RunFolder(tmp_path / "new" / "run", resume=False)


def test_a_folder_that_the_system_refuses_to_make_says_why(tmp_path):
    folder = RunFolder(tmp_path / "run", resume=False)
    (tmp_path / "run").write_text("")  # meanwhile
    with pytest.raises(SlimeError, match=r"out=.*run cannot be made: (Not a dir|File exists)"):
        folder.__enter__()


def test_two_processes_do_not_write_one_run(tmp_path):
    with (
        RunFolder(tmp_path / "run", resume=False),
        pytest.raises(SlimeError, match="is being written by another process"),
        RunFolder(tmp_path / "run", resume=False),
    ):
        pass
    assert not (tmp_path / "run" / ".lock").exists()


def test_the_lock_of_a_killed_process_does_not_hold(tmp_path):
    run = tmp_path / "run"
    script = (
        "import os, signal; from pathlib import Path; from slime.run.folder import RunFolder\n"
        f"with RunFolder(Path({str(run)!r}), resume=False):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode != 0
    assert (run / ".lock").exists()
    with RunFolder(run, resume=False):
        pass


def test_the_ledger_counts_openings_of_one_split_by_any_run(tmp_path):
    def opened(run, split_hash):
        (tmp_path / run).mkdir(exist_ok=True)
        return open_test(
            tmp_path / run, split_hash=split_hash, config_yaml="a: 1", weights_hash="w"
        )

    assert [opened("one", "s"), opened("two", "s"), opened("one", "other")] == [1, 2, 1]
    assert [r["opening"] for r in read_lines(tmp_path / "two" / "ledger.jsonl")] == [1, 2]
    assert len(read_lines(tmp_path / "ledger.jsonl")) == 3


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"epoch": 0})
    with path.open("a") as file:
        file.write('{"epoch": 1, "tr')
    assert read_lines(path) == [{"epoch": 0}]


def test_a_resumed_run_keeps_its_first_environment(tmp_path):
    import torch

    facts = environment(torch.device("cpu"))
    assert facts["torch"] == torch.__version__
    write_environment(tmp_path, {"started": "one"})
    write_environment(tmp_path, {"started": "two"})
    kept = json.loads((tmp_path / "environment.json").read_text())
    assert kept["started"] == "one"
    assert [f["started"] for f in kept["resumed"]] == ["two"]


def test_a_library_that_is_not_installed_has_no_version(monkeypatch):
    import torch

    monkeypatch.setattr("slime.run.folder.LIBRARIES", ("numpy", "no-such-library"))
    facts = environment(torch.device("cpu"))
    assert facts["no-such-library"] is None
    assert facts["numpy"]


def test_git_state_is_known_or_said_to_be_unknown():
    state = git_state()
    assert set(state) == {"git commit", "git dirty"}


def test_default_folders_never_collide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = default_out("demo")
    first.mkdir(parents=True)
    assert default_out("demo") != first


def test_hashes_tell_values_apart():
    assert hash_of([1, 2]) == hash_of([1, 2])
    assert hash_of([1, 2]) != hash_of([2, 1])


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (SlimeError("data.gap=9\nis wrong"), 2, "data.gap=9 is wrong"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left"),
    ],
)
def test_a_users_mistake_is_one_line_and_an_exit_code(monkeypatch, capsys, error, code, told):
    def main(_):
        raise error

    monkeypatch.setattr(sys, "argv", ["scripts/train_slime.py"])
    with pytest.raises(SystemExit) as left:
        run_command(main)
    err = capsys.readouterr().err
    assert left.value.code == code
    assert told in err
    assert err.count("\n") == 1


def test_our_own_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(ZeroDivisionError):
        run_command(lambda _: 1 // 0)
