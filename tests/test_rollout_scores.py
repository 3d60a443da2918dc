"""Rollouts of a world that only slides along: who knows it has no error, at any lead."""

import numpy as np
import pytest
import torch
import xarray as xr

from slime.arena import open_arena
from slime.fit import persistence
from slime.frames import GIB
from slime.rollout_scores import OBSERVED, TRUTH, observe_rollouts
from slime.split import Split

Y, X, WAVE = 14, 20, 10


def film(name="one", n=60, **coords):
    """Waves that move a pixel a frame along x, and close upon themselves."""
    t, x = np.arange(n)[:, None, None], np.arange(X)
    frames = 10 + np.cos(2 * np.pi * (x - t) / WAVE) * np.linspace(1, 2, Y)[:, None]
    return xr.DataArray(
        np.stack([frames, np.full_like(frames, 5.0)], axis=1).astype("float32"),
        dims=("time", "channel", "y", "x"),
        coords={"channel": ["camp", "flat"], **coords},
        name=name,
        attrs={"frame_interval_s": 30.0, "pixel_um": 2.0},
    )


def slide(_):
    return lambda past: torch.roll(past[:, -1], 1, dims=-1)


def backwards(_):
    return lambda past: torch.roll(past[:, -1], -1, dims=-1)


def stay(_):
    return persistence


MODELS = {"slide": slide, "backwards": backwards, "persistence": stay}


def observed(movies=None, splits=None, models=MODELS, step=1, budget=GIB, **how):
    movies = movies or [film()]
    splits = splits or [{"val": Split("val", 10, m.sizes["time"])} for m in movies]
    where, _ = open_arena(
        movies,
        splits,
        "val",
        n_in=2,
        leads=3,
        step=step,
        memory_budget=budget,
        device=torch.device("cpu"),
    )
    return observe_rollouts(models, where, seed=3, **how)


def value(table, score, model="slide", channel="camp", lead=0, movie="all"):
    rows = table[(table.score == score) & (table.model == model) & (table.channel == channel)]
    return rows[(rows.lead == lead) & (rows.movie == movie)].iloc[0]


def test_who_knows_the_world_is_right_at_every_lead_and_the_rest_is_not():
    found = observed()
    table = found.table
    assert tuple(table.columns) == OBSERVED
    assert set(table.model) == {TRUTH, *MODELS}
    assert set(table.seed) == {3}
    assert set(table.split) == {"val"}
    # frames 10 to 59, of which two are given
    assert max(table.lead) == 48
    assert found.notes == ["val split, observables of free rollouts: one: 48 leads from 1 start"]
    for score in ("period_error", "wave_speed_error"):
        assert value(table, score).value == pytest.approx(0, abs=1e-5)
    for score in ("spectrum_error", "mound_error", "density_variance_error"):
        assert value(table, score, lead=48).value == pytest.approx(0, abs=1e-4)
    assert value(table, "period", TRUTH).value == pytest.approx(WAVE * 30, rel=0.01)
    assert value(table, "period", TRUTH).unit == "s"
    assert np.isnan(value(table, "period", "persistence").value)
    assert "no waves" in value(table, "period", "persistence").note
    # a third of a turn of the wave apart after lead 3 or so: mounds are elsewhere
    assert value(table, "mound_error", "backwards", lead=3).value > 1


def test_what_cannot_be_measured_of_a_channel_says_why():
    row = value(observed().table, "period", TRUTH, "flat")
    assert np.isnan(row.value)
    assert "no waves" in row.note
    assert row.unit == "s"


def test_frames_left_out_between_leads_count_into_the_units():
    found = observed(movies=[film(n=120)], step=2)
    assert max(found.table.lead) == 53  # 110 frames from 10 on: 55 of each second one
    assert value(found.table, "period", TRUTH).value == pytest.approx(WAVE * 30, rel=0.02)


