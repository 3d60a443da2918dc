"""Sweep files: read, refused, gone through and drawn as wandb does."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml

from slime.errors import SlimeError
from slime.sweeps.file import Metric, read_sweep
from slime.sweeps.parameters import grid_values, quantile, read_parameters
from slime.sweeps.plan import expanded, nested, plan

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = sorted((ROOT / "configs").glob("sweep_*.yaml"))
COMMAND = ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"]
TREE = {
    "program": "scripts/train_slime.py",
    "command": COMMAND,
    "method": "grid",
    "parameters": {"seed": {"values": [1, 0]}},
}
FORMS = [
    {"value": 3},
    {"values": ["a", "b", "c"]},
    {"values": ["a", "b", "c"], "probabilities": [0.2, 0.5, 0.3]},
    {"min": -2, "max": 7},
    {"min": -2.0, "max": 7.5},
    {"distribution": "uniform", "min": 0, "max": 7},
    {"distribution": "q_uniform", "min": 0, "max": 7, "q": 2},
    {"distribution": "q_uniform", "min": 0, "max": 7, "q": 0.25},
    {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1},
    {"distribution": "inv_log_uniform_values", "min": 1e-4, "max": 0.1},
    {"distribution": "q_log_uniform_values", "min": 1, "max": 90, "q": 3},
    {"distribution": "normal", "mu": 1, "sigma": 2},
    {"distribution": "q_normal", "mu": 1, "sigma": 2},
    {"distribution": "log_normal", "mu": 0.5, "sigma": 0.25},
    {"distribution": "q_log_normal", "mu": 0.5, "sigma": 0.25, "q": 0.5},
    {"distribution": "beta", "a": 2, "b": 3},
    {"distribution": "q_beta", "a": 2, "b": 3, "q": 0.125},
]


def written(tmp_path, **changes):
    """A sweep file in which some keys are changed, or left out where None is given."""
    tree = {key: value for key, value in (TREE | changes).items() if value is not None}
    path = tmp_path / "sweep_x.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def only(given, name="x"):
    return read_parameters({name: given})[0]


@pytest.mark.parametrize("given", FORMS, ids=lambda given: str(given))
def test_draws_have_wandbs_own_quantiles(given):
    params = pytest.importorskip("sweeps.params")
    theirs = params.HyperParameter("x", given)
    for share in (0.003, 0.21, 0.45, 0.5001, 0.77, 0.9991):
        value = quantile(only(given), share)
        right = theirs.ppf(share)
        assert value == (right if isinstance(right, str) else pytest.approx(right, rel=1e-12))
        assert isinstance(value, int) == isinstance(theirs.ppf(share), (int, np.integer))


def test_a_grid_has_wandbs_own_runs_in_their_order():
    run = pytest.importorskip("sweeps.run")
    parameters = {
        "seed": {"values": [3, 1]},
        "net": {"parameters": {"width": {"min": 2, "max": 4}, "kind": {"value": "cnn"}}},
        "a": {"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.5},
    }
    theirs, begun = [], []
    while (found := run.next_run({"method": "grid", "parameters": parameters}, begun)) is not None:
        begun.append(found)
        theirs.append({key: value["value"] for key, value in found.config.items()})
    read = read_parameters(parameters)
    ours = [
        nested(list(zip(read, values, strict=True))) for values in product(*map(grid_values, read))
    ]
    assert ours == theirs
    assert len(ours) == 12


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_sweeps_are_valid_by_wandbs_own_schema(path):
    config = pytest.importorskip("sweeps.config")
    assert config.schema_violations_from_proposed_config(yaml.safe_load(path.read_text())) == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_same_file_gives_wandbs_agent_the_same_command(path, monkeypatch):
    """The agent's words from the program on are those that are run here."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    sweep = read_sweep(path)
    pairs = [(parameter, quantile(parameter, 0.4)) for parameter in sweep.parameters]
    args = {key: {"value": value} for key, value in nested(pairs).items()}
    macros = create_sweep_command_args({"args": args})
    macros |= {"program": [sweep.program], "interpreter": ["python"], "env": ["/usr/bin/env"]}
    theirs = []
    for word in create_sweep_command(list(sweep.command)):
        theirs += macros[word[2:-1]] if word.startswith("${") else [word]
    assert theirs[:2] == ["/usr/bin/env", "python"]
    assert expanded(sweep, nested(pairs)) == theirs[2:]
    assert "test=false" in theirs


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_sweeps_can_be_planned(path):
    runs, notes = plan(read_sweep(path))
    assert len(runs) == 12
    assert notes == []
    assert all(run.words[:2] == ("scripts/train_slime.py", "configs/demo.yaml") for run in runs)


