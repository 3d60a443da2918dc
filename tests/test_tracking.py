import os
import sys
import types

import pytest

from slime.errors import SlimeError
from slime.files import read_lines
from slime.tracking import Tracker, TrackingSpec, cut_metrics


def test_metrics_are_written_a_line_an_epoch_without_wandb(tmp_path):
    with Tracker(tmp_path, TrackingSpec(wandb="disabled"), {}) as tracker:
        tracker.log({"epoch": 0, "val_loss": 1.5})
        tracker.log({"epoch": 1, "val_loss": 1.25})
    assert [row["val_loss"] for row in read_lines(tmp_path / "metrics.jsonl")] == [1.5, 1.25]
    assert tracker.sync_command is None
    assert not (tmp_path / "wandb").exists()


def test_where_wandb_is_not_installed_a_run_says_so_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("slime.tracking.find_spec", lambda name: None)
    with Tracker(tmp_path, TrackingSpec(), {}) as tracker:
        tracker.log({"epoch": 1})
    assert "wandb is not installed: metrics.jsonl alone is written" in capsys.readouterr().err
    assert [row["epoch"] for row in read_lines(tmp_path / "metrics.jsonl")] == [1]
    with pytest.raises(SlimeError, match=r"tracking\.wandb=online needs wandb: pip install wandb"):
        Tracker(tmp_path, TrackingSpec(wandb="online"), {})


class Mirror:
    """What wandb.init gives, and fails after so many calls."""

    def __init__(self, n_calls):
        self.n_calls, self.told = n_calls, []

    def log(self, row):
        if len(self.told) == self.n_calls:
            raise ConnectionResetError("Connection lost")
        self.told.append(row)

    def finish(self, exit_code):
        self.log(exit_code)

    def define_metric(self, *_, **__):
        pass


def with_wandb(monkeypatch, init):
    fake = types.ModuleType("wandb")
    fake.Settings, fake.init = dict, init
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr("slime.tracking.find_spec", lambda name: fake)
    monkeypatch.setattr(os, "environ", dict(os.environ))


@pytest.mark.parametrize("n_calls", [0, 1, 2])
def test_a_run_outlives_its_mirror_and_says_so_once(tmp_path, monkeypatch, capsys, n_calls):
    mirror = Mirror(n_calls)
    with_wandb(monkeypatch, lambda **_: mirror)
    with Tracker(tmp_path, TrackingSpec(), {}) as tracker:
        tracker.log({"epoch": 1})
        tracker.log({"epoch": 2})
        if n_calls < 2:
            assert tracker.sync_command is None
            tracker.log_scores({"mse": 1.0})
            tracker.log_images(tmp_path)
    assert mirror.told == [{"train/epoch": i + 1} for i in range(n_calls)]
    assert [row["epoch"] for row in read_lines(tmp_path / "metrics.jsonl")] == [1, 2]
    said = capsys.readouterr().err
    assert said.count("the wandb mirror has ended (ConnectionResetError: Connection lost)") == 1


def test_a_mirror_that_does_not_start_is_left_out_unless_it_was_asked_to_be_online(
    tmp_path, monkeypatch, capsys
):
    def refuses(**_):
        raise RuntimeError("no\ncore")

    with_wandb(monkeypatch, refuses)
    with Tracker(tmp_path, TrackingSpec(), {}) as tracker:
        tracker.log({"epoch": 1})
    assert (
        "note: wandb refuses to start (RuntimeError: no core): metrics" in capsys.readouterr().err
    )
    assert len(read_lines(tmp_path / "metrics.jsonl")) == 1
    with pytest.raises(SlimeError, match=r"refuses to start .*: tracking\.wandb=disabled"):
        Tracker(tmp_path, TrackingSpec(wandb="online"), {})


def test_a_resumed_run_makes_its_later_lines_again(tmp_path):
    with Tracker(tmp_path, TrackingSpec(wandb="disabled"), {}) as tracker:
        for epoch in (1, 2, 3, 4):
            tracker.log({"epoch": epoch})
    cut_metrics(tmp_path, 2)
    assert [row["epoch"] for row in read_lines(tmp_path / "metrics.jsonl")] == [1, 2]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_offline_mirror_lies_in_the_run_and_asks_for_nothing(tmp_path, monkeypatch):
    for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    run = tmp_path / "run"
    with Tracker(run, TrackingSpec(), {"seed": 0}) as tracker:
        tracker.log({"epoch": 0, "val_loss": 1.5})
        command = tracker.sync_command
    assert command is not None
    assert command.startswith("wandb sync ")
    assert list((run / "wandb").glob("offline-run-*/*.wandb"))
    assert not list((tmp_path / "home").glob("**/*wandb*"))
