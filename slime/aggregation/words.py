"""The words after predict_mounds: a config, stores and settings written key=value."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from slime.aggregation.spec import AggregationSpec
from slime.arguments import parsed, read_yaml
from slime.config import config_yaml, unlocked
from slime.ensembles import Member, make_ensemble
from slime.errors import SlimeError
from slime.files import write_text
from slime.progress import Progress
from slime.settings import in_one_line, names_and_settings, settings_help, settings_of

USAGE = "usage: python scripts/predict_mounds.py [CONFIG.yaml] [STORE ...] [key=value ...] out=PATH"
DEFAULT = Path(__file__).resolve().parents[2] / "configs" / "mounds.yaml"
SHARES = "data.shares"
FREE = ("device", "draws", "level", "out")  # what may change when a study goes on
CONFIG = "config.yaml"


def parse_words(words: Sequence[str]) -> AggregationSpec:
    """The spec that the words ask for; without a config and stores, that of configs/mounds.yaml.

    Raises:
        SlimeError: an unknown key (names the nearest), a value of the wrong kind, no such file.
    """
    names, settings = names_and_settings(words)
    files = [name for name in names if name.endswith((".yaml", ".yml"))]
    stores = [name for name in names if name not in files]
    if len(files) > 1:
        raise SlimeError(f"one config at a time, not {len(files)}: {', '.join(files)}")
    file = files[0] if files else (str(DEFAULT) if DEFAULT.exists() else None)
    tree = unlocked(OmegaConf.structured(AggregationSpec))
    changes: list[Any] = [read_yaml(file)] if file else []
    changes += [{"data": {"stores": stores}}] if stores else []
    changes += [parsed(_listed(word)) for word in settings]
    return _merged(tree, changes)


def help_text() -> str:
    """The usage, and every key with its default and meaning."""
    return "\n".join([USAGE, "", "Settings (key=default):", settings_help(AggregationSpec)])


def check_folder(spec: AggregationSpec) -> Path:
    """The folder of the study; one that is there must hold the same study. Nothing is written.

    Raises:
        SlimeError: it holds a study of other settings, or something else.
    """
    folder = Path(spec.out).expanduser()
    config = folder / CONFIG
    if config.exists():
        held, asked = read_yaml(str(config)), OmegaConf.create(config_yaml(spec))
        for key, *_ in settings_of(AggregationSpec):
            before, now = OmegaConf.select(held, key), OmegaConf.select(asked, key)
            if key not in FREE and before != now:
                raise SlimeError(
                    f"{folder} holds a study with {key}={_short(before)}, not {_short(now)}: "
                    "another out= starts a new one"
                )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SlimeError(f"{folder} holds something else: give another out=")
    return folder


def write_config(spec: AggregationSpec, folder: Path) -> None:
    """The whole spec, as the words said it, into the folder of its study."""
    write_text(folder / CONFIG, config_yaml(spec))


def with_movies(spec: AggregationSpec, *, progress: Progress | None = None) -> AggregationSpec:
    """The spec itself where it names stores, else with the ensemble's, simulated where missing."""
    if spec.data.stores:
        return spec
    ensemble = spec.ensemble
    folder = Path(ensemble.folder).expanduser()
    settings = {
        "size_px": ensemble.size_px,
        "n_frames": ensemble.n_frames,
        "frame_interval_s": ensemble.frame_interval_s,
        "warm_up_min": ensemble.warm_up_min,
    }
    members = [
        Member("dictyostelium", folder / f"dictyostelium seed={seed}.zarr", seed, "cpu", settings)
        for seed in range(ensemble.n_movies)
    ]
    made = make_ensemble(members, progress=progress)
    return replace(spec, data=replace(spec.data, stores=[str(path) for path in made]))


def _listed(word: str) -> str:
    """given=11 and given=11,21 as the lists that they mean."""
    key, _, text = word.partition("=")
    numbers = text.replace(",", "").replace(" ", "")
    return f"{key}=[{text}]" if key == "given" and numbers.isdigit() else word


def _merged(tree: Any, changes: Sequence[Any]) -> AggregationSpec:
    try:
        for change in changes:
            if OmegaConf.select(OmegaConf.create(change), SHARES) is not None:
                OmegaConf.update(tree, SHARES, None)  # a list may take the place of a mapping
            tree = OmegaConf.merge(tree, change)
        spec = OmegaConf.to_object(tree)
    except OmegaConfBaseException as error:
        raise SlimeError(in_one_line(error, AggregationSpec)) from error
    assert isinstance(spec, AggregationSpec)
    return spec


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
