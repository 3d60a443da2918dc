import pytest
from omegaconf import OmegaConf

from slime.arguments import help_text, load_config, load_forecast_config, load_run_config
from slime.config import RunConfig, config_from_yaml, config_yaml
from slime.errors import SlimeError
from slime.settings import settings_of


def test_nothing_at_all_is_the_demo():
    config, name = load_config([])
    assert name == "demo"
    assert config.data.stores == []
    assert config.test


def test_a_config_stores_and_settings_in_one_line(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text("net: {kind: patch_mlp, width: 8}\nwindow: {n_in: 3}\n")
    config, name = load_config([str(file), "a b.zarr", "c.zarr", "net.width=16", "optim.lr=1e-3"])
    assert name == "small"
    assert config.data.stores == ["a b.zarr", "c.zarr"]
    assert (config.net.kind, config.net.width, config.window.n_in) == ("patch_mlp", 16, 3)
    assert config.optim.lr == 0.001


@pytest.mark.parametrize("word", ["data.stores=[a b.zarr,c.zarr]", "data.stores=x.zarr"])
def test_stores_may_be_given_as_a_setting(word):
    config, _ = load_config([word])
    assert config.data.stores in (["a b.zarr", "c.zarr"], ["x.zarr"])
    assert not config.test  # not the demo, which opens its test split


def test_a_store_with_an_equals_sign_in_its_name_is_a_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dt=5.zarr").mkdir()
    assert load_config(["dt=5.zarr"])[0].data.stores == ["dt=5.zarr"]


@pytest.mark.parametrize("name", ["mlp", "cnn", "windowed_mlp", "windowed_cnn", "demo"])
def test_each_shipped_config_loads(name):
    config, _ = load_config([f"configs/{name}.yaml"])
    assert config.window.n_in == (4 if name in ("windowed_mlp", "windowed_cnn", "demo") else 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.shares={train: 1}", "data.shares=[1, 2]"], r"given twice, as a list and as"),
        (["optim.pushforward=true"], r"window\.n_out=1 must be at least 2"),
        (["optim.unroll_after=.7"], r"0\.7 says when .* window\.n_out=1 must be at least 2"),
        (["optim.unroll_after=1"], r"optim\.unroll_after=1\.0 must be at least 0 and below 1"),
        (["optim.ema=1"], r"optim\.ema=1\.0 must be at least 0 and below 1"),
        (["optim.noise=-1"], r"optim\.noise=-1\.0 must be 0 or more"),
        (["optim.lrr=1"], r"no setting optim\.lrr; did you mean optim\.lr\?"),
        (["otpim.lr=1"], r"no setting otpim; did you mean optim"),
        (
            ["net.kind=cnnn"],
            r"net\.kind=cnnn is none of frame_mlp, patch_mlp, cnn, .*; did you mean cnn\?",
        ),
        (["optim.epochs=many"], r"optim\.epochs: .*could not be converted to Integer"),
        (["window.n_in=0"], r"window\.n_in=0 must be a whole number"),
        (["score.leads=0"], r"score\.leads=0 must be at least 1"),
        (["score.draws=0"], r"score\.draws=0 must be at least 1"),
        (["landscape.points=10"], r"landscape\.points=10 must be odd"),
        (["landscape.windows=0"], r"landscape\.windows=0 must be at least 1"),
        (["landscape.radius=0"], r"landscape\.radius=0\.0 must be above 0"),
        (["seed=-1"], r"seed=-1 must be at least 0"),
        (["score.level=95"], r"score\.level=95\.0 must be between 0 and 1"),
        (["data.memory_gib=0"], r"data\.memory_gib=0\.0 must be above 0"),
        (["data.crop=[3]"], r"data\.crop=\[3\] must be"),
        (["data.gap=-1"], r"data\.gap=-1 must be 0 or more"),
        (["data.split=random"], r"data\.split=random is none of time, movie"),
        (["--epochs"], r"unknown option --epochs"),
        (["a.yaml", "b.yaml"], r"one config at a time"),
        (["configs/dmo.yaml"], r"there is no config configs/dmo\.yaml; did you mean demo\.yaml"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(words, told):
    with pytest.raises(SlimeError, match=told):
        load_config(words)


def test_a_config_that_is_not_yaml_is_refused(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("net: [unclosed")
    with pytest.raises(SlimeError, match="is not YAML"):
        load_config([str(file)])


def test_the_whole_tree_comes_back_from_its_yaml():
    config, _ = load_config(["net.width=9", "data.shares={train: 0.5, val: 0.5}", "data.z=3"])
    assert config_from_yaml(config_yaml(config)) == config


def test_help_lists_every_key_with_default_and_meaning():
    text = help_text("usage")
    rows = list(settings_of(RunConfig))
    assert len(rows) > 40
    for name, _, _, meaning in rows:
        assert meaning, name
        assert f"  {name}=" in text


def run_folder(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    config, _ = load_config(["net.width=9", "x.zarr", "data.movie=1"])
    (run / "config.yaml").write_text(config_yaml(config))
    return run


def test_a_trained_run_keeps_its_settings(tmp_path):
    run = run_folder(tmp_path)
    _, config, split = load_run_config([str(run), "score.leads=3"], "usage")
    assert (config.net.width, config.score.leads, split) == (9, 3, "test")
    with pytest.raises(SlimeError, match=r"net\.width was fixed when"):
        load_run_config([str(run), "net.width=3"], "usage")
    with pytest.raises(SlimeError, match="split=train must be val or test"):
        load_run_config([str(run), "split=train"], "usage")
    with pytest.raises(SlimeError, match=r"there is no run in .*did you mean run\?"):
        load_run_config([str(tmp_path / "rum")], "usage")
    with pytest.raises(SlimeError, match="name one run"):
        load_run_config([], "usage")


def test_a_resumed_run_needs_no_word_but_its_folder(tmp_path):
    run = run_folder(tmp_path)
    config, _ = load_config([f"out={run}", "resume=true"])
    assert (config.net.width, config.data.stores, config.resume) == (9, ["x.zarr"], True)
    again, _ = load_config([f"out={run}", "resume=true", "x.zarr", "net.width=9", "score.leads=2"])
    assert again.score.leads == 2
    for yes in ("True", "yes", "on", "1"):
        with pytest.raises(SlimeError, match=r"optim\.lr=0\.1 cannot be resumed"):
            load_config([f"out={run}", f"resume={yes}", "optim.lr=0.1"])
    with pytest.raises(SlimeError, match=r"net\.width=3 cannot be resumed: .* was trained with 9"):
        load_config([f"out={run}", "resume=true", "net.width=3"])


def test_a_forecast_reads_the_new_store_by_its_own_facts(tmp_path):
    run = run_folder(tmp_path)
    asked = load_forecast_config([str(run), "new.zarr", "out=f.zarr", "leads=3"], "usage")
    assert (asked.store, str(asked.out), asked.leads, asked.at) == ("new.zarr", "f.zarr", 3, None)
    assert asked.config.data.movie is None
    with pytest.raises(SlimeError, match="leads=many must be a whole number"):
        load_forecast_config([str(run), "new.zarr", "out=f.zarr", "leads=many"], "usage")
    with pytest.raises(SlimeError, match="name a run or several, a store and out=PATH"):
        load_forecast_config([str(run), "new.zarr"], "usage")


def test_a_forecast_of_several_runs_needs_them_to_read_a_store_alike(tmp_path):
    run, other = run_folder(tmp_path), tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text((run / "config.yaml").read_text())
    both = [str(run), str(other), "new.zarr", "out=f.zarr"]
    assert load_forecast_config(both, "usage").runs == [run, other]
    with pytest.raises(SlimeError, match="name each run once"):
        load_forecast_config([str(run), f"{run}/../{run.name}", *both[2:]], "usage")
    tree = OmegaConf.load(other / "config.yaml")
    OmegaConf.update(tree, "data.z", "mean")
    OmegaConf.save(tree, other / "config.yaml")
    with pytest.raises(SlimeError, match=r"cannot be one ensemble: .* data\.z=max and mean"):
        load_forecast_config(both, "usage")
    assert load_forecast_config([*both, "data.z=0"], "usage").config.data.z == 0
