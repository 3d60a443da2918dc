import numpy as np
import pandas as pd
import pytest

from baselines import Persistence
from slime.checkpoint import load_run
from slime.config import RunConfig, ScoreSpec, config_from_yaml
from slime.data_spec import DataSpec
from slime.errors import SlimeError
from slime.fit import evaluate, persistence
from slime.nets import NetSpec
from slime.optim import OptimSpec
from slime.prepare import prepare
from slime.run.compared import CompareSpec, compare_runs
from slime.run.plain import plain_run
from slime.score import skill
from slime.score_rows import rows_where
from slime.tallies import load_tallies
from slime.windows import WindowSpec

RIVALS = {"persistence": Persistence()}


def config_of(store, **more):
    return RunConfig(
        data=DataSpec(stores=[str(store)], frame_interval_s=15.0, gap=4),
        window=WindowSpec(n_in=2),
        net=NetSpec(kind="patch_mlp", kernel=3, width=4, depth=2),
        optim=OptimSpec(epochs=2, batch_size=8),
        score=ScoreSpec(leads=2, draws=50),
        **more,
    )


@pytest.fixture
def dish(bare):
    t, _, x = np.mgrid[:120, :12, :12]
    noise = np.random.default_rng(0).normal(size=t.shape)
    return bare(np.round(500 + 200 * np.sin(2 * np.pi * (x - t) / 9) + 5 * noise).astype("u2"))


@pytest.mark.slow
def test_a_plain_run_is_scored_on_validation_and_its_folder_is_read_as_a_run(dish, tmp_path):
    runs = []
    for seed in (0, 1):
        config = config_of(dish, seed=seed)
        prepared = prepare(config.data, config.window, seed=0)
        folder = tmp_path / f"seed {seed}"
        run = plain_run(folder, config, prepared, RIVALS)
        runs.append(folder)
    assert config_from_yaml((folder / "config.yaml").read_text()) == config
    saved = load_run(folder)
    assert saved.weights_hash == run.best.weights_hash
    assert saved.epoch == run.trained.records.val_loss.argmin() + 1
    assert set(run.models) == {"patch_mlp", "persistence"}
    scores = pd.read_csv(folder / "scores.csv")
    assert set(scores.split) == {"val"}
    windows = run.scored.where.windows(0)
    ours, still = evaluate(saved.stepper, windows).total(), evaluate(persistence, windows).total()
    place = {"model": "patch_mlp", "movie": "all", "channel": "all", "score": "skill", "lead": 2}
    written = rows_where(scores, **place).value.item()
    assert written == pytest.approx(skill(ours, still, pool=True)[1, 0])
    assert load_tallies(folder, "val").seed == 1
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2
    told = list(compare_runs(runs, CompareSpec(split="val", draws=20)))
    assert told[0].startswith("patch_mlp, 2 seeds: skill")


def test_a_folder_with_a_run_and_what_a_plain_run_cannot_do_are_refused(dish, tmp_path):
    config = config_of(dish)
    prepared = prepare(config.data, config.window, seed=0)
    with pytest.raises(SlimeError, match="without persistence"):
        plain_run(tmp_path / "a", config, prepared, {})
    cropped = RunConfig(data=DataSpec(stores=[str(dish)], crop=[4, 4]))
    with pytest.raises(SlimeError, match=r"data\.crop=\[4, 4\]"):
        plain_run(tmp_path / "a", cropped, prepared, RIVALS)
    assert not (tmp_path / "a").exists()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.yaml").touch()
    with pytest.raises(SlimeError, match="already holds a run"):
        plain_run(tmp_path / "a", config, prepared, RIVALS)
