"""Plane waves of known speed, and what has no front at all."""

import numpy as np
import pytest

from slime.fronts import Front, describe_field, measure_fronts, short_sight
from slime.report.sight import sight_sentences
from slime.split import Split

BUDGET = 1 << 30


def plane_wave(speed_px, n=60, y=30, x=36, length_px=24.0):
    t, rows, columns = np.ogrid[:n, :y, :x]
    phase = 2 * np.pi * (columns + 0.0 * rows - speed_px * t) / length_px
    return (100 + 50 * np.sin(phase)).astype("float32")


def fronts_of(movie, start=0, stop=60, step=1):
    found, said = measure_fronts(
        [movie], [Split("train", start, stop)], step=step, memory_budget=BUDGET
    )
    assert not said
    return found


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("units", [{}, {"frame_interval_s": 15.0, "pixel_um": 50.0}])
def test_a_front_moves_as_far_in_a_lead_as_its_speed_says(in_memory, step, units):
    movie = in_memory(plane_wave(1.5))
    movie.attrs.update(units)
    (front,) = fronts_of(movie, step=step)
    assert front.px_per_lead == pytest.approx(1.5 * step, rel=0.05)  # waves are smoothed by 2 px
    assert front.low <= front.px_per_lead <= front.high


def test_large_frames_are_binned_and_told_in_their_own_pixels(in_memory):
    movie = in_memory(plane_wave(6.0, y=130, x=150, length_px=60.0))
    (front,) = fronts_of(movie)
    assert front.px_per_lead == pytest.approx(6.0, rel=0.05)


def test_only_frames_of_the_split_are_looked_at_and_named(in_memory):
    frames = np.concatenate([plane_wave(3.0), plane_wave(1.5)])
    (front,) = fronts_of(in_memory(frames), start=60, stop=120)
    assert front.px_per_lead == pytest.approx(1.5, rel=0.05)
    assert front.where == "movie, frames 60 to 119"


def test_noise_and_what_flashes_at_once_have_no_front(in_memory):
    rng = np.random.default_rng(0)
    assert fronts_of(in_memory(rng.normal(size=(60, 30, 36)))) == []
    flash = np.sin(np.arange(60) / 2)[:, None, None] + 0.01 * rng.normal(size=(60, 30, 36))
    assert fronts_of(in_memory(flash)) == []


def test_a_dark_channel_is_passed_over(in_memory):
    wave = plane_wave(1.5)
    (front,) = fronts_of(in_memory(np.stack([0 * wave, wave], axis=1)))
    assert front.channel == "1"


def test_too_little_memory_gives_nothing_and_says_so(in_memory):
    cut = [Split("train", 0, 60)]
    found, (note,) = measure_fronts(
        [in_memory(plane_wave(1.5))], cut, step=1, memory_budget=1 << 28
    )
    assert found == []
    assert "data.memory_gib is 0.25" in note


def test_the_movie_with_most_frames_that_copies_no_other_is_looked_at(in_memory):
    short, long, twin = (in_memory(plane_wave(1.5, n=n), name=f"m{n}") for n in (40, 60, 80))
    twin.attrs["twin_of"] = "m60"
    cuts = [Split("train", 0, n) for n in (40, 60, 80)]
    (front,), _ = measure_fronts([short, long, twin], cuts, step=1, memory_budget=BUDGET)
    assert front.where.startswith("m60")


def test_a_net_that_sees_less_far_than_fronts_move_is_told_so():
    slow, fast = (Front(f"c{v:.0f}", v, v, v, "m, frames 0 to 9") for v in (2.0, 7.0))
    (note,) = short_sight("cnn", 4, [slow, fast])
    assert "sees 4 px" in note
    assert "channel c7 move 7 px" in note
    assert short_sight("cnn", 7, [slow, fast]) == []
    assert short_sight("fno", None, [fast]) == []
    assert describe_field("fno", None, []) == "fno sees the whole frame"


def test_the_page_tells_what_run_json_holds():
    front = {"channel": "camp", "px_per_lead": 7.0, "low": 4.0, "high": 19.0, "where": "m"}
    about = {"net": {"kind": "cnn", "receptive_radius": 4}, "fronts": [front]}
    told, note = sight_sentences(about)
    assert told == "cnn sees 4 px around a pixel; fronts of camp move 7 px a lead (4 to 19)."
    assert "too little of what comes" in note
    assert sight_sentences({"net": {"kind": "cnn"}}) == []
