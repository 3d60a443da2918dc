import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from slime.errors import MissingStoreError, SlimeError, StoreError
from slime.movie import open_movie
from slime.prepare import (
    DataSpec,
    describe_splits,
    open_stores,
    prepare,
    shares_of,
    without_gap,
)
from slime.split import Split
from slime.stream import WindowStream
from slime.windows import WindowSpec

REAL = os.environ.get("SLIME_REAL_DATA")


def film(n, seed=0, n_z=3):
    """A lab's stack (n, 1, n_z, 4, 5) of frames that are all different."""
    shape = (n, 1, n_z, 4, 5)
    return np.random.default_rng(seed).integers(1, 60000, shape).astype("uint16")


def prepared(*stores, spec=None, seed=0, **choices):
    data = DataSpec(stores=[str(s) for s in stores], **choices)
    return prepare(data, spec or WindowSpec(), seed=seed)


def spans(cut):
    return {name: (s.start, s.stop) for name, s in cut.items()}


def test_a_labs_stacks_with_a_twin_and_blanks_train_in_one_run(bare):
    one, two = film(100), film(120, 1)
    one[[30, 31, 90]] = 0
    two[5, :, 1] = 0
    chunks = (1, 1, 1, 4, 5)
    paths = [
        # its blank frames written, as zeros
        bare(one, "dish 1.zarr", chunks=chunks, config={"write_empty_chunks": True}),
        bare(one[::5], "dish 1 every 5th.zarr", chunks=chunks),
        bare(two, "dish 2.zarr", chunks=chunks),
    ]
    run = prepared(*paths)
    assert [m.attrs["experiment"] for m in run.movies] == ["dish 1", "dish 1", "dish 2"]
    assert np.flatnonzero(run.movies[0]["blank"].values).tolist() == [30, 31, 90]
    assert np.flatnonzero(run.movies[1]["blank"].values).tolist() == [6, 18]
    assert run.stores == [str(p) for p in paths]
    said = "\n".join(run.notes)
    assert "dish 1: 3 of 100 frames are blank or lost (30 to 31, 90)" in said
    assert "dish 1 every 5th is a twin of dish 1: 18 equal frames (one in 5 from 0)" in said
    assert "dish 2: 1 z slices hold nothing, in 1 frames (5)" in said
    side = {}
    for name in ("train", "val", "test"):
        movies, splits = run.of(name)
        for movie, split in zip(movies, splits, strict=True):
            blank = movie["blank"].values[split.start : split.stop]
            for frame in movie.values[split.start : split.stop][~blank]:
                assert side.setdefault(frame.tobytes(), name) == name
        stream = WindowStream(movies, splits, WindowSpec(), batch_size=8, memory_budget=30_000)
        seen = Counter(m for b in stream for m in b.movie.tolist())
        assert set(seen) == set(range(len(movies)))
    # of the twin's test frames 17 to 19 the middle one is blank
    assert [sorted(cut) for cut in run.splits] == [
        ["test", "train", "val"],
        ["train", "val"],
        ["test", "train", "val"],
    ]
    assert "dish 1 every 5th takes no part in test" in said


def test_no_pixel_is_read_to_open(bare, reads):
    movies, stores = open_stores(DataSpec(stores=[str(bare(film(9)))]))
    assert reads == []
    assert (len(movies), len(stores)) == (1, 1)


def test_choices_reach_the_movie(bare):
    path = bare(film(40, n_z=2).swapaxes(0, 1), chunks=(1, 1, 1, 4, 5))  # stored C T Z Y X
    run = prepared(
        path,
        axes="CTZYX",
        z="1",
        frame_interval_s=12.5,
        pixel_um=0.65,
        experiment="wild type",
        channels=[0],
    )
    (movie,) = run.movies
    np.testing.assert_array_equal(movie.values[:, 0], film(40, n_z=2)[:, 0, 1])
    assert movie.attrs == {
        "frame_interval_s": 12.5,
        "pixel_um": 0.65,
        "experiment": "wild type",
    }


def test_each_movie_of_a_store_is_a_movie_of_its_own(bare):
    pixels = np.stack([film(40)[:, 0, 0], film(40, 1)[:, 0, 0]])
    path = bare(pixels, dimension_names=("movie", "time", "y", "x"))
    run = prepared(path)
    assert [m.name for m in run.movies] == ["a dish[0]", "a dish[1]"]
    assert run.stores == [str(path)] * 2
    assert spans(run.splits[0]) == spans(run.splits[1])
    assert [m.name for m in prepared(path, movie=1).movies] == ["a dish[1]"]


