"""Which movies a study takes, what its truth is, and what is fitted on the train movies alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from gathered import dish, pixels, study

from slime.aggregation import AggregationSpec, make_study, read_dishes
from slime.aggregation.spec import HeatSpec, RollSpec, TruthSpec
from slime.aggregation.truth import repeated_otsu
from slime.aggregation.writing import write_truth
from slime.data_spec import DataSpec
from slime.errors import SlimeError

SHARES = {"train": 0.4, "val": 0.3, "test": 0.3}


@pytest.fixture
def stores(bare):
    return [str(bare(pixels(seed), name=f"dish {seed}.zarr")) for seed in range(4)]


def spec_of(stores, given=(3, 6), truth=None, bin=1, **data):
    said = {"frame_interval_s": 60.0, "pixel_um": 50.0, "axes": "TCYX", "shares": SHARES, **data}
    truth = truth or TruthSpec()
    return AggregationSpec(DataSpec(stores, **said), truth=truth, given=list(given), bin=bin)


def test_movies_are_binned_cut_at_the_truth_and_dealt_whole(stores):
    dishes = read_dishes(spec_of(stores, bin=2, truth=TruthSpec(at_min=9.0)))
    assert sorted(d.split for d in dishes) == ["test", "train", "val", "val"]
    assert {d.frames.shape for d in dishes} == {(10, 2, 8, 8)}
    assert {d.pixel_um for d in dishes} == {100.0}
    expected = pixels(1)[4, 1, 2:4, 6:8].mean()
    assert dishes[1].frames[4, 1, 1, 3] == pytest.approx(expected)
    assert dishes[0].minutes(4) == 3


def test_places_are_written_from_the_first_stored_pixel_however_pixels_are_binned(stores, tmp_path):
    tables = []
    for n in (1, 2):
        spec = spec_of(stores, bin=n)
        one = make_study(read_dishes(spec), spec)
        write_truth(one, spec, tmp_path / "truth.csv")
        tables.append(pd.read_csv(tmp_path / "truth.csv"))
        if n == 1:
            held = np.concatenate([mounds.position_um for mounds in one.truth])
            np.testing.assert_allclose(tables[0][["y_um", "x_um"]], held)
    fine, coarse = (table[["y_um", "x_um"]].to_numpy() for table in tables)
    assert len(fine) == 8
    np.testing.assert_allclose(coarse, fine, atol=10)  # um; half a stored pixel is 25


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pixel_um": None}, "pixel size unknown: give data.pixel_um"),
        ({"frame_interval_s": None}, "seconds between frames unknown"),
        ({"memory_gib": 1e-5}, "data.memory_gib is 1e-05"),
        ({"given": (3, 12)}, "the truth is frame 11, so that at most 11 frames"),
        ({"truth": TruthSpec(at_min=30.0)}, "is frame 30, but dish 0 ends at frame 11"),
        ({"truth": TruthSpec(channel="gfp")}, "there are the channels 0, 1"),
    ],
)
def test_movies_that_cannot_be_studied_are_refused(stores, change, said):
    with pytest.raises(SlimeError, match=said):
        read_dishes(spec_of(stores, **change))


def test_movies_of_another_size_and_blank_frames_are_refused(stores, bare):
    small = str(bare(pixels(9)[:, :, :10], name="small.zarr"))
    with pytest.raises(SlimeError, match="all movies of a study need the same"):
        read_dishes(spec_of([*stores, small]))
    frames = pixels(9)
    frames[4] = 0
    gap = str(bare(frames, name="gap.zarr"))
    with pytest.raises(SlimeError, match="gap has blank frames before the truth"):
        read_dishes(spec_of([*stores, gap]))


@pytest.mark.parametrize(
    ("spec", "choices", "said"),
    [
        (AggregationSpec, {"given": [5, 3]}, "rising numbers of frames"),
        (AggregationSpec, {"bin": 0}, "bin=0 must be at least 1"),
        (AggregationSpec, {"seed": -1}, "seed=-1"),
        (AggregationSpec, {"level": 1.0}, "level=1.0"),
        (AggregationSpec, {"data": DataSpec(shares=[0.5, 0.5])}, "leaves no test movie"),
        (AggregationSpec, {"data": DataSpec(crop=[4, 4])}, "data.crop"),
        (TruthSpec, {"max_um": 0.0}, "truth.max_um=0.0 must be above 0"),
        (TruthSpec, {"at_min": -1.0}, "truth.at_min=-1.0"),
        (TruthSpec, {"otsu": 0}, "truth.otsu=0"),
        (TruthSpec, {"min_area_um2": -1.0}, "truth.min_area_um2=-1.0"),
        (HeatSpec, {"sigma_um": 0.0}, "heat.sigma_um=0.0"),
        (HeatSpec, {"weight_decay": -1.0}, "heat.weight_decay=-1.0"),
        (HeatSpec, {"epochs": 0}, "heat.epochs=0"),
        (RollSpec, {"step_min": 0.0}, "roll.step_min=0.0"),
        (RollSpec, {"n_in": 0}, "roll.n_in=0"),
    ],
)
def test_settings_out_of_their_range_are_refused(spec, choices, said):
    with pytest.raises(SlimeError, match=said):
        spec(**choices)


def test_otsu_once_divides_ground_from_the_rest_and_twice_streams_from_mounds():
    values = np.repeat([0.0, 1.0, 10.0, 11.0, 20.0, 21.0], [50, 50, 20, 20, 5, 5])
    assert 1 < repeated_otsu(values, 1) < 10
    assert 11 < repeated_otsu(values, 2) < 20


def test_mounds_are_found_where_they_were_planted():
    one = study()
    for i, mounds in enumerate(one.truth):
        last = one.dishes[i].density[-1]
        assert mounds.n == 2
        for y, x in mounds.position_um / 100:
            assert last[round(y), round(x)] > 400  # 500 in the middle, 100 elsewhere


def test_threshold_and_scale_are_of_the_train_movies_alone():
    one = study()
    changed = [replace(d, frames=d.frames * (1 if d.split == "train" else 7)) for d in one.dishes]
    other = make_study(changed, AggregationSpec(given=[3]))
    assert other.rule == one.rule
    assert other.mean.tolist() == one.mean.tolist()
    train = np.stack([d.frames for d in one.dishes if d.split == "train"]).astype(float)
    np.testing.assert_allclose(one.mean, train.mean(axis=(0, 1, 3, 4)))
    np.testing.assert_allclose(one.std, train.std(axis=(0, 1, 3, 4)))


def test_pixels_that_do_not_count_are_in_no_scale_and_hold_no_mound():
    one = study()
    frames = one.dishes[0].frames.copy()
    y, x = (round(v) for v in one.truth[0].position_um[0] / 100)
    frames[:, :, max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4] = np.nan
    masked = make_study([replace(one.dishes[0], frames=frames), *one.dishes[1:]], AggregationSpec())
    assert masked.truth[0].n < one.truth[0].n or y not in masked.truth[0].position_um[:, 0] / 100
    assert np.isfinite(masked.mean).all()
    assert not masked.dishes[0].mask[y, x]
    assert masked.dishes[0].as_movie().coords["mask"].sum() < 16 * 16


def test_a_study_without_mounds_or_with_a_dead_channel_is_refused():
    splits = ("train", "train", "val", "test")
    dishes = [dish(seed, split) for seed, split in enumerate(splits)]
    with pytest.raises(SlimeError, match="the train movies hold no mound above 1e"):
        make_study(dishes, AggregationSpec(truth=TruthSpec(threshold=1e5)))
    dead = [replace(d, frames=np.concatenate([d.frames[:, :1], 0 * d.frames[:, 1:] + 5], axis=1))
            for d in dishes]  # fmt: skip
    with pytest.raises(SlimeError, match="channel 'camp' is constant"):
        make_study(dead, AggregationSpec())
    flat = [replace(d, frames=0 * d.frames + 5) for d in dishes]
    with pytest.raises(SlimeError, match="'cells' is flat in the frames of truth"):
        make_study(flat, AggregationSpec())


def test_equal_studies_have_one_fingerprint_and_others_another():
    assert study().fingerprint == study().fingerprint
    changed = study()
    changed.dishes[0].frames[0, 0, 0, 0] += 1
    assert changed.fingerprint != study().fingerprint


def test_nothing_found_where_nothing_is_has_no_error():
    one = study()
    none = np.zeros((0, 2))
    one.truth[0] = one.truth[0]._replace(position_um=none)
    assert one.matched(0, none).penalised_um == 0
    assert one.matched(0, np.array([[1.0, 2.0]])).penalised_um == 500
