"""Ceilings against closed forms: Gaussian noise of known size on scenes that stand or move."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from slime.arena import open_arena, tally_models
from slime.ceiling import ESTIMATED, KNOWN, Noise, ceiling_table, noise_of, share_text
from slime.results import scores_table
from slime.score_rows import rows_where
from slime.sensor_noise import SensorNoise
from slime.split import Split

SIGMA = 3.0


def film(speed_px=0.0, n=60, sigma=SIGMA, seed=0, name="a dish"):
    t, c, y, x = np.ogrid[:n, :2, :24, :40]
    scene = (c + 1) * 30 * np.sin(2 * np.pi * (x - speed_px * t) / 20) + 0.0 * y
    noisy = scene + sigma * (c + 1) * np.random.default_rng(seed).normal(size=scene.shape)
    return xr.DataArray(
        noisy.astype("float32"),
        dims=("time", "channel", "y", "x"),
        coords={"channel": ["dim", "bright"]},
        name=name,
        attrs={"frame_interval_s": 15.0},
    )


def line(*variance):
    v = np.array(variance)
    far = np.full(len(v), np.inf)
    return SensorNoise(0 * v, v, 0 * v, -far, far, ("",) * len(v))


def stay(_):
    return lambda past: past[:, -1]


def mean_of_all(_):
    return lambda past: past.mean(dim=1)


def scored(movies, models, noise=None, n_in=4):
    cuts = [{"train": Split("train", 0, 30), "val": Split("val", 30, 60)} for _ in movies]
    where, _ = open_arena(
        movies,
        cuts,
        "val",
        n_in=n_in,
        leads=2,
        step=1,
        memory_budget=1 << 24,
        device=torch.device("cpu"),
    )
    models = {**models, "persistence": stay}
    tallies = tally_models(models, where)
    how = {"seed": 5, "n_draws": 50, "level": 0.9}
    scores, _ = scores_table(tallies, where, np.ones(2), **how)
    noise = noise or noise_of(movies, [cut["train"] for cut in cuts])
    reads = dict.fromkeys(models, n_in)
    table, said = ceiling_table(scores, tallies["persistence"], where, noise, reads, seed=5)
    return scores, table, said


def value(table, **equal):
    place = {"movie": "all", "channel": "all", "lead": 1} | equal
    (found,) = rows_where(table, **place)["value"]
    return found


def test_of_a_scene_that_stands_still_half_of_persistence_s_error_is_noise():
    _, table, said = scored([film()], {"mean": mean_of_all})
    # persistence errs by s^2 + s^2; the clean frame by s^2; a mean of 4 by s^2 (1 + 1/4)
    assert value(table, model=ESTIMATED, score="skill_ceiling") == pytest.approx(1 / 2, abs=0.02)
    top = value(table, model=ESTIMATED, score="skill_ceiling_temporal")
    assert top == pytest.approx(1 - 1.25 / 2, abs=0.02)
    assert value(table, model="mean", score="skill_of_ceiling") == pytest.approx(3 / 4, abs=0.04)
    assert value(table, model="mean", score="skill_of_ceiling_temporal") == pytest.approx(
        1, abs=0.06
    )
    assert any("skill 0.5" in note and "estimated" in note for note in said)


@pytest.mark.parametrize("lead", [1, 2])
def test_of_a_wave_that_runs_the_ceiling_is_that_of_its_lead(lead):
    _, table, _ = scored([film(speed_px=1.5)], {})
    for c, channel in enumerate(("dim", "bright"), start=1):
        # a sine of amplitude A and its copy k pixels on differ by 2 A^2 sin^2(pi k / 20) on average
        change = 2 * (30 * c) ** 2 * np.sin(np.pi * 1.5 * lead / 20) ** 2
        noise = (SIGMA * c) ** 2
        found = value(table, model=ESTIMATED, channel=channel, lead=lead, score="skill_ceiling")
        assert found == pytest.approx(1 - noise / (change + 2 * noise), abs=0.01)


def test_movies_and_channels_are_pooled_by_their_pixels():
    movies = [film(name="one"), film(name="two", sigma=2 * SIGMA, seed=1)]
    noise = Noise([line(9.0, 36.0), line(36.0, 144.0)])
    scores, table, _ = scored(movies, {}, noise)
    error = value(scores, model="persistence", score="mse")
    assert value(table, model=ESTIMATED, score="noise_variance") == (9 + 36 + 36 + 144) / 4
    top = value(table, model=ESTIMATED, score="skill_ceiling")
    assert top == pytest.approx(1 - (9 + 36 + 36 + 144) / 4 / error)
    two = value(table, model=ESTIMATED, score="noise_variance", movie="two")
    assert two == (36 + 144) / 2
    assert not table.duplicated(["model", "movie", "channel", "lead", "score"]).any()
    assert set(table.seed) == {5}
    assert set(table.split) == {"val"}


def test_the_known_noise_is_shown_beside_and_is_what_shares_are_of():
    movie = film()
    guess, truth = [line(4.0, 4.0)], [line(SIGMA**2, 4 * SIGMA**2)]
    scores, table, said = scored([movie], {"mean": mean_of_all}, Noise(guess, truth))
    skill = value(scores, model="mean", score="skill")
    top = value(table, model=KNOWN, score="skill_ceiling")
    assert value(table, model="mean", score="skill_of_ceiling") == pytest.approx(skill / top)
    assert value(table, model=ESTIMATED, score="noise_variance") == 4
    assert any("known from the camera" in note for note in said)
    assert any(f"estimated is {4 / 22.5:.3g} times" in note for note in said)
    both = share_text(pd.concat([scores, table]), "mean", 1, "val")
    assert both == f", {skill / top:.0%} of the noise ceiling {top:+.3f} (known)"


def test_intervals_of_shares_are_the_skill_s_over_the_ceiling():
    scores, table, _ = scored([film()], {"mean": mean_of_all})
    top = value(table, model=ESTIMATED, score="skill_ceiling")
    ends = [
        rows_where(t, model="mean", score=s, movie="all", channel="all", lead=1)[["low", "high"]]
        for t, s in ((scores, "skill"), (table, "skill_of_ceiling"))
    ]
    np.testing.assert_allclose(ends[1].values, ends[0].values / top)


def test_noise_as_large_as_the_error_leaves_no_share_and_says_so():
    scores, table, said = scored([film()], {"mean": mean_of_all}, Noise([line(99.0, 99.0)]))
    assert np.isnan(value(table, model="mean", score="skill_of_ceiling"))
    assert any("no share" in note for note in said)
    assert share_text(pd.concat([scores, table]), "mean", 1, "val") == ""


def test_without_frames_to_learn_the_noise_from_there_is_no_ceiling():
    _, table, said = scored([film()], {}, Noise([None]))
    assert table.empty
    assert any("no noise ceiling" in note for note in said)


def test_doubts_name_the_movie_and_the_channel():
    doubted = replace(line(1.0, 1.0), doubts=("", "it jumps"))
    _, _, said = scored([film()], {}, Noise([doubted]))
    (note,) = [note for note in said if "it jumps" in note]
    assert note.startswith("a dish, channel bright: the noise may be overestimated")
