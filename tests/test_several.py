"""Several seeds in one command: folders, resumption, the ledger, and what they are together."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scripts_by_name import script
from series import kept

from slime.arguments import load_config
from slime.config import config_yaml
from slime.errors import SlimeError
from slime.files import read_lines, write_text
from slime.run.compared import CompareSpec, compare_runs, runs_in, same_but_seed
from slime.run.folder import open_test
from slime.run.several import seeds_asked, train_seeds
from slime.tallies import save_tallies


class Trainer:
    """Stands for a training: writes what a run leaves behind, and remembers what it was told."""

    def __init__(self, dies_at=None):
        self.told, self.dies_at = [], dies_at

    def __call__(self, words):
        self.told.append(list(words))
        config, _ = load_config(words)
        run = Path(config.out)
        write_text(run / "config.yaml", config_yaml(replace(config, resume=False)))
        if config.seed == self.dies_at:
            raise KeyboardInterrupt
        split = "test" if config.test else "val"
        of = kept(n_windows=60, seed=config.seed)
        of.of["persistence"].sums[:] = kept(n_windows=60).of["persistence"].sums
        of.of["a/b model"].sums[:] = kept(n_windows=60).of["a/b model"].sums
        save_tallies(replace(of, split=split, model="cnn", seed=config.seed), run)
        if config.test:
            open_test(run, split_hash="s", config_yaml="c", weights_hash=str(config.seed))
        row = {"model": "cnn", "seed": config.seed, "movie": "all", "split": split}
        row |= {"channel": "all", "lead": 1, "score": "mse", "value": 1, "low": 0, "high": 2}
        write_text(run / "scores.csv", pd.DataFrame([row]).to_csv(index=False))
        write_text(run / "report.html", "")
        return 0


def test_seeds_are_a_list_or_a_range():
    assert seeds_asked(["a.zarr", "seeds=0,2", "x=1"]) == ([0, 2], ["a.zarr", "x=1"])
    assert seeds_asked(["seeds=0:3"])[0] == [0, 1, 2]
    assert seeds_asked(["a.zarr", "seed=4"]) == ([], ["a.zarr", "seed=4"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["seeds=0,1", "seed=2"], "seeds=0,1 seed=2: name the seeds once"),
        (["seeds=a"], "seeds=a is no list"),
        (["seeds=0,0"], "names a value twice"),
        (["seeds=0.5,1"], "whole numbers from 0 on"),
        (["seeds=-1,1"], "whole numbers from 0 on"),
    ],
)
def test_other_seeds_are_refused(words, told):
    with pytest.raises(SlimeError, match=told):
        seeds_asked(words)


def test_each_seed_is_a_run_and_the_folder_holds_their_tables(tmp_path, capsys):
    train, out = Trainer(), tmp_path / "group"
    words = ["data.stores=[a.zarr]", f"out={out}", "test=true", "score.draws=50"]
    assert train_seeds([0, 1, 2], words, train) == 0
    assert [w[-2:] for w in train.told] == [[f"seed={i}", f"out={out}/seed{i}"] for i in range(3)]
    results = pd.read_csv(out / "results.csv")
    assert set(results[results.model == "cnn"].n_seeds) == {3}
    assert set(pd.read_csv(out / "contests.csv").rival) == {"persistence", "a/b model"}
    assert pd.read_csv(out / "scores.csv").seed.tolist() == [0, 1, 2]
    said = capsys.readouterr().out
    assert "cnn, 3 seeds: skill " in said
    assert "cnn less a/b model, skill at lead 1: " in said


def test_seeds_of_one_command_open_the_test_split_once_together(tmp_path):
    words = ["data.stores=[a.zarr]", "test=true", "score.draws=50"]
    train_seeds([0, 1], [*words, f"out={tmp_path / 'group'}"], Trainer())
    rows = read_lines(tmp_path / "ledger.jsonl")
    assert [(row["run"], row["opening"]) for row in rows] == [
        ("group/seed0", 1),
        ("group/seed1", 1),
    ]
    again = tmp_path / "group" / "seed0"
    assert open_test(again, split_hash="s", config_yaml="c", weights_hash="0") == 2
    alone = tmp_path / "alone"
    alone.mkdir()
    assert open_test(alone, split_hash="s", config_yaml="c", weights_hash="0") == 3
    train_seeds([0, 1], [*words, f"out={tmp_path / 'more'}"], Trainer())
    assert [row["opening"] for row in read_lines(tmp_path / "ledger.jsonl")] == [1, 1, 2, 3, 4, 4]


def test_what_was_stopped_goes_on_at_the_seed_that_was_not_finished(tmp_path, capsys):
    words = ["data.stores=[a.zarr]", f"out={tmp_path / 'group'}", "score.draws=50"]
    with pytest.raises(KeyboardInterrupt):
        train_seeds([0, 1, 2], words, Trainer(dies_at=1))
    with pytest.raises(SlimeError, match="already holds seeds: resume=true goes on"):
        train_seeds([0, 1, 2], words, Trainer())
    train = Trainer()
    train_seeds([0, 1, 2], [*words, "resume=true"], train)
    assert [w[2:] for w in train.told] == [
        ["seed=1", f"out={tmp_path / 'group' / 'seed1'}", "resume=true"],
        ["seed=2", f"out={tmp_path / 'group' / 'seed2'}"],
    ]
    assert "seed 0 is finished" in capsys.readouterr().out
    for changed in (["net.width=7"], ["demo.size_px=32"]):
        with pytest.raises(SlimeError, match="was begun with seeds 0, 1, 2 and settings"):
            train_seeds([0, 1, 2], [*words, "resume=true", *changed], Trainer())
    with pytest.raises(SlimeError, match="was begun with seeds 0, 1, 2 and settings"):
        train_seeds([0, 1], [*words, "resume=true"], Trainer())


def test_a_folder_that_holds_no_seeds_is_told(tmp_path):
    with pytest.raises(SlimeError, match="holds no seeds to resume"):
        train_seeds([0], ["data.stores=[a]", f"out={tmp_path / 'x'}", "resume=true"], Trainer())
    Trainer()(["data.stores=[a]", f"out={tmp_path / 'run'}"])
    with pytest.raises(SlimeError, match="already holds a run: name another out="):
        train_seeds([0], ["data.stores=[a]", f"out={tmp_path / 'run'}"], Trainer())
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text("{}")
    with pytest.raises(SlimeError, match="holds a zarr store: name a folder of its own"):
        train_seeds([0], ["data.stores=[a]", f"out={tmp_path / 'a.zarr'}"], Trainer())


def test_all_seeds_hold_out_the_same_movies(tmp_path):
    train = Trainer()
    words = ["data.stores=[a.zarr]", "data.split=movie", f"out={tmp_path / 'g'}", "score.draws=9"]
    train_seeds([4, 5], words, train)
    assert all("data.split_seed=4" in told for told in train.told)


def test_the_code_of_a_training_is_handed_on(tmp_path):
    train = Trainer()
    words = ["data.stores=[a.zarr]", f"out={tmp_path / 'g'}", "score.draws=9"]
    assert train_seeds([0, 1], words, lambda told: train(told) + len(train.told) % 2) == 1


def test_runs_that_differ_in_seed_alone_are_one_model(tmp_path):
    def run(name, *words):
        Trainer()(["data.stores=[a.zarr]", f"out={tmp_path / name}", *words])
        return tmp_path / name

    a, b = run("a", "seed=0"), run("b", "seed=1", "data.memory_gib=1", "score.leads=3")
    wide, unet = run("wide", "net.width=99"), run("unet", "net.kind=unet")
    assert same_but_seed([a, b, unet]) == {"cnn": [a, b], "unet": [unet]}
    assert same_but_seed([a, wide, b]) == {"cnn (a)": [a, b], "cnn (wide)": [wide]}
    other = run("other/a", "net.width=98")
    deep = run("deep/seeds/seed0", "net.width=97")
    (deep.parent / "seeds.json").write_text("{}")
    top = f"{tmp_path.name}-a"
    assert same_but_seed([a, other, deep, unet]) == {
        f"cnn ({top})": [a], "cnn (other-a)": [other], "cnn (deep-seeds)": [deep], "unet": [unet]
    }  # fmt: skip
    train_seeds([0, 1], ["data.stores=[a]", f"out={tmp_path / 'g'}", "score.draws=9"], Trainer())
    assert runs_in([tmp_path / "g", a]) == [tmp_path / "g" / "seed0", tmp_path / "g" / "seed1", a]
    for words, told in (([], "name the runs"), ([tmp_path / "no"], "there is no run in")):
        with pytest.raises(SlimeError, match=told):
            runs_in(words)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"split": "train"}, "split=train must be val or test"),
        ({"draws": 1}, "draws=1 must be at least 2"),
        ({"level": 1.0}, "level=1.0 must be between 0 and 1"),
    ],
)
def test_settings_of_a_comparison_are_checked(given, told):
    with pytest.raises(SlimeError, match=told):
        CompareSpec(**given)


def test_a_comparison_without_a_folder_writes_nothing(tmp_path):
    words = ["data.stores=[a]", "score.draws=9"]
    Trainer()([*words, f"out={tmp_path / 'a'}"])
    before = sorted(tmp_path.rglob("*"))
    lines = list(compare_runs([tmp_path / "a"], CompareSpec(split="val", draws=9)))
    assert re.match(r"cnn, 1 seed: skill [+-].*; vrmse \d.*; horizon_0.8 \d", lines[0])
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_three_seeds_are_trained_and_set_together_from_the_command_line(tmp_path):
    t, _, x = np.mgrid[:80, :12, :14]
    wave = 1000 + 400 * np.sin(2 * np.pi * (x / 7 - t / 9))
    noisy = wave + np.random.default_rng(0).normal(0, 20, wave.shape)
    store = tmp_path / "a wave.zarr"
    frames = (("time", "y", "x"), noisy.astype("uint16"))
    xr.Dataset({"movie": frames}).to_zarr(store, consolidated=False)
    quick = ["optim.epochs=2", "net.width=4", "net.depth=2", "landscape.points=0"]
    quick += ["score.leads=2", "score.draws=50", "tracking.wandb=disabled"]
    quick += ["score.observables=false"]
    group = tmp_path / "runs" / "three"
    script("train_slime")([str(store), "seeds=0:3", f"out={group}", "test=true", *quick])
    hashes = {row["weights_hash"] for row in read_lines(group.parent / "ledger.jsonl")}
    assert len(hashes) == 3
    assert {r["opening"] for r in read_lines(group.parent / "ledger.jsonl")} == {1}
    script("compare_runs")([str(group), f"out={tmp_path / 'again'}", "draws=50"])
    for name in ("results", "contests", "scores"):
        first, again = (pd.read_csv(p / f"{name}.csv") for p in (group, tmp_path / "again"))
        pd.testing.assert_frame_equal(first, again)
    notes = json.loads((group / "seed2" / "run.json").read_text())["notes"]
    assert not any("has now been opened" in note for note in notes)