def test_stores_of_one_name_are_told_apart_but_are_one_experiment(bare, tmp_path):
    for folder in ("left", "right"):
        (tmp_path / folder).mkdir()
    paths = [bare(film(40), "left/dish.zarr"), bare(film(40, 1), "right/dish.zarr")]
    run = prepared(*paths)
    assert [m.name for m in run.movies] == ["dish", "dish (2)"]
    assert [m.attrs["experiment"] for m in run.movies] == ["dish", "dish"]
    assert any("count as one experiment by their names" in note for note in run.notes)
    run = prepared(*paths, experiment=["a", "b"])
    assert [m.attrs["experiment"] for m in run.movies] == ["a", "b"]
    with pytest.raises(SlimeError, match=r"data\.experiment names 1 experiments for 2 stores"):
        prepared(*paths, experiment=["a"])


def test_a_name_with_a_number_is_not_given_twice(bare, tmp_path):
    (tmp_path / "other").mkdir()
    names = ["dish.zarr", "dish (2).zarr", "other/dish.zarr"]
    run = prepared(*(bare(film(40, i), name) for i, name in enumerate(names)))
    assert [m.name for m in run.movies] == ["dish", "dish (2)", "dish (3)"]


def test_whole_experiments_are_held_out_with_their_twins(bare):
    paths = [bare(film(40, i), f"dish {i}.zarr") for i in range(4)]
    paths.append(bare(film(40, 0)[::4], "named otherwise.zarr"))
    order = np.random.default_rng(5).permutation(40)
    paths.append(bare(film(40, 1)[order], "shuffled.zarr"))  # in no order, but on one side
    for seed in range(6):
        run = prepared(*paths, split="movie", seed=seed)
        sides = [next(iter(cut)) for cut in run.splits]
        assert set(sides) == {"train", "val", "test"}
        assert sides[4] == sides[0]
        assert sides[5] == sides[1]
    with pytest.raises(SlimeError, match="in no regular order"):
        prepared(*paths)
    with pytest.raises(SlimeError, match="at least 3 experiments"):
        prepared(paths[0], paths[4], paths[1], split="movie")


@pytest.mark.parametrize("name", ["frame_interval_s", "pixel_um"])
def test_movies_of_different_units_are_not_mixed_unasked(bare, name):
    paths = [
        bare(film(40, i), f"dish {i}.zarr", attributes={name: value})
        for i, value in enumerate((1.0, 1.0, 2.0))
    ]
    with pytest.raises(SlimeError, match=r"dish 0 1, dish 1 1, dish 2 2\).*data\.mix=true"):
        prepared(*paths)
    assert any("are mixed" in note for note in prepared(*paths, mix=True).notes)
    prepared(*paths[:2])
    silent = bare(film(40, 7), "silent.zarr")
    said = prepared(paths[0], silent).notes
    assert any(n.startswith("silent:") and "taken as the others'" in n for n in said)
    assert any(f"data.{name} tells it" in n for n in prepared(silent).notes)


def test_the_gap_is_a_windows_span_and_an_embargo_unless_given(bare):
    path = bare(film(200))
    (cut,) = prepared(path, spec=WindowSpec(n_in=3, n_out=2, step=2)).splits
    (gap,) = {s.gap for s in cut.values()}
    assert gap is not None
    assert 8 < gap <= 8 + 5  # at most a fortieth of the movie
    (cut,) = prepared(path, spec=WindowSpec(n_in=3), gap=20).splits
    assert cut["val"].start - cut["train"].stop == 20
    with pytest.raises(SlimeError, match=r"data\.gap=2 is shorter than a window's span - 1 = 3"):
        prepared(path, spec=WindowSpec(n_in=3), gap=2)


