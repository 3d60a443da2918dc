"""What the documents promise: their names exist, their commands run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "DATA.md", "CONTRIBUTING.md")


@pytest.mark.parametrize("page", PAGES)
def test_files_and_folders_that_are_named_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:slime|baselines|scripts|tests|configs|notebooks)/[\w./-]*)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_are_named_exist(page):
    from slime.config import RunConfig
    from slime.settings import settings_of

    known = {name for name, *_ in settings_of(RunConfig)}
    text = (ROOT / page).read_text(encoding="utf-8")
    groups = "data|window|net|optim|score|landscape|tracking|demo"
    named = set(re.findall(rf"(?<![\w/])((?:{groups})\.(?!py\b)[a-z_]+)(?==|`)", text))
    assert named <= known


def documented_commands():
    """The lines of README's sh blocks, as words."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line]


@pytest.mark.slow
def test_the_commands_of_the_readme_run_in_their_order(tmp_path):
    for folder in ("scripts", "configs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    commands = documented_commands()
    assert len(commands) >= 4
    for program, *words in commands:
        assert program == "python"
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
    assert (tmp_path / "data" / "ahead.zarr").exists()
    assert (tmp_path / "runs" / "mine" / "report.html").exists()


@pytest.mark.slow
def test_the_demo_beats_persistence_and_the_ridge_stencil_on_held_out_frames(tmp_path):
    """The front page's claim, remade: intervals of both skills exclude zero at lead 1."""
    import pandas as pd

    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "train_slime.py", "out=runs/demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    scores = pd.read_csv(tmp_path / "runs" / "demo" / "scores.csv")
    rows = scores.query(
        "model == 'cnn' and movie == 'all' and channel == 'all' and split == 'test' and lead == 1"
    ).set_index("score")
    assert rows.low["skill"] > 0.5
    assert rows.low["skill_ridge"] > 0
    page, headline = done.stdout.strip().splitlines()[-2:]
    assert page == str(Path("runs/demo/report.html"))
    assert headline.startswith("cnn: ")
    assert "better than persistence at lead 1 (15 s), test split" in headline
