"""Stores as labs hand them out: bare, with lost frames, and a copy that keeps every n-th."""

import numpy as np
import pytest
import zarr

from slime.audit import audit
from slime.audit_stores import AuditSpec, audit_stores
from slime.errors import SlimeError
from slime.movie import open_movie
from slime.simulate import make_movies
from slime.simulate.camera import expected_counts
from slime.simulate.command import parse_command
from slime.simulate.filming import Shot
from slime.simulate.lookalike import StackSpec, stack_counts
from slime.simulate.worlds import WORLDS

SMALL = {
    "height_px": 9,
    "width_px": 13,
    "n_z": 3,
    "n_frames": 11,
    "n_blank": 2,
    "keep_every": 3,
    "warm_up_min": 0.2,
    "frame_interval_s": 6.0,
}


def _make(path, **more):
    return make_movies("lookalike", [path], seeds=[4], **{**SMALL, **more})[0]


def _blank(path) -> list[int]:
    return [i for i, frame in enumerate(zarr.open_array(path, mode="r")[:]) if not frame.any()]


def test_a_store_is_bare_and_says_nothing_where_a_reader_looks(tmp_path):
    store = zarr.open(_make(tmp_path / "dish 0.zarr"), mode="r")
    assert isinstance(store, zarr.Array)
    assert (store.shape, store.dtype, store.chunks) == (
        (11, 1, 3, 9, 13), np.dtype("uint16"), (1, 1, 3, 9, 13),
    )  # fmt: skip
    assert sorted(store.attrs) == ["complete", "n_saturated", "simulated"]
    assert store.attrs["simulated"]["parameters"]["camera"]["n_blank"] == 2
    assert store.attrs["simulated"]["seed"] == 4
    movie = open_movie(tmp_path / "dish 0.zarr")
    assert movie.shape == (11, 1, 9, 13)
    assert (movie.attrs["frame_interval_s"], movie.attrs["pixel_um"]) == (None, None)


@pytest.mark.parametrize(("as_zeros", "n_stored"), [(0, 9), (1, 11)])
def test_lost_frames_are_not_stored_or_stored_as_zeros_and_the_audit_finds_them(
    tmp_path, as_zeros, n_stored
):
    path = _make(tmp_path / "dish 0.zarr", blank_as_zeros=as_zeros)
    assert zarr.open_array(path, mode="r").nchunks_initialized == n_stored
    blank = _blank(path)
    assert len(blank) == 2
    report = audit(open_movie(path), full=False)
    assert np.flatnonzero(report.blank).tolist() == blank


@pytest.mark.parametrize("per_chunk", [1, 4])
def test_the_copy_keeps_every_third_frame_and_the_audit_knows_it(tmp_path, per_chunk):
    path = _make(tmp_path / "dish 0.zarr", frames_per_chunk=per_chunk, blank_as_zeros=1)
    twin = tmp_path / "dish 0 every 3.zarr"
    frames, kept = (zarr.open_array(p, mode="r")[:] for p in (path, twin))
    assert np.array_equal(kept, frames[[0, 3, 6, 9]])
    assert open_movie(twin).attrs["experiment"] == open_movie(path).attrs["experiment"] == "dish 0"
    _, (_, report) = audit_stores([str(path), str(twin)], AuditSpec())
    (finding,) = [f for f in report.findings if f.kind == "twin"]
    assert "one in 3 from 0" in finding.advice


def test_no_copy_is_made_where_none_is_asked_for(tmp_path):
    _make(tmp_path / "dish 0.zarr", keep_every=0)
    assert [path.name for path in tmp_path.iterdir()] == ["dish 0.zarr"]


def _interrupted_world(at_frame: int):
    world = WORLDS["lookalike"]

    def film(spec, camera, recording, take):
        for i, shot in enumerate(world.film(spec, camera, recording, take), start=take.first):
            if i == at_frame:
                raise KeyboardInterrupt
            yield Shot(*shot)

    return world._replace(film=film)


@pytest.mark.parametrize(("at_frame", "per_chunk"), [(0, 1), (4, 1), (7, 3)])
def test_an_interrupted_run_goes_on_without_a_seam(tmp_path, monkeypatch, at_frame, per_chunk):
    how = {"frames_per_chunk": per_chunk, "blank_as_zeros": int(per_chunk > 1)}
    _make(tmp_path / "whole.zarr", **how)
    with monkeypatch.context() as patch:
        patch.setitem(WORLDS, "lookalike", _interrupted_world(at_frame))
        with pytest.raises(KeyboardInterrupt):
            _make(tmp_path / "a.zarr", **how)
    assert not (tmp_path / "a.zarr").exists()
    _make(tmp_path / "a.zarr", **how)
    for end in ("", " every 3"):
        whole, resumed = (
            zarr.open_array(tmp_path / f"{name}{end}.zarr", mode="r")[:] for name in ("whole", "a")
        )
        assert np.array_equal(whole, resumed)


def test_a_kill_between_the_two_names_is_mended(tmp_path, monkeypatch):
    import slime.simulate.lookalike as lookalike

    path, rename = tmp_path / "a.zarr", lookalike.os.rename

    def killed(old, new):
        if new == path:
            raise KeyboardInterrupt
        rename(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(lookalike.os, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            _make(path)
    assert not path.exists()
    assert (tmp_path / "a every 3.zarr").exists()
    _make(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a every 3.zarr", "a.zarr"]


def test_the_light_of_the_label_falls_off_from_the_middle_slice_and_the_medium_stays():
    camera = StackSpec(n_z=3, focus_sigma_z=1.0, falloff=0.0, bleach_per_hour=0.0)
    picture = expected_counts(np.array([[2.5, 2.5]]), np.zeros((5, 6)), camera, seconds=0.0)[1]
    stack = stack_counts(picture, camera, seconds=0.0)
    np.testing.assert_allclose(stack[1], picture)
    np.testing.assert_allclose(stack[0], 300 + (picture - 300) * np.exp(-0.5))
    np.testing.assert_allclose(stack[2], stack[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_blank": 12}, "n_blank is 12 of 11 frames"),
        ({"frames_per_chunk": 2}, "frames_per_chunk is 2: frames are left out only where"),
        ({"blank_as_zeros": 2}, "blank_as_zeros is 2; it must be a number at least 0 and at most"),
        ({"n_z": 0}, "n_z is 0"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(SlimeError, match=message):
        _make(tmp_path / "a.zarr", **change)
    assert not list(tmp_path.iterdir())


def test_a_copy_of_the_same_name_is_not_overwritten(tmp_path):
    (tmp_path / "a every 3.zarr").mkdir()
    with pytest.raises(SlimeError, match=r"a every 3.zarr' exists already"):
        _make(tmp_path / "a.zarr")


def test_the_command_names_a_folder():
    command = parse_command(["lookalike", "out=some folder", "n_movies=2"])
    assert [str(path) for path in command.paths] == [
        "some folder/dish 0.zarr",
        "some folder/dish 1.zarr",
    ]
