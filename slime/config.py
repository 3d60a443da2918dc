"""RunConfig: everything that a run was told, composed of the specs that each noun owns."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from slime.errors import SlimeError, nearest
from slime.fit import OptimSpec
from slime.nets import NetSpec
from slime.prepare import DataSpec
from slime.settings import setting
from slime.tracking import TrackingSpec
from slime.windows import WindowSpec

DEMO_CONFIG = Path(__file__).resolve().parents[1] / "configs" / "demo.yaml"


@dataclass(frozen=True)
class DemoSpec:
    """The movies that are simulated where no store is given."""

    world: str = setting("dictyostelium", "what is simulated")
    n_movies: int = setting(3, "movies, each of its own seed")
    size_px: int = setting(64, "height and width, pixels of 50 um")
    n_frames: int = setting(400, "frames a movie")
    frame_interval_s: float = setting(15.0, "seconds between frames")
    folder: str = setting("data", "where the movies are kept")


@dataclass(frozen=True)
class ScoreSpec:
    """How far ahead forecasts are scored, and how sure the scores are."""

    leads: int = setting(8, "frames ahead to score; fewer where a split is short, which is said")
    draws: int = setting(1000, "resamplings of the block bootstrap")
    level: float = setting(0.95, "coverage of the intervals")

    def __post_init__(self) -> None:
        if self.leads < 1:
            raise SlimeError(f"score.leads={self.leads} must be at least 1")
        if not 0 < self.level < 1:
            raise SlimeError(f"score.level={self.level} must be between 0 and 1")


@dataclass(frozen=True)
class LandscapeSpec:
    """The loss-landscape plane of the page."""

    points: int = setting(11, "points a side, odd; 0 draws none")
    windows: int = setting(16, "validation windows that the loss is taken over")
    radius: float = setting(1.0, "how far to go along each filter-normalised direction")


@dataclass(frozen=True)
class RunConfig:
    """The whole tree; printed into the run's folder as it was used."""

    data: DataSpec = field(default_factory=DataSpec)
    window: WindowSpec = field(default_factory=WindowSpec)
    net: NetSpec = field(default_factory=NetSpec)
    optim: OptimSpec = field(default_factory=OptimSpec)
    score: ScoreSpec = field(default_factory=ScoreSpec)
    landscape: LandscapeSpec = field(default_factory=LandscapeSpec)
    tracking: TrackingSpec = field(default_factory=TrackingSpec)
    demo: DemoSpec = field(default_factory=DemoSpec)
    seed: int = setting(0, "of the weights, the shuffle and the augmentation")
    device: str = setting("auto", "auto takes cuda, then mps, then cpu")
    out: str | None = setting(None, "the run's folder; runs/<config>-<time> by default")
    resume: bool = setting(False, "go on with the run in `out`")
    test: bool = setting(False, "open the test split at the end of training (once, see ledger)")


def load_config(arguments: Sequence[str]) -> tuple[RunConfig, str]:
    """The config of a command line `[CONFIG.yaml] [STORE ...] [key=value ...]`, and its name.

    Later words win over earlier ones, and all over the file.

    Raises:
        SlimeError: an unknown key (names the nearest), a value of the wrong kind, no such file.
    """
    files = [a for a in arguments if a.endswith((".yaml", ".yml")) and not _is_setting(a)]
    settings = [a for a in arguments if _is_setting(a)]
    stores = [a for a in arguments if a not in files and a not in settings]
    if len(files) > 1:
        raise SlimeError(f"one config at a time, not {len(files)}: {', '.join(files)}")
    for word in stores:
        if word.startswith("-"):
            raise SlimeError(f"unknown option {word}: settings are written key=value; see --help")
    tree = _unlocked(OmegaConf.structured(RunConfig))
    demo = not files and not stores and not any(a.startswith("data.stores=") for a in settings)
    try:
        if demo and DEMO_CONFIG.exists():
            tree = OmegaConf.merge(tree, _read_yaml(str(DEMO_CONFIG)))
        if files:
            tree = OmegaConf.merge(tree, _read_yaml(files[0]))
        if stores:
            tree = OmegaConf.merge(tree, {"data": {"stores": stores}})
        for word in settings:
            tree = OmegaConf.merge(tree, _parsed(word))
        config = OmegaConf.to_object(tree)
    except OmegaConfBaseException as error:
        raise SlimeError(_in_one_line(error)) from error
    assert isinstance(config, RunConfig)
    return config, Path(files[0]).stem if files else ("demo" if demo else "stores")


