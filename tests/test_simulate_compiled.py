"""Whether a movie's steps are compiled: the choice, what is told of it, and movies that go on."""

import shutil

import numpy as np
import pytest
import torch
import zarr

from slime.errors import SlimeError
from slime.simulate import compiled as choosing
from slime.simulate import make_movies, told_steps
from slime.simulate.compiled import Steps, checked_kernel, pick_steps, read_choice
from slime.simulate.kernel import Kernel, NoKernelError, build_kernel
from slime.simulate.movie_writer import state_path
from slime.simulate.worlds import WORLDS

SHORT = {
    "height_px": 9,
    "width_px": 13,
    "n_frames": 7,
    "frame_interval_s": 6.0,
    "warm_up_min": 0.2,
    "frames_per_chunk": 3,
}
WORLD_NAMES = ["dictyostelium", "sgro"]
LONG, BRIEF = 10**9, 1000


@pytest.fixture
def compiler():
    try:
        build_kernel()
    except NoKernelError as error:
        pytest.skip(str(error))


def _pixels(path) -> np.ndarray:
    return zarr.open_group(path, mode="r")["movie"][:]


def _parameters(path) -> dict:
    return dict(zarr.open_group(path, mode="r").attrs)["parameters"]


def _pick(choice, n_updates=LONG, *, device="cpu", begun=None) -> Steps:
    return pick_steps(choice, world="sgro", n_updates=n_updates, device=device, begun=begun)


def test_a_choice_is_a_word_or_a_bool():
    words = ["auto", "true", "false", True, False]
    assert [read_choice(word) for word in words] == ["auto", "true", "false", "true", "false"]
    for bad in ("yes", 1, None):
        with pytest.raises(SlimeError, match=f"compile is {bad!r}; it must be auto, true or false"):
            read_choice(bad)


def test_compiling_is_for_movies_long_enough_that_were_not_begun_without(compiler):
    assert _pick("auto").compiled
    assert _pick("true", BRIEF).compiled
    assert not _pick("false").compiled
    assert _pick("auto", BRIEF) == (False, "torch: the movie is too short for compiling to pay")
    assert not _pick("auto", begun=False).compiled
    assert _pick("auto", BRIEF, begun=True).compiled
    assert not _pick("auto", device="cuda").compiled
    assert not _pick("auto", None).compiled


def test_what_cannot_be_compiled_is_refused_where_it_was_asked_for():
    with pytest.raises(SlimeError, match="they are for the CPU, not cuda:1"):
        _pick("true", device="cuda:1")
    with pytest.raises(SlimeError, match="no compiled steps can be had: sgro has none"):
        _pick("true", None)


