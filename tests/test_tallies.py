import json
from dataclasses import replace

import numpy as np
import pytest
from series import kept

from slime.errors import SlimeError, StoreError
from slime.score import Tally
from slime.tallies import load_tallies, meet, save_tallies, tallies_path


def test_what_is_kept_is_read_back_to_the_last_bit(tmp_path):
    saved = kept(str(tmp_path))
    save_tallies(saved, tmp_path)
    read = load_tallies(tmp_path)
    assert replace(read, of={}, variance=saved.variance) == replace(saved, of={})
    assert read.variance.tolist() == saved.variance.tolist()
    assert list(read.of) == ["cnn", "persistence", "a/b model"]
    for name, tally in saved.of.items():
        assert read.of[name].names == tally.names
        for column in ("movie", "start", "sums"):
            ours, theirs = getattr(read.of[name], column), getattr(tally, column)
            assert ours.dtype == theirs.dtype
            assert ours.tobytes() == theirs.tobytes()
    assert [p.name for p in tmp_path.iterdir()] == ["tallies_test.npz"]


def test_a_run_without_tallies_says_how_they_are_made(tmp_path):
    with pytest.raises(SlimeError, match=r"no tallies of its val split: python scripts/evaluate"):
        load_tallies(tmp_path, "val")


def test_a_damaged_file_is_refused_by_name(tmp_path):
    path = save_tallies(kept(), tmp_path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for damaged in (whole[:-40], whole[:100], b"", b"not a file of arrays", bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"tallies_test.npz cannot be used: .*score the run"):
            load_tallies(tmp_path)


@pytest.mark.parametrize("change", [{"format": 2}, {"sums": ["n", "square"]}])
def test_a_file_of_another_format_is_refused(tmp_path, change):
    path = save_tallies(kept(), tmp_path)
    with np.load(path) as held:
        arrays = dict(held)
    about = json.loads(str(arrays["about"])) | change
    np.savez(path, **{**arrays, "about": np.array(json.dumps(about))})
    with pytest.raises(StoreError, match="not of format 1 with the sums n, error"):
        load_tallies(tmp_path)
    np.savez(path, **{name: a for name, a in arrays.items() if name != "sums_1"})
    with pytest.raises(StoreError, match="sums_1"):
        load_tallies(tmp_path)
    assert tallies_path(tmp_path, "test") == path


def test_nets_that_read_more_frames_meet_at_the_last_one_given():
    # 2 frames given from frame 5 on, 2 apart: the last is frame 7; of 3 frames from 3 on, too
    one, other = meet([kept(), kept("two", n_in=3, first=3, seed=1)])
    assert one.windows.start.tolist() == other.windows.start.tolist() == list(range(7, 16))
    np.testing.assert_array_equal(one.of["cnn"].sums, kept().of["cnn"].sums)


def test_other_windows_are_refused_or_left_out_on_request():
    runs = [kept(), kept("late", first=7, n_windows=10, n_leads=3, seed=1)]
    told = "one and late .* test split: 9 of 2 leads and 10 of 3, 7 in common; common=true compares"
    with pytest.raises(SlimeError, match=told):
        meet(runs)
    one, late = meet(runs, common=True)
    assert one.windows.start.tolist() == late.windows.start.tolist() == list(range(9, 16))
    np.testing.assert_array_equal(one.of["cnn"].sums, runs[0].of["cnn"].sums[2:])
    np.testing.assert_array_equal(late.of["cnn"].sums, runs[1].of["cnn"].sums[:7, :, :2])
    with pytest.raises(SlimeError, match="no window of the test split is in all of one, far"):
        meet([kept(), kept("far", first=90)], common=True)


def test_windows_in_another_order_meet():
    one, other = kept(), kept("two")
    turn = np.random.default_rng(0).permutation(9)
    turned = {n: Tally(t.movie[turn], t.start[turn], t.sums[turn]) for n, t in other.of.items()}
    _, found = meet([one, replace(other, of=turned)])
    np.testing.assert_array_equal(found.of["cnn"].sums, other.of["cnn"].sums)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"split": "val"}, "one and two cannot be compared: split is test there, val here"),
        ({"held_out": "movie"}, "data.split is time there, movie here"),
        ({"step": 1}, "window.step is 2 there, 1 here"),
        ({"channels": ["camp", "cells"]}, "channels is"),
        ({"movies": {3: "elsewhere"}}, "movies is .*dish.* there, .*elsewhere.* here"),
        ({"frames": {3: "cd"}}, "other frames of dish é: runs are compared on one split alone"),
    ],
)
def test_runs_of_other_splits_are_refused(change, told):
    with pytest.raises(SlimeError, match=told):
        meet([kept(), kept("two", **change)])


def test_no_run_is_no_comparison():
    with pytest.raises(SlimeError, match="there is no run"):
        meet([])
