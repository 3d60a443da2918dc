import numpy as np
import pytest
import torch
import xarray as xr

from slime.arena import for_all_movies, open_arena, tally_models
from slime.errors import SlimeError
from slime.fit import persistence
from slime.inference import Interval
from slime.results import COLUMNS, example_forecast, scores_table
from slime.score_list import where_unbiased
from slime.split import Split
from slime.wide import tally_wide, widened
from slime.yardstick import Yardstick


def film(name, n=40, amplitude=1.0, seed=0, size=(4, 5)):
    noise = np.random.default_rng(seed).normal(size=(n, 2, *size))
    frames = amplitude * np.cumsum(noise, axis=0)
    return xr.DataArray(
        frames.astype("float32"),
        dims=("time", "channel", "y", "x"),
        coords={"channel": ["cells", "camp"]},
        name=name,
        attrs={"frame_interval_s": 15.0},
    )


def meet(leads=3, splits=None, movies=None, **changes):
    movies = movies or [film("one"), film("two", amplitude=10.0, seed=1)]
    splits = splits or [{"test": Split("test", 10, 40)}, {"test": Split("test", 0, 25)}]
    settings = {"n_in": 2, "leads": leads, "step": 1, "memory_budget": 1 << 20} | changes
    return open_arena(movies, splits, "test", device=torch.device("cpu"), **settings)


def zero(_):
    return lambda past: torch.zeros_like(past[:, -1])


def stay(_):
    return persistence


def halfway(_):
    return lambda past: 0.5 * past[:, -1]


def table(models, arena):
    tallies = tally_models(models, arena)
    return scores_table(tallies, arena, np.array([4.0, 9.0]), seed=3, n_draws=50, level=0.9)


def test_every_model_is_scored_on_the_same_windows():
    arena, _ = meet()
    tallies = tally_models({"persistence": stay, "zero": zero}, arena)
    one, other = tallies["persistence"], tallies["zero"]
    assert one.movie.tolist() == other.movie.tolist()
    assert one.start.tolist() == other.start.tolist()
    # 30 - 4 and 25 - 4 starts of windows of 2 + 3 frames
    assert np.bincount(one.movie).tolist() == [26, 21]


def test_the_table_is_tidy_and_holds_every_movie_channel_and_lead():
    arena, _ = meet()
    scores, _ = table({"zero": zero, "persistence": stay, "ridge": halfway}, arena)
    assert list(scores.columns) == list(COLUMNS)
    assert set(scores.movie) == {"one", "two", "all"}
    assert set(scores.channel) == {"cells", "camp", "all"}
    assert set(scores.seed) == {3}
    leads = scores[scores.score == "mse"].groupby(["model", "movie", "channel"]).lead
    assert (leads.apply(list).map(tuple) == (1, 2, 3)).all()
    assert not scores.duplicated(["model", "movie", "channel", "lead", "score"]).any()


def wide_table(models, arena, leads, movies=None):
    yardstick = Yardstick(np.array([4.0, 9.0]), np.zeros(2), np.array([5.0, 9.0]), np.zeros(2))
    far, _ = widened(arena, leads)
    scores, _ = scores_table(
        tally_models(models, arena),
        arena,
        yardstick.variance,
        seed=3,
        n_draws=50,
        level=0.9,
        yardstick=yardstick,
        wide=tally_wide(models, far, yardstick),
    )
    return scores


def test_leads_windows_of_leads_and_details_have_the_rows_that_are_documented():
    large = [film("one", size=(12, 13)), film("two", seed=1, size=(12, 13))]
    arena, _ = meet(leads=8, movies=large, splits=[{"test": Split("test", 0, 40)}] * 2)
    models = {"zero": zero, "persistence": stay, "ridge": halfway, "climatology": zero}
    scores = wide_table(models, arena, 18)
    assert not scores.duplicated(["model", "movie", "channel", "lead", "score"]).any()
    ours = scores[(scores.model == "persistence") & (scores.channel == "all")]
    leads = {name: sorted(rows.lead) for name, rows in ours[ours.movie == "all"].groupby("score")}
    every, doubling = list(range(1, 19)), [1, 2, 4, 8, 16]
    cheap = {"mse", "mae", "rmse", "r2", "vrmse", "psnr", "skill", "skill_ridge", "nrmse"}
    cheap |= {"skill_climatology", "pearson", "mass_drift", "frame_vrmse", "frame_vrmse_flat"}
    costly = {"ssim", "w1", "acc", "h1", "log_spectral_distance"}
    of_bands = ("spectral_mse", "spectral_nmse", "frmse", "energy_ratio", "coherence_error")
    costly |= {f"{score}_{band}" for score in of_bands for band in ("low", "mid", "high")}
    alone = {f"{s}_{t}" for s in ("horizon", "censored") for t in (0.8, 0.9, 0.95)}
    alone |= {f"{score}_{window}" for score in cheap for window in ("6:12", "13:18")}
    assert leads == (
        dict.fromkeys(cheap, every)
        | dict.fromkeys(costly, doubling)
        | {score: [0] for score in alone}
    )
    assert sorted(ours[(ours.movie == "one") & (ours.score == "mse")].lead) == [*range(1, 9), 16]
    drawn = scores[scores.low.notna()]
    # a mean over frames of drawn blocks is that mean on average, not in every draw
    assert ((drawn.low <= drawn.high) & drawn.value.notna()).all()
    assert {"ssim", "energy_ratio_high", "w1", "psnr", "nrmse", "mse_6:12"} <= set(drawn.score)


