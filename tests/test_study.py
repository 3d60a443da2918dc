"""Studies of leakage, nets and frame intervals on a small world."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from scripts_by_name import script

from slime.errors import SlimeError
from slime.fit import evaluate, persistence
from slime.nets import NetSpec
from slime.score import skill
from slime.stepper import rollout
from slime.studies import train as training
from slime.studies.architecture import (
    ArchitectureSpec,
    architecture_text,
    forward_flop,
    ranks,
    study_architecture,
)
from slime.studies.intervals import IntervalsSpec, intervals_text, study_intervals
from slime.studies.leakage import (
    FUTURE,
    REPORTED,
    LeakageSpec,
    analogue,
    at_random,
    later,
    leakage_text,
    study_leakage,
    with_twin,
)
from slime.studies.picked import Films
from slime.studies.train import Trial, new_stepper
from slime.studies.worlds import film_world
from slime.windows import WindowSpec

SMALL = {"budget_s": 1.0, "draws": 50, "n_in": 2, "batch_size": 4}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worlds")
    return film_world("trail", folder, n_frames=120, size_px=12, n_in=2, step=4)


@pytest.fixture
def half_a_second(monkeypatch):
    monkeypatch.setattr(training, "_timed", lambda *_: 0.5)


def frames_of(picked, spec):
    return {
        (int(movie), int(start) + k * spec.step)
        for movie, start in picked
        for k in range(spec.n_frames)
    }


# --- leakage ---


def test_windows_held_back_at_random_share_frames_with_those_trained_on_and_later_ones_none(world):
    spec, films = LeakageSpec(**SMALL, worlds=["trail"]), Films(world)
    for way, leaks in ((at_random, True), (with_twin, True), (later, False)):
        train, held = way(films, spec)
        assert bool(frames_of(train, spec.windows) & frames_of(held, spec.windows)) == leaks
        assert len(held) > 3
        assert not {tuple(row) for row in train} & {tuple(row) for row in held} or way is with_twin
    assert len(with_twin(films, spec)[0]) > len(later(films, spec)[0])


def test_no_way_touches_a_frame_of_validation_or_test(world):
    spec, films = LeakageSpec(**SMALL, worlds=["trail"]), Films(world)
    last = [cut["train"].stop for cut in world.prepared.splits]
    for way in (at_random, with_twin, later):
        for picked in way(films, spec):
            assert all(frame < last[i] for i, frame in frames_of(picked, spec.windows))
    ends = [cut["val"].stop for cut in world.prepared.splits]
    assert [len(frames) for frames in films.frames] == ends


def test_picked_windows_are_the_movie_s_frames(world):
    films, spec = Films(world), WindowSpec(n_in=2, n_out=1, step=2)
    (batch,) = films.batches(np.array([[1, 7], [0, 3]]), spec)
    np.testing.assert_array_equal(batch.past[0], world.movies[1][[7, 9]].values)
    np.testing.assert_array_equal(batch.future[1], world.movies[0][[7]].values)
    assert (batch.movie.tolist(), batch.start.tolist()) == ([1, 0], [7, 3])


def test_the_analogue_knows_by_heart_what_it_was_given(world):
    spec, films = LeakageSpec(**SMALL, worlds=["trail"]), Films(world)
    train, _ = later(films, spec)
    step = analogue(films, train, spec)
    known, still = (
        evaluate(one, films.batches(train, spec.windows)).total() for one in (step, persistence)
    )
    assert skill(known, still, pool=True).item() == pytest.approx(1, abs=1e-6)


def test_leakage_has_a_row_a_way_model_and_side(world, tmp_path, half_a_second):
    spec = LeakageSpec(**SMALL, seeds=3, nets=["patch_mlp"], out=str(tmp_path), worlds=["trail"])
    table = study_leakage(spec, [world])
    assert len(table) == 3 * 2 * 2
    assert set(table["score"]) == {REPORTED, FUTURE}
    text = leakage_text(spec, table)
    told = table[(table["model"] == "analogue") & (table["way"] == "twin")].set_index("score")
    worth = told.loc[REPORTED, "value"] - told.loc[FUTURE, "value"]
    assert f"{worth:+.3f}".replace("-", "−") in text
    assert study_leakage(spec, [world]).equals(table)


# --- frame intervals ---


def test_all_intervals_forecast_the_same_frames(world, tmp_path, half_a_second, monkeypatch):
    spec = IntervalsSpec(**SMALL, seeds=1, intervals=[1, 4], kind="patch_mlp", out=str(tmp_path))
    seen = []

    def noted(step, given, n_steps):
        seen.append((given.shape[1], n_steps))
        return rollout(step, given, n_steps)

    monkeypatch.setattr("slime.studies.intervals.rollout", noted)
    table = study_intervals(spec, [world])
    assert [(row.trained, row.used) for row in table.itertuples()] == [
        (1, 1),
        (1, 4),
        (4, 1),
        (4, 4),
    ]
    assert set(seen) == {(2, 4), (2, 1), (5, 1)} - {(5, 1)}
    assert "used 4 apart, 1 steps" in intervals_text(spec, table)


def test_intervals_that_do_not_divide_the_longest_are_refused():
    with pytest.raises(SlimeError, match=r"intervals=\[2, 3\]"):
        IntervalsSpec(intervals=[2, 3])


# --- nets ---


def test_operations_are_those_of_the_matrix_products_by_hand(world):
    trial = Trial(NetSpec(kind="patch_mlp", width=5, depth=2, kernel=3), n_in=2)
    stepper = new_stepper(world, trial)
    layers = [p for p in stepper.parameters() if p.ndim > 1]
    height, width = world.size
    by_hand = sum(2 * p.numel() for p in layers) * height * width
    assert forward_flop(stepper, world) == by_hand


def test_places_at_lead_1_and_of_rollouts_are_compared(world, tmp_path, half_a_second):
    spec = ArchitectureSpec(
        **{**SMALL, "n_in": 2},
        nets=["patch_mlp", "cnn", "frame_mlp"],
        budgets=[1.0],
        heads=["residual"],
        headline_seeds=1,
        seeds=1,
        leads=4,
        out=str(tmp_path),
        worlds=["trail"],
    )
    table = study_architecture(spec, [world])
    places = ranks(table, 4).set_index("model")
    assert sorted(places["near"]) == [1, 2, 3]
    best = table[table["score"] == "skill"].set_index("model")["value"].idxmax()
    assert places.loc[best, "near"] == 1
    rho = spearmanr(places["near"], places["far"]).statistic
    assert f"rho {rho:+.2f}".replace("-", "−") in architecture_text(spec, table)


# --- the command ---


@pytest.mark.parametrize(
    ("words", "match"),
    [([], "no study is asked for"), (["study=leak"], "no study 'leak'.*leakage")],
)
def test_a_study_that_is_not_there_is_told(words, match):
    with pytest.raises(SlimeError, match=match):
        script("study")(words)


def test_the_command_writes_table_text_and_figure(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "_timed", lambda *_: 0.5)
    study = script("study")
    monkeypatch.setitem(study.__globals__, "open_worlds", lambda *_, **__: [world])
    words = ["study=leakage", f"out={tmp_path}", "nets=[patch_mlp]", "seeds=1", "n_in=2"]
    study([*words, "worlds=[trail]", "budget_s=1", "draws=50", "batch_size=4"])
    assert "| trail | analogue | twin |" in capsys.readouterr().out
    assert {"leakage.csv", "leakage.md", "leakage.png"} <= {p.name for p in tmp_path.iterdir()}
    assert len(pd.read_csv(tmp_path / "leakage.csv")) == 12
    assert torch.get_num_threads() == 1
    words = ["study=given", f"out={tmp_path}", "kind=patch_mlp", "given=[1,2]", "seeds=1"]
    study([*words, "worlds=[trail]", "budget_s=1", "draws=50", "batch_size=4", "leads=2"])
    assert capsys.readouterr().out.count("| trail |") == 2
    assert {"given.csv", "given.md", "given.png"} <= {p.name for p in tmp_path.iterdir()}
