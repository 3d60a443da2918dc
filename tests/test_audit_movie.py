"""The command as a user types it: exit codes, what it prints, what it writes."""

import json

import matplotlib.image
import numpy as np
import pytest
from dishes import dish, movie
from scripts_by_name import script

from slime.audit import audit
from slime.command import run_command
from slime.errors import SlimeError
from slime.plots.audit import audit_page


@pytest.fixture
def main():
    return script("audit_movie")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_clean_store_leaves_with_0_and_a_picture(main, bare, here, capsys):
    assert main([str(bare(dish(n_frames=20)))]) == 0
    said = capsys.readouterr().out
    assert "a dish: 20 frames, 2 notes" in said
    assert sorted(p.name for p in (here / "audit" / "a dish").iterdir()) == [
        "audit.csv",
        "audit.json",
        "audit.md",
        "audit.png",
    ]
    picture = matplotlib.image.imread(here / "audit" / "a dish" / "audit.png")
    assert picture.shape[1] > 1200
    assert picture.std() > 0.05


def test_findings_leave_with_1_and_several_stores_in_folders(main, bare, here):
    pixels = dish(n_frames=20)
    pixels[5] = 0
    bad, good = bare(pixels, "bad.zarr"), bare(dish(seed=2, n_frames=20), "good.zarr")
    assert main([str(bad), str(good), "out=seen"]) == 1
    found = json.loads((here / "seen" / "bad" / "audit.json").read_text())["findings"]
    assert found[0]["frames"] == [5]
    assert (here / "seen" / "good" / "audit.png").exists()
    assert main([str(bad), "out=alone"]) == 1
    assert (here / "alone" / "audit.json").exists()


def test_a_mistake_leaves_with_2_in_one_line(main, here, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["audit_movie.py", "nowhere.zarr"])
    with pytest.raises(SystemExit) as left:
        run_command(main)
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SlimeError, match="there is no store"):
        main(["nowhere.zarr"])


def test_help_is_help(main, capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "--scheduler tcp://HOST:PORT" in said
    assert "memory_gib=2.0" in said


@pytest.mark.slow
def test_a_dask_scheduler_finds_the_same(main, bare, here):
    from distributed import LocalCluster

    pixels = dish(n_frames=40)
    pixels[9] = pixels[30]
    store = str(bare(pixels, chunks=(4, 96, 128)))
    assert main([store, "out=threads"]) == 1
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as cluster:
        assert main([store, "out=far", "--scheduler", cluster.scheduler_address]) == 1
    held = [(here / name / "audit.json").read_text() for name in ("threads", "far")]
    assert held[0] == held[1]


def test_a_page_is_drawn_of_any_movie():
    rng = np.random.default_rng(0)
    for pixels in (
        rng.integers(1, 99, (3, 4, 5)).astype("uint16"),
        np.zeros((4, 20, 30)),
        rng.random((12, 3, 30, 20)),
        np.full((5, 9, 9), np.nan),
    ):
        page = audit_page(audit(movie(pixels)))
        page.draw_without_rendering()
    with pytest.raises(ValueError, match="full=False"):
        audit_page(audit(movie(rng.random((3, 4, 5))), full=False))


def test_the_page_marks_the_frames_of_each_finding():
    pixels = dish(n_frames=40)
    pixels[[5, 6]] = 0
    pixels[30] = pixels[12]
    page = audit_page(audit(movie(pixels)))
    marks = page.axes[1]
    labels = [t.get_text() for t in marks.get_yticklabels()]
    at = {labels[i]: c.get_offsets()[:, 0].tolist() for i, c in enumerate(marks.collections)}
    assert at["blank"] == [5, 6]
    assert at["duplicated"] == [30]
    light = page.axes[0].lines[0].get_ydata()
    assert np.flatnonzero(np.isnan(light)).tolist() == [5, 6]
