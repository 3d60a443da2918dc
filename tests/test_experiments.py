from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from slime.audit import audit
from slime.errors import SlimeError
from slime.experiments import describe_experiments, group_movies, regrouped, time_cuts
from slime.split import Timeline
from slime.windows import WindowSpec

cheap_audit = partial(audit, full=False)
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}


def film(n, seed=0):
    """Frames that are all different: (n, 4, 5) of noise."""
    return np.random.default_rng(seed).integers(1, 60000, (n, 4, 5)).astype("uint16")


def cut(in_memory, named, gap=None, spec=None, shares=SHARES):
    """Movies by name, in memory, grouped and cut: their groups, splits and notes."""
    movies = [in_memory(p, name) for name, p in named.items()]
    movies = [m.assign_attrs(experiment=str(m.name).split("_")[0]) for m in movies]
    reports = [cheap_audit(m) for m in movies]
    groups = group_movies(movies, [r.table for r in reports])
    return groups, *time_cuts(movies, reports, groups, shares, gap, spec or WindowSpec())


@settings(max_examples=60)
@given(
    n=st.integers(40, 120),
    every=st.integers(1, 6),
    offset=st.integers(0, 30),
    begin=st.integers(0, 20),
    length=st.integers(20, 120),
    gap=st.none() | st.integers(12, 20),
    span=st.integers(2, 3),
)
def test_no_frame_trains_in_one_movie_and_tests_in_its_twin(
    n, every, offset, begin, length, gap, span
):
    whole = film(n)
    stored = {"a": whole, "b": whole[offset::every], "c": whole[begin : begin + length]}
    movies = [
        xr.DataArray(p[:, None], dims=("time", "channel", "y", "x"), name=name)
        for name, p in stored.items()
    ]
    movies = [m.assign_attrs(experiment=str(m.name)) for m in movies]
    reports = [cheap_audit(m) for m in movies]
    groups = group_movies(movies, [r.table for r in reports])
    spec = WindowSpec(n_in=span - 1)
    try:
        cuts, _ = time_cuts(movies, reports, groups, SHARES, gap, spec)
    except SlimeError:
        reject()  # too short for its gaps
    side = {}
    for movie, own in zip(movies, cuts, strict=True):
        for name, split in own.items():
            assert split.gap is not None
            assert split.gap >= spec.span - 1
            for frame in movie.values[split.start : split.stop]:
                assert side.setdefault(frame.tobytes(), name) == name


def test_a_twin_is_cut_at_the_same_times(in_memory):
    groups, cuts, notes = cut(in_memory, {"a": film(100), "b": film(100)[::5]}, gap=10)
    (group,) = groups
    assert (group.members, group.timelines) == ((0, 1), (Timeline(), Timeline(5)))
    assert group.n_shared == (20, 20)
    # 80 frames are left: 48, 16, 16
    assert {k: (s.start, s.stop, s.gap) for k, s in cuts[0].items()} == {
        "train": (0, 48, 10),
        "val": (58, 74, 10),
        "test": (84, 100, 10),
    }
    assert {k: (s.start, s.stop, s.gap) for k, s in cuts[1].items()} == {
        "train": (0, 10, 2),
        "val": (12, 15, 2),
        "test": (17, 20, 2),
    }
    assert notes == ["a: 10 frames are left out at each border (span - 1 = 5)"]


def test_the_gap_spans_a_window_of_the_coarsest_twin(in_memory):
    named = {"a": film(100), "b": film(100)[::5]}
    with pytest.raises(SlimeError, match=r"data\.gap=9 is shorter than .* span - 1 = 10 frames"):
        cut(in_memory, named, gap=9, spec=WindowSpec(n_in=2))
    with pytest.raises(SlimeError, match=r"2 gaps of 50 leave 0 for 3 splits"):
        cut(in_memory, named, gap=50)


def test_a_cut_copy_belongs_to_the_splits_it_has_frames_in(in_memory):
    _, cuts, notes = cut(in_memory, {"a": film(100), "b": film(100)[70:90]}, gap=10)
    assert {k: (s.start, s.stop) for k, s in cuts[1].items()} == {"val": (0, 4), "test": (14, 20)}
    _, cuts, notes = cut(in_memory, {"a": film(100), "b": film(100)[:59]}, gap=10)
    assert list(cuts[1]) == ["train"]
    assert notes[-1].startswith(
        "b takes no part in val: none of its 1 frames there begins a window"
    )


def test_copies_that_reach_beyond_the_longest_are_cut_with_it(in_memory):
    whole = film(120)
    groups, cuts, _ = cut(in_memory, {"a": whole[:80], "b": whole[50:]}, gap=10)
    assert groups[0].timelines == (Timeline(), Timeline(1, 50))
    # all 120 frames: 60, 20 and 20 of the 100 outside the gaps
    assert {k: (s.start, s.stop) for k, s in cuts[0].items()} == {"train": (0, 60), "val": (70, 80)}
    assert {k: (s.start, s.stop) for k, s in cuts[1].items()} == {
        "train": (0, 10),
        "val": (20, 40),
        "test": (50, 70),
    }


def test_copies_that_begin_before_the_longest_are_cut_with_it(in_memory):
    whole = film(120)
    groups, cuts, _ = cut(in_memory, {"a": whole[40:], "b": whole[:60]}, gap=10)
    assert groups[0].timelines == (Timeline(), Timeline(1, -40))
    assert {k: (s.start, s.stop) for k, s in cuts[0].items()} == {
        "train": (0, 20),
        "val": (30, 50),
        "test": (60, 80),
    }
    assert {k: (s.start, s.stop) for k, s in cuts[1].items()} == {"train": (0, 60)}