def test_nested_parameters_reach_the_training_as_settings(tmp_path):
    from slime.arguments import load_config

    net = {"parameters": {"kind": {"value": "unet"}, "width": {"values": [8]}}}
    path = written(tmp_path, parameters={"net": net, "optim.lr": {"values": [1e-05]}})
    (run,), _ = plan(read_sweep(path))
    assert run.words[1:] == ("net={'kind': 'unet', 'width': 8}", "optim.lr=1e-05")
    config, _ = load_config(run.words[1:])
    assert (config.net.kind, config.net.width, config.optim.lr) == ("unet", 8, 1e-5)
    assert dict(run.settings) == {"net.kind": "unet", "net.width": 8, "optim.lr": 1e-5}


def test_draw_i_depends_on_seed_and_i_alone(tmp_path):
    rate = {"distribution": "log_uniform_values", "min": 1.0e-4, "max": 1.0e-2}
    path = written(tmp_path, method="random", run_cap=3, parameters={"optim.lr": rate})
    three, _ = plan(read_sweep(path))
    two, _ = plan(read_sweep(path), n_runs=2)
    other, _ = plan(read_sweep(path), seed=1)
    assert two == three[:2]
    assert not {run.name for run in other} & {run.name for run in three}
    assert all(1e-4 <= run.settings["optim.lr"] <= 1e-2 for run in three)


def test_equal_draws_are_run_once_and_a_grid_is_cut_where_asked(tmp_path):
    path = written(tmp_path, method="random", run_cap=9)
    runs, notes = plan(read_sweep(path))
    assert len(runs) == 2
    assert notes == ["7 draws are equal to others and are run once"]
    path = written(tmp_path, parameters={"seed": {"min": 0, "max": 4}}, run_cap=3)
    runs, notes = plan(read_sweep(path))
    assert [run.settings["seed"] for run in runs] == [0, 1, 2]
    assert notes == ["3 of the grid's 5 runs, the first"]


def test_a_run_keeps_its_name_when_the_file_grows(tmp_path):
    before, _ = plan(read_sweep(written(tmp_path)))
    after, _ = plan(read_sweep(written(tmp_path, parameters={"seed": {"values": [7, 0, 1]}})))
    assert {run.name for run in before} < {run.name for run in after}
    given, _ = plan(read_sweep(written(tmp_path)), ["optim.epochs=3"])
    assert not {run.name for run in given} & {run.name for run in before}
    assert given[0].words[-1] == "optim.epochs=3"


def test_environment_variables_in_the_command_are_filled_in(tmp_path, monkeypatch):
    monkeypatch.setenv("DISHES", "my dish.zarr")
    path = written(tmp_path, command=[*COMMAND, "${envvar:DISHES}"])
    assert plan(read_sweep(path))[0][0].words[-1] == "my dish.zarr"


def test_a_target_is_reached_from_the_better_side():
    up, down = Metric("m", "maximize", 0.5), Metric("m", "minimize", 0.5)
    assert [up.reached(v) for v in (0.4, 0.5, 0.6, None)] == [False, True, True, False]
    assert [down.reached(v) for v in (0.4, 0.5, 0.6)] == [True, True, False]
    assert not Metric("m").reached(0.5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": "bayes"}, "method bayes needs wandb's server; grid and random run here"),
        ({"method": "gird"}, "method gird is none of grid, random; did you mean grid"),
        ({"method": None}, "method None is none of grid"),
        ({"paramters": {}}, "there is no key paramters; did you mean parameters"),
        ({"early_terminate": {}}, "early_terminate needs wandb's server"),
        ({"parameters": None}, "parameters must name at least one setting"),
        ({"program": None}, "program is missing"),
        ({"command": ["${program}", "${args}"]}, "command must hold .*args_no_hyphens"),
        ({"command": ["${args_no_hyphens}"]}, "command must hold .*program"),
        ({"metric": {"goal": "maximize"}}, "must have a name"),
        ({"metric": {"name": "x", "goal": "most"}}, "goal most must be minimize or maximize"),
        ({"metric": {"name": "x", "gaol": 1}}, "metric has no gaol; did you mean goal"),
        ({"metric": {"name": "x", "target": "y"}}, "target y is no number"),
        ({"run_cap": 0}, "run_cap 0 must be a whole number above 0"),
    ],
)
def test_files_that_cannot_be_run_here_are_refused_by_name(tmp_path, changes, told):
    with pytest.raises(SlimeError, match=told):
        read_sweep(written(tmp_path, **changes))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (3, "x: 3 must be one of value, values, min and max"),
        ({"min": 1}, "x: give value, values, or min and max"),
        ({"values": []}, "not a list of at least one"),
        ({"values": [1, 1]}, "values name 1 twice"),
        ({"values": [None]}, "hands on null as the word None"),
        ({"value": 1, "vlaue": 2}, "x: there is no vlaue beside value; did you mean value"),
        ({"distribution": "unifrom", "min": 0, "max": 1}, "no distribution unifrom; did you mean"),
        ({"distribution": "log_uniform", "min": 0, "max": 1}, "log_uniform_values takes the val"),
        ({"distribution": "normal", "min": 0}, "x: there is no min beside its distribution"),
        ({"distribution": "uniform", "min": 0}, "x: max is missing"),
        ({"min": "1e-3", "max": 1}, "reads 1e-3 as a word"),
        ({"min": 2, "max": 2}, "min 2 is not below max 2"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "min 0.5 is no whole number"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 2}, "min 0 must be above 0"),
        ({"distribution": "q_normal", "q": 0}, "q 0 must be above 0"),
        ({"values": [1, 2], "probabilities": [1]}, "1 probabilities for 2 values"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "must be 0 or more and add up to 1"),
        ({"values": [1, 2], "probabilities": [0.5, "a"]}, "probabilities a is no number"),
        ({"parameters": {}}, "parameters of x must name at least one"),
    ],
)
def test_parameters_that_are_none_are_refused_by_name(given, told):
    with pytest.raises(SlimeError, match=told):
        only(given)


