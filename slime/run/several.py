"""Several seeds in one command: a run each in one folder, and what they are worth together."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from slime.arguments import load_config
from slime.config import RunConfig, config_yaml
from slime.ensembles import values_of
from slime.errors import SlimeError
from slime.files import write_json
from slime.run.compared import CompareSpec, compare_runs, training_hash
from slime.run.folder import SEEDS_FILE, check_folder, default_out, hash_of
from slime.schedule import pick_scheduler
from slime.tallies import tallies_path

HELP = "seeds=0,1,2 (or 0:3) trains a run for each seed into out=/seed0, ..., and compares them"


def seeds_asked(words: Sequence[str]) -> tuple[list[int], list[str]]:
    """The seeds of a word `seeds=0,1,2` or `seeds=0:3`, none without one, and the other words.

    Raises:
        SlimeError: no whole numbers from 0 on, one twice, or `seed` beside them.
    """
    asked = [word for word in words if word.startswith("seeds=")]
    others = [word for word in words if not word.startswith("seeds=")]
    if not asked:
        return [], others
    single = [word for word in others if word.startswith("seed=")]
    if single or len(asked) > 1:
        raise SlimeError(f"{' '.join([*asked, *single])}: name the seeds once")
    seeds = values_of("seeds", asked[0].partition("=")[2])
    if any(not isinstance(seed, int) or seed < 0 for seed in seeds):
        raise SlimeError(f"{asked[0]}: seeds are whole numbers from 0 on")
    return [int(seed) for seed in seeds], others


def train_seeds(
    seeds: Sequence[int], words: Sequence[str], train: Callable[[Sequence[str]], int]
) -> int:
    """Train a run for each seed that is not finished yet, then set them together.

    The folder holds seed0, seed1, ..., the tables results.csv, contests.csv and scores.csv, and
    what it was begun with, which resume=true goes on with. Gives the highest code of `train`.

    Raises:
        SlimeError: the folder holds other seeds or settings, or is held without resume=true.
    """
    config, name = load_config(pick_scheduler(words)[1])
    folder = Path(config.out) if config.out else default_out(name)
    _begin(folder, seeds, config)
    plain = [word for word in words if word.partition("=")[0] not in ("out", "resume")]
    if config.data.split == "movie" and config.data.split_seed is None:
        plain.append(f"data.split_seed={seeds[0]}")  # all hold out the same movies
    split, code = "test" if config.test else "val", 0
    for seed in seeds:
        run = folder / f"seed{seed}"
        if (run / "report.html").exists() and tallies_path(run, split).exists():
            print(f"seed {seed} is finished: {run}")
            continue
        print(f"seed {seed}: {run}")
        again = ["resume=true"] if (run / "config.yaml").exists() else []
        code = max(code, train([*plain, f"seed={seed}", f"out={run}", *again]))
    spec = CompareSpec(
        out=str(folder), split=split, draws=config.score.draws, level=config.score.level
    )
    for line in compare_runs([folder], spec):
        print(line)
    return code


def _begin(folder: Path, seeds: Sequence[int], config: RunConfig) -> None:
    """Write down what a folder of seeds is begun with, or check that it is gone on with."""
    file = folder / SEEDS_FILE
    settings = hash_of(training_hash(config), asdict(config.demo))
    began = {"seeds": list(seeds), "settings": settings}
    if file.exists():
        held = json.loads(file.read_text(encoding="utf-8"))
        if not config.resume:
            raise SlimeError(
                f"out={folder} already holds seeds: resume=true goes on with them, another out= "
                "starts anew"
            )
        if {key: held.get(key) for key in began} != began:
            raise SlimeError(
                f"out={folder} was begun with seeds {', '.join(map(str, held['seeds']))} and "
                "settings that cannot be changed: another out= starts anew"
            )
        return
    check_folder(folder)
    if config.resume:
        raise SlimeError(f"out={folder} holds no seeds to resume: leave out resume=true")
    if (folder / "config.yaml").exists():
        raise SlimeError(f"out={folder} already holds a run: name another out= for several seeds")
    when = time.strftime("%Y-%m-%d %H:%M:%S %z")
    identity = hash_of(began, str(folder.resolve()), when)
    write_json(file, {"id": identity, "began": when, **began, "config": config_yaml(config)})
