import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from slime.errors import SlimeError
from slime.fit import persistence
from slime.nets import NetSpec
from slime.score import mse
from slime.studies import train as training
from slime.studies.cells import Cell, Cells
from slime.studies.contest import ContestSpec, enter_all, play
from slime.studies.entrants import Contestant
from slime.studies.given import GivenSpec, given_text, study_given
from slime.studies.ledger import open_once
from slime.studies.meet import meet, tallied
from slime.studies.results import ResultsSpec, train_all
from slime.studies.rows import T, difference_rows, score_rows
from slime.studies.spec import StudySpec, open_worlds, read_words
from slime.studies.tables import horizon_text, replace_part, with_interval
from slime.studies.train import (
    StepBatches,
    Trial,
    mean_step_seconds,
    new_stepper,
    trained,
    windows,
)
from slime.studies.worlds import film_world
from slime.windows import WindowSpec

TRIAL = Trial(NetSpec(kind="patch_mlp", width=4, depth=2, kernel=3), n_in=2, budget_s=2.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worlds")
    return film_world("trail", folder, n_frames=90, size_px=12, n_in=2)


@pytest.fixture
def half_a_second(monkeypatch):
    monkeypatch.setattr(training, "_timed", lambda *_: 0.5)


def test_a_cell_is_made_once_and_another_key_is_another_cell(tmp_path):
    cells, made = Cells(tmp_path), []

    def make(value):
        made.append(value)
        return Cell({"value": value}, {"array": np.arange(value)})

    keys = [{"a": 2, "b": "x"}, {"b": "x", "a": 2}, {"a": 3, "b": "x"}]
    found = [cells.get("one", key, lambda k=key: make(k["a"])) for key in keys]
    assert made == [2, 3]
    assert [cell.facts["value"] for cell in found] == [2, 2, 3]
    assert found[2].arrays["array"].tolist() == [0, 1, 2]
    assert ("one", keys[0]) in cells
    assert ("two", keys[0]) not in cells


def test_a_damaged_cell_is_told_by_its_file(tmp_path):
    cells = Cells(tmp_path)
    cells.get("one", {}, lambda: Cell({}, {}))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(SlimeError, match=f"{file.name} is damaged"):
        cells.get("one", {}, lambda: Cell({}, {}))


def test_steps_are_dealt_from_one_epoch_of_the_stream_after_the_other(world):
    def stream():
        return windows(world, "train", WindowSpec(n_in=2), batch_size=50, seed=3)

    def named(batch):
        return list(zip(batch.movie.tolist(), batch.start.tolist(), strict=True))

    whole, n_epoch = stream(), len(stream())
    expected = [named(batch) for _ in range(2) for batch in whole]
    steps = StepBatches(stream(), n_epoch - 1)
    dealt = [named(batch) for _ in range(2) for batch in steps]
    assert n_epoch > 2
    assert dealt == expected[: 2 * (n_epoch - 1)]
    assert steps.n_windows == sum(map(len, dealt[n_epoch - 1 :]))
    assert 0 < steps.cpu_s < 5


def test_a_budget_buys_steps_by_their_measured_time_and_nothing_is_trained_twice(
    world, tmp_path, half_a_second, monkeypatch
):
    cells = Cells(tmp_path)
    stepper, facts = trained(cells, world, TRIAL)
    assert facts["steps"] == 4  # 2 s of steps of half a second
    monkeypatch.setattr(training, "_train", None)
    again, _ = trained(cells, world, TRIAL)
    for name, value in stepper.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    fresh = new_stepper(world, TRIAL).state_dict()
    assert any(not torch.equal(value, fresh[name]) for name, value in again.state_dict().items())


def test_a_budget_counts_both_stages_of_a_training(world, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_timed", lambda _, trial, __: 0.25 * trial.n_out)
    trial = Trial(
        TRIAL.net, n_in=2, n_out=3, unroll_after=0.6, budget_s=2.2, rounds=2, batch_size=4
    )
    cells = Cells(tmp_path)
    # 0.6 x 0.25 + 0.4 x 0.75 seconds a step
    assert mean_step_seconds(cells, world, trial) == pytest.approx(0.45)
    assert trained(cells, world, trial)[1]["steps"] == 4


def test_a_training_that_diverges_is_kept_and_told(world, tmp_path, half_a_second):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, past):
            return past[:, -1] * self.weight * torch.inf

    _, facts = trained(Cells(tmp_path), world, TRIAL, lambda *_: Broken())
    assert facts["diverged"]
    assert "val_loss" not in facts


def test_rows_are_the_scores_of_hand_made_sums(world, tmp_path):
    spec = StudySpec(out=str(tmp_path), leads=3, hop=5, draws=50)
    meeting = meet(world, "val", n_in=2, leads=3, hop=5)
    starts = meeting.far.windows(0).starts[0]
    assert set(np.diff(starts)) == {5}
    still = tallied(spec.cells, meeting, "still", {}, lambda _: persistence)
    half = tallied(
        spec.cells, meeting, "half", {}, lambda _: lambda past: (past[:, -1] + past[:, -2]) / 2
    )
    variance = np.array([2.0])
    labels = {"world": "w", "model": "half", "head": ""}
    rows = pd.DataFrame(score_rows(labels, [half], still, variance, spec)).set_index("score")
    ours, theirs = (float(mse(one["near"].total())[0, 0]) for one in (half, still))
    assert rows.loc["skill", "value"] == pytest.approx(1 - ours / theirs)
    assert rows.loc["vrmse", "value"] == pytest.approx(np.sqrt(ours / 2))
    less = difference_rows(labels, [half], [still], still, spec)
    assert less[0]["value"] == pytest.approx(1 - ours / theirs)
    assert [row["score"] for row in less] == ["skill difference", f"{T} difference"]
    assert less[1]["value"] == pytest.approx(rows.loc[T, "value"] - np.median(_first(still)))


def _first(tallies):
    far = tallies["far"]
    n, p, y = far["n"], far["forecast"], far["truth"]
    apart = far["product"] / n - p * y / n**2
    spread = (far["forecast2"] / n - (p / n) ** 2) * (far["truth2"] / n - (y / n) ** 2)
    below = apart / np.sqrt(spread) < 0.8
    return np.where(below.any(axis=1), below.argmax(axis=1) + 1, 3)


class Shrunk(nn.Module):
    """The change forecast is a share of the last frame's distance from the mean."""

    def __init__(self, share):
        super().__init__()
        self.share = nn.Parameter(torch.tensor(float(share)))

    def forward(self, past):
        return -self.share * past[:, -1]


def test_the_better_net_of_a_contest_wins_with_trials_as_many_as_the_others(
    world, tmp_path, half_a_second
):
    spec = ContestSpec(
        out=str(tmp_path),
        budget_s=1.0,
        n_in=2,
        lrs=[1e-6],
        heads=["residual"],
        leads=2,
        draws=200,
        split="val",
    )
    good = Contestant("good", (1, 2), lambda *_: Shrunk(0.0))
    poor = Contestant("poor", (1, 2), lambda *_: Shrunk(3.0))
    entered = enter_all(spec, [world], [good, poor])
    assert [len(one.tried) for one in entered["trail"]] == [2, 2]
    table, _ = play(spec, [world], entered)
    less = table[table["score"] == "skill difference"].iloc[0]
    assert less["model"] == "good - poor"
    assert less["low"] > 0
    assert 0 < less["p"] <= less["p_holm"] <= 1
    more = Contestant("more", (1, 2, 3), lambda *_: Shrunk(0.0))
    with pytest.raises(SlimeError, match=r"unequal trials: .*'more': 3"):
        enter_all(spec, [world], [good, more])


def test_test_is_opened_once_by_the_same_weights_and_told_of_others(world, tmp_path):
    spec = StudySpec(out=str(tmp_path))
    first, second = (new_stepper(world, Trial(TRIAL.net, n_in=2, seed=seed)) for seed in (0, 1))
    assert open_once(spec, world, "val", [first]) == []
    assert not (tmp_path / "ledger.jsonl").exists()
    for _ in range(2):
        assert open_once(spec, world, "test", [first]) == []
    (note,) = open_once(spec, world, "test", [second])
    assert "opened 2 times" in note
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 2


def test_words_and_a_config_make_a_spec(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("budget_s: 3.0\nnets: [cnn]\n")
    spec = read_words(ResultsSpec, [str(file), "seeds=5", "worlds=[trail]"])
    assert (spec.budget_s, spec.nets, spec.seeds, spec.worlds) == (3.0, ["cnn"], 5, ["trail"])


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["budget=3"], "no setting budget; did you mean budget_s"),
        (["seeds=0"], "seeds=0 must be at least 1"),
        (["budget_s=0"], "budget_s=0.0 must be above 0"),
        (["worlds=[]"], "names no world"),
        (["worlds=[real]"], "real.stores"),
        (["nets=[unett]"], "'unett' is no net .*did you mean unet"),
        (["a.zarr"], "one CONFIG.yaml at most"),
    ],
)
def test_a_wrong_word_is_told(words, match):
    with pytest.raises(SlimeError, match=match):
        read_words(ResultsSpec, words)