def test_what_cannot_be_trained_on_is_refused(bare, tmp_path):
    with pytest.raises(MissingStoreError, match="there is no store at"):
        prepared(tmp_path / "nothing.zarr")
    with pytest.raises(StoreError, match="all 30 frames are blank"):
        prepared(bare(film(30) * 0, "blank.zarr"))
    spotted = film(30)
    spotted[3] = 0
    path = bare(spotted, "spotted.zarr")
    with pytest.raises(StoreError, match=r"1 of 30 frames are blank or lost \(3\)"):
        prepared(path, blank="refuse")
    with pytest.raises(SlimeError, match=r"2 gaps of 40 leave 0 for 3 splits"):
        prepared(path, gap=40)
    torn = bare(film(30), "torn.zarr", chunks=(1, 1, 1, 4, 3))
    (torn / "c" / "7" / "0" / "2" / "0" / "1").unlink()
    with pytest.raises(StoreError, match=r"1 frames lack a tile of the picture \(7\)"):
        prepared(torn)
    prepared(torn, missing="fill")
    large = bare(film(30), "large.zarr", chunks=(30, 1, 3, 4, 5))
    with pytest.raises(SlimeError, match=r"a chunk's, takes .* data\.memory_gib is 5e-06"):
        prepared(large, memory_gib=5e-6)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"memory_gib": 0.0}, r"data\.memory_gib=0\.0 must be above 0"),
        ({"crop": [0, 3]}, r"data\.crop=\[0, 3\] must be \[height, width\]"),
        ({"crop": [3]}, r"data\.crop=\[3\] must be \[height, width\]"),
        ({"gap": -1}, r"data\.gap=-1 must be 0 or more"),
    ],
)
def test_settings_are_checked_when_they_are_made(choice, message):
    with pytest.raises(SlimeError, match=message):
        DataSpec(**choice)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        (None, {"train": 0.7, "val": 0.15, "test": 0.15}),
        ([0.5, 0.25, 0.25], {"train": 0.5, "val": 0.25, "test": 0.25}),
        ([0.5, 0.5], {"train": 0.5, "val": 0.5}),
        ({"test": 0.2, "val": 0.2, "train": 0.6}, {"train": 0.6, "val": 0.2, "test": 0.2}),
        ({"val": "0.25", "train": 0.75}, {"train": 0.75, "val": 0.25}),
    ],
)
def test_shares_come_in_the_order_of_time(shares, expected):
    assert list(shares_of(shares).items()) == list(expected.items())


@pytest.mark.parametrize(
    "shares",
    [
        {"train": 1.0},
        {"train": 0.5, "valid": 0.5},
        [0.5, 0.2, 0.2],
        [0.4, 0.2, 0.2, 0.2],
        {"train": "most", "val": 0.5},
        0.7,
        "0.7",
    ],
)
def test_shares_that_leave_no_train_or_val_are_refused(shares):
    with pytest.raises(SlimeError, match=r"data\.shares|must sum to 1|must give train and val"):
        shares_of(shares)


def test_a_split_without_its_gap_takes_windows_of_any_length():
    assert without_gap(Split("val", 0, 20, "a", 3)) == Split("val", 0, 20, "a")


def test_splits_are_described_in_plain_rows():
    cut = {"train": Split("train", 0, 9, "a", 1), "val": Split("val", 10, 12, "a", 1)}
    assert describe_splits([cut]) == [
        {"movie": "a", "name": "train", "start": 0, "stop": 9},
        {"movie": "a", "name": "val", "start": 10, "stop": 12},
    ]


@pytest.mark.skipif(not REAL, reason="SLIME_REAL_DATA names no folder")
def test_the_real_movies_are_prepared_with_their_mask():
    path = Path(str(REAL)) / "dictyostelium_phase_contrast.zarr"
    run = prepared(path, variable="frames", mask="~overlay_mask", spec=WindowSpec(n_in=2))
    assert len(run.movies) == 2
    assert [list(cut) for cut in run.splits] == [["train", "val", "test"]] * 2
    assert not any(report.errors for report in run.reports)
    movies, splits = run.of("train")
    stream = WindowStream(movies, splits, WindowSpec(n_in=2), batch_size=4, seed=0)
    batch = next(iter(stream))
    assert batch.past.shape == (4, 2, 1, 144, 297)
    assert batch.mask is not None
    assert 0.9 < batch.mask.float().mean() < 1
    where = batch.mask[0, 0, 0].numpy()
    movie = open_movie(path, variable="frames", mask="~overlay_mask", movie=int(batch.movie[0]))
    np.testing.assert_array_equal(where, movie["mask"].values[int(batch.start[0]) + 2])
