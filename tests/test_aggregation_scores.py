"""Errors by movie, their intervals over movies, and how far a rollout goes."""

import numpy as np
import pandas as pd
import pytest
import torch
from gathered import study

from slime.aggregation import AggregationSpec, Found, score_rows, summary_table
from slime.aggregation.forecasts import learned
from slime.aggregation.learn import lessons, new_net
from slime.aggregation.rivals import density_maximum, last_frame, random_places
from slime.aggregation.roll import Start, rolled_out, rollouts, start_of
from slime.aggregation.spec import HeatSpec, RollSpec, TruthSpec
from slime.aggregation.writing import summary_text

CPU = torch.device("cpu")


def table(errors):
    """Scores of one K from {model: {seed: errors of movies}}."""
    rows = [
        (model, 5, 4.0, seed, f"movie {m}", score, value if score == "penalised_um" else 1.0)
        for model, seeds in errors.items()
        for seed, values in seeds.items()
        for m, value in enumerate(values)
        for score in ("penalised_um", "mean_um", "n_missed", "n_extra")
    ]
    columns = ["model", "given", "minutes", "seed", "movie", "score", "value"]
    return pd.DataFrame(rows, columns=columns)


def summary(errors, n_draws=2000):
    return summary_table(table(errors), n_draws=n_draws, level=0.9, seed=0).set_index("model")


def test_seeds_are_averaged_first_and_differences_are_paired_to_the_best_baseline():
    movies = np.arange(12.0)
    found = summary(
        {
            "learned": {0: 100 + movies, 1: 120 + movies},
            "last_frame": {None: 300 + movies},
            "density_maximum": {None: 150 + movies},
        }
    )
    assert found.penalised_um.to_dict() == {
        "learned": 115.5, "last_frame": 305.5, "density_maximum": 155.5
    }  # fmt: skip
    assert set(found.best_baseline) == {"density_maximum"}
    # every movie differs by the same 40: the movies' own spread is no doubt about that
    learned = found.loc["learned", ["difference_um", "difference_low", "difference_high"]]
    assert learned.tolist() == [-40, -40, -40]
    assert np.isnan(found.difference_um["density_maximum"])
    assert found.n_movies["learned"] == 12
    assert found.n_seeds.to_dict() == {"learned": 2, "last_frame": 1, "density_maximum": 1}


def test_the_interval_is_that_of_a_mean_over_movies():
    values = np.random.default_rng(1).normal(200, 60, 400)
    found = summary({"learned": {0: values}, "last_frame": {None: values + 1}})
    half = 1.645 * values.std() / 20  # of a normal mean, level 0.9
    assert found.high["learned"] - values.mean() == pytest.approx(half, rel=0.1)
    assert values.mean() - found.low["learned"] == pytest.approx(half, rel=0.1)


def test_few_movies_give_no_interval():
    found = summary({"learned": {0: np.arange(9.0)}, "last_frame": {None: np.arange(9.0) + 1}})
    assert np.isnan(found.low["learned"])
    assert found.difference_um["learned"] == -1


def test_rows_hold_every_field_of_the_match_and_other_movies_are_averaged():
    one = study()
    test = one.of("test")
    right = Found("learned", 3, 7, {i: one.truth[i].position_um for i in test})
    rows = score_rows(one, [right])
    learned = rows[rows.model == "learned"]
    assert set(learned.score) == {"mean_um", "n_pairs", "n_missed", "n_extra", "penalised_um"}
    assert learned[learned.score == "penalised_um"].value.tolist() == [0, 0, 0]
    assert set(learned.seed) == {7}
    assert set(learned.minutes) == {2.0}
    other = rows[(rows.model == "other_movie") & (rows.score == "penalised_um")]
    assert len(other) == len(test) * len(one.given)
    first = other[other.movie == one.dishes[test[0]].name].value.iloc[0]
    errors = [one.matched(test[0], one.truth[i].position_um).penalised_um for i in one.of("train")]
    assert first == pytest.approx(np.mean(errors))


def test_baselines_find_mounds_once_they_are_there():
    late = study(given=(6, 11))
    for baseline in (last_frame(late, 11), density_maximum(late, 11, HeatSpec())):
        errors = [late.matched(i, places).penalised_um for i, places in baseline.places_um.items()]
        assert max(errors) < 50, baseline.model
    # at frame 5 nothing has grown: nothing is above the threshold of the end
    assert [len(p) for p in last_frame(late, 6).places_um.values()] == [0, 0, 0]