def test_without_a_compiler_torch_steps_and_says_why(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    steps = _pick("auto")
    assert not steps.compiled
    assert "no-such-compiler cannot be run" in steps.told
    with pytest.raises(SlimeError, match=r"compile is true, but no compiled .*no-such-compiler"):
        _pick("true")


def test_steps_that_compute_something_else_are_not_used(compiler, monkeypatch):
    run = Kernel.prepared

    def off(self, name, fields, sizes, constants):
        return run(self, name, fields, sizes, [constants[0] * 1.01, *constants[1:]])

    checked_kernel()
    monkeypatch.setattr(Kernel, "prepared", off)
    with pytest.raises(NoKernelError, match="differ from those of torch"):
        checked_kernel()
    assert "differ from those of torch" in _pick("auto").told


@pytest.mark.parametrize("world", WORLD_NAMES)
def test_a_compiled_movie_says_so_and_is_that_of_torch_but_for_rounding(tmp_path, compiler, world):
    for name in ("true", "false"):
        made = make_movies(world, [tmp_path / f"{name}.zarr"], seeds=[3], compile=name, **SHORT)
        assert _parameters(made[0])["compiled"] is (name == "true")
    assert told_steps(tmp_path / "true.zarr") == f"steps by {build_kernel().compiler}"
    assert told_steps(tmp_path / "false.zarr") == "steps by torch"
    one, other = (_pixels(tmp_path / f"{name}.zarr").astype(int) for name in ("true", "false"))
    # counts are drawn; a mean that differs by 1e-5 moves few of them, and those by one
    assert np.abs(one - other).max() <= 1
    assert (one != other).mean() < 0.01


@pytest.mark.parametrize("world", WORLD_NAMES)
def test_no_step_of_a_compiled_movie_is_taken_by_torch(tmp_path, monkeypatch, compiler, world):
    kernel = build_kernel()
    monkeypatch.setattr(choosing, "checked_kernel", lambda: kernel)  # the check needs torch's

    def refuse(*_, **__):
        raise AssertionError("a step by torch")

    monkeypatch.setattr("slime.simulate.martiel_goldbeter.react", refuse)
    monkeypatch.setattr("slime.simulate.sgro.step", refuse)
    make_movies(world, [tmp_path / "a.zarr"], seeds=[3], compile=True, **SHORT)
    with pytest.raises(AssertionError, match="a step by torch"):
        make_movies(world, [tmp_path / "b.zarr"], seeds=[3], compile=False, **SHORT)


class _Interrupted:
    """A world that is interrupted in its fourth frame."""

    def __init__(self, name: str):
        self.world = WORLDS[name]

    def film(self, spec, camera, recording, take):
        for index, shot in enumerate(self.world.film(spec, camera, recording, take), take.first):
            if index == 4:
                raise KeyboardInterrupt
            yield shot


def _begin(monkeypatch, world: str, path, **settings) -> None:
    with monkeypatch.context() as patch:
        broken = WORLDS[world]._replace(film=_Interrupted(world).film)
        patch.setitem(WORLDS, world, broken)
        with pytest.raises(KeyboardInterrupt):
            make_movies(world, [path], seeds=[3], **SHORT, **settings)
    assert not path.exists()


@pytest.mark.parametrize("world", WORLD_NAMES)
@pytest.mark.parametrize("choice", ["true", "false"])
def test_a_movie_goes_on_with_the_steps_it_was_begun_with(
    tmp_path, monkeypatch, compiler, world, choice
):
    make_movies(world, [tmp_path / "whole.zarr"], seeds=[3], compile=choice, **SHORT)
    path = tmp_path / "a.zarr"
    _begin(monkeypatch, world, path, compile=choice)
    other = "false" if choice == "true" else "true"
    with pytest.raises(SlimeError, match=r"was begun with compiled = .*; go on with that"):
        make_movies(world, [path], seeds=[3], compile=other, **SHORT)
    monkeypatch.setattr(choosing, "PAYS_FROM", 0 if choice == "false" else 10**12)
    make_movies(world, [path], seeds=[3], **SHORT)
    assert np.array_equal(_pixels(path), _pixels(tmp_path / "whole.zarr"))
    assert _parameters(path)["compiled"] is (choice == "true")
    # the finished store is what is asked for, whatever auto would choose, and needs no compiler
    monkeypatch.setenv("CC", "no-such-compiler")
    assert make_movies(world, [path], seeds=[3], **SHORT) == [path]


def test_movies_of_both_kinds_go_on_in_one_run(tmp_path, monkeypatch, compiler):
    paths = [tmp_path / "compiled.zarr", tmp_path / "torch.zarr"]
    for path, choice in zip(paths, ("true", "false"), strict=True):
        _begin(monkeypatch, "sgro", path, compile=choice)
    make_movies("sgro", paths, seeds=[3, 3], **SHORT)
    assert [_parameters(path)["compiled"] for path in paths] == [True, False]


def test_a_movie_begun_compiled_does_not_go_on_without_or_by_other_code(
    tmp_path, monkeypatch, compiler
):
    path = tmp_path / "a.zarr"
    _begin(monkeypatch, "sgro", path, compile="true")
    with monkeypatch.context() as patch:
        patch.setenv("CC", "no-such-compiler")
        with pytest.raises(SlimeError, match="begun with compiled steps, which cannot be had:"):
            make_movies("sgro", [path], seeds=[3], **SHORT)
    saved = torch.load(state_path(path), weights_only=True)
    digest = saved["state"]["kernel"]
    torch.save({**saved, "state": {**saved["state"], "kernel": "0123"}}, state_path(path))
    with pytest.raises(SlimeError, match=f"compiled to code 0123, but here they become {digest}"):
        make_movies("sgro", [path], seeds=[3], **SHORT)
    torch.save(saved, state_path(path))
    make_movies("sgro", [path], seeds=[3], **SHORT)


def test_a_store_from_before_the_choice_was_made_by_torch(tmp_path):
    path = tmp_path / "a.zarr"
    make_movies("sgro", [path], seeds=[3], compile=False, **SHORT)
    group = zarr.open_group(path, mode="r+")
    parameters = dict(group.attrs)["parameters"]
    group.attrs["parameters"] = {
        name: value for name, value in parameters.items() if name not in ("compiled", "steps")
    }
    assert make_movies("sgro", [path], seeds=[3], **SHORT) == [path]
    assert told_steps(path) == "steps by torch"
    with pytest.raises(SlimeError, match="made with compiled = False, not True"):
        make_movies("sgro", [path], seeds=[3], compile=True, **SHORT)


def test_a_stack_of_the_lookalike_can_be_compiled(tmp_path, compiler):
    small = {**SHORT, "frames_per_chunk": 1, "n_z": 2, "n_blank": 1}
    path = tmp_path / "dish.zarr"
    make_movies("lookalike", [path], seeds=[1], compile=True, **small)
    shutil.rmtree(tmp_path / "dish every 5.zarr")
    assert told_steps(path) == f"steps by {build_kernel().compiler}"
    assert make_movies("lookalike", [path], seeds=[1], **small) == [path]
