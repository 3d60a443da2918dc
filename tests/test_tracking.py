import os

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
