"""The command as a user types it: a study whose answer is known, stopped and gone on with."""

import io
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from gathered import pixels
from scripts_by_name import script

from slime.aggregation import forecasts, parse_words
from slime.command import run_command
from slime.errors import SlimeError, StoreError

QUICK = ["given=[3,7]", "seeds=2", "draws=50", "heat.net.width=4", "heat.net.depth=2",
         "heat.net.kind=unet", "heat.epochs=2", "roll.optim.epochs=1", "roll.step_min=2",
         "roll.n_in=1", "roll.net.width=4", "roll.net.depth=2", "roll.hop=2", "bin=1",
         "data.axes=TCYX",
         "data.frame_interval_s=60", "data.pixel_um=100", "data.channels=null"]  # fmt: skip


@pytest.fixture
def main(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return script("predict_mounds")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("movies")
    paths = [str(folder / f"dish {seed}.zarr") for seed in range(8)]
    for seed, path in enumerate(paths):
        zarr.create_array(path, data=pixels(seed), chunks=(4, 2, 16, 16))
    return paths


@pytest.fixture(scope="module")
def whole(stores, tmp_path_factory):
    """The folder of a study that was never stopped, and what it printed."""
    folder = tmp_path_factory.mktemp("studies") / "whole"
    with redirect_stdout(io.StringIO()) as said:
        script("predict_mounds")([*stores, *QUICK, f"out={folder}"])
    return folder, said.getvalue()


def test_a_study_writes_its_tables_and_figures_and_says_what_the_truth_is(whole):
    folder, said = whole
    assert "8 movies of 12 frames" in said
    assert "truth at 11 min: 2.0 mounds a movie (2 to 2)" in said
    assert "rollouts take 5, 3 steps of 2 min" in said
    truth = pd.read_csv(folder / "truth.csv")
    assert len(truth) == 16
    assert set(truth.split) == {"train", "val", "test"}
    scores = pd.read_csv(folder / "scores.csv")
    assert list(scores.columns) == ["model", "given", "minutes", "seed", "movie", "score", "value"]
    models = {"learned", "rollout", "rollout_maximum", "last_frame", "density_maximum",
              "other_movie", "random_places"}  # fmt: skip
    assert set(scores.model) == models
    assert set(scores.given) == {3, 7}
    tests = set(truth[truth.split == "test"].movie)
    assert set(scores.movie) == tests == set(pd.read_csv(folder / "found.csv").movie) | tests
    assert set(pd.read_csv(folder / "summary.csv").model) == models
    for name in ("error_against_k.png", "maps.png"):
        assert (folder / "figures" / name).read_bytes()[:4] == b"\x89PNG"


def test_a_study_that_was_stopped_goes_on_and_ends_as_one_never_stopped(
    main, stores, whole, tmp_path, monkeypatch, capsys
):
    trained = []
    fit = forecasts.fit_heat

    def stopped(*data, seed, **how):
        if seed == 1 and not trained:
            trained.append(seed)
            raise KeyboardInterrupt
        return fit(*data, seed=seed, **how)

    monkeypatch.setattr(forecasts, "fit_heat", stopped)
    with pytest.raises(KeyboardInterrupt):
        main([*stores, *QUICK, "out=cut"])
    assert sorted(p.name for p in (tmp_path / "cut/nets").iterdir()) == ["heat-0.pt"]
    before = (tmp_path / "cut/nets/heat-0.pt").stat().st_mtime_ns
    capsys.readouterr()
    main([*stores, *QUICK, "out=cut"])
    said = capsys.readouterr().out
    assert "heat net, seed 0: read" in said
    assert "heat net, seed 1: trained" in said
    assert (tmp_path / "cut/nets/heat-0.pt").stat().st_mtime_ns == before
    for name in ("scores.csv", "summary.csv", "found.csv", "truth.csv", "choices.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (whole[0] / name).read_bytes(), name


def test_nets_of_other_movies_and_damaged_ones_are_refused(main, stores, whole, tmp_path):
    held = tmp_path / "held"
    shutil.copytree(whole[0], held)
    words = [*stores, *QUICK, "out=held"]
    with pytest.raises(SlimeError, match=r"held holds a study with bin=1, not 2: another out="):
        main([*words, "bin=2"])
    net = held / "nets/heat-0.pt"
    trained = net.read_bytes()
    net.write_bytes(trained[:200])
    with pytest.raises(StoreError, match=r"heat-0.pt cannot be read .* remove it"):
        main(words)
    net.write_bytes(trained)
    movies = tmp_path / "movies"
    shutil.copytree(Path(stores[0]).parent, movies)
    zarr.open_array(str(movies / "dish 0.zarr"), mode="r+")[0, 0, 0, 0] = 7
    config = held / "config.yaml"
    config.write_text(config.read_text().replace(str(Path(stores[0]).parent), str(movies)))
    with pytest.raises(SlimeError, match=r"heat-0.pt was trained on other movies or settings"):
        main([*sorted(map(str, movies.iterdir())), *QUICK, "out=held"])


def test_nothing_is_found_where_pixels_do_not_count(main, stores, tmp_path, capsys):
    mask = np.ones((16, 16), bool)
    mask[:, 8:] = False
    np.save("left.npy", mask)
    main([*stores, *QUICK, "seeds=1", "given=7", "data.mask=left.npy", "out=masked"])
    places = [pd.read_csv(tmp_path / "masked" / name) for name in ("truth.csv", "found.csv")]
    assert set(places[1].model) >= {"learned", "random_places"}
    for table in places:
        assert len(table) > 0
        assert table.x_um.max() < 800
        assert table.y_um.max() > 800


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["heat.epohcs=2"], "no setting heat.epohcs; did you mean heat.epochs?"),
        (["--fast"], "unknown option --fast"),
        (["a.yaml", "b.yaml"], "one config at a time"),
        (["given=[0,4]"], "rising numbers of frames"),
        (["bin=two"], "bin"),
        (["given=many"], "given"),
    ],
)
def test_mistakes_are_told_in_a_line(words, said):
    with pytest.raises(SlimeError, match=said.replace("?", r"\?")):
        parse_words(words)


