from functools import partial

import numpy as np
import pytest
import zarr

from slime.audit import Finding, audit, check_audit
from slime.errors import SlimeError, StoreError
from slime.movie import open_movie

cheap_audit = partial(audit, full=False)


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(1, 999, (12, 4, 5)).astype("uint16")


def kinds(report):
    return {f.kind: list(f.frames) for f in report.findings}


def test_a_whole_movie_has_no_findings(bare, noise):
    report = cheap_audit(open_movie(bare(noise)))
    assert report.findings == ()
    assert report.movie == "a dish"
    assert not report.blank.any()
    check_audit(report, blank="refuse")


@pytest.mark.parametrize("empty", [True, False])
def test_blank_frames_are_found_written_as_zeros_or_not(bare, noise, empty):
    noise[[3, 4, 9]] = 0
    report = cheap_audit(open_movie(bare(noise, config={"write_empty_chunks": empty})))
    assert kinds(report) == {"blank": [3, 4, 9]}
    assert np.flatnonzero(report.blank).tolist() == [3, 4, 9]
    assert str(report.findings[0]).startswith("warning: blank, 3 of 12 frames are blank or lost")
    check_audit(report, blank="skip")
    with pytest.raises(StoreError, match=r"3 of 12 frames are blank or lost \(3 to 4, 9\)"):
        check_audit(report, blank="refuse")
    with pytest.raises(SlimeError, match=r"data\.blank='no' must be skip or refuse"):
        check_audit(report, blank="no")


def test_a_lost_frame_is_blank_also_where_fill_reads_on(bare, noise):
    path = bare(noise, fill_value=77)
    (path / "c" / "5" / "0" / "0").unlink()
    for missing in ("refuse", "fill"):
        assert kinds(cheap_audit(open_movie(path, missing=missing))) == {"blank": [5]}


def test_an_all_blank_movie_is_an_error(bare, noise):
    report = cheap_audit(open_movie(bare(noise * 0)))
    assert [f.severity for f in report.errors] == ["error"]
    with pytest.raises(StoreError, match="all 12 frames are blank: there is nothing to learn"):
        check_audit(report, blank="skip")


def test_blank_slices_are_reported_but_not_left_out(bare):
    pixels = np.random.default_rng(0).integers(1, 9, (6, 1, 3, 4, 5)).astype("uint8")
    pixels[2, 0, 1] = 0
    pixels[4] = 0
    report = cheap_audit(open_movie(bare(pixels)))
    assert kinds(report) == {"blank": [4], "blank slice": [2]}
    assert "1 z slices hold nothing, in 1 frames (2)" in report.findings[1].advice


def test_frozen_frames_are_found_but_blank_ones_are_not_frozen(bare, noise):
    noise[[2, 3, 7]] = noise[1]
    noise[9:11] = 0
    assert kinds(cheap_audit(open_movie(bare(noise)))) == {"blank": [9, 10], "frozen": [2, 3]}


def test_nan_is_an_error_that_names_frames_and_counts(bare, noise):
    pixels = noise.astype("float32")
    pixels[4, 1] = np.nan
    pixels[6, 2, 2] = np.inf
    report = cheap_audit(open_movie(bare(pixels)))
    assert kinds(report) == {"not finite": [4, 6]}
    with pytest.raises(StoreError, match=r"6 pixels are NaN or infinite in 2 frames \(4, 6\)"):
        check_audit(report, blank="skip")
    valid = np.isfinite(pixels)
    assert cheap_audit(open_movie(bare(pixels, "m.zarr"), mask=valid)).findings == ()


def test_frames_of_nan_where_nan_is_the_fill_value_are_blank(bare, noise):
    pixels = noise.astype("float32")
    pixels[4] = np.nan
    assert kinds(cheap_audit(open_movie(bare(pixels, fill_value=np.nan)))) == {"blank": [4]}
    assert kinds(cheap_audit(open_movie(bare(pixels, "w.zarr")))) == {"not finite": [4]}


def test_chunks_beyond_the_shape_are_reported(bare, noise):
    path = bare(noise)
    array = zarr.open_array(path, mode="r+")
    array.resize((9, 4, 5))
    (path / "c" / "9" / "0").mkdir(parents=True, exist_ok=True)
    (path / "c" / "9" / "0" / "0").write_bytes(b"left behind")
    assert kinds(cheap_audit(open_movie(path)))["beyond the shape"] == []


@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
def test_stale_and_damaged_metadata_are_reported(tmp_path, noise):
    path = tmp_path / "dish.zarr"
    group = zarr.open_group(path, mode="w")
    array = group.create_array("frames", data=noise, chunks=(1, 4, 5))
    zarr.consolidate_metadata(path)
    array.append(noise[:3])
    report = cheap_audit(open_movie(path))
    assert len(report.blank) == 12
    advice = {f.kind: f.advice for f in report.findings}
    assert "say (12, 4, 5), the array itself (15, 4, 5)" in advice["stale metadata"]
    assert "3 chunk files lie beyond" in advice["beyond the shape"]
    (path / "frames" / "zarr.json").write_text('{"zarr_format": 3, "no')
    assert "damaged metadata" in kinds(cheap_audit(open_movie(path)))


def test_a_movie_in_memory_is_audited_too(in_memory, noise):
    noise[3] = 0
    assert kinds(cheap_audit(in_memory(noise))) == {"blank": [3]}


def test_a_finding_is_a_line():
    assert str(Finding("blank", (1,), "note", "look")) == "note: blank, look"