def test_twins_that_contradict_each_other_cannot_be_cut_in_time(in_memory):
    one, more = film(60), film(20, 9)
    two = np.concatenate([one[:20], more])  # by `one` it shows `more` from frame 20 on
    three = np.concatenate([more, one[20:40]])  # by `one` from frame 0 on
    with pytest.raises(SlimeError, match="two, three shares frames with one in no regular order"):
        cut(in_memory, {"one": one, "two": two, "three": three})


def test_a_chain_of_overlaps_is_one_experiment(in_memory):
    whole = film(150)
    parts = {"a": whole[:70], "b": whole[100:], "c": whole[60:111:2]}  # a and b share none
    groups, cuts, _ = cut(in_memory, parts, gap=10)
    assert [g.members for g in groups] == [(0, 1, 2)]
    assert dict(zip(groups[0].members, groups[0].timelines, strict=True)) == {
        0: Timeline(),
        1: Timeline(1, 100),
        2: Timeline(2, 60),
    }
    assert [sorted(c) for c in cuts] == [["train"], ["test", "val"], ["train", "val"]]


def test_a_longer_but_coarser_copy_is_aligned_in_fractions(in_memory):
    whole = film(300)
    groups, cuts, _ = cut(in_memory, {"fine": whole[:80], "coarse": whole[::3]}, gap=6)
    assert groups[0].members == (1, 0)
    assert groups[0].timelines == (Timeline(), Timeline(Fraction(1, 3)))
    assert (cuts[0]["train"].stop, cuts[1]["train"].stop) == (80, 53)  # 53 coarse are 159 fine


def test_movies_of_a_name_are_one_experiment_also_if_no_frame_is_equal(in_memory):
    fine, blurred = film(60), film(60)[::3] // 2
    groups, cuts, _ = cut(in_memory, {"dish": fine, "dish_every3": blurred, "other": film(60, 1)})
    assert [g.members for g in groups] == [(0, 1), (2,)]
    assert groups[0].timelines == (Timeline(), Timeline(3))
    assert groups[0].n_shared == (0, 0)
    train, val = cuts[1]["train"], cuts[1]["val"]
    assert 3 * (train.stop - 1) < cuts[0]["train"].stop
    assert 3 * val.start >= cuts[0]["val"].start


def test_names_join_what_frames_have_joined(in_memory):
    fine = film(60)
    groups, *_ = cut(in_memory, {"dish": fine, "copy": fine[::2], "dish_every3": fine[::3] // 2})
    assert [g.members for g in groups] == [(0, 1, 2)]
    assert groups[0].timelines == (Timeline(), Timeline(2), Timeline(3))


def stated(in_memory, name, n, interval_s, begin_s=0.0):
    movie = in_memory(film(n, seed=n), name).assign_attrs(
        experiment="dish", frame_interval_s=interval_s
    )
    return movie.assign_coords(time=begin_s + np.arange(n) * interval_s)


def test_intervals_and_times_align_movies_of_one_name(in_memory):
    movies = [stated(in_memory, "a", 60, 20.0), stated(in_memory, "b", 20, 30.0, begin_s=200.0)]
    reports = [cheap_audit(m) for m in movies]
    (group,) = group_movies(movies, [r.table for r in reports])
    assert group.timelines == (Timeline(), Timeline(Fraction(3, 2), 10))
    cuts, _ = time_cuts(movies, reports, [group], SHARES, 4, WindowSpec())
    for name, split in cuts[1].items():
        times = movies[1]["time"].values[split.start : split.stop]
        own = cuts[0][name]
        assert own.start * 20 <= times[0] <= times[-1] < own.stop * 20


def test_movies_of_one_length_and_name_start_together(in_memory):
    groups, cuts, _ = cut(in_memory, {"dish_a": film(60), "dish_b": film(60, 1)})
    assert groups[0].timelines == (Timeline(), Timeline())
    assert [(s.start, s.stop) for s in cuts[0].values()] == [
        (s.start, s.stop) for s in cuts[1].values()
    ]


def test_twins_in_no_regular_order_cannot_be_cut_in_time(in_memory):
    order = np.random.default_rng(1).permutation(60)
    with pytest.raises(
        SlimeError, match=r"b shares frames with a in no regular order.*split=movie"
    ):
        cut(in_memory, {"a": film(60), "b": film(60)[order]})


def test_twins_take_the_experiment_of_the_longest(in_memory):
    movies = [in_memory(film(60)[::2], "b"), in_memory(film(60), "a"), in_memory(film(9, 5), "c")]
    groups = group_movies(movies, [cheap_audit(m).table for m in movies])
    named = regrouped(movies, groups)
    assert [m.attrs["experiment"] for m in named] == ["a", "a", "c"]
    assert movies[0].attrs["experiment"] == "b"


def test_what_belongs_together_is_said(in_memory):
    movies = [
        in_memory(film(60), "a").assign_attrs(frame_interval_s=10.0),
        in_memory(film(60)[1::5], "b").assign_attrs(frame_interval_s=10.0),
        in_memory(film(30, 3), "c").assign_attrs(experiment="a"),
    ]
    tables = [cheap_audit(m).table for m in movies]
    said = describe_experiments(movies, group_movies(movies, tables))
    assert said == [
        "c and a count as one experiment by their names: data.experiment=[...] names others",
        "b is a twin of a: 12 equal frames (one in 5 from 1); they never train and test each other",
        "b is said to have 10 s a frame, but its frames are 5 of a's apart, 50 s",
    ]