def test_words_win_over_the_config_and_lists_may_be_written_short(tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("given: [4, 5]\ndata: {shares: {train: 0.5, val: 0.3, test: 0.2}}\n")
    asked = parse_words([str(config), "given=7,9", "data.shares=[0.6,0.2,0.2]", "dish.zarr"])
    assert (asked.given, asked.data.stores) == ([7, 9], ["dish.zarr"])
    assert list(asked.data.shares) == [0.6, 0.2, 0.2]
    assert parse_words(["given=7"]).given == [7]
    assert parse_words([]).heat.net.kind == "unet"  # configs/mounds.yaml, where none is named


def test_a_study_that_could_not_begin_leaves_no_folder(main, stores, tmp_path):
    with pytest.raises(SlimeError, match=r"there is no store at 'nothere.zarr'"):
        main([*stores, "nothere.zarr", *QUICK, "out=new"])
    assert not (tmp_path / "new").exists()


def test_a_folder_of_something_else_is_left_alone_with_exit_code_2(
    main, stores, monkeypatch, capsys
):
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("dear diary")
    monkeypatch.setattr("sys.argv", ["predict_mounds.py", *stores, *QUICK, "out=mine"])
    with pytest.raises(SystemExit) as left:
        run_command(main)
    assert left.value.code == 2
    assert "mine holds something else: give another out=" in capsys.readouterr().err
    assert [p.name for p in Path("mine").iterdir()] == ["notes.txt"]


def test_help_lists_every_key(main, capsys):
    main(["--help"])
    said = capsys.readouterr().out
    for key in ("ensemble.n_movies=80", "truth.max_um=500.0", "roll.net.kind=", "given="):
        assert key in said


@pytest.mark.slow
def test_the_learned_map_beats_every_baseline_where_only_the_other_channel_tells(
    main, bare, tmp_path
):
    """The places flicker in channel 1 from the start; channel 0 is noise until frame 7."""
    stores = [str(bare(pixels(seed), name=f"dish {seed}.zarr")) for seed in range(40)]
    words = ["seeds=1", "given=[4]", "heat.epochs=30", "heat.net.width=8", "heat.sigma_um=150",
             "data.shares=[0.5,0.2,0.3]"]  # fmt: skip
    main([*stores, *QUICK, *words, "out=known"])
    summary = pd.read_csv(tmp_path / "known/summary.csv").set_index("model")
    assert summary.penalised_um["learned"] < 100
    assert summary.difference_high["learned"] < -100
    assert summary.penalised_um["last_frame"] == 500


@pytest.mark.slow
def test_without_a_store_an_ensemble_is_simulated_and_kept(main, tmp_path, capsys):
    words = ["ensemble.n_movies=4", "ensemble.size_px=16", "ensemble.n_frames=8",
             "ensemble.warm_up_min=20", "truth.otsu=1", "truth.min_area_um2=0", "given=[3,7]",
             "seeds=1", "heat.epochs=1", "heat.net.width=4", "roll.optim.epochs=1",
             "roll.step_min=2", "roll.hop=1", "bin=1"]  # fmt: skip
    main([*words, "out=first"])
    movies = sorted((tmp_path / "data/aggregation").glob("*.zarr"))
    assert [m.name for m in movies] == [f"dictyostelium seed={m}.zarr" for m in range(4)]
    assert "4 movies of 8 frames" in capsys.readouterr().out
