"""The gallery: a movie's command is what made it, none is made twice, the page asks nobody."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scripts_by_name import script

from slime.errors import SlimeError
from slime.gallery import ENTRIES, Entry, make_gallery, parameters_of, parse_words
from slime.movie import open_movie
from slime.plots.movie_gif import movie_gif
from slime.simulate import make_movies
from slime.simulate.command import parse_command

BRIEF = {"n_frames": 3, "size_px": 24, "warm_up_min": 0.0}


def brief(entry):
    """The entry as small as it can be; stacks of few slices."""
    settings = {**entry.settings, **BRIEF}
    if entry.world == "physarum":
        settings |= {"frame_interval_s": 30.0}
    if entry.world == "lookalike":
        settings |= {"n_z": 2, "n_blank": 1}
    return replace(entry, settings=settings)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_command_that_is_told_is_what_was_made(entry, tmp_path):
    python, path, *words = shlex.split(entry.command)
    assert (python, path) == ("python", "scripts/make_movie.py")
    command = parse_command(words)
    assert (command.world, command.seeds) == (entry.world, [entry.seed])
    assert command.settings == dict(entry.settings)


def test_every_world_is_filmed_drawn_and_listed_once(tmp_path):
    entries = [brief(entry) for entry in ENTRIES]
    entries = list({entry.world: entry for entry in entries}.values())
    page = make_gallery(tmp_path / "shown", entries).read_text(encoding="utf-8")
    assert {entry.world for entry in entries} == {
        "dictyostelium_fields",
        "dictyostelium",
        "sgro",
        "physarum",
        "lookalike",
    }
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(links) == 2 * len(entries)
    assert all(link.startswith("data:image/") for link in links)
    assert "http:" not in page
    assert "https:" not in page
    for entry in entries:
        assert f'id="{entry.name}"' in page
        assert entry.title in page
    assert page.count("3 frames of 24 × 24 pixels") == len(entries)
    assert "decay = 0.1" in page  # of Physarum's trail, a default


def test_what_is_there_is_left_and_what_is_lost_is_made_again(tmp_path):
    (entry,) = (brief(e) for e in ENTRIES if e.name == "physarum")
    make_gallery(tmp_path, [entry])
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file() and p.name != "index.html")
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in files}
    (tmp_path / "physarum.gif").unlink()
    make_gallery(tmp_path, [entry])
    for path in files:
        changed, content = before[path]
        assert path.read_bytes() == content
        if path.suffix not in (".gif", ".png"):
            assert path.stat().st_mtime_ns == changed, path
    again = (tmp_path / "physarum.gif").stat().st_mtime_ns
    make_gallery(tmp_path, [entry])
    assert (tmp_path / "physarum.gif").stat().st_mtime_ns == again


def test_a_store_of_another_movie_is_refused(tmp_path):
    (entry,) = (brief(e) for e in ENTRIES if e.name == "physarum")
    make_movies("physarum", [tmp_path / "physarum.zarr"], seeds=[7], **entry.settings)
    with pytest.raises(SlimeError, match="seed = 7, not 0"):
        make_gallery(tmp_path, [entry])


def test_all_parameters_of_a_movie_are_told(tmp_path):
    entry = Entry("net", "A net", "It is.", "physarum", {**BRIEF, "population": 0.2})
    make_gallery(tmp_path, [entry])
    found = parameters_of(tmp_path / "net.zarr")
    assert found["population"] == 0.2
    assert found["sensor_angle_deg"] == 45
    assert found["warm_up_min"] == 0


def moving(in_memory, n=20, **attrs):
    frames = np.arange(n)[:, None, None, None] * 10.0 + np.arange(2)[None, :, None, None]
    ramp = np.linspace(0, 5, 30)
    movie = in_memory(np.broadcast_to(frames + ramp, (n, 2, 20, 30)).astype("float32"))
    return movie.assign_coords(channel=["cells", "camp"]).assign_attrs(**attrs)


def test_a_gif_has_evenly_spaced_frames_and_brighter_ones_are_lighter(in_memory, tmp_path):
    path = movie_gif(tmp_path / "a.gif", moving(in_memory), most_frames=7)
    with Image.open(path) as image:
        assert image.n_frames == 7  # every third of 20
        means = []
        for k in range(image.n_frames):
            image.seek(k)
            pixels = np.asarray(image.convert("L"), float)
            means.append(pixels[40:200, 40:200].mean())
    assert np.all(np.diff(means) > 10)


def test_a_gif_s_scale_bar_is_as_long_as_it_says(in_memory, tmp_path):
    # 30 pixels of 4 um: a bar of 20 um is 5 pixels, each drawn 13 wide (256 / 20)
    for attrs, pixels in (({"pixel_um": 4.0, "frame_interval_s": 5.0}, 5), ({}, 10)):
        path = movie_gif(tmp_path / "a.gif", moving(in_memory, **attrs))
        with Image.open(path) as image:
            drawn = np.asarray(image.convert("L"))
        runs = [len(run) for row in drawn[-15:] for run in _runs(row < 60)]
        assert max(runs) == pixels * 13


def _runs(dark):
    """Runs of dark pixels in a row."""
    return "".join("x" if one else " " for one in dark).split()


def test_a_gif_shrinks_until_it_fits(in_memory, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (30, 1, 64, 64)).astype("uint8")
    movie = in_memory(noise)
    large = movie_gif(tmp_path / "large.gif", movie).stat().st_size
    small = movie_gif(tmp_path / "small.gif", movie, max_bytes=large // 3).stat().st_size
    assert small <= large // 3


def test_words_choose_movies_and_mistakes_are_told(tmp_path, monkeypatch, capsys):
    out, entries = parse_words(["out=here", "only=sgro,spiral"])
    assert (out, [entry.name for entry in entries]) == (Path("here"), ["sgro", "spiral"])
    assert parse_words([])[1] == list(ENTRIES)
    with pytest.raises(SlimeError, match=r"only=spiral_ is none of .*; did you mean spiral"):
        parse_words(["only=spiral_"])
    with pytest.raises(SlimeError, match="there is no setting oot; did you mean out"):
        parse_words(["oot=here"])
    (tmp_path / "file").write_text("")
    with pytest.raises(SlimeError, match=r"out=.*file/in cannot be made: Not a directory"):
        make_gallery(tmp_path / "file" / "in", [])
    assert script("gallery")(["--help"]) == 0
    assert "spiral" in capsys.readouterr().out


@pytest.mark.slow
def test_the_spirals_of_the_gallery_turn(tmp_path):
    """All of it but size: waves are there to the end, with a tip at least in most frames."""
    from slime.observables import hilbert_phase, period_map, winding

    (entry,) = (entry for entry in ENTRIES if entry.name == "spiral")
    make_gallery(tmp_path, [entry])
    frames = open_movie(str(tmp_path / "spiral.zarr")).values[:, 0]
    period = period_map(frames, frame_interval_s=20)
    assert np.nanmedian(period) / 60 == pytest.approx(5.4, rel=0.1)
    phase = hilbert_phase(frames, frame_interval_s=20, period_s=float(np.nanmedian(period)))
    tips = np.abs(winding(phase[20:70])).sum(axis=(1, 2))
    assert (tips > 0).mean() > 0.9
    assert (tmp_path / "spiral.gif").stat().st_size < 1_000_000