def test_random_places_know_nothing_and_depend_on_their_seed_alone():
    one = study()
    drawn = [random_places(one, 3, HeatSpec(), seed).places_um for seed in (0, 0, 1)]
    i = one.of("test")[0]
    assert np.array_equal(drawn[0][i], drawn[1][i])
    assert not np.array_equal(drawn[0][i], drawn[2][i])


@pytest.mark.parametrize("given", range(1, 11))
@pytest.mark.parametrize(("step_min", "n_in"), [(1.0, 1), (3.0, 2), (2.0, 3)])
def test_a_rollout_starts_at_the_newest_frame_from_which_whole_steps_lead_to_the_truth(
    given, step_min, n_in
):
    one, spec = study(n_train=1, n_val=1, n_test=1), RollSpec(step_min=step_min, n_in=n_in)
    step, last = round(step_min), one.n_frames - 1
    fitting = [f for f in range(given) if (last - f) % step == 0 and f >= (n_in - 1) * step]
    start = start_of(one, given, spec)
    assert (start is None) == (not fitting)
    if start is not None:
        assert start == Start(fitting[-1], (last - fitting[-1]) // step)


def test_a_rollout_is_fed_the_frames_a_step_apart_in_their_order():
    one = study()
    frames = np.arange(12, dtype=np.float32)[:, None, None, None] * np.ones((12, 2, 16, 16))
    for dish in one.dishes:
        dish.frames[:] = frames

    def straight_on(past):
        return 2 * past[:, -1] - past[:, 0]

    spec = RollSpec(step_min=3.0, n_in=2)
    start = start_of(one, 7, spec)
    ends = rolled_out(one, straight_on, start, spec, torch.device("cpu"))
    assert start == Start(5, 2)  # frames 2 and 5, then 8 and 11
    assert sorted(ends) == sorted([*one.of("val"), *one.of("test")])
    assert {float(end.min()) for end in ends.values()} == {11.0}


def forecasts_of(one, given):
    """What every kind of forecast finds, with nets that were not trained."""
    spec = AggregationSpec(given=[given], roll=RollSpec(step_min=2.0, n_in=2))
    start = start_of(one, given, spec.roll)
    ends = rolled_out(one, lambda past: 2 * past[:, -1] - past[:, 0], start, spec.roll, CPU)
    net = new_net(lessons(one, "train", spec.heat), spec.heat, seed=0)
    return [
        last_frame(one, given),
        density_maximum(one, given, spec.heat),
        learned(one, net, given, spec, seed=0),
        *rollouts(one, ends, given, spec, seed=0),
    ]


def early_study():
    """A study whose mounds, by a low threshold, are there before the end."""
    spec = AggregationSpec(given=[10], truth=TruthSpec(threshold=180.0))
    return study(spec=spec)


def test_no_forecast_looks_beyond_the_frames_given():
    one, other = early_study(), early_study()
    for i in (*other.of("val"), *other.of("test")):
        other.dishes[i].frames[10:-1] = np.random.default_rng(i).normal(300, 90, (1, 2, 16, 16))
    for here, there in zip(forecasts_of(one, 10), forecasts_of(other, 10), strict=True):
        assert sum(map(len, here.places_um.values())), here.model
        for i, places in here.places_um.items():
            np.testing.assert_array_equal(places, there.places_um[i], here.model)


def test_thresholds_are_chosen_on_the_validation_movies_alone():
    one, other = early_study(), early_study()
    for i in other.of("test"):
        other.truth[i].position_um[:] = 0
    for here, there in zip(forecasts_of(one, 10), forecasts_of(other, 10), strict=True):
        assert here.chosen == there.chosen
        for i, places in here.places_um.items():
            np.testing.assert_array_equal(places, there.places_um[i], here.model)


def test_the_printed_table_names_the_best_baseline_and_intervals():
    movies = np.arange(12.0)
    found = summary_table(
        table({"learned": {0: 100 + movies}, "last_frame": {None: 140 + movies}}),
        n_draws=100, level=0.95, seed=0,
    )  # fmt: skip
    text = summary_text(found)
    assert "−40 [−40 to −40] last_frame" in text
    assert "(the best baseline)" in text
