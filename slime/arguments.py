"""What a command line says: a config, stores or a run, and settings written key=value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from slime.config import (
    RunConfig,
    as_config,
    default_tree,
    merged,
    run_tree,
)
from slime.errors import SlimeError, nearest
from slime.settings import is_setting, names_and_settings, settings_help, settings_of

FREE_ON_RESUME = (
    "out",
    "resume",
    "save_every_s",
    "rank_timeout_s",
    "test",
    "device",
    "score",
    "landscape",
    "tracking",
    "sanity",
)
READING = ("variable", "axes", "channels", "z")  # of data: what the pixels of a store mean
DEMO_CONFIG = Path(__file__).resolve().parents[1] / "configs" / "demo.yaml"


def load_config(arguments: Sequence[str]) -> tuple[RunConfig, str]:
    """The config of a command line `[CONFIG.yaml] [STORE ...] [key=value ...]`, and its name.

    Later words win over earlier ones, and all over the file.

    Raises:
        SlimeError: an unknown key (names the nearest), a value of the wrong kind, no such file.
    """
    names, settings = names_and_settings(arguments)
    files = [name for name in names if name.endswith((".yaml", ".yml"))]
    stores = [name for name in names if name not in files]
    if len(files) > 1:
        raise SlimeError(f"one config at a time, not {len(files)}: {', '.join(files)}")
    resumed = _resumed(files, stores, settings)
    if resumed is not None:
        return resumed
    tree = default_tree()
    demo = not files and not stores and not any(a.startswith("data.stores=") for a in settings)
    if demo and DEMO_CONFIG.exists():
        tree = merged(tree, read_yaml(str(DEMO_CONFIG)))
    if files:
        tree = merged(tree, read_yaml(files[0]))
    if stores:
        tree = merged(tree, {"data": {"stores": stores}})
    for word in settings:
        tree = merged(tree, parsed(word))
    config = as_config(tree)
    return config, Path(files[0]).stem if files else ("demo" if demo else "stores")


def _resumed(
    files: Sequence[str], stores: Sequence[str], settings: Sequence[str]
) -> tuple[RunConfig, str] | None:
    """The config of a run that is gone on with: the run's own, whose training stays as it was.

    Raises:
        SlimeError: a setting differs that training depends on.
    """
    asked = default_tree()
    for change in [*(read_yaml(file) for file in files), *(parsed(word) for word in settings)]:
        asked = merged(asked, change)
    if not asked.resume or asked.out is None or not (Path(asked.out) / "config.yaml").exists():
        return None
    run = Path(asked.out)
    held = run_tree((run / "config.yaml").read_text(encoding="utf-8"))
    tree = held.copy()
    for file in files:
        tree = merged(tree, read_yaml(file))
    if stores:
        tree = merged(tree, {"data": {"stores": list(stores)}})
    for word in settings:
        tree = merged(tree, parsed(word))
    for key, *_ in settings_of(RunConfig):
        before, now = OmegaConf.select(held, key), OmegaConf.select(tree, key)
        if before != now and key.split(".")[0] not in FREE_ON_RESUME:
            raise SlimeError(
                f"{key}={now} cannot be resumed: {run} was trained with {before}; another out= "
                "starts a new run"
            )
    return as_config(tree), run.name


def load_run_config(arguments: Sequence[str], usage: str) -> tuple[Path, RunConfig, str]:
    """A run's folder, its config with the settings given after it, and the split to open.

    Raises:
        SlimeError: no folder, no run in it, or a setting that a trained run cannot change.
    """
    runs = [a for a in arguments if not is_setting(a)]
    if len(runs) != 1:
        raise SlimeError(f"name one run's folder; {usage}")
    given = dict(a.split("=", 1) for a in arguments if is_setting(a))
    split = given.pop("split", "test")
    if split not in ("val", "test"):
        raise SlimeError(f"split={split} must be val or test")
    free = ("score", "landscape", "device", "data.memory_gib", "data.stores")
    return Path(runs[0]), _changed(Path(runs[0]), given, free), split


@dataclass(frozen=True)
class ForecastConfig:
    """What scripts/forecast.py was asked: runs, store, output, how far ahead and from where."""

    runs: list[Path]
    config: RunConfig
    store: str
    out: Path
    leads: int
    at: int | None

    def several(self, n: int) -> SlimeError:
        """The refusal of a store that holds several movies."""
        return SlimeError(f"{self.store} holds {n} movies: choose data.movie=0 to {n - 1}")


def load_forecast_config(arguments: Sequence[str], usage: str) -> ForecastConfig:
    """What the command line of scripts/forecast.py says; settings of data as in training.

    Raises:
        SlimeError: as `load_run_config`, a run twice, or runs that read a store in other ways.
    """
    words = [a for a in arguments if not is_setting(a)]
    given = dict(a.split("=", 1) for a in arguments if is_setting(a))
    if len(words) < 2 or "out" not in given:
        raise SlimeError(f"name a run or several, a store and out=PATH; {usage}")
    runs, store = [Path(word) for word in words[:-1]], words[-1]
    if len({run.resolve() for run in runs}) < len(runs):
        raise SlimeError(f"{', '.join(words[:-1])}: name each run once")
    out = Path(given.pop("out"))
    leads, at = _count(given, "leads", 8), _count(given, "at", None)
    assert leads is not None
    fresh = {"data.movie": "null", "data.experiment": "null"}  # the new store's own
    fresh |= {"data.frame_interval_s": "null", "data.pixel_um": "null", "data.mask": "null"}
    configs = [_changed(run, {**fresh, **given}, ("device", "data")) for run in runs]
    for run, config in zip(runs, configs, strict=True):
        for key in READING:
            first, own = getattr(configs[0].data, key), getattr(config.data, key)
            if own != first:
                raise SlimeError(
                    f"{runs[0]} and {run} cannot be one ensemble: trained with data.{key}={first} "
                    f"and {own}; data.{key}= given here holds for all"
                )
    return ForecastConfig(runs, configs[0], store, out, leads, at)


def _changed(run: Path, given: Mapping[str, str], free: Sequence[str]) -> RunConfig:
    """A run's config under settings that its training did not fix."""
    file = run / "config.yaml"
    if not file.exists():
        beside = run.parent.iterdir() if run.parent.is_dir() else ()
        raise SlimeError(f"there is no run in {run}{nearest(run.name, [p.name for p in beside])}")
    tree = run_tree(file.read_text(encoding="utf-8"))
    known = [name for name, *_ in settings_of(RunConfig)]
    for key, value in given.items():
        if key not in known:
            raise SlimeError(f"there is no setting {key}{nearest(key, known)} (--help lists all)")
        if key not in free and key.split(".")[0] not in free:
            raise SlimeError(f"{key} was fixed when {run} was trained: train anew to change it")
        tree = merged(tree, parsed(f"{key}={value}"))
    return as_config(tree)