def test_every_distribution_without_an_end_is_refused_in_a_grid():
    for given in FORMS:
        parameter = only(given)
        if parameter.kind in ("constant", "categorical", "int_uniform", "q_uniform"):
            assert grid_values(parameter)
        else:
            with pytest.raises(SlimeError, match=f"{parameter.kind} cannot be gone through"):
                grid_values(parameter)


@pytest.mark.parametrize(
    ("changes", "given", "told"),
    [
        ({"parameters": {"optim.lrr": {"value": 1}}}, [], "no setting optim.lrr; did you mean"),
        ({"parameters": {"net": {"value": {"knd": 1}}}}, [], "no setting net.knd; did you mean"),
        ({"parameters": {"test": {"value": True}}}, [], "test cannot be swept: .*never opens"),
        ({"parameters": {"out": {"value": "a"}}}, [], "out cannot be swept: each run"),
        ({"command": [*COMMAND, "test=true"]}, [], "test cannot be swept"),
        ({}, ["seeds=0,1"], "seeds cannot be swept: sweep over seed"),
        ({}, ["optim.lrr=1"], "no setting optim.lrr"),
        ({"command": [*COMMAND, "${args_json}"]}, [], "args_json.* cannot be used"),
        ({"command": ["bash", *COMMAND]}, [], "bash before .*program.* is no python"),
        ({"method": "random"}, [], "random draws have no end; give run_cap, or runs=12"),
    ],
)
def test_plans_that_cannot_be_are_refused_by_name(tmp_path, changes, given, told):
    with pytest.raises(SlimeError, match=told):
        plan(read_sweep(written(tmp_path, **changes)), given)


def test_a_mapping_below_a_setting_is_that_setting(tmp_path):
    shares = {"value": {"train": 0.5, "val": 0.5}}
    path = written(tmp_path, parameters={"data.shares": shares})
    assert len(plan(read_sweep(path), ["test=false"])[0]) == 1


def test_what_is_no_sweep_file_is_told(tmp_path):
    with pytest.raises(SlimeError, match="there is no sweep"):
        read_sweep(tmp_path / "sweep_a.yaml")
    path = tmp_path / "sweep_b.yaml"
    for text, told in (("a: [", "is not YAML"), ("", "holds no sweep"), ("- a", "holds no sweep")):
        path.write_text(text)
        with pytest.raises(SlimeError, match=told):
            read_sweep(path)


def test_folders_are_named_by_what_varies_in_plain_letters(tmp_path):
    parameters = {
        "net.kind": {"values": ["cnn"]},
        "data.stores": {"values": ["[a b/é.zarr]"]},
        "optim.lr": {"values": [0.00123456]},
        "net.width": {"value": 8},
    }
    (run,), _ = plan(read_sweep(written(tmp_path, parameters=parameters)))
    assert run.name.startswith("a_b_.zarr_-cnn-lr0.00123-")
    assert len(run.name) == len("a_b_.zarr_-cnn-lr0.00123-") + 8
