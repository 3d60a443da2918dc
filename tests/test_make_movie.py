"""The command make_movie: its words, its exit codes, and an interrupt."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from slime.errors import SlimeError
from slime.simulate import make_movies
from slime.simulate.command import help_text, movie_paths, parse_command

ROOT = Path(__file__).parents[1]
SAID = "steps by torch: the movie is too short for compiling to pay"
SHORT = ["size_px=12", "n_frames=6", "frames_per_chunk=2", "warm_up_min=0.1"]


# A job started in the background of a shell inherits a SIGINT that is ignored; a user's is not.
AS_A_USER = (
    "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def _start(*words: str) -> subprocess.Popen:
    search = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", AS_A_USER, str(ROOT / "scripts/make_movie.py"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": search},
    )


def _run(*words: str) -> tuple[int, str, str]:
    process = _start(*words)
    out, err = process.communicate()
    return process.returncode, out, err


def test_words_are_read_in_any_order_and_typed():
    command = parse_command(["out=a.zarr", "k_e_per_min=1e1", "dictyostelium", "seed=4"])
    assert command.world == "dictyostelium"
    assert command.paths == [Path("a.zarr")]
    assert command.seeds == [4]
    assert command.settings == {"k_e_per_min": 10.0}


def test_several_movies_are_numbered_and_their_seeds_count_on():
    command = parse_command(["dictyostelium", "out=d/a=b.zarr", "n_movies=3", "seed=5"])
    assert [str(path) for path in command.paths] == [f"d/a=b-{m}.zarr" for m in range(3)]
    assert command.seeds == [5, 6, 7]
    assert movie_paths("demo", 1) == [Path("demo.zarr")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["out=a.zarr"], "name one world .*, not none"),
        (["dictyostelium", "again", "out=a"], "name one world .*, not dictyostelium again"),
        (["dictyostelum", "out=a"], r"did you mean dictyostelium\?"),
        (["dictyostelium"], "say where the movie goes: out=PATH"),
        (["dictyostelium", "out=a", "n_movis=2"], r"no key 'n_movis'; did you mean n_movies\?"),
        (["dictyostelium", "out=a", "n_movies=0"], "n_movies is 0; it must be a whole number from"),
        (["dictyostelium", "out=a", "seed=x"], "seed is 'x'; it must be a whole number from 0"),
    ],
)
def test_a_mistake_in_the_words_is_said_with_what_would_be_right(words, message):
    with pytest.raises(SlimeError, match=message):
        parse_command(words)


def test_help_lists_keys_with_default_and_meaning():
    lines = help_text().splitlines()
    assert any(line.split()[:1] == ["k_e_per_min=9.0"] and "decay" in line for line in lines)
    assert any(line.split()[:1] == ["n_movies=1"] for line in lines)


@pytest.mark.slow
def test_the_command_makes_a_movie_and_says_where(tmp_path):
    code, out, err = _run("dictyostelium", f"out={tmp_path / 'a b.zarr'}", *SHORT)
    assert (code, err) == (0, "")
    assert out == f"{tmp_path / 'a b.zarr'}  (dictyostelium, seed 0; {SAID})\n"
    assert zarr.open_group(tmp_path / "a b.zarr", mode="r")["movie"].shape == (6, 2, 12, 12)


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path):
    code, out, err = _run("dictyostelium", f"out={tmp_path / 'a.zarr'}", "n_frames=0")
    assert (code, out) == (2, "")
    assert err == "make_movie.py: n_frames is 0; it must be a number at least 1 and below inf\n"


@pytest.mark.slow
def test_an_interrupt_saves_the_state_and_the_same_words_go_on(tmp_path):
    words = ("dictyostelium", *SHORT[:1], *SHORT[2:], "n_frames=150")
    _, _, seeds, device, settings = parse_command([*words, "out=_"])
    make_movies("dictyostelium", [tmp_path / "whole.zarr"], seeds=seeds, device=device, **settings)
    process = _start(*words, f"out={tmp_path / 'a.zarr'}")
    while not (tmp_path / "a.zarr.partial.state.pt").exists() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err == "make_movie.py: interrupted; what was finished is saved\n"
    assert not (tmp_path / "a.zarr").exists()
    assert _run(*words, f"out={tmp_path / 'a.zarr'}")[0] == 0
    whole, resumed = (
        zarr.open_group(tmp_path / name, mode="r")["movie"][:] for name in ("whole.zarr", "a.zarr")
    )
    assert np.array_equal(whole, resumed)
