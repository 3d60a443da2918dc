"""Runs beside each other on a page: what it shows, what it leaves out, and that it asks nobody."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts_by_name import script
from series import kept
from torch import nn

from slime.checkpoint import SavedRun, Shape, build_stepper
from slime.comparison.compare import PageSpec, page_spec, write_comparison
from slime.comparison.costs import step_flops
from slime.comparison.figures import strips_of
from slime.comparison.gather import differences, gather, names_of
from slime.config import RunConfig, config_yaml
from slime.errors import SlimeError, StoreError
from slime.example import Example
from slime.files import append_line, write_json, write_text
from slime.nets import NetSpec
from slime.report.run_files import read_run
from slime.run.examples import load_example, save_example
from slime.scale import Standardizer
from slime.tallies import save_tallies

NASTY = "<script src=x>&b"


def run_at(path, *, seed=0, kind="cnn", width=8, scored="val", commit="c0", example=0):
    """A finished run's folder, as far as a comparison reads it; `scored=None` is unfinished."""
    config = RunConfig(net=NetSpec(kind=kind, width=width), seed=seed)
    write_text(path / "config.yaml", config_yaml(config))
    write_json(
        path / "environment.json",
        {
            **{"python": "3.11", "torch": "2", "git commit": commit, "git dirty": seed == 1},
            "command": f"python scripts/train_slime.py seed={seed} '{NASTY}'",
        },
    )
    for epoch, rate in enumerate((10.0, 40.0, 20.0)):
        row = {"epoch": epoch, "seconds": 2.0, "windows_per_s": rate, "best": True}
        append_line(path / "metrics.jsonl", row)
    write_json(path / "run.json", {"name": path.name, "net": {"kind": kind, "parameters": 31234}})
    if scored is None:
        return path
    of = kept(n_windows=60, seed=seed)
    still = kept(n_windows=60).of
    of.of["persistence"].sums[:] = still["persistence"].sums
    of.of["a/b model"].sums[:] = still["a/b model"].sums
    tallies = {kind: of.of["cnn"], **{k: v for k, v in of.of.items() if k != "cnn"}}
    save_tallies(replace(of, split=scored, model=kind, seed=seed, of=tallies), path)
    place = {"model": kind, "seed": seed, "movie": "all", "split": scored, "channel": "all"}
    row = place | {"lead": 1, "score": "mse", "value": 1, "low": 0, "high": 2}
    text = ",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n"
    write_text(path / "scores.csv", text)
    truth = np.random.default_rng(example).normal(size=(2, 1, 5, 6))
    shown = Example(truth, truth + seed, truth[0], ["camp"], 15.0, None, "dish, frame 7")
    save_example(path, shown, [1, 2], 0)
    return path


def four_runs(place):
    """Two seeds of a net, one of another, and one that was stopped."""
    return [
        run_at(place / "a", seed=0),
        run_at(place / "b", seed=1),
        run_at(place / "c", kind="unet"),
        run_at(place / "d", seed=2, scored=None),
    ]


