"""How a spec's fields carry their meaning, are listed for --help, and are read from words."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from slime.errors import SlimeError, nearest

Spec = TypeVar("Spec")


def setting(default: Any, meaning: str) -> Any:
    """A dataclass field with a default and one line of help; lists and dicts are copied."""
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata={"help": meaning})
    return field(default=default, metadata={"help": meaning})


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


def settings_help(spec: type) -> str:
    """A line for every key of a spec: its default and what it means."""
    return "\n".join(
        f"  {name}={_as_yaml(default)}".ljust(38) + meaning
        for name, _, default, meaning in settings_of(spec)
    )


def is_setting(word: str) -> bool:
    """Whether a word is key=value, and no file of that name."""
    if Path(word).exists():  # a store may have an equals sign in its name
        return False
    key, equals, _ = word.partition("=")
    return bool(equals) and key.replace(".", "").replace("_", "").isalnum() and key[0].isalpha()


def names_and_settings(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that name a file, and those that are key=value.

    Raises:
        SlimeError: a word that begins with a dash.
    """
    settings = [word for word in words if is_setting(word)]
    names = [word for word in words if word not in settings]
    for word in names:
        if word.startswith("-"):
            raise SlimeError(f"unknown option {word}: settings are written key=value; see --help")
    return names, settings


def spec_from_words(spec: type[Spec], words: Sequence[str]) -> Spec:
    """A spec of one level from words `key=value`; what is not named keeps its default.

    Raises:
        SlimeError: an unknown key (names the nearest), a value of the wrong kind, or one that the
            spec itself refuses.
    """
    try:
        tree = OmegaConf.structured(spec)
        OmegaConf.set_readonly(tree, False)
        for word in words:
            key, _, text = word.partition("=")
            # as text, which the field's kind turns into a number: YAML would read 1:30 as 90
            value: Any = None if text in ("", "null") else text
            if text.startswith("[") and text.endswith("]"):
                value = [part.strip() for part in text[1:-1].split(",") if part.strip()]
            tree = OmegaConf.merge(tree, {key: value})
        read: Any = OmegaConf.to_object(tree)
        return read
    except OmegaConfBaseException as error:
        raise SlimeError(in_one_line(error, spec)) from error


def in_one_line(error: Exception, spec: type) -> str:
    """'optim.lrr: no such key; did you mean optim.lr?' from OmegaConf's several lines."""
    lines = [line.strip() for line in str(error).splitlines()]
    key = next((ln.split(":", 1)[1].strip() for ln in lines if ln.startswith("full_key:")), "")
    first = lines[0] if lines else type(error).__name__
    if key and first.startswith("Key "):
        known = [name for name, *_ in settings_of(spec)]
        return f"there is no setting {key}{nearest(key, known)} (--help lists all)"
    choice = re.match(r"Invalid value '(.*)', expected one of \[(.*)\]", first)
    if choice:
        known = [word.strip(" '") for word in choice[2].split(",")]
        return f"{key}={choice[1]} is none of {', '.join(known)}{nearest(choice[1], known)}"
    return f"{key}: {first}" if key else first


def _as_yaml(value: Any) -> str:
    """A default as it would be written on the command line."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