def test_a_net_of_the_table_has_the_rate_that_validation_likes(world, tmp_path, half_a_second):
    spec = ResultsSpec(
        out=str(tmp_path),
        nets=["patch_mlp", "cnn"],
        lrs=[1e-9, 8e-3],
        heads=["residual"],
        budget_s=2.0,
        n_in=2,
        seeds=1,
        headline_seeds=2,
    )
    patch, cnn = train_all(spec, [world])["trail"]
    assert (len(patch.steppers), len(cnn.steppers)) == (1, 2)
    for net in (patch, cnn):
        losses = {tried["lr"]: tried["val_loss"] for tried in net.tried}
        assert net.trial.lr == 8e-3 == min(losses, key=losses.__getitem__)
        assert net.facts[0]["val_loss"] == losses[8e-3]


def test_movies_of_other_seeds_are_another_world(world, tmp_path):
    folder = tmp_path / "films"
    other = film_world("trail", folder, n_frames=90, size_px=12, n_in=2, seeds=[7])
    assert [path.name[-11:] for path in folder.iterdir()] == ["seed 7.zarr"]
    assert len(other.movies) == 1
    assert other.identity != world.identity
    with pytest.raises(SlimeError, match=r"film_seeds=\[\] names no movie"):
        film_world("trail", folder, n_frames=90, size_px=12, n_in=2, seeds=[])