@pytest.fixture
def runs(tmp_path):
    return four_runs(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a comparison of four runs, and the lines that it told."""
    page, lines = compared(four_runs(tmp_path_factory.mktemp("runs")), wandb="spec")
    return page.parent, lines


def compared(words, **how):
    spec = PageSpec(**{"draws": 20, **how})
    lines = list(write_comparison([str(word) for word in words], spec))
    return Path(lines[-1]), lines


class Seen(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_page_asks_nobody_for_anything(made):
    text = (made[0] / "comparison.html").read_text()
    tags = Seen(text).tags
    assert not [t for t, _ in tags if t in ("script", "link", "iframe", "object", "form", "base")]
    asked = [v for _, a in tags for k, v in a.items() if k in ("src", "href", "srcset", "poster")]
    assert len(asked) == 2
    assert all(one.startswith("data:image/png;base64,") for one in asked)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert all(a.get("alt") for t, a in tags if t == "img")


def test_everything_lies_in_one_folder_and_says_the_same(made):
    folder, lines = made
    assert lines[-1] == str(folder / "comparison.html")
    assert folder.name == "compared"
    names = {p.name for p in folder.iterdir()}
    assert names == {
        *("comparison.html", "comparison.md", "comparison.json", "figures"),
        *("scores.csv", "results.csv", "contests.csv", "wandb_report.json"),
    }
    words = (folder / "comparison.md").read_text()
    linked = re.findall(r"!\[[^]]*\]\(([^)]+)\)", words)
    assert sorted(linked) == ["figures/by_lead.png", "figures/strips.png"]
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in linked)
    told = json.loads((folder / "comparison.json").read_text())
    assert [row["model"] for row in told["models"]][-1] == "a/b model"
    assert {row["model"] for row in told["models"]} == {"cnn", "unet", "a/b model"}
    stopped = f"{folder.parent / 'd'}: unfinished: 3 of at most 30 epochs, not scored"
    assert lines[0] == f"not compared: {stopped}"
    for text in ((folder / "comparison.html").read_text(), words):
        assert "unfinished: 3 of at most 30 epochs" in text
        assert "with uncommitted changes" in text
        assert "31.2 k" in text


def test_each_seed_is_shown_as_its_own_sums_say(made):
    told = json.loads((made[0] / "comparison.json").read_text())
    row = next(row for row in told["models"] if row["model"] == "cnn")
    by_hand = []
    for seed in (0, 1):  # pooled over channels at lead 1: squared errors over those of persistence
        ours, still = (kept(n_windows=60, seed=s).of for s in (seed, 0))
        squares = [t.sums[:, 3, 0].sum(0) for t in (ours["cnn"], still["persistence"])]
        by_hand.append(1 - np.sum(squares[0]) / np.sum(squares[1]))
    assert row["skill"]["seeds"] == pytest.approx(by_hand)
    assert row["skill"]["value"] == pytest.approx(np.mean(by_hand))
    assert row["skill"]["spread"] == pytest.approx(np.std(by_hand, ddof=1))
    assert row["costs"]["windows_per_s"] == 20.0
    assert row["costs"]["training_s"] == 6.0
    assert row["costs"]["flops"] is None  # it keeps no checkpoint


def test_names_from_outside_are_escaped(made):
    text = (made[0] / "comparison.html").read_text()
    assert NASTY not in text
    assert "&lt;script src=x&gt;&amp;b" in text


def test_only_settings_that_differ_are_shown(runs, tmp_path):
    found = gather([*map(str, runs), str(run_at(tmp_path / "e", width=12, seed=5))], None)
    assert list(found.groups) == ["cnn width=8", "unet", "cnn width=12"]
    settings = differences([of_group[0] for of_group in found.groups.values()])
    assert settings == {"net.kind": ["cnn", "unet", "cnn"], "net.width": [8, 8, 12]}


def test_names_that_would_be_long_are_those_of_folders(tmp_path):
    paths = [run_at(tmp_path / f"run {i}", width=8 + i) for i in range(2)]
    for path, word in zip(paths, ("a" * 40, "b" * 40), strict=True):
        text = (path / "config.yaml").read_text()
        (path / "config.yaml").write_text(text.replace("variable: null", f"variable: {word}"))
    assert names_of([read_run(path) for path in paths]) == ["cnn (run 0)", "cnn (run 1)"]
    for path, group in zip(paths, ("one", "other"), strict=True):
        (tmp_path / group).mkdir()
        path.rename(tmp_path / group / "seed0")
    groups = [tmp_path / group / "seed0" for group in ("one", "other")]
    assert names_of([read_run(path) for path in groups]) == ["cnn (one-seed0)", "cnn (other-seed0)"]


def test_all_that_a_star_finds_beside_runs_is_sorted_out(runs, tmp_path):
    (tmp_path / "ledger.jsonl").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "compared").mkdir()
    (tmp_path / "compared" / "comparison.json").write_text("{}")
    found = gather(sorted(map(str, tmp_path.iterdir())), None)
    assert {name: len(of_group) for name, of_group in found.groups.items()} == {"cnn": 2, "unet": 1}
    assert [Path(one.run).name for one in found.left_out] == ["empty", "d"]
    assert "not begun" in found.left_out[0].why


def test_the_failed_runs_of_a_sweep_are_listed(runs, tmp_path):
    (tmp_path / "sweep.yaml").write_text("")
    (tmp_path / "logs").mkdir()
    append_line(tmp_path / "runs.jsonl", {"run": "x1", "state": "failed", "why": "x=1 cannot be"})
    append_line(tmp_path / "runs.jsonl", {"run": "a", "state": "failed", "why": "no memory"})
    append_line(tmp_path / "runs.jsonl", {"run": "a", "state": "finished", "why": ""})
    found = gather([str(tmp_path)], None)
    assert [(Path(one.run).name, one.why) for one in found.left_out] == [
        ("x1", "failed: x=1 cannot be"),
        ("d", "unfinished: 3 of at most 30 epochs, not scored"),
    ]
    assert len(found.runs) == 3


def test_test_is_shown_where_a_run_has_opened_it(runs, tmp_path):
    assert gather(list(map(str, runs)), None).split == "val"
    opened = run_at(tmp_path / "o", scored="test")
    found = gather([*map(str, runs), str(opened)], None)
    assert found.split == "test"
    assert [one.why for one in found.left_out[:3]] == ["its test split was not scored"] * 3


def test_a_run_stopped_while_it_was_scored_is_unfinished(runs):
    (runs[1] / "scores.csv").unlink()
    found = gather(list(map(str, runs)), None)
    assert [Path(one.run).name for one in found.left_out] == ["b", "d"]
    assert found.left_out[0].why.startswith("unfinished: 3 of")


def test_forecasts_of_other_windows_are_not_set_beside(runs, tmp_path):
    other = run_at(tmp_path / "o", kind="convgru", example=1)
    figure, notes = strips_of(gather([*map(str, runs), str(other)], None))
    assert notes == ["the example of convgru is another window"]
    assert figure is not None
    rows = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert rows[:5] == ["truth", "cnn", "its\nerror", "unet", "its\nerror"]
    (runs[2] / "example.npz").unlink()
    assert "no example forecast is kept of unet" in strips_of(gather(list(map(str, runs)), None))[1]


def test_a_damaged_example_is_told(tmp_path):
    (tmp_path / "example.npz").write_bytes(b"PK")
    with pytest.raises(StoreError, match="is damaged"):
        load_example(tmp_path)
    assert load_example(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name the runs to compare"),
        (["nothing"], "there is no run in"),
        (["d"], r"no finished run .*unfinished: 3 of at most 30"),
    ],
)
def test_what_cannot_be_compared_is_told(runs, tmp_path, words, told):
    with pytest.raises(SlimeError, match=told):
        compared([tmp_path / word for word in words])


def test_a_runs_folder_is_not_written_over(runs):
    with pytest.raises(SlimeError, match="holds a run: name another out="):
        compared(runs, out=str(runs[0]))
    with pytest.raises(SlimeError, match="split=train must be val or test"):
        PageSpec(split="train")


def test_operations_are_two_for_each_weight_and_pixel_of_a_convolution():
    shape = Shape(2, ("a",), 7, 9, 1, None, None)
    scale = Standardizer(*(torch.ones(1) for _ in range(3)))
    stepper = build_stepper(NetSpec(kind="cnn", width=4, depth=3), shape, scale)
    weights = [m.weight.numel() for m in stepper.modules() if isinstance(m, nn.Conv2d)]

    saved = SavedRun(stepper, NetSpec(), shape, "", 1, "", None)
    flops = step_flops(saved)
    assert len(weights) >= 3
    assert 2 * 7 * 9 * sum(weights) <= flops <= 2 * 11 * 13 * sum(weights)  # edges are padded


def test_the_command_prints_what_it_compares_and_where_the_page_is(runs, tmp_path, capsys):
    assert script("compare_runs")([str(runs[2]), "draws=20", f"out={tmp_path / 'x'}"]) is None
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("unet, 1 seed: skill ")
    assert said[-1] == str(tmp_path / "x" / "comparison.html")


def test_the_wandb_report_is_valid_and_its_panels_do_not_overlap(made):
    internal = pytest.importorskip("wandb_workspaces.reports.v2.internal")
    interface = pytest.importorskip("wandb_workspaces.reports.v2.interface")
    text = (made[0] / "wandb_report.json").read_text()
    spec = internal.Spec.model_validate_json(text)
    again = spec.model_dump_json(by_alias=True, exclude_none=True)
    assert without_empty(json.loads(again)) == json.loads(text)
    blocks = [interface._lookup(block) for block in spec.blocks]
    (grid,) = [block for block in blocks if isinstance(block, interface.PanelGrid)]
    kinds = {type(panel).__name__ for panel in grid.panels}
    assert kinds == {"LinePlot", "BarPlot", "RunComparer", "MediaBrowser"}
    taken = [
        (x, y)
        for at in (panel.layout for panel in grid.panels)
        for x in range(at.x, at.x + at.w)
        for y in range(at.y, at.y + at.h)
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert "unfinished: 3 of at most 30" in text
    assert [name in grid.runsets[0].filters for name in ("'a'", "'b'", "'c'", "'d'")] == [
        *(True, True, True),
        False,
    ]


def without_empty(tree):
    """A spec without the empty lists that reading it adds to texts."""
    if isinstance(tree, list):
        return [without_empty(part) for part in tree]
    if not isinstance(tree, dict):
        return tree
    kept = {k: v for k, v in tree.items() if (k, v) != ("inlineComments", [])}
    return {key: without_empty(value) for key, value in kept.items()}


def test_spellings_of_wandb_mean_the_same():
    assert page_spec(["--wandb"]).wandb == page_spec(["wandb=true"]).wandb == "spec"
    assert page_spec(["wandb=online"]).wandb == "online"
    assert page_spec([]).wandb == page_spec(["wandb=false"]).wandb == "none"
