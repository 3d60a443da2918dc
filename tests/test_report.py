import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from slime.errors import SlimeError
from slime.report import compare, write_page

NASTY = '<script src="https://evil.example/x.js">dish & "3"</script>'
MODELS = {  # skill at leads 1, 2, 4, 8
    "cnn": (0.41, 0.38, 0.30, 0.17),
    "persistence": (0.0, 0.0, 0.0, 0.0),
    "drift": (-1.63, -1.9, -2.4, -3.5),
    "climatology": (-9.2, -4.1, -1.7, -0.6),
    "ridge": (0.31, 0.22, 0.09, -0.04),
}
LEADS = (1, 2, 4, 8)
PERSISTENCE_MSE = (5.2e-4, 1.1e-3, 2.3e-3, 4.4e-3)
NOTES = [
    "2 blank frames skipped: 17, 211",
    "pixel size of 'dish <4>' is unknown",
    "a & b are twins",
]


def score_rows(movies=("all",), splits=("val", "test"), seed=0):
    rows = [
        {"model": model, "seed": seed, "movie": movie, "split": split, "channel": "all", **scored}
        for split in splits
        for movie in movies
        for model in MODELS
        for scored in scores_of(model)
    ]
    return pd.DataFrame(rows)


def scores_of(model):
    for lead, skill, reference in zip(LEADS, MODELS[model], PERSISTENCE_MSE, strict=True):
        mse, width = reference * (1 - skill), 0.05 + 0.01 * lead
        ridge = reference * (1 - MODELS["ridge"][LEADS.index(lead)])
        ours = model != "persistence"
        for score, value, low, high in [
            ("mse", mse, mse * 0.9, mse * 1.1),
            ("skill", skill, skill - width if ours else "", skill + width if ours else ""),
            ("skill_ridge", 1 - mse / ridge, "", ""),
            ("rmse", mse**0.5, "", ""),
            ("pearson", 0.9 - 0.02 * lead, "", ""),
        ]:
            yield {"lead": lead, "score": score, "value": value, "low": low, "high": high}
    for score, value in (("horizon_0.8", 6.0), ("censored_0.8", 0.25)):
        yield {"lead": 0, "score": score, "value": value, "low": "", "high": ""}


def write_json(path, value):
    path.write_text(json.dumps(value))