def test_draws_that_are_biased_give_no_interval():
    spread = np.array([-1.0, 1.0])[:, None, None]  # standard deviation 1
    drawn = 5 + np.array([[0.2, 0.3, -0.2, -0.3]]) + spread
    given = Interval(np.full((1, 4), 4.0), np.full((1, 4), 6.0))
    kept = where_unbiased(given, drawn, np.full((1, 4), 5.0))
    for end, whole in zip(kept, given, strict=True):
        np.testing.assert_array_equal(end[0, [0, 2]], whole[0, [0, 2]])
        assert np.isnan(end[0, [1, 3]]).all()


def test_a_length_that_chance_adds_to_never_lies_outside_its_interval():
    still = film("one", size=(12, 13))  # of frames that are noise, whose spectra differ by chance
    still = still.copy(data=np.diff(still.values, axis=0, prepend=0))
    arena, _ = meet(leads=8, movies=[still], splits=[{"test": Split("test", 0, 40)}])
    scores = wide_table({"zero": zero, "persistence": stay}, arena, 8)
    length = scores[(scores.score == "log_spectral_distance") & (scores.model == "persistence")]
    drawn = length[length.low.notna()]
    assert ((drawn.low <= drawn.value) & (drawn.value <= drawn.high)).all()
    assert len(drawn) < len(length)


def test_a_step_for_all_movies_is_the_same_for_each():
    forecaster = for_all_movies(persistence)
    assert [forecaster(movie) for movie in (0, 7)] == [persistence, persistence]


def test_a_window_of_leads_is_scored_over_all_its_pixels():
    arena, _ = meet(leads=8, splits=[{"test": Split("test", 0, 40)}, {}])
    scores = wide_table({"zero": zero, "persistence": stay}, arena, 15)
    frames = film("one").values
    starts = np.arange(0, 40 - 16)  # of 2 + 15 frames; hop 1: as many leads as may share a frame
    truth = np.concatenate([frames[starts + 1 + lead] for lead in range(6, 13)])
    row = scores[(scores.model == "zero") & (scores.channel == "all")].set_index("score")
    assert row.loc["mse_6:12"].value == pytest.approx((truth**2).mean(), rel=1e-6)
    by_channel = (truth**2).mean(axis=(0, 2, 3))
    assert row.loc["psnr_6:12"].value == pytest.approx(
        -10 * np.log10((by_channel / np.array([25, 81])).mean()), rel=1e-6
    )


def test_skill_over_climatology_is_of_pooled_errors():
    arena, _ = meet()
    scores, _ = table({"zero": zero, "persistence": stay, "climatology": halfway}, arena)
    at = scores[(scores.lead == 2) & (scores.movie == "all") & (scores.channel == "all")]
    mse = at[at.score == "mse"].set_index("model").value
    skill = at[at.score == "skill_climatology"].set_index("model").value
    assert skill["zero"] == pytest.approx(1 - mse["zero"] / mse["climatology"])
    assert skill["climatology"] == 0


def test_pooled_skill_is_of_pooled_errors_and_not_a_mean_of_skills():
    arena, _ = meet()
    scores, _ = table({"zero": zero, "persistence": stay, "ridge": halfway}, arena)
    at = scores[(scores.lead == 1) & (scores.movie == "all") & (scores.channel == "all")]
    mse = at[at.score == "mse"].set_index("model").value
    skill = at[at.score == "skill"].set_index("model").value
    assert skill["zero"] == pytest.approx(1 - mse["zero"] / mse["persistence"])
    assert skill["persistence"] == 0
    against_ridge = at[at.score == "skill_ridge"].set_index("model").value
    assert against_ridge["zero"] == pytest.approx(1 - mse["zero"] / mse["ridge"])