def _count(given: dict[str, str], key: str, default: int | None) -> int | None:
    text = given.pop(key, None)
    if text is None:
        return default
    if not text.isdigit():
        raise SlimeError(f"{key}={text} must be a whole number")
    return int(text)


def read_yaml(path: str) -> Any:
    """The tree in a config file."""
    file = Path(path)
    if not file.exists():
        beside = file.parent.glob("*.yaml") if file.parent.is_dir() else ()
        raise SlimeError(f"there is no config {path}{nearest(file.name, [p.name for p in beside])}")
    try:
        return OmegaConf.load(file)
    except Exception as error:
        raise SlimeError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}") from error


def parsed(word: str) -> Any:
    """The tree that a word key=value stands for."""
    key, _, value = word.partition("=")
    if key.split(".")[-1] in ("stores",) and not value.strip().startswith("["):
        return OmegaConf.create({"data": {"stores": [value]}})
    try:
        return OmegaConf.from_dotlist([word])
    except Exception as error:
        raise SlimeError(f"{word}: {' '.join(str(error).split())[:200]}") from error


def help_text(usage: str) -> str:
    """The usage and every key with its default and meaning."""
    return "\n".join([usage, "", "Settings (key=default, meaning):", settings_help(RunConfig)])


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for help."""
    return any(a in ("-h", "--help", "help") for a in arguments)