def test_an_unknown_world_is_told():
    with pytest.raises(SlimeError, match=r"no study world 'spiral'.*did you mean spirals"):
        open_worlds(StudySpec(worlds=["spiral"]))


def test_a_part_of_a_page_is_replaced_and_the_rest_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- end of x -->\nb\n")
    replace_part(page, "x", "new\nlines")
    assert page.read_text() == "a\n<!-- x -->\nnew\nlines\n<!-- end of x -->\nb\n"
    with pytest.raises(SlimeError, match="must hold <!-- y -->"):
        replace_part(page, "y", "new")


def test_numbers_are_written_with_their_interval_where_there_is_one():
    row = {"value": -0.25, "low": -0.5, "high": np.nan}
    assert with_interval({**row, "high": 0.0}) == "−0.250 [−0.500 to +0.000]"
    assert with_interval({**row, "low": np.nan}) == "−0.250"
    rows = [
        {"model": m, "score": s, "value": v, "low": low, "high": low + 2}
        for m, s, v, low in (
            ("a", T, 13, 12),
            ("a", "censored_0.8", 0.25, np.nan),
            ("b", T, 32, 31),
            ("b", "censored_0.8", 0.75, np.nan),
        )
    ]
    table = pd.DataFrame(rows)
    assert horizon_text(table, model="a") == "13.0 [12.0 to 14.0] (25%)"
    assert horizon_text(table, model="b") == "≥ 32 (75%)"


def test_more_frames_given_are_compared_on_the_same_windows(world, tmp_path, half_a_second):
    spec = GivenSpec(
        out=str(tmp_path),
        budget_s=1.0,
        given=[2, 1],
        kind="patch_mlp",
        width=4,
        seeds=1,
        leads=2,
        draws=50,
    )
    table = study_given(spec, [world])
    skills = table[table["score"] == "skill"].set_index("given")["value"]
    less = table[table["score"] == "skill difference"].iloc[0]
    assert less["given"] == 2
    assert less["value"] == pytest.approx(skills[2] - skills[1])
    tops = table[table["score"] == "skill_ceiling_temporal"].set_index("given")["value"]
    top = table[table["score"] == "skill_ceiling"]["value"].iloc[0]
    # noise over persistence's error is 1 - top; a mean of K frames adds a K-th of it
    assert tops[1] == pytest.approx(1 - 2 * (1 - top))
    assert tops[2] == pytest.approx(1 - 1.5 * (1 - top))
    text = given_text(spec, table)
    assert text.count("| trail |") == 2
    with pytest.raises(SlimeError, match="must be numbers of frames"):
        GivenSpec(given=[0])
