"""Movies made together, skipped, refused and resumed."""

from dataclasses import asdict, fields

import numpy as np
import pytest
import torch
import zarr

from slime.errors import SlimeError
from slime.simulate import list_settings, make_movies
from slime.simulate.camera import CameraSpec
from slime.simulate.dictyostelium import advanced, initial_state
from slime.simulate.dictyostelium_film import dictyostelium_counts
from slime.simulate.dictyostelium_spec import DictyosteliumSpec
from slime.simulate.filming import Recording
from slime.simulate.movies import one_thread
from slime.simulate.worlds import WORLDS

SHORT = {
    "height_px": 9,
    "width_px": 13,
    "n_frames": 7,
    "frame_interval_s": 6.0,
    "warm_up_min": 0.2,
    "frames_per_chunk": 3,
    "chemotaxis_start_min": 0.0,
}


def _pixels(path) -> np.ndarray:
    return zarr.open_group(path, mode="r")["movie"][:]


def test_a_movie_does_not_depend_on_those_made_beside_it(tmp_path):
    paths = [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    assert make_movies("dictyostelium", paths, seeds=[1, 2], **SHORT) == paths
    make_movies("dictyostelium", [tmp_path / "alone.zarr"], seeds=[2], **SHORT)
    assert np.array_equal(_pixels(paths[1]), _pixels(tmp_path / "alone.zarr"))
    assert not np.array_equal(_pixels(paths[0]), _pixels(paths[1]))


def _failing_world(at_frame: int, in_saving: bool):
    """The world, but interrupted in a frame, or as the state of the second movie is saved."""
    world = WORLDS["dictyostelium"]

    def film(spec, camera, recording, take):
        for index, shot in enumerate(world.film(spec, camera, recording, take), start=take.first):
            if index == at_frame and not in_saving:
                raise KeyboardInterrupt

            def state_of(m, index=index, shot=shot):
                if index == at_frame and m == 1:
                    raise KeyboardInterrupt
                return shot.state_of(m)

            yield shot._replace(state_of=state_of)

    return world._replace(film=film)


@pytest.mark.parametrize(("at_frame", "in_saving"), [(0, False), (4, False), (6, False), (5, True)])
def test_an_interrupted_run_goes_on_without_a_seam(tmp_path, monkeypatch, at_frame, in_saving):
    whole = [tmp_path / "whole-0.zarr", tmp_path / "whole-1.zarr"]
    make_movies("dictyostelium", whole, seeds=[1, 2], **SHORT)
    paths = [tmp_path / "0.zarr", tmp_path / "1.zarr"]
    with monkeypatch.context() as patch:
        patch.setitem(WORLDS, "dictyostelium", _failing_world(at_frame, in_saving))
        with pytest.raises(KeyboardInterrupt):
            make_movies("dictyostelium", paths, seeds=[1, 2], **SHORT)
    assert not any(path.exists() for path in paths)
    make_movies("dictyostelium", paths, seeds=[1, 2], **SHORT)
    for path, reference in zip(paths, whole, strict=True):
        assert np.array_equal(_pixels(path), _pixels(reference))


def test_a_finished_movie_is_not_made_again(tmp_path, monkeypatch):
    paths = [tmp_path / "a.zarr"]
    make_movies("dictyostelium", paths, seeds=[1], **SHORT)
    monkeypatch.setitem(WORLDS, "dictyostelium", _failing_world(0, False))
    assert make_movies("dictyostelium", paths, seeds=[1], **SHORT) == paths
    with pytest.raises(SlimeError, match=r"made with k_e_per_min = 9.0, not 11.0"):
        make_movies("dictyostelium", paths, seeds=[1], **SHORT, k_e_per_min=11)


def test_the_first_frame_is_the_world_after_the_warm_up(tmp_path):
    # without read noise and with a million electrons a cell the picture is its mean to 1 %
    light = {"marker_electrons": 1e6, "reporter_electrons": 1e6, "electrons_per_count": 100.0}
    make_movies("dictyostelium", [tmp_path / "a.zarr"], seeds=[1], **SHORT, **light)
    spec = DictyosteliumSpec(height_px=9, width_px=13, chemotaxis_start_min=0.0)
    state = advanced(initial_state(spec, [1]), spec, 0.2)
    mean = dictyostelium_counts(state, 0, spec, CameraSpec(**light), 0.0)
    np.testing.assert_allclose(_pixels(tmp_path / "a.zarr")[0], mean, rtol=0.02, atol=10)


def test_every_parameter_is_in_the_attributes(tmp_path):
    make_movies("dictyostelium", [tmp_path / "a.zarr"], seeds=[1], **SHORT, bits=12)
    attributes = zarr.open_group(tmp_path / "a.zarr", mode="r").attrs
    spec = DictyosteliumSpec(height_px=9, width_px=13, chemotaxis_start_min=0.0)
    assert attributes["parameters"]["spec"] == asdict(spec)
    assert attributes["parameters"]["camera"] == asdict(CameraSpec(bits=12))
    assert attributes["experiment"] == "a"
    assert (attributes["frame_interval_s"], attributes["pixel_um"]) == (6, 50)


def test_one_thread_is_for_the_while():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_a_bar_is_not_shown_where_there_is_no_terminal(tmp_path, capsys):
    make_movies("dictyostelium", [tmp_path / "a.zarr"], seeds=[1], progress=True, **SHORT)
    assert capsys.readouterr() == ("", "")


def test_every_setting_has_a_meaning_and_no_two_owners_share_a_name():
    names = [one.name for one in list_settings("dictyostelium")]
    assert len(names) == len(set(names))
    n_fields = sum(len(fields(owner)) for owner in (Recording, DictyosteliumSpec, CameraSpec))
    assert len(names) == n_fields + 2  # and size_px and compile
    assert all(one.meaning for one in list_settings("dictyostelium"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k_e_per_mn": 9}, r"no setting 'k_e_per_mn'; did you mean k_e_per_min\?"),
        ({"size_pix": 9}, r"no setting 'size_pix'; did you mean size_px\?"),
        ({"n_frames": 2.5}, "n_frames is 2.5; it must be a whole number"),
        ({"n_frames": 0}, "n_frames is 0; it must be a number at least 1"),
        ({"q": "much"}, "q is 'much'; it must be a number"),
        ({"q": True}, "q is True; it must be a number"),
        ({"warm_up_min": -1}, "warm_up_min is -1.0; it must be a number at least 0"),
        ({"frame_interval_s": 0}, "frame_interval_s is 0.0; it must be a number above 0"),
        ({"cells_per_mm2": 0, "size_px": 8}, "cells_per_mm2 is 0.0: the camera needs cells"),
        ({"compile": "maybe"}, "compile is 'maybe'; it must be auto, true or false"),
        ({"device": "toaster"}, "device 'toaster' cannot be used here"),
    ],
)
def test_a_mistake_in_a_setting_is_said_in_one_line(tmp_path, settings, message):
    with pytest.raises(SlimeError, match=message) as caught:
        make_movies("dictyostelium", [tmp_path / "a.zarr"], seeds=[0], **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "seeds", "message"),
    [
        (["a", "b"], [0], "there are 2 paths and 1 seeds; one a path"),
        (["a", "a"], [0, 1], "two movies have the same path"),
        (["a"], [-1], "seed is -1; it must be a whole number from 0"),
    ],
)
def test_each_movie_has_its_own_path_and_a_seed(tmp_path, names, seeds, message):
    with pytest.raises(SlimeError, match=message):
        make_movies("dictyostelium", [tmp_path / name for name in names], seeds=seeds)


def test_an_unknown_world_names_the_nearest(tmp_path):
    with pytest.raises(SlimeError, match=r"no world 'dictyo' .*did you mean dictyostelium\?"):
        make_movies("dictyo", [tmp_path / "a.zarr"], seeds=[0])
