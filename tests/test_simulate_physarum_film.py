"""Physarum movies: what is seen of the world, when, and that a kill leaves no seam."""

from dataclasses import asdict, fields

import numpy as np
import pytest
import torch
import zarr

from slime.errors import SlimeError
from slime.movie import open_movie
from slime.simulate import list_settings, make_movies
from slime.simulate.filming import Recording
from slime.simulate.physarum import advanced, initial_state, occupancy
from slime.simulate.physarum_film import PhysarumCameraSpec, physarum_counts
from slime.simulate.physarum_spec import PhysarumSpec
from slime.simulate.worlds import WORLDS

SHORT = {
    "height_px": 9,
    "width_px": 13,
    "n_frames": 7,
    "frame_interval_s": 30.0,
    "warm_up_min": 1.0,
    "frames_per_chunk": 3,
}
SPEC = PhysarumSpec(height_px=9, width_px=13)


def _pixels(path) -> np.ndarray:
    return zarr.open_group(path, mode="r")["movie"][:]


def _world_failing_at(at_frame: int):
    world = WORLDS["physarum"]

    def film(spec, camera, recording, take):
        for index, shot in enumerate(world.film(spec, camera, recording, take), start=take.first):
            if index == at_frame:
                raise KeyboardInterrupt
            yield shot

    return world._replace(film=film)


@pytest.mark.parametrize("at_frame", [0, 3, 5, 6])
def test_an_interrupted_run_goes_on_without_a_seam(tmp_path, monkeypatch, at_frame):
    whole = [tmp_path / "whole-0.zarr", tmp_path / "whole-1.zarr"]
    make_movies("physarum", whole, seeds=[1, 2], **SHORT)
    paths = [tmp_path / "0.zarr", tmp_path / "1.zarr"]
    with monkeypatch.context() as patch:
        patch.setitem(WORLDS, "physarum", _world_failing_at(at_frame))
        with pytest.raises(KeyboardInterrupt):
            make_movies("physarum", paths, seeds=[1, 2], **SHORT)
    assert not any(path.exists() for path in paths)
    make_movies("physarum", paths, seeds=[1, 2], **SHORT)
    for path, reference in zip(paths, whole, strict=True):
        assert np.array_equal(_pixels(path), _pixels(reference))


def test_frames_show_the_trail_at_their_steps(tmp_path):
    # without read noise and with a million electrons a unit of trail the picture is its mean
    light = {"trail_electrons": 1e6, "electrons_per_count": 1e4, "read_noise_electrons": 0.0}
    make_movies("physarum", [tmp_path / "a.zarr"], seeds=[1], **SHORT, **light)
    state = advanced(initial_state(SPEC, [1]), SPEC, 4)  # a minute is 4 steps of 15 s
    for index, frame in enumerate(_pixels(tmp_path / "a.zarr")):
        mean = physarum_counts(state, 0, SPEC, PhysarumCameraSpec(**light), 30.0 * index)
        # Poisson: 1e-3 of a unit of trail or 0.1 counts, 5 times that and rounding
        np.testing.assert_allclose(frame, mean, rtol=5e-3, atol=1)
        state = advanced(state, SPEC, 2)


def test_the_camera_sees_the_trail_under_its_light():
    camera = PhysarumCameraSpec(
        falloff=0.0, bleach_per_hour=0.5, trail_electrons=20.0, background_electrons=30.0
    )
    state = advanced(initial_state(SPEC, [1]), SPEC, 4)
    counts = physarum_counts(state, 0, SPEC, camera, seconds=7200.0)
    # two hours at half an hour: a quarter of 20 electrons, 30 of the medium, the offset of 100
    np.testing.assert_allclose(counts[0], 5 * state.trail[0].double().numpy() + 130)


def test_agents_are_hidden_unless_asked_for(tmp_path):
    make_movies("physarum", [tmp_path / "a.zarr"], seeds=[1], **SHORT)
    assert open_movie(tmp_path / "a.zarr").channel.values.tolist() == ["trail"]
    make_movies("physarum", [tmp_path / "b.zarr"], seeds=[1], **SHORT, show_agents=1)
    assert open_movie(tmp_path / "b.zarr").channel.values.tolist() == ["trail", "agents"]
    state = advanced(initial_state(SPEC, [1]), SPEC, 4)
    # an agent has 750 to 1000 electrons, the rest 200 of the medium and its noise of 15
    bright = _pixels(tmp_path / "b.zarr")[0, 1] > 500
    assert np.array_equal(bright, occupancy(state, SPEC)[0].numpy() == 1)


def test_every_parameter_is_in_the_attributes(tmp_path):
    make_movies("physarum", [tmp_path / "a.zarr"], seeds=[1], **SHORT, pixel_um=40)
    attributes = zarr.open_group(tmp_path / "a.zarr", mode="r").attrs
    spec = PhysarumSpec(height_px=9, width_px=13, pixel_um=40.0)
    assert attributes["parameters"]["spec"] == asdict(spec)
    assert attributes["parameters"]["camera"] == asdict(PhysarumCameraSpec())
    assert (attributes["frame_interval_s"], attributes["pixel_um"]) == (30, 40)


def test_every_setting_has_a_meaning_and_no_two_owners_share_a_name():
    names = [one.name for one in list_settings("physarum")]
    n_fields = sum(len(fields(owner)) for owner in (Recording, PhysarumSpec, PhysarumCameraSpec))
    assert len(names) == len(set(names)) == n_fields + 2  # and size_px and compile
    assert all(one.meaning for one in list_settings("physarum"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frame_interval_s": 40}, r"frame_interval_s is 40, no whole number .* nearest is 45"),
        ({"frame_interval_s": 1}, r"frame_interval_s is 1, no whole number .* nearest is 15"),
        ({"warm_up_min": 0.3}, r"warm_up_min is 0.3, no whole number .* nearest is 0.25"),
        ({"population": 0}, "population is 0.0; it must be a number above 0"),
        ({"show_agents": 2}, "show_agents is 2; it must be 0 or 1"),
        ({"trail_electrons": 0}, "trail_electrons is 0.0; it must be a number above 0"),
    ],
)
def test_a_mistake_is_said_in_one_line_before_a_file_is_made(tmp_path, settings, message):
    with pytest.raises(SlimeError, match=message) as caught:
        make_movies("physarum", [tmp_path / "a.zarr"], seeds=[0], **settings)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_moves_agents_by_the_same_rule():
    state = advanced(initial_state(SPEC, [1, 2], "cuda"), SPEC, 50)
    agents = occupancy(state, SPEC)
    assert agents.sum(dim=(1, 2)).tolist() == [SPEC.n_agents] * 2
    assert int(agents.max()) == 1