def test_movies_are_pooled_with_their_range_and_short_ones_as_far_as_they_go():
    found = observed(movies=[film("one"), film("two", n=40)])
    table = found.table
    assert set(table.movie) == {"one", "two", "all"}
    one, two = (value(table, "period", TRUTH, movie=m).value for m in ("one", "two"))
    pooled = value(table, "period", TRUTH)
    assert pooled.value == pytest.approx((one + two) / 2)
    assert (pooled.low, pooled.high) == (min(one, two), max(one, two))
    assert "mean of 2 movies" in pooled.note
    assert max(table[table.movie == "two"].lead) == 28
    assert "mean of 1 movies" in value(table, "length", TRUTH, lead=48).note


def test_a_movie_without_a_period_is_left_out_of_the_mean_and_told():
    found = observed(movies=[film("one"), film("two", n=20)])
    row = value(found.table, "period", TRUTH)
    assert "mean of 1 movies" in row.note
    assert "1 without: 8 frames, 12 are needed" in row.note


def test_lengths_in_other_units_are_not_averaged():
    silent = film("two").assign_attrs(pixel_um=None)
    row = value(observed(movies=[film("one"), silent]).table, "length", TRUTH, lead=1)
    assert np.isnan(row.value)
    assert "no mean of values in um and px" in row.note


def test_shorter_rollouts_start_one_after_another():
    found = observed(leads=14)
    assert found.notes[-1].endswith("one: 14 leads from 3 starts")
    row = value(found.table, "spectrum_error", "persistence", lead=14)
    assert "mean of 3 starts" in row.note
    assert row.low <= row.value <= row.high
    assert max(found.table.lead) == 14


def test_rollouts_keep_clear_of_blank_frames_and_of_other_splits():
    blank = np.zeros(60, bool)
    blank[30] = True
    movie = film(blank=("time", blank))
    movie[30] = np.nan  # would lose every number if it were touched
    movie[:10] = np.nan
    found = observed(movies=[movie])
    # frames 31 to 59, two of them given
    assert found.notes[-1].endswith("one: 27 leads from 1 start")
    assert value(found.table, "spectrum_error", lead=27).value == pytest.approx(0, abs=1e-4)


def test_masked_pixels_do_not_count():
    mask = np.ones((Y, X), bool)
    mask[:5] = False
    movie = film(mask=(("y", "x"), mask))
    movie[:, :, :5] = 1e6 * np.random.default_rng(0).random((60, 2, 5, X))
    found = observed(movies=[movie])
    assert value(found.table, "spectrum_error", lead=48).value == pytest.approx(0, abs=1e-4)
    assert value(found.table, "active_share", TRUTH).value == 1


def test_memory_shortens_rollouts_and_says_so():
    small = observed(movies=[film(n=600)], budget=388 << 20)
    assert "fit data.memory_gib" in small.notes[0]
    n = max(small.table.lead)
    assert 1 < n < 588
    assert f"rollouts of {n} leads, not 588" in small.notes[0]
    none = observed(budget=384 << 20)
    assert len(none.table) == 0
    assert none.notes == [
        "val split, observables of one: no rollout of any length fits data.memory_gib"
    ]


def test_auto_leaves_out_what_is_long_and_says_so(monkeypatch):
    monkeypatch.setattr("slime.rollout_scores.AUTO_PIXELS", 1000)
    found = observed(auto=True)
    assert len(found.table) == 0
    assert found.shown == {}
    assert "score.observables=true measures them" in found.notes[0]
    assert len(observed(auto=False).table)


def test_the_first_movie_s_liveliest_channel_is_shown():
    found = observed()
    assert list(found.shown) == [TRUTH, *MODELS]
    assert found.where == "one, val split, channel camp, lead 48 (frame 59)"
    last = film().values[59, 0]
    np.testing.assert_allclose(found.shown[TRUTH].field.frames[0], last)
    np.testing.assert_allclose(found.shown["slide"].field.frames[0], last, atol=1e-5)


def test_a_model_is_asked_for_the_movie_by_its_number_in_the_run():
    asked = []
    splits = [{}, {"val": Split("val", 10, 60)}]
    observed(
        movies=[film("one"), film("two")],
        splits=splits,
        models={"persistence": lambda i: asked.append(i) or persistence},
    )
    assert asked == [1]