def write_run(
    path: Path, *, movies=("dish 1", "dish 2"), splits=("val", "test"), openings=1
) -> Path:
    (path / "figures").mkdir(parents=True)
    (path / "config.yaml").write_text(
        "data:\n  stores:\n  - data/dish 1.zarr\n  - data/dish 2.zarr\n  split: time\n"
        "window:\n  n_in: 4\n  n_out: 1\n  step: 1\nnet:\n  kind: cnn\n  head: residual\n"
        "  width: 32\n  depth: 5\noptim:\n  lr: 0.003\n  epochs: 20\nscore:\n  level: 0.95\n"
        "seed: 0\n"
    )
    write_json(
        path / "environment.json",
        {
            **{"python": "3.12.7", "torch": "2.13.0", "numpy": "2.4.6", "zarr": "3.1.6"},
            **{"platform": "Linux-6.8-x86_64", "device": "cpu", "threads": 2},
            **{"git_commit": "14ae64f0c2", "git_dirty": True},
            "command": "python scripts/train_slime.py configs/demo.yaml out=runs/demo",
            "started": "2025-11-23 10:02:11 +0000",
        },
    )
    epochs = [
        {
            **{"epoch": i, "step": 90 * i, "train_loss": 0.58 + 0.4 * 0.7**i},
            **{"val_mse": 3.1e-4 + 2e-4 * 0.75**i, "val_skill": 0.41 - 0.4 * 0.75**i},
            **{"lr": 3e-3 * (1 - i / 21), "grad_norm": 0.4, "seconds": 3.1},
            **{"windows_per_s": 900.0, "wait_share": 0.02, "best": i != 19},
        }
        for i in range(1, 21)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in epochs))
    named = ("all", *movies) if len(movies) > 1 else ("all",)
    score_rows(named, splits).to_csv(path / "scores.csv", index=False)
    about_movie = {
        **{"frames": 400, "channels": ["cells"], "height": 64, "width": 96, "dtype": "uint16"},
        **{"frame_interval_s": 60.0, "pixel_um": 10.0, "n_blank": 2},
    }
    cuts = [("train", 0, 270), ("val", 283, 336), ("test", 349, 400)]
    write_json(
        path / "run.json",
        {
            **{"name": "demo", "headline": None, "notes": NOTES, "best_epoch": 20},
            "movies": [
                about_movie | {"name": m, "experiment": m, "store": f"data/{m}.zarr"}
                for m in movies
            ],
            "splits": [
                {"movie": m, "name": n, "start": a, "stop": b} for m in movies for n, a, b in cuts
            ],
            "net": {
                **{"kind": "cnn", "head": "residual", "n_in": 4, "parameters": 31_234},
                "receptive_radius": 5,
            },
            "windows": {"train": 532, "val": 98, "test": 94},
            "seconds": {"open": 0.4, "train": 62.0, "score": 4.1},
            "commands": {
                "again": "python scripts/train_slime.py runs/demo/config.yaml",
                "sync": "wandb sync runs/demo/wandb/offline-run",
            },
        },
    )
    lines = [
        {
            **{"time": f"2025-11-2{i} 10:04:00 +0000", "split_hash": "5be1", "opening": i},
            **{"run": path.name if i == openings else f"earlier-{i}", "git_commit": "14ae64f0c2"},
            "config_hash": "77aa",
        }
        for i in range(1, openings + 1)
    ]
    if openings:
        (path / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


class Seen(HTMLParser):
    """The tags with their attributes, and the text that a reader sees."""

    def __init__(self):
        super().__init__()
        self.tags, self.text, self.in_style = [], "", False

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.in_style = tag == "style"

    def handle_endtag(self, tag):
        self.in_style = False

    def handle_data(self, words):
        self.text += "" if self.in_style else words


def seen(run):
    page = Seen()
    page.feed(write_page(run).read_text(encoding="utf-8"))
    page.text = re.sub(r"\s+", " ", page.text)
    return page


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "demo")


def test_page_asks_nobody_for_anything(run):
    (run / "figures" / "strip.png").write_bytes(b"\x89PNG")
    (run / "figures" / "rollout.gif").write_bytes(b"GIF89a")
    page = seen(run)
    html = (run / "report.html").read_text()
    assert not [t for t, _ in page.tags if t in ("script", "link", "iframe", "object", "form")]
    links = [v for _, a in page.tags for k, v in a.items() if k in ("src", "href", "srcset")]
    assert len(links) == 2
    assert all(v.startswith("data:image/") for v in links)
    assert "url(" not in html
    assert "@import" not in html
    assert all(a.get("alt") for t, a in page.tags if t == "img")


def test_page_escapes_names_from_outside(tmp_path):
    run = write_run(tmp_path / "demo", movies=(NASTY, "<b>bold</b>"))
    about = json.loads((run / "run.json").read_text())
    about |= {"headline": NASTY, "name": NASTY, "notes": [NASTY]}
    about["commands"]["again"] = about["net"]["head"] = about["movies"][0]["channels"][0] = NASTY
    write_json(run / "run.json", about)
    write_json(run / "environment.json", {NASTY: NASTY, "git_commit": NASTY})
    (run / "config.yaml").write_text(f"# {NASTY}\ndata: {{}}\n")
    (run / "ledger.jsonl").write_text(json.dumps({"run": NASTY, "time": NASTY, "opening": 1}))
    page = seen(run)
    assert not [t for t, _ in page.tags if t in ("script", "b")]
    assert page.text.count(NASTY) > 8


def test_page_leads_with_how_much_better_than_persistence(run):
    text = seen(run).text
    assert (
        "At lead 1 (60 s) the cnn's squared error is 41 % lower than that of persistence on the "
        "test split (skill +0.410, 95 % interval +0.350 to +0.470, 1 seed)." in text
    )
    assert "skill +0.170 over persistence" in text  # and at the last lead
    assert text.index("41 % lower") < text.index("Results")


