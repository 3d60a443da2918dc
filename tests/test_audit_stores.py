import csv
import json

import numpy as np
import pytest
import zarr
from dishes import dish

from slime.audit import Finding
from slime.audit_stores import (
    AuditSpec,
    audit_stores,
    folder_name,
    frames_text,
    help_text,
    parse_words,
    table_text,
    write_tables,
)
from slime.errors import SlimeError


def test_words_are_stores_and_settings_also_as_training_writes_them(tmp_path):
    odd = tmp_path / "a=b.zarr"
    odd.mkdir()
    words = ["dish 1.zarr", str(odd), "data.axes=TYX", "offset=100", "out=here"]
    stores, spec = parse_words(words)
    assert stores == ["dish 1.zarr", str(odd)]
    assert (spec.axes, spec.offset, spec.out) == ("TYX", 100.0, "here")
    assert spec.data("s").stores == ["s"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a store"),
        (["out=x"], "name a store"),
        (["a.zarr", "./a.zarr"], "is given twice"),
        (["a.zarr", "--full"], "unknown option --full"),
        (["a.zarr", "ofset=1"], "there is no setting ofset; did you mean offset"),
        (["a.zarr", "offset=dark"], "offset"),
    ],
)
def test_mistakes_are_said_in_a_line(words, said):
    with pytest.raises(SlimeError, match=said):
        parse_words(words)


def test_help_lists_every_key_with_its_default():
    said = help_text("usage")
    for key in ("out=null", "offset=null", "memory_gib=2.0", "z=max"):
        assert key in said


def kinds(report):
    return {f.kind for f in report.findings if f.severity != "note"}


def test_twins_are_findings_of_the_later_store_equal_or_alike(bare):
    pixels = dish(seed=3, n_frames=60)
    stores = [
        bare(pixels, "dish.zarr", chunks=(8, 96, 128)),
        bare(pixels[1::3], "third.zarr", chunks=(8, 96, 128)),
        bare((pixels // 16).astype("uint8"), "dim.zarr", chunks=(8, 96, 128)),
        bare(dish(seed=4, n_frames=60), "other.zarr", chunks=(8, 96, 128)),
    ]
    audited = audit_stores([str(s) for s in stores], AuditSpec())
    assert [store for store, _ in audited] == [str(s) for s in stores]
    assert [kinds(report) for _, report in audited] == [set(), {"twin"}, {"twin"}, set()]
    of = [{f.kind: f.advice for f in report.findings} for _, report in audited]
    assert "20 frames are dish's, bit by bit (one in 3 from 1)" in of[1]["twin"]
    assert "frames look like" in of[2]["twin"]


def test_uneven_time_is_a_finding_and_all_else_is_looked_at(tmp_path):
    group = zarr.open_group(tmp_path / "dish.zarr", mode="w")
    names = ["time", "y", "x"]
    group.create_array("frames", data=dish(n_frames=12), dimension_names=names)
    at = np.array([0, 1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 15.0])
    group.create_array("time", data=at, dimension_names=["time"]).attrs["units"] = "s"
    ((_, report),) = audit_stores([str(tmp_path / "dish.zarr")], AuditSpec())
    (finding,) = report.errors
    assert finding.kind == "uneven time"
    assert "first from frame 4 to 5 (4 to 9 s" in finding.advice
    assert report.noise[0].gain > 0


def test_stores_of_one_name_are_told_apart(bare, tmp_path):
    (tmp_path / "b").mkdir()
    one, two = bare(dish(n_frames=9), "d.zarr"), bare(dish(seed=1, n_frames=9), "b/d.zarr")
    audited = audit_stores([str(one), str(two)], AuditSpec())
    assert [report.movie for _, report in audited] == ["d", "d (2)"]


def test_tables_hold_every_finding_frame_and_place(bare, tmp_path):
    pixels = dish(n_frames=30)
    pixels[7] = 0
    path = bare(pixels)
    (path / "c" / "20" / "0" / "0").write_bytes(b"x")
    ((store, report),) = audit_stores([str(path)], AuditSpec())
    write_tables(report, store, tmp_path / "out")
    held = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert held["n_frames"] == 30
    assert held["n_usable"] == 28
    broken = next(f for f in held["findings"] if f["kind"] == "unreadable chunk")
    assert (broken["frames"], broken["places"]) == ([20], ["c/20/0/0"])
    assert held["noise"][0]["read_noise"] is None
    lines = (tmp_path / "out" / "audit.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines))
    assert [r["kind"] for r in rows] == [f.kind for f in report.findings]
    assert {r["kind"]: r["frames"] for r in rows}["blank"] == "7"
    page = (tmp_path / "out" / "audit.md").read_text()
    assert page.count("\n| ") == 1 + len(rows)
    shown = table_text(report)
    assert "30 frames, 1 error, 1 warning" in shown
    assert all(len(line) <= 100 for line in shown.splitlines())


def test_small_words():
    assert frames_text(Finding("a", (), "note", "")) == "all"
    assert frames_text(Finding("a", (3,), "note", "")) == "frame 3"
    assert frames_text(Finding("a", (3, 5), "note", "")) == "2 frames"
    assert folder_name("a/b: dish 2 (3)") == "a_b_ dish 2 (3)"