def load_run_config(arguments: Sequence[str], usage: str) -> tuple[Path, RunConfig, str]:
    """A run's folder, its config with the settings given after it, and the split to open.

    Raises:
        SlimeError: no folder, no run in it, or a setting that a trained run cannot change.
    """
    runs = [a for a in arguments if not _is_setting(a)]
    if len(runs) != 1:
        raise SlimeError(f"name one run's folder; {usage}")
    run = Path(runs[0])
    file = run / "config.yaml"
    if not file.exists():
        beside = run.parent.iterdir() if run.parent.is_dir() else ()
        raise SlimeError(f"there is no run in {run}{nearest(run.name, [p.name for p in beside])}")
    given = dict(a.split("=", 1) for a in arguments if _is_setting(a))
    split = given.pop("split", "test")
    if split not in ("val", "test"):
        raise SlimeError(f"split={split} must be val or test")
    for key in given:
        if key.split(".")[0] not in ("score", "landscape", "device", "tracking") and key not in (
            "data.memory_gib",
            "data.stores",
        ):
            raise SlimeError(f"{key} was fixed when {run} was trained: train anew to change it")
    tree = _unlocked(OmegaConf.structured(config_from_yaml(file.read_text(encoding="utf-8"))))
    try:
        for key, value in given.items():
            tree = OmegaConf.merge(tree, _parsed(f"{key}={value}"))
        config = OmegaConf.to_object(tree)
    except OmegaConfBaseException as error:
        raise SlimeError(_in_one_line(error)) from error
    assert isinstance(config, RunConfig)
    return run, config, split


def config_from_yaml(text: str) -> RunConfig:
    """The config that was written into a run's folder or checkpoint."""
    try:
        tree = OmegaConf.merge(_unlocked(OmegaConf.structured(RunConfig)), OmegaConf.create(text))
        config = OmegaConf.to_object(tree)
    except OmegaConfBaseException as error:
        raise SlimeError(
            f"the run's config does not fit this version: {_in_one_line(error)}"
        ) from error
    assert isinstance(config, RunConfig)
    return config


def config_yaml(config: Any) -> str:
    """The whole tree as YAML."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def _is_setting(word: str) -> bool:
    key, equals, _ = word.partition("=")
    return bool(equals) and key.replace(".", "").replace("_", "").isalnum() and key[0].isalpha()


def _read_yaml(path: str) -> Any:
    file = Path(path)
    if not file.exists():
        beside = file.parent.glob("*.yaml") if file.parent.is_dir() else ()
        raise SlimeError(f"there is no config {path}{nearest(file.name, [p.name for p in beside])}")
    try:
        return OmegaConf.load(file)
    except Exception as error:
        raise SlimeError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}") from error


def _parsed(word: str) -> Any:
    key, _, value = word.partition("=")
    if key.split(".")[-1] in ("stores",) and not value.strip().startswith("["):
        return OmegaConf.create({"data": {"stores": [value]}})
    try:
        return OmegaConf.from_dotlist([word])
    except Exception as error:
        raise SlimeError(f"{word}: {' '.join(str(error).split())[:200]}") from error


def _unlocked(tree: Any) -> Any:
    """Frozen dataclasses come as read-only nodes; while settings are merged they are not."""
    OmegaConf.set_readonly(tree, False)
    for key in tree:
        node = tree._get_node(key)
        if isinstance(node, DictConfig):
            _unlocked(node)
    return tree


def _in_one_line(error: Exception) -> str:
    """'optim.lrr: no such key; did you mean optim.lr?' from OmegaConf's several lines."""
    lines = [line.strip() for line in str(error).splitlines()]
    key = next((ln.split(":", 1)[1].strip() for ln in lines if ln.startswith("full_key:")), "")
    first = lines[0] if lines else type(error).__name__
    if key and first.startswith("Key "):
        known = [name for name, *_ in settings_of(RunConfig)]
        return f"there is no setting {key}{nearest(key, known)} (--help lists all)"
    return f"{key}: {first}" if key else first


def settings_of(spec: type, prefix: str = "") -> Iterator[tuple[str, str, Any, str]]:
    """Every key of a spec with its kind, default and meaning."""
    for item in fields(spec):
        kind: Any = item.type
        if isinstance(kind, type) and is_dataclass(kind):
            yield from settings_of(kind, f"{prefix}{item.name}.")
            continue
        default = item.default_factory() if callable(item.default_factory) else item.default
        words = " | ".join(map(str, get_args(kind))) if get_origin(kind) is Literal else ""
        meaning = item.metadata.get("help", "") + (f" ({words})" if words else "")
        yield f"{prefix}{item.name}", str(getattr(kind, "__name__", kind)), default, meaning


def help_text(usage: str) -> str:
    """The usage and every key with its default and meaning."""
    rows = [
        f"  {name}={'null' if default is None else default}".ljust(38) + meaning
        for name, _, default, meaning in settings_of(RunConfig)
    ]
    return "\n".join([usage, "", "Settings (key=default, meaning):", *rows])


def wants_help(arguments: Sequence[str] | None = None) -> bool:
    """Whether the command line asks for help."""
    return any(
        a in ("-h", "--help", "help") for a in (sys.argv[1:] if arguments is None else arguments)
    )