def test_page_says_when_persistence_is_better(run):
    table = pd.read_csv(run / "scores.csv")
    worse = (table["model"] == "cnn") & (table["score"] == "skill")
    table.loc[worse, ["value", "low", "high"]] = [-0.1, -0.2, 0.0]
    table.to_csv(run / "scores.csv", index=False)
    text = seen(run).text
    assert "10 % higher than that of persistence" in text
    assert "Repeating the last frame is at least as good" in text


def test_results_hold_every_model_and_mark_the_best(run):
    html = write_page(run).read_text()
    rows = re.findall(
        r'<tr[^>]*><th scope="row">(\w+)</th><td class="number">1</td>(.*?)</tr>', html
    )
    assert [name for name, _ in rows] == list(MODELS)
    assert all("★" in cells for name, cells in rows if name == "cnn")
    assert not any("★" in cells for name, cells in rows if name != "cnn")
    drift = unescape(dict(rows)["drift"])
    assert "−1.630" in drift
    assert "MSE 1.37e-3" in drift  # 5.2e-4 (1 + 1.63)


def test_other_scores_stand_in_tables_a_row_a_model(run):
    table = pd.read_csv(run / "scores.csv")
    common = {"seed": 0, "movie": "all", "split": "test", "channel": "all", "low": "", "high": ""}
    more = [
        {"model": model, "lead": lead, "score": score, "value": value, **common}
        for model in MODELS
        for score, lead, value in (
            ("ssim", 1, 0.91),
            ("ssim", 8, 0.52),
            ("energy_ratio_high", 1, 0.61),
            ("skill_6:12", 0, 0.25),
            ("horizon_0.95", 0, 3.0),
            ("censored_0.95", 0, 0.5),
        )
    ]
    pd.concat([table, pd.DataFrame(more)]).to_csv(run / "scores.csv", index=False)
    html = unescape(write_page(run).read_text(encoding="utf-8"))
    tables = dict(re.findall("<caption>(.*?)</caption>(.*?)</table>", html, re.DOTALL))
    assert [t.split(",")[0] for t in tables] == [
        "Pixels",
        "Agreement",
        "Structure and waves",
        "Structure and waves",
        "Several leads together",
        "Horizons",
    ]
    assert list(tables)[3] == "Structure and waves, lead 8 (8 min)"
    rows = {
        title: dict(re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', of))
        for title, of in tables.items()
    }
    assert all(list(of) == list(MODELS) for of in rows.values())
    assert "0.52" in rows["Structure and waves, lead 8 (8 min)"]["drift"]
    assert "energy ratio high" in tables["Structure and waves, lead 1 (60 s)"]
    assert "+0.250" in rows["Several leads together"]["cnn"]
    assert "lead 6 (6 min); 25 % never" in rows["Horizons"]["cnn"]
    assert "beyond lead 3 (3 min); 50 % never" in rows["Horizons"]["cnn"]


def test_an_interval_that_could_not_be_had_is_said(run):
    table = pd.read_csv(run / "scores.csv")
    of_net = (table["model"] == "cnn") & (table["score"] == "skill")
    table.loc[of_net & (table["lead"] == 8), ["low", "high"]] = None
    table.to_csv(run / "scores.csv", index=False)
    text = seen(run).text
    assert text.count("no interval") == 1
    table.loc[of_net, ["low", "high"]] = None
    table.to_csv(run / "scores.csv", index=False)
    text = seen(run).text
    assert "(skill +0.410, no interval, 1 seed)" in text
    assert "Skill has no interval" in text


def test_several_seeds_are_counted_and_their_range_shown(run):
    more = score_rows(("all",), seed=1)
    skill = (more["model"] == "cnn") & (more["score"] == "skill")
    more.loc[skill, "value"] += 0.1
    both = pd.concat([pd.read_csv(run / "scores.csv"), more])
    both.to_csv(run / "scores.csv", index=False)
    text = seen(run).text
    assert "(skill +0.460, +0.410 to +0.510 over 2 seeds)" in text
    assert "test split, 2 seeds." in text


def test_unopened_test_is_said_and_validation_is_shown(tmp_path):
    text = seen(write_run(tmp_path / "demo", splits=("val",), openings=0)).text
    assert "Test not opened" in text
    assert "on the validation split" in text


def test_one_opening_is_quiet_and_a_second_is_loud(tmp_path):
    once = seen(write_run(tmp_path / "a"))
    assert "Test opened once (2025-11-21" in once.text
    assert not [a for _, a in once.tags if "loud" in a.get("class", "")]
    twice = seen(write_run(tmp_path / "b", openings=2))
    assert "Test opened 2 times" in twice.text
    assert [a for _, a in twice.tags if "loud" in a.get("class", "")]
    assert "earlier-1" in twice.text


def test_openings_of_other_splits_do_not_count(run):
    with (run / "ledger.jsonl").open("a") as ledger:
        ledger.write(json.dumps({"run": "another", "split_hash": "ffff", "opening": 7}) + "\n")
    assert "Test opened once" in seen(run).text


def test_openings_by_other_runs_alone_are_told_from_our_own(tmp_path):
    run = write_run(tmp_path / "demo", splits=("val",))
    assert "Test opened once (2025-11-21 10:04:00 +0000); its scores are missing" in seen(run).text
    (run / "ledger.jsonl").write_text(json.dumps({"run": "another", "opening": 1}))
    assert "test not opened by this run" in seen(run).text


def test_test_scores_without_a_ledger_are_loud(run):
    (run / "ledger.jsonl").unlink()
    assert "the ledger is missing" in seen(run).text


def test_every_note_is_shown(run):
    text = seen(run).text
    assert [note for note in NOTES if note not in text] == []


FILES = ["config.yaml", "environment.json", "metrics.jsonl", "run.json", "scores.csv"]


@pytest.mark.parametrize("name", FILES)
def test_page_says_what_is_missing(run, name):
    (run / name).unlink()
    assert f"{name} is missing" in seen(run).text


@pytest.mark.parametrize("name", FILES)
def test_page_of_broken_files_is_still_written(run, name):
    (run / name).write_text('{"a": [1, }\n\x00')
    assert "cannot be read" in seen(run).text


def test_page_of_an_empty_folder_says_that_all_is_missing(tmp_path):
    text = seen(tmp_path).text
    assert [name for name in FILES if f"{name} is missing" not in text] == []
    assert "No forecast has been scored yet" in text
    assert "figures/strip.png is missing" in text


def test_last_line_cut_off_by_a_kill_is_said(run):
    path = run / "metrics.jsonl"
    path.write_text(path.read_text()[:-20])
    text = seen(run).text
    assert "metrics.jsonl, line 20 cannot be read" in text
    assert "Best epoch 18 of 19" in text


def test_unknown_units_are_said(run):
    about = json.loads((run / "run.json").read_text())
    for movie in about["movies"]:
        movie |= {"frame_interval_s": None, "pixel_um": None}
    write_json(run / "run.json", about)
    text = seen(run).text
    assert "At lead 1 the cnn" in text
    assert "the frame interval is unknown" in text


def test_frames_skipped_between_leads_count_into_their_time(run):
    config = (run / "config.yaml").read_text().replace("step: 1", "step: 5")
    (run / "config.yaml").write_text(config)
    assert "lead 8 (40 min)" in seen(run).text


def test_page_tells_how_to_repeat_the_run(run):
    text = seen(run).text
    assert "python scripts/train_slime.py runs/demo/config.yaml" in text
    assert "14ae64f0c2 with uncommitted changes" in text
    assert "head: residual" in text


def test_page_is_the_same_when_written_again_and_leaves_nothing_beside_it(run):
    before = write_page(run).read_bytes()
    assert write_page(run).read_bytes() == before
    assert [p.name for p in run.iterdir() if p.name.startswith(".")] == []


def test_page_of_no_folder_is_the_users_mistake(tmp_path):
    with pytest.raises(SlimeError, match="no run's folder"):
        write_page(tmp_path / "nowhere")


def test_compare_stacks_runs_and_lists_the_unfinished(tmp_path):
    good = write_run(tmp_path / "good", movies=("001", "NA"))
    stopped = write_run(tmp_path / "stopped")
    (stopped / "scores.csv").unlink()
    other = write_run(tmp_path / "other", splits=("val",), openings=0)
    table = compare([good, stopped, other])
    columns = ["run", *score_rows().columns]
    assert list(table.columns) == columns
    counts = {r: len(pd.read_csv(tmp_path / r / "scores.csv")) for r in ("good", "other")}
    assert table["run"].value_counts().to_dict() == counts
    assert set(table.loc[table["run"] == "good", "movie"]) == {"all", "001", "NA"}
    assert table.attrs["unfinished"] == ["stopped: scores.csv is missing: the run was not scored"]
    skill = table[(table["model"] == "persistence") & (table["score"] == "skill")]
    assert skill["low"].isna().all()  # empty is no number, and not 0


def test_compare_keeps_runs_of_one_name_apart(tmp_path):
    runs = [write_run(tmp_path / parent / "demo") for parent in "ab"]
    assert set(compare(runs)["run"]) == {str(r) for r in runs}


def test_compare_of_nothing_finished_has_columns_and_no_rows(tmp_path):
    table = compare([tmp_path])
    assert table.columns[0] == "run"
    assert len(table) == 0
    assert table.attrs["unfinished"][0].startswith(tmp_path.name)


def ceiling_rows(model, source):
    place = {"seed": 0, "movie": "all", "split": "test", "channel": "all", "low": "", "high": ""}
    scored = {
        source: (("skill_ceiling", 0.5), ("skill_ceiling_temporal", 0.4), ("noise_variance", 9.25)),
        model: (("skill_of_ceiling", 0.82), ("skill_of_ceiling_temporal", 1.025)),
    }
    return pd.DataFrame(
        {"model": name, **place, "lead": 1, "score": score, "value": value}
        for name, rows in scored.items()
        for score, value in rows
    )


@pytest.mark.parametrize(
    ("source", "told"),
    [("noise ceiling", "estimated from train frames"), ("noise ceiling (known)", "known from")],
)
def test_the_page_tells_the_noise_ceiling_and_which_one(run, source, told):
    assert "Noise ceiling" not in seen(run).text
    scores = pd.read_csv(run / "scores.csv", keep_default_na=False)
    pd.concat([scores, ceiling_rows("cnn", source)]).to_csv(run / "scores.csv", index=False)
    text = seen(run).text
    assert "Noise ceiling at lead 1" in text
    assert "above skill +0.500 (cnn: 82% of it)" in text
    assert "pixel by pixel above +0.400 (cnn: 102% of it)" in text
    assert "noise variance 9.25 (stored" in text
    assert told in text


def test_the_page_tells_how_forecasts_fail_in_its_split_our_net_first(run):
    assert "How they fail" not in seen(run).text
    told = json.loads((run / "run.json").read_text())
    failure = {"channel": "camp", "bound": 0.5, "first_lead": 4, "last_lead": 8, "value": 0.3125}
    told["failures"] = [
        {**failure, "model": "persistence", "split": "test", "kind": "freeze", "value": 0.0},
        {**failure, "model": "cnn", "split": "test", "kind": "blur"},
        {**failure, "model": "cnn", "split": "test", "kind": "blow-up", "value": "not finite"},
        {**failure, "model": "drift", "split": "val", "kind": "blur"},
    ]
    write_json(run / "run.json", told)
    text = seen(run).text
    wanted = r"cnn\s*camp\s*leads 4 to 8 \(0\.312\)\s*–\s*leads 4 to 8 \(not finite\)\s*–\s*"
    assert re.search(wanted + r"persistence\s*camp\s*–\s*leads 4 to 8 \(0\)\s*–\s*–", text)
    assert "below 0.5" in text
    told["failures"] = []
    write_json(run / "run.json", told)
    assert "No forecast fails by blur, freeze, blow-up or drift." in seen(run).text