def test_the_mse_of_a_movie_is_numpy_s():
    arena, _ = meet()
    scores, _ = table({"zero": zero, "persistence": stay}, arena)
    frames = film("one").values
    truth, last = frames[12:38], frames[11:37]  # lead 1 of the 26 windows from frame 10
    wanted = ((truth - last) ** 2).mean(axis=(0, 2, 3))
    rows = scores[
        (scores.movie == "one") & (scores.model == "persistence") & (scores.score == "mse")
    ]
    for name, value in zip(("cells", "camp"), wanted, strict=True):
        row = rows[(rows.channel == name) & (rows.lead == 1)]
        assert row.value.item() == pytest.approx(value, rel=1e-6)


def test_intervals_enclose_the_value_and_persistence_has_none_for_skill():
    arena, _ = meet()
    scores, reasons = table({"zero": zero, "persistence": stay}, arena)
    skill = scores[(scores.score == "skill") & (scores.movie == "all")]
    own = skill[skill.model == "persistence"]
    assert own.low.isna().all()
    drawn = skill[skill.low.notna()]
    assert ((drawn.low <= drawn.value) & (drawn.value <= drawn.high)).all()
    assert len(drawn) or reasons


def test_a_short_split_gives_fewer_leads_and_says_so():
    arena, said = meet(leads=8, splits=[{"test": Split("test", 0, 6)}, {}])
    assert arena.spec.n_out == 4
    assert said == ["split 'test' is short: 4 leads, not 8"]


def test_a_short_movie_beside_a_long_one_is_left_out_and_costs_it_no_lead():
    arena, said = meet(
        leads=8, splits=[{"test": Split("test", 0, 6)}, {"test": Split("test", 0, 20)}]
    )
    assert (arena.numbers, arena.spec.n_out) == ([1], 8)
    assert said == ["split 'test': too short for 8 leads and not scored: one, 6 frames"]


def test_a_twin_is_not_scored_beside_its_original_and_alone_it_is():
    twin = film("two", seed=1).assign_attrs(twin_of="one")
    arena, said = meet(movies=[film("one"), twin])
    assert arena.numbers == [0]
    assert said == ["split 'test': twins are not scored beside their originals: two (of one)"]
    arena, said = meet(movies=[film("one"), twin], splits=[{}, {"test": Split("test", 0, 25)}])
    assert (arena.numbers, said) == ([1], [])


def test_batches_of_large_frames_are_small():
    wide = film("one").isel(y=[0] * 400, x=[0] * 500)  # 2 x 400 x 500 pixels, 1.6 MB a frame
    arena, _ = meet(leads=8, movies=[wide], splits=[{"test": Split("test", 10, 40)}])
    # 18 frames of 1.6 MB a window, in 64 MiB
    assert arena.batch_size(0) == 2
    assert meet()[0].batch_size(0) == 64


def test_a_split_too_short_for_one_lead_is_refused():
    with pytest.raises(SlimeError, match=r"no window of 2 frames given and one.*one, 2 frames"):
        meet(splits=[{"test": Split("test", 0, 2)}, {}])


def test_blank_frames_shorten_the_leads_rather_than_leave_no_window():
    movie = film("one").assign_coords(blank=("time", np.arange(40) % 5 == 4))
    arena, _ = meet(leads=8, movies=[movie], splits=[{"test": Split("test", 0, 40)}])
    assert arena.spec.n_out == 2  # four frames between blank ones: two given, two ahead


def test_an_absent_split_is_refused():
    with pytest.raises(SlimeError, match="there is no split 'test'"):
        meet(splits=[{"val": Split("val", 0, 9)}, {}])


def test_one_movie_has_no_rows_of_its_own_beside_all():
    arena, _ = meet(splits=[{"test": Split("test", 0, 40)}, {}])
    scores, _ = table({"persistence": stay}, arena)
    assert set(scores.movie) == {"all"}


def test_a_model_is_asked_for_the_movie_by_its_number_in_the_run():
    asked = []
    arena, _ = meet(splits=[{}, {"test": Split("test", 0, 25)}])
    tally_models({"persistence": lambda i: asked.append(i) or persistence}, arena)
    assert asked == [1]


def test_the_example_is_the_middle_window():
    arena, _ = meet()
    shown = example_forecast(stay, arena)
    frames = film("one").values
    assert np.array_equal(shown.last_frame, frames[10 + 13 + 1])
    assert np.array_equal(shown.truth, frames[25:28])
    assert np.array_equal(shown.forecast, np.stack([frames[24]] * 3))
    assert shown.lead_s == 15.0
